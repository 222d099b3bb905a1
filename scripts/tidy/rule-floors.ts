/**
 * A package imports only from lower floors, never sideways or up; its tests are bound likewise, but may
 * import their own package as it is built, as processes that they start must.
 */
import { floorOf, ownPackageOf } from './layout.js';
import type { Problem, Project, Rule } from './project.js';

export const floorsRule: Rule = { name: 'floors', check };

function check(project: Project): Problem[] {
  const problems: Problem[] = [];
  for (const { path, place, imports } of project.sources.values()) {
    const ownName = place.packageName;
    if (ownName === undefined) continue;
    const ownFloor = floorOf(ownName);
    if (ownFloor === undefined) {
      problems.push({ path, message: `package ${ownName} stands on no floor` });
      continue;
    }
    for (const { specifier, line } of imports) {
      const target = ownPackageOf(specifier);
      if (target === undefined) continue;
      if (target === ownName && place.zone === 'test') continue;
      const floor = floorOf(target);
      if (floor !== undefined && floor < ownFloor) continue;
      const message = `${ownName} (floor ${ownFloor}) imports ${target} (floor ${floor ?? 'none'})`;
      problems.push({ path, line, message });
    }
  }
  return problems;
}
