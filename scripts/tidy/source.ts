/**
 * One source file, parsed: its syntax tree, comments, imports and exports. Owns everything that
 * depends on the parser, so that rules read plain facts or walk plain nodes.
 */
import { posix } from 'node:path';
import { parseSync } from 'oxc-parser';
import { type Place, placeOf } from './layout.js';

/** A node of the ESTree form (TypeScript flavour) that the parser yields. */
export interface SyntaxNode {
  readonly type: string;
  readonly start: number;
  readonly end: number;
  readonly [field: string]: unknown;
}

export interface Comment {
  readonly text: string;
  readonly line: number;
}

/** One import, re-export, dynamic import, type import, or `new URL('./x.js', import.meta.url)`. */
export interface Import {
  readonly specifier: string;
  readonly kind: 'import' | 'reexport' | 'dynamic' | 'url';
  /** The whole statement vanishes when types are stripped. */
  readonly typeOnly: boolean;
  /** Names taken from the module; `*` when it is taken whole. */
  readonly names: readonly string[];
  readonly line: number;
}

export interface Export {
  readonly name: string;
  /** An interface or a type alias. */
  readonly isType: boolean;
  readonly line: number;
}

export interface SourceFile {
  readonly path: string;
  readonly place: Place;
  readonly lineCount: number;
  readonly program: SyntaxNode;
  readonly comments: readonly Comment[];
  readonly imports: readonly Import[];
  readonly exports: readonly Export[];
  lineAt(offset: number): number;
}

/** What `walk` hands out beside a node: where it hangs. Ancestors, the nearest last. */
export interface Position {
  readonly parent: SyntaxNode | undefined;
  readonly field: string;
  readonly ancestors: readonly SyntaxNode[];
}

/** Parses `text`. Throws when it is not valid TypeScript. */
export function parseSource(path: string, text: string): SourceFile {
  const result = parseSync(path, text, { sourceType: 'module' });
  const [error] = result.errors;
  if (error !== undefined) throw new Error(`${path}: ${error.message}`);
  const lineStarts = findLineStarts(text);
  const lineAt = (offset: number): number => lineIndex(lineStarts, offset) + 1;
  const program = result.program as unknown as SyntaxNode;
  return {
    path,
    place: placeOf(path),
    lineCount: text.endsWith('\n') ? lineStarts.length - 1 : lineStarts.length,
    program,
    comments: result.comments.map(({ value, start }) => ({ text: value, line: lineAt(start) })),
    imports: collectImports(program, lineAt),
    exports: collectExports(program, lineAt),
    lineAt,
  };
}

/** Calls `visit` for every node under `root`, parents first. */
export function walk(root: SyntaxNode, visit: (node: SyntaxNode, at: Position) => void): void {
  const ancestors: SyntaxNode[] = [];
  const step = (node: SyntaxNode, field: string): void => {
    visit(node, { parent: ancestors.at(-1), field, ancestors });
    ancestors.push(node);
    for (const [name, value] of Object.entries(node)) {
      for (const child of Array.isArray(value) ? value : [value]) {
        if (isNode(child)) step(child, name);
      }
    }
    ancestors.pop();
  };
  step(root, '');
}

function isNode(value: unknown): value is SyntaxNode {
  return typeof value === 'object' && value !== null && 'type' in value && 'start' in value;
}

/** Child of `node` in `field`, or undefined. */
export function child(node: SyntaxNode | undefined, field: string): SyntaxNode | undefined {
  const value = node?.[field];
  return isNode(value) ? value : undefined;
}

/** Children of `node` in the list `field`. */
export function children(node: SyntaxNode | undefined, field: string): readonly SyntaxNode[] {
  const value = node?.[field];
  return Array.isArray(value) ? value.filter(isNode) : [];
}

/** Name of an identifier, value of a string literal; undefined for anything else. */
export function nameOf(node: SyntaxNode | undefined): string | undefined {
  if (typeof node?.name === 'string') return node.name;
  return typeof node?.value === 'string' ? node.value : undefined;
}

/** Names that a binding (identifier, pattern, parameter) introduces. */
export function boundNames(pattern: SyntaxNode | undefined): string[] {
  switch (pattern?.type) {
    case undefined:
      return [];
    case 'Identifier':
      return [nameOf(pattern) ?? ''];
    case 'ObjectPattern':
      return children(pattern, 'properties').flatMap((property) =>
        boundNames(child(property, property.type === 'RestElement' ? 'argument' : 'value')),
      );
    case 'ArrayPattern':
      return children(pattern, 'elements').flatMap(boundNames);
    case 'AssignmentPattern':
      return boundNames(child(pattern, 'left'));
    case 'RestElement':
      return boundNames(child(pattern, 'argument'));
    case 'TSParameterProperty':
      return boundNames(child(pattern, 'parameter'));
    default:
      return [];
  }
}

/** Path of the source that a relative `specifier` in the file at `path` names (`.js` is `.ts`). */
export function resolveRelative(path: string, specifier: string): string {
  const target = posix.join(posix.dirname(path), specifier);
  return path.endsWith('.ts') ? target.replace(/\.js$/, '.ts') : target;
}

function findLineStarts(text: string): number[] {
  const starts = [0];
  for (let at = text.indexOf('\n'); at !== -1; at = text.indexOf('\n', at + 1)) starts.push(at + 1);
  return starts;
}

function lineIndex(lineStarts: readonly number[], offset: number): number {
  let low = 0;
  let high = lineStarts.length - 1;
  while (low < high) {
    const middle = (low + high + 1) >> 1;
    if ((lineStarts[middle] ?? 0) <= offset) low = middle;
    else high = middle - 1;
  }
  return low;
}

function collectImports(program: SyntaxNode, lineAt: (offset: number) => number): Import[] {
  const imports: Import[] = [];
  walk(program, (node) => {
    const found = readImport(node);
    if (found !== undefined) imports.push({ ...found, line: lineAt(node.start) });
  });
  return imports;
}

function readImport(node: SyntaxNode): Omit<Import, 'line'> | undefined {
  const specifier = nameOf(child(node, 'source'));
  switch (node.type) {
    case 'ImportDeclaration':
      return importOf(specifier, 'import', node.importKind === 'type', importedNames(node));
    case 'ExportAllDeclaration':
      return importOf(specifier, 'reexport', node.exportKind === 'type', ['*']);
    case 'ExportNamedDeclaration': {
      const names = children(node, 'specifiers').map((item) => nameOf(child(item, 'local')) ?? '');
      return importOf(specifier, 'reexport', node.exportKind === 'type', names);
    }
    case 'ImportExpression':
      return importOf(specifier, 'dynamic', false, ['*']);
    case 'TSImportType':
      return importOf(specifier, 'dynamic', true, ['*']);
    case 'NewExpression': {
      const [target, base] = children(node, 'arguments');
      const isRelative =
        nameOf(child(node, 'callee')) === 'URL' && base?.type === 'MemberExpression';
      return importOf(isRelative ? nameOf(target) : undefined, 'url', true, []);
    }
    default:
      return undefined;
  }
}

function importOf(
  specifier: string | undefined,
  kind: Import['kind'],
  typeOnly: boolean,
  names: readonly string[],
): Omit<Import, 'line'> | undefined {
  return specifier === undefined ? undefined : { specifier, kind, typeOnly, names };
}

function importedNames(declaration: SyntaxNode): string[] {
  return children(declaration, 'specifiers').map((item) => {
    if (item.type === 'ImportNamespaceSpecifier') return '*';
    return item.type === 'ImportDefaultSpecifier'
      ? 'default'
      : (nameOf(child(item, 'imported')) ?? '');
  });
}

function collectExports(program: SyntaxNode, lineAt: (offset: number) => number): Export[] {
  const exports: Export[] = [];
  for (const statement of children(program, 'body')) {
    const line = lineAt(statement.start);
    if (statement.type === 'ExportDefaultDeclaration') {
      exports.push({ name: 'default', isType: false, line });
    }
    if (statement.type !== 'ExportNamedDeclaration' || child(statement, 'source')) continue;
    const declaration = child(statement, 'declaration');
    const isType =
      statement.exportKind === 'type' || /^TS(Interface|TypeAlias)/.test(declaration?.type ?? '');
    for (const item of children(statement, 'specifiers')) {
      exports.push({ name: nameOf(child(item, 'exported')) ?? '', isType, line });
    }
    const names =
      declaration?.type === 'VariableDeclaration'
        ? children(declaration, 'declarations').flatMap((item) => boundNames(child(item, 'id')))
        : [nameOf(child(declaration, 'id'))];
    for (const name of names) if (name !== undefined) exports.push({ name, isType, line });
  }
  return exports;
}
