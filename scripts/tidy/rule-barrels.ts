/** Only a package's index passes on what other files export. */
import type { Problem, Project, Rule } from './project.js';

export const barrelsRule: Rule = { name: 'barrels', check };

const indexPattern = /^packages\/[^/]+\/src\/index\.ts$/;

function check(project: Project): Problem[] {
  const problems: Problem[] = [];
  for (const { path, imports } of project.sources.values()) {
    if (indexPattern.test(path)) continue;
    for (const { kind, specifier, line } of imports) {
      if (kind !== 'reexport') continue;
      problems.push({ path, line, message: `re-exports ${specifier}: only a package's index may` });
    }
  }
  return problems;
}
