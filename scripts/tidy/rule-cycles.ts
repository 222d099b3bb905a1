/** No two files import each other, however long the way round. Types may: they leave no trace. */
import type { Problem, Project, Rule } from './project.js';
import { resolveRelative, type SourceFile } from './source.js';

export const cyclesRule: Rule = { name: 'cycles', check };

type Mark = 'open' | 'done';

function check(project: Project): Problem[] {
  const problems: Problem[] = [];
  const marks = new Map<string, Mark>();
  const trail: string[] = [];
  const visit = (file: SourceFile): void => {
    marks.set(file.path, 'open');
    trail.push(file.path);
    for (const target of targetsOf(file, project)) {
      const mark = marks.get(target.path);
      if (mark === undefined) visit(target);
      else if (mark === 'open') {
        const round = [...trail.slice(trail.indexOf(target.path)), target.path];
        problems.push({ path: target.path, message: `import cycle: ${round.join(' → ')}` });
      }
    }
    trail.pop();
    marks.set(file.path, 'done');
  };
  for (const file of project.sources.values()) if (!marks.has(file.path)) visit(file);
  return problems;
}

function targetsOf(file: SourceFile, project: Project): SourceFile[] {
  const targets = new Set<SourceFile>();
  for (const { specifier, typeOnly } of file.imports) {
    if (typeOnly || !specifier.startsWith('.')) continue;
    const target = project.sources.get(resolveRelative(file.path, specifier));
    if (target !== undefined) targets.add(target);
  }
  return [...targets];
}
