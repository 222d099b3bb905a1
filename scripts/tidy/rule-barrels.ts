/** Only what a package's manifest exports, mostly its index alone, passes on what other files export. */
import { entriesOf } from './entries.js';
import type { Problem, Project, Rule } from './project.js';

export const barrelsRule: Rule = { name: 'barrels', check };

function check(project: Project): Problem[] {
  const { indexes } = entriesOf(project);
  const problems: Problem[] = [];
  for (const { path, imports } of project.sources.values()) {
    if (indexes.has(path)) continue;
    for (const { kind, specifier, line } of imports) {
      if (kind !== 'reexport') continue;
      problems.push({
        path,
        line,
        message: `re-exports ${specifier}: only an index that the manifest exports may`,
      });
    }
  }
  return problems;
}
