/**
 * Where things stand in the repository: the floors of the packages, and what a path is part of.
 * Nothing here reads the disk.
 */

/** A package imports only from packages on lower floors. */
const floors: ReadonlyMap<string, number> = new Map([
  ['base', 0],
  ['raft', 1],
  ['region', 2],
  ['kv', 2],
  ['placement', 3],
  ['storage', 4],
  ['transport', 4],
  ['node', 5],
  ['client', 5],
  ['moku', 6],
  ['sim', 6],
]);

/** Below this floor a package is synchronous and touches nothing of its host. */
export const impureFloorMin = 4;

/** What kind of code a file is: rules differ between product code and the rest. */
export type Zone = 'src' | 'test' | 'bench' | 'script' | 'other';

export interface Place {
  /** Folder name of the package the file belongs to; undefined at the top level. */
  readonly packageName: string | undefined;
  readonly zone: Zone;
}

const zoneByFolder: Readonly<Record<string, Zone>> = {
  src: 'src',
  test: 'test',
  bench: 'bench',
  scripts: 'script',
};

/** Place of the file at `path`, which is relative to the repository and uses forward slashes. */
export function placeOf(path: string): Place {
  const parts = path.split('/');
  const inPackage = parts[0] === 'packages' && parts.length > 2;
  const folder = (inPackage ? parts[2] : parts[0]) ?? '';
  return {
    packageName: inPackage ? parts[1] : undefined,
    zone: zoneByFolder[folder] ?? 'other',
  };
}

/** Floor of the package called `name` (its folder), or undefined for a name that is not ours. */
export function floorOf(name: string): number | undefined {
  return floors.get(name);
}

/** Folder name of our package that `specifier` names, deep imports included; else undefined. */
export function ownPackageOf(specifier: string): string | undefined {
  if (specifier === 'moku' || specifier.startsWith('moku/')) return 'moku';
  if (!specifier.startsWith('@moku/')) return undefined;
  return specifier.split('/')[1];
}

/** Name under which the package in folder `name` is imported. */
export function importNameOf(name: string): string {
  return name === 'moku' ? 'moku' : `@moku/${name}`;
}

/** The npm package that a bare `specifier` names, or undefined for relative and `node:` ones. */
export function npmPackageOf(specifier: string): string | undefined {
  if (/^[./]/.test(specifier) || specifier.startsWith('node:')) return undefined;
  const parts = specifier.split('/');
  return specifier.startsWith('@') ? parts.slice(0, 2).join('/') : parts[0];
}
