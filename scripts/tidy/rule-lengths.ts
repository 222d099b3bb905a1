/**
 * Files stay within 600 lines and functions within 70. A longer function needs an exception, whose
 * figure it may not outgrow; an exception without need is itself a problem. Only the bodies of
 * `describe` blocks, which hold no story of their own, may be of any length, and so may a function
 * that is nothing but such a block.
 */
import type { Problem, Project, Rule } from './project.js';
import { child, nameOf, type Position, type SourceFile, type SyntaxNode, walk } from './source.js';

const fileLinesMax = 600;
const functionLinesMax = 70;

/** Rule with `exceptions`: `path#name` of a long function to the lines it may have. */
export function lengthsRule(exceptions: Readonly<Record<string, number>>): Rule {
  return { name: 'lengths', check: (project) => check(project, exceptions) };
}

function check(project: Project, exceptions: Readonly<Record<string, number>>): Problem[] {
  const problems: Problem[] = [];
  const needed = new Set<string>();
  for (const file of project.sources.values()) {
    if (file.lineCount > fileLinesMax) {
      const message = `${file.lineCount} lines; a file has at most ${fileLinesMax}`;
      problems.push({ path: file.path, message });
    }
    for (const { name, line, lines } of longFunctions(file)) {
      const key = `${file.path}#${name}`;
      const linesMax = exceptions[key] ?? functionLinesMax;
      if (lines > linesMax) {
        const message = `${name} has ${lines} lines; it may have at most ${linesMax}`;
        problems.push({ path: file.path, line, message });
      }
      needed.add(key);
    }
  }
  for (const key of Object.keys(exceptions)) {
    if (needed.has(key)) continue;
    const [path = key, name] = key.split('#');
    problems.push({ path, message: `the exception for ${name} is no longer needed: remove it` });
  }
  return problems;
}

interface LongFunction {
  readonly name: string;
  readonly line: number;
  readonly lines: number;
}

function longFunctions(file: SourceFile): LongFunction[] {
  const found: LongFunction[] = [];
  walk(file.program, (node, at) => {
    if (!/^(FunctionDeclaration|FunctionExpression|ArrowFunctionExpression)$/.test(node.type))
      return;
    if (isDescribeBody(at) || isOnlyDescribe(node)) return;
    const line = file.lineAt(node.start);
    const lines = file.lineAt(node.end) - line + 1;
    if (lines > functionLinesMax) found.push({ name: functionName(node, at), line, lines });
  });
  return found;
}

function isDescribeBody({ parent, field }: Position): boolean {
  if (parent?.type !== 'CallExpression' || field !== 'arguments') return false;
  let callee = child(parent, 'callee');
  while (callee !== undefined && callee.type !== 'Identifier') {
    callee = child(callee, callee.type === 'CallExpression' ? 'callee' : 'object');
  }
  return nameOf(callee) === 'describe';
}

/** A suite to be run on several adapters: a function whose only statement is a `describe` block. */
function isOnlyDescribe(node: SyntaxNode): boolean {
  const statements = child(node, 'body')?.['body'];
  if (!Array.isArray(statements) || statements.length !== 1) return false;
  const [statement] = statements as SyntaxNode[];
  if (statement?.type !== 'ExpressionStatement') return false;
  const call = child(statement, 'expression');
  return call?.type === 'CallExpression' && nameOf(child(call, 'callee')) === 'describe';
}

/** What a reader would call the function; one without any name is called by its surroundings. */
function functionName(node: SyntaxNode, { parent, ancestors }: Position): string {
  const ownName = nameOf(child(node, 'id')) ?? givenName(parent);
  const holder = ancestors.findLast((item) => /^Class(Declaration|Expression)$/.test(item.type));
  const isMember = parent?.type === 'MethodDefinition' || parent?.type === 'PropertyDefinition';
  if (isMember) return `${nameOf(child(holder, 'id')) ?? 'class'}.${ownName ?? 'computed'}`;
  if (ownName !== undefined) return ownName;
  const outer = ancestors.map(givenName).findLast((name) => name !== undefined);
  return `${outer ?? 'module'}/anonymous`;
}

function givenName(node: SyntaxNode | undefined): string | undefined {
  switch (node?.type) {
    case 'VariableDeclarator':
    case 'FunctionDeclaration':
      return nameOf(child(node, 'id'));
    case 'MethodDefinition':
    case 'PropertyDefinition':
    case 'Property':
      return nameOf(child(node, 'key'));
    default:
      return undefined;
  }
}
