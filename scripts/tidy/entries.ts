/** What the manifests offer: the import names of each package, and the sources behind them. */
import { importNameOf } from './layout.js';
import type { Project } from './project.js';

export interface Entries {
  /** What may be imported: package names, and the further paths their manifests export. */
  readonly specifiers: ReadonlySet<string>;
  /** Sources of what may be imported. */
  readonly indexes: ReadonlySet<string>;
  /** Sources of the commands. */
  readonly commands: ReadonlySet<string>;
}

export function entriesOf(project: Project): Entries {
  const specifiers = new Set<string>();
  const indexes = new Set<string>();
  const commands = new Set<string>();
  for (const [path, manifest] of project.manifests) {
    if (!path.endsWith('/package.json')) continue;
    const name = path.split('/')[1] ?? '';
    for (const [subpath, target] of Object.entries(manifest['exports'] ?? {})) {
      specifiers.add(importNameOf(name) + subpath.slice(1));
      indexes.add(sourceOf(name, (target as { default?: string }).default));
    }
    const bin = (manifest['bin'] ?? {}) as Record<string, string>;
    for (const target of Object.values(bin)) commands.add(sourceOf(name, target));
  }
  return { specifiers, indexes, commands };
}

function sourceOf(name: string, built = ''): string {
  return built.replace(/^\.\/dist\//, `packages/${name}/src/`).replace(/\.js$/, '.ts');
}
