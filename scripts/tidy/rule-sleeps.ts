/**
 * A test waits for what it needs (`vi.waitFor`, `expect.poll`), with a bound, never for time.
 * `setImmediate` passes no time: it lets the loop go round once.
 */
import type { Problem, Project, Rule } from './project.js';
import { child, nameOf, type SyntaxNode, walk } from './source.js';

export const sleepsRule: Rule = { name: 'sleeps', check };

const timerModules = new Set(['node:timers', 'node:timers/promises', 'timers', 'timers/promises']);
const callsBanned = /^(setTimeout|setInterval|sleep|sleepMs|delay|delayMs)$/;

function check(project: Project): Problem[] {
  const problems: Problem[] = [];
  for (const file of project.sources.values()) {
    const { path } = file;
    if (file.place.zone !== 'test') continue;
    for (const { specifier, line } of file.imports) {
      if (timerModules.has(specifier))
        problems.push({ path, line, message: `imports ${specifier}` });
    }
    walk(file.program, (node) => {
      const name = sleepName(node);
      if (name === undefined) return;
      problems.push({ path, line: file.lineAt(node.start), message: `sleeps (${name})` });
    });
  }
  return problems;
}

function sleepName(node: SyntaxNode): string | undefined {
  if (node.type !== 'CallExpression') return undefined;
  const callee = child(node, 'callee');
  const isMember = callee?.type === 'MemberExpression';
  const name = nameOf(isMember ? child(callee, 'property') : callee) ?? '';
  if (isMember && nameOf(child(callee, 'object')) === 'Atomics') {
    return name === 'wait' ? 'Atomics.wait' : undefined;
  }
  const isGlobal = !isMember || nameOf(child(callee, 'object')) === 'globalThis';
  return isGlobal && callsBanned.test(name) ? name : undefined;
}
