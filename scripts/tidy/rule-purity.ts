/**
 * Floors 0 to 3 are synchronous and deterministic: nothing of Node, no promise, no clock, no chance,
 * no locale. The compiler already hides the host's globals from them; this rule covers what the
 * language itself brings. The one exception: base's hash waits once, at import, for WebAssembly.
 */
import { builtinModules } from 'node:module';
import { floorOf, impureFloorMin } from './layout.js';
import type { Problem, Project, Rule } from './project.js';
import {
  boundNames,
  child,
  children,
  nameOf,
  type Position,
  type SourceFile,
  type SyntaxNode,
  walk,
} from './source.js';

export const purityRule: Rule = { name: 'purity', check };

const topLevelAwaitPath = 'packages/base/src/hash.ts';

const globalsBanned = new Set([
  ...['Promise', 'Date', 'Intl', 'WeakRef', 'FinalizationRegistry', 'Atomics', 'SharedArrayBuffer'],
  ...[
    'setTimeout',
    'setInterval',
    'setImmediate',
    'clearTimeout',
    'clearInterval',
    'queueMicrotask',
  ],
  ...[
    'performance',
    'process',
    'console',
    'globalThis',
    'Buffer',
    'fetch',
    'crypto',
    'require',
    'eval',
  ],
  ...['AbortController', 'AbortSignal', 'EventTarget', 'structuredClone', 'WebSocket', 'Function'],
]);
const methodsBanned = new Set([
  'localeCompare',
  'toLocaleString',
  'toLocaleUpperCase',
  'toLocaleLowerCase',
]);
const builtins = new Set(builtinModules);

function check(project: Project): Problem[] {
  const problems: Problem[] = [];
  for (const file of project.sources.values()) {
    const { packageName, zone } = file.place;
    if (packageName === undefined || zone !== 'src') continue;
    if ((floorOf(packageName) ?? 0) < impureFloorMin) problems.push(...checkFile(file));
  }
  return problems;
}

function checkFile(file: SourceFile): Problem[] {
  const { path } = file;
  const problems: Problem[] = [];
  for (const { specifier, line } of file.imports) {
    if (!specifier.startsWith('node:') && !builtins.has(specifier)) continue;
    problems.push({ path, line, message: `imports ${specifier}` });
  }
  const locals = localNames(file.program);
  walk(file.program, (node, at) => {
    const message = judge(node, at, locals, path);
    if (message !== undefined) problems.push({ path, line: file.lineAt(node.start), message });
  });
  return problems;
}

function judge(
  node: SyntaxNode,
  at: Position,
  locals: ReadonlySet<string>,
  path: string,
): string | undefined {
  if (node.async === true) return 'declares an async function';
  if (node.await === true) return 'iterates with await';
  switch (node.type) {
    case 'AwaitExpression':
      return path === topLevelAwaitPath && isTopLevel(at) ? undefined : 'awaits';
    case 'ImportExpression':
      return 'imports dynamically';
    case 'MemberExpression':
      return judgeMember(node);
    case 'Identifier':
      return isReference(at) ? judgeReference(nameOf(node) ?? '', at, locals) : undefined;
    default:
      return undefined;
  }
}

function isTopLevel({ ancestors }: Position): boolean {
  return !ancestors.some((node) => /Function|Class/.test(node.type));
}

function judgeMember(node: SyntaxNode): string | undefined {
  const method = nameOf(child(node, 'property')) ?? '';
  if (nameOf(child(node, 'object')) === 'Math' && method === 'random') return 'uses Math.random';
  return methodsBanned.has(method) ? `uses ${method}, which depends on the locale` : undefined;
}

function judgeReference(
  name: string,
  { parent, field }: Position,
  locals: ReadonlySet<string>,
): string | undefined {
  if (locals.has(name)) return undefined;
  const isMemberOf = parent?.type === 'MemberExpression' && field === 'object';
  const isDateUtc = name === 'Date' && isMemberOf && nameOf(child(parent, 'property')) === 'UTC';
  if (isDateUtc) return undefined; // a pure function of its arguments
  if (globalsBanned.has(name)) return `uses ${name}`;
  return name === 'Math' && !isMemberOf
    ? 'takes Math apart, which may hide Math.random'
    : undefined;
}

/** Whether an identifier stands for a variable or a type, and does not merely label something. */
function isReference({ parent, field }: Position): boolean {
  if (parent === undefined) return false;
  const isLabel = field === 'property' || field === 'key' || field === 'label';
  if (isLabel) return parent.computed === true;
  return !/^(Import|Export).*Specifier$|^TSQualifiedName$/.test(parent.type) || field === 'left';
}

/** Names the file itself declares, in whatever scope: they are not the globals of that name. */
function localNames(program: SyntaxNode): Set<string> {
  const names = new Set<string>();
  walk(program, (node) => {
    const declared = /^Import.*Specifier$/.test(node.type)
      ? child(node, 'local')
      : child(node, 'id');
    for (const name of boundNames(declared)) names.add(name);
    for (const param of children(node, 'params')) {
      for (const name of boundNames(param)) names.add(name);
    }
  });
  return names;
}
