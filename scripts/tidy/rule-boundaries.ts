/**
 * A package is entered through what its manifest exports, mostly its index alone. A relative import
 * stays inside the package, and from `test/` or `bench/` of a package it may reach its `src/`; what all
 * tests share stands in the top level's `test/support`. A URL is free: it names a file to start, not one
 * to build on.
 */
import { entriesOf } from './entries.js';
import { ownPackageOf, placeOf } from './layout.js';
import type { Problem, Project, Rule } from './project.js';
import { resolveRelative, type SourceFile } from './source.js';

export const boundariesRule: Rule = { name: 'boundaries', check };

function check(project: Project): Problem[] {
  const { specifiers } = entriesOf(project);
  const problems: Problem[] = [];
  for (const file of project.sources.values()) {
    for (const { specifier, kind, line } of file.imports) {
      if (kind === 'url') continue;
      const message = specifier.startsWith('.')
        ? judgeRelative(file, specifier)
        : judgeNamed(specifier, specifiers);
      if (message !== undefined) problems.push({ path: file.path, line, message });
    }
  }
  return problems;
}

function judgeNamed(specifier: string, offered: ReadonlySet<string>): string | undefined {
  const name = ownPackageOf(specifier);
  const isDeep = name !== undefined && specifier.split('/').length > (name === 'moku' ? 1 : 2);
  return isDeep && !offered.has(specifier)
    ? `${specifier} reaches behind the index of ${name}`
    : undefined;
}

function judgeRelative({ path, place }: SourceFile, specifier: string): string | undefined {
  const targetPath = resolveRelative(path, specifier);
  if (place.zone === 'test' && targetPath.startsWith('test/support/')) return undefined;
  const target = placeOf(targetPath);
  if (place.packageName !== target.packageName) {
    return `${specifier} leaves ${place.packageName ?? 'the top level'}: name the package instead`;
  }
  const isProductImportingOther = place.zone === 'src' && target.zone !== 'src';
  if (isProductImportingOther) return `${specifier} leaves src/`;
  return undefined;
}
