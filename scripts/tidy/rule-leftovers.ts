/**
 * Nothing is left over from work in progress: no test that is singled out or switched off, no
 * debugger, no output to the console but where people read it, no marker for later, no silenced
 * compiler.
 */
import type { Problem, Project, Rule } from './project.js';
import { child, nameOf, type SourceFile, type SyntaxNode, walk } from './source.js';

export const leftoversRule: Rule = { name: 'leftovers', check };

const markerPattern = /\b(TODO|FIXME|XXX|HACK)\b/;
const silencerPattern = /@ts-(ignore|nocheck|expect-error)/;
const modifiersBanned = new Set(['only', 'skip', 'todo', 'fails']);
const suites = new Set(['it', 'test', 'describe', 'bench']);
const consolePattern = /^(packages\/moku\/src\/(cli|demo)|scripts|bench)\//;

function check(project: Project): Problem[] {
  const problems: Problem[] = [];
  for (const file of project.sources.values()) {
    problems.push(...checkComments(file), ...checkCode(file));
  }
  for (const [path, text] of project.documents) {
    const lines = text.split('\n');
    lines.forEach((line, index) => {
      const marker = markerPattern.exec(line.replace(/`[^`]*`/g, ''))?.[0];
      if (marker !== undefined) problems.push({ path, line: index + 1, message: `says ${marker}` });
    });
  }
  return problems;
}

function checkComments({ path, place, comments }: SourceFile): Problem[] {
  const problems: Problem[] = [];
  for (const { text, line } of comments) {
    const marker = markerPattern.exec(text)?.[0];
    if (marker !== undefined) problems.push({ path, line, message: `a comment says ${marker}` });
    const silencer = silencerPattern.exec(text)?.[0];
    // A test may state that something does not compile.
    if (silencer === undefined || (silencer === '@ts-expect-error' && place.zone === 'test'))
      continue;
    problems.push({ path, line, message: `${silencer} silences the compiler` });
  }
  return problems;
}

function checkCode(file: SourceFile): Problem[] {
  const problems: Problem[] = [];
  walk(file.program, (node) => {
    const message = judge(node, file.path);
    if (message === undefined) return;
    problems.push({ path: file.path, line: file.lineAt(node.start), message });
  });
  return problems;
}

function judge(node: SyntaxNode, path: string): string | undefined {
  if (node.type === 'DebuggerStatement') return 'debugger statement';
  if (node.type !== 'MemberExpression') return undefined;
  const property = nameOf(child(node, 'property')) ?? '';
  if (nameOf(child(node, 'object')) === 'console' && !consolePattern.test(path)) {
    return `writes to the console (console.${property})`;
  }
  const isModifier = modifiersBanned.has(property) && suites.has(suiteName(node) ?? '');
  return isModifier ? `a test is marked .${property}` : undefined;
}

/** `it` of `it.only`, `it.concurrent.only` and the like. */
function suiteName(member: SyntaxNode): string | undefined {
  let object = child(member, 'object');
  while (object?.type === 'MemberExpression') object = child(object, 'object');
  return nameOf(object);
}
