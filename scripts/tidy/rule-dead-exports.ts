/**
 * What is exported is imported somewhere, or offered by the package's index; and every product file
 * is imported by somebody, or is where a process or a worker starts. A type needs no importer if its
 * own file uses it, as it may then be part of the shape of something that is imported.
 */
import { entriesOf } from './entries.js';
import type { Problem, Project, Rule } from './project.js';
import { nameOf, resolveRelative, type SourceFile, walk } from './source.js';

export const deadExportsRule: Rule = { name: 'dead exports', check };

const entryPattern =
  /(^packages\/[^/]+\/src\/(.+\/)?main\.ts|\.test\.ts|\.config\.ts)$|^(scripts|bench)\/[^/]+$/;

interface Uses {
  /** Names imported from each file; `*` for all. */
  readonly names: ReadonlyMap<string, ReadonlySet<string>>;
  /** Files that a URL names: where a worker or a process starts. */
  readonly started: ReadonlySet<string>;
}

function check(project: Project): Problem[] {
  const uses = collectUses(project);
  const { indexes, commands } = entriesOf(project);
  const problems: Problem[] = [];
  for (const file of project.sources.values()) {
    const { path } = file;
    if (entryPattern.test(path) || indexes.has(path) || commands.has(path)) continue;
    const used = uses.names.get(path);
    if (used === undefined && !uses.started.has(path) && file.place.zone === 'src') {
      problems.push({ path, message: 'no file imports it' });
      continue;
    }
    for (const { name, isType, line } of file.exports) {
      if (used?.has('*') || used?.has(name) || (isType && isUsedInside(file, name))) continue;
      problems.push({ path, line, message: `${name} is exported but never imported` });
    }
  }
  return problems;
}

function collectUses(project: Project): Uses {
  const names = new Map<string, Set<string>>();
  const started = new Set<string>();
  for (const { path, imports } of project.sources.values()) {
    for (const { specifier, kind, names: imported } of imports) {
      if (!specifier.startsWith('.')) continue;
      const target = resolveRelative(path, specifier);
      if (kind === 'url') started.add(asSource(target));
      else names.set(target, new Set([...(names.get(target) ?? []), ...imported]));
    }
  }
  return { names, started };
}

/** The source of a built file: workers start as they are built, whoever starts them. */
function asSource(path: string): string {
  return path.replace(/^(packages\/[^/]+)\/dist\/(.+)\.[jt]s$/, '$1/src/$2.ts');
}

/** Whether `name` occurs besides its declaration. */
function isUsedInside(file: SourceFile, name: string): boolean {
  let occurrences = 0;
  walk(file.program, (node) => {
    if (node.type === 'Identifier' && nameOf(node) === name) occurrences += 1;
  });
  return occurrences > 1;
}
