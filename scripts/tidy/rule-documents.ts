/**
 * What documents say about files is true: every path in a table of files exists, and so does every
 * file that is linked to. A table of files is one with a column headed File, Folder, Path, Module,
 * Source, Package or Where; in that column each `code` span is taken for a path.
 */
import { posix } from 'node:path';
import type { Problem, Project, Rule } from './project.js';

export const documentsRule: Rule = { name: 'documents', check };

const fileHeader = /^(files?|folders?|paths?|modules?|sources?|packages?|where)$/i;
const builtFolders = /(^|\/)(dist|node_modules)\//;

function check(project: Project): Problem[] {
  const known = withFolders(project.paths);
  const problems: Problem[] = [];
  for (const [path, text] of project.documents) {
    const lines = withoutFences(text);
    problems.push(...checkTables(path, lines, known), ...checkLinks(path, lines, known));
  }
  return problems;
}

function withFolders(paths: ReadonlySet<string>): Set<string> {
  const known = new Set(paths);
  for (const path of paths) {
    for (let folder = posix.dirname(path); folder !== '.'; folder = posix.dirname(folder)) {
      known.add(folder);
    }
  }
  return known;
}

/** Lines with those inside code fences blanked, so that line numbers stay. */
function withoutFences(text: string): string[] {
  let isInside = false;
  return text.split('\n').map((line) => {
    const isFence = /^\s*(```|~~~)/.test(line);
    if (isFence) isInside = !isInside;
    return isFence || isInside ? '' : line;
  });
}

function checkTables(
  path: string,
  lines: readonly string[],
  known: ReadonlySet<string>,
): Problem[] {
  const problems: Problem[] = [];
  let columns: number[] | undefined;
  lines.forEach((line, index) => {
    if (!line.trimStart().startsWith('|')) {
      columns = undefined;
      return;
    }
    const cells = cellsOf(line);
    if (columns === undefined) {
      columns = cells.flatMap((cell, at) => (fileHeader.test(cell) ? [at] : []));
      return;
    }
    for (const at of columns) {
      for (const name of codeSpans(cells[at] ?? '')) {
        if (isKnown(path, name, known)) continue;
        problems.push({
          path,
          line: index + 1,
          message: `the table names ${name}, which is not there`,
        });
      }
    }
  });
  return problems;
}

function cellsOf(row: string): string[] {
  return row
    .trim()
    .replace(/^\||\|$/g, '')
    .split('|')
    .map((cell) => cell.trim());
}

function codeSpans(cell: string): string[] {
  return [...cell.matchAll(/`([^`]+)`/g)].map((match) => match[1] ?? '');
}

/** Whether `name` is a path from the document, from the top, or the end of some path. */
function isKnown(documentPath: string, name: string, known: ReadonlySet<string>): boolean {
  const wanted = name.replace(/\/$/, '');
  if (wanted === '' || wanted === '.' || builtFolders.test(`${wanted}/`)) return true;
  const pattern = new RegExp(`(^|/)${globToPattern(posix.normalize(wanted))}$`);
  const isPackageName = /^@?moku(\/|$)/.test(wanted);
  if (isPackageName) return known.has(`packages/${wanted.replace('@moku/', '')}`);
  if (known.has(posix.join(posix.dirname(documentPath), wanted))) return true;
  for (const path of known) if (pattern.test(path)) return true;
  return false;
}

function globToPattern(glob: string): string {
  return glob.replace(/[.+^${}()|[\]\\]/g, '\\$&').replace(/\*+/g, '[^/]*');
}

function checkLinks(path: string, lines: readonly string[], known: ReadonlySet<string>): Problem[] {
  const problems: Problem[] = [];
  lines.forEach((line, index) => {
    for (const match of line.matchAll(/\]\(([^)\s]+)\)/g)) {
      const target = (match[1] ?? '').replace(/#.*$/, '');
      if (target === '' || /^[a-z]+:/.test(target)) continue;
      const resolved = posix.join(posix.dirname(path), target).replace(/\/$/, '');
      if (known.has(resolved)) continue;
      problems.push({ path, line: index + 1, message: `links to ${target}, which is not there` });
    }
  });
  return problems;
}
