/**
 * The repository as the rules see it: parsed sources, documents, manifests, and the paths that
 * exist. Rules are functions of a project, so that a test can hand them a few strings.
 */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseSource, type SourceFile } from './source.js';

export interface Project {
  /** TypeScript and JavaScript, by path. */
  readonly sources: ReadonlyMap<string, SourceFile>;
  /** Markdown, by path. */
  readonly documents: ReadonlyMap<string, string>;
  /** package.json and tsconfig.json of the packages, by path. */
  readonly manifests: ReadonlyMap<string, Record<string, unknown>>;
  /** Every file. */
  readonly paths: ReadonlySet<string>;
}

export interface Problem {
  readonly path: string;
  readonly line?: number;
  readonly message: string;
}

/** One thing that must hold for the whole repository. `check` returns what breaches it. */
export interface Rule {
  readonly name: string;
  check(project: Project): Problem[];
}

const foldersIgnored = new Set(['node_modules', 'dist', 'coverage', '.git', 'moku-data']);
const sourcePattern = /(?<!\.d)\.(ts|mts|mjs|js)$/;
const manifestPattern = /^packages\/[^/]+\/(package|tsconfig)\.json$/;

/** Project made of `files`: path (forward slashes, from the repository's top) to text. */
export function projectOf(files: Readonly<Record<string, string>>): Project {
  const sources = new Map<string, SourceFile>();
  const documents = new Map<string, string>();
  const manifests = new Map<string, Record<string, unknown>>();
  for (const [path, text] of Object.entries(files)) {
    if (sourcePattern.test(path)) sources.set(path, parseSource(path, text));
    else if (path.endsWith('.md')) documents.set(path, text);
    else if (manifestPattern.test(path)) manifests.set(path, JSON.parse(text));
  }
  return { sources, documents, manifests, paths: new Set(Object.keys(files)) };
}

/** Project in the folder `root`, without what a build or an installation wrote. */
export function loadProject(root: string): Project {
  const files: Record<string, string> = {};
  const visit = (folder: string): void => {
    for (const entry of readdirSync(join(root, folder), { withFileTypes: true })) {
      const path = folder === '' ? entry.name : `${folder}/${entry.name}`;
      if (entry.isDirectory()) {
        if (!foldersIgnored.has(entry.name)) visit(path);
      } else if (entry.isFile()) {
        files[path] = isRead(path) ? readFileSync(join(root, path), 'utf8') : '';
      }
    }
  };
  visit('');
  return projectOf(files);
}

function isRead(path: string): boolean {
  return sourcePattern.test(path) || path.endsWith('.md') || manifestPattern.test(path);
}
