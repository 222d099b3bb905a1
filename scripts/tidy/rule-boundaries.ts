/**
 * A package is entered through its index. Others name it without a path behind; a relative import
 * stays inside the package, and from `test/` or `bench/` of a package it may reach its `src/`.
 */
import { ownPackageOf, placeOf } from './layout.js';
import type { Problem, Project, Rule } from './project.js';
import { resolveRelative, type SourceFile } from './source.js';

export const boundariesRule: Rule = { name: 'boundaries', check };

function check(project: Project): Problem[] {
  const problems: Problem[] = [];
  for (const file of project.sources.values()) {
    for (const { specifier, line } of file.imports) {
      const message = specifier.startsWith('.')
        ? judgeRelative(file, specifier)
        : judgeNamed(specifier);
      if (message !== undefined) problems.push({ path: file.path, line, message });
    }
  }
  return problems;
}

function judgeNamed(specifier: string): string | undefined {
  const name = ownPackageOf(specifier);
  const isDeep = name !== undefined && specifier.split('/').length > (name === 'moku' ? 1 : 2);
  return isDeep ? `${specifier} reaches behind the index of ${name}` : undefined;
}

function judgeRelative({ path, place }: SourceFile, specifier: string): string | undefined {
  const target = placeOf(resolveRelative(path, specifier));
  if (place.packageName !== target.packageName) {
    return `${specifier} leaves ${place.packageName ?? 'the top level'}: name the package instead`;
  }
  const isProductImportingOther = place.zone === 'src' && target.zone !== 'src';
  if (isProductImportingOther) return `${specifier} leaves src/`;
  return undefined;
}
