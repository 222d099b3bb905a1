/**
 * A package's manifest says what its sources import: every npm package is a dependency, our own
 * packages among the dependencies are on lower floors, and the build references are the same set.
 */
import { floorOf, importNameOf, npmPackageOf, ownPackageOf } from './layout.js';
import type { Problem, Project, Rule } from './project.js';

export const manifestsRule: Rule = { name: 'manifests', check };

function check(project: Project): Problem[] {
  const problems: Problem[] = [];
  for (const [path, manifest] of project.manifests) {
    if (!path.endsWith('/package.json')) continue;
    const name = path.split('/')[1] ?? '';
    const dependencies = new Set(Object.keys((manifest.dependencies ?? {}) as object));
    problems.push(
      ...undeclaredImports(project, name, dependencies),
      ...breachedFloors(path, name, dependencies),
      ...differingReferences(project, name, dependencies),
    );
  }
  return problems;
}

function undeclaredImports(project: Project, name: string, dependencies: Set<string>): Problem[] {
  const problems: Problem[] = [];
  for (const { path, place, imports } of project.sources.values()) {
    if (place.packageName !== name || place.zone !== 'src') continue;
    for (const { specifier, kind, line } of imports) {
      const wanted = kind === 'url' ? undefined : npmPackageOf(specifier);
      if (wanted === undefined || dependencies.has(wanted)) continue;
      problems.push({
        path,
        line,
        message: `${wanted} is not a dependency in the package's manifest`,
      });
    }
  }
  return problems;
}

function breachedFloors(path: string, name: string, dependencies: Set<string>): Problem[] {
  const ownFloor = floorOf(name) ?? -1;
  const ours = [...dependencies].map(ownPackageOf).filter((target) => target !== undefined);
  return ours
    .filter((target) => (floorOf(target) ?? Number.POSITIVE_INFINITY) >= ownFloor)
    .map((target) => ({ path, message: `depends on ${target}, which is not on a lower floor` }));
}

function differingReferences(project: Project, name: string, dependencies: Set<string>): Problem[] {
  const path = `packages/${name}/tsconfig.json`;
  const config = project.manifests.get(path);
  if (config === undefined) return [{ path, message: 'the package has no tsconfig.json' }];
  const references = (config.references ?? []) as readonly { path: string }[];
  const referenced = new Set(references.map((item) => importNameOf(item.path.replace('../', ''))));
  const ours = [...dependencies].filter((item) => ownPackageOf(item) !== undefined);
  const missing = ours.filter((item) => !referenced.has(item));
  const surplus = [...referenced].filter((item) => !dependencies.has(item));
  return [
    ...missing.map((item) => ({ path, message: `${item} is a dependency but no reference` })),
    ...surplus.map((item) => ({ path, message: `${item} is a reference but no dependency` })),
  ];
}
