/** Every rule of `scripts/tidy` is seen to fail on what it forbids and to pass what it allows. */
import { describe, expect, it } from 'vitest';
import { type Project, projectOf, type Rule } from '../scripts/tidy/project.js';
import { barrelsRule } from '../scripts/tidy/rule-barrels.js';
import { boundariesRule } from '../scripts/tidy/rule-boundaries.js';
import { cyclesRule } from '../scripts/tidy/rule-cycles.js';
import { deadExportsRule } from '../scripts/tidy/rule-dead-exports.js';
import { documentsRule } from '../scripts/tidy/rule-documents.js';
import { floorsRule } from '../scripts/tidy/rule-floors.js';
import { leftoversRule } from '../scripts/tidy/rule-leftovers.js';
import { lengthsRule } from '../scripts/tidy/rule-lengths.js';
import { manifestsRule } from '../scripts/tidy/rule-manifests.js';
import { purityRule } from '../scripts/tidy/rule-purity.js';
import { sleepsRule } from '../scripts/tidy/rule-sleeps.js';
import { parseSource } from '../scripts/tidy/source.js';

/** Messages of `rule` on a project of `files`. */
function messages(rule: Rule, files: Record<string, string>): string[] {
  const project: Project = projectOf(files);
  return rule.check(project).map((problem) => problem.message);
}

/** Messages of `rule` on one file. */
function judge(rule: Rule, path: string, text: string): string[] {
  return messages(rule, { [path]: text });
}

const raftPath = 'packages/raft/src/a.ts';
const testPath = 'packages/raft/test/a.test.ts';
const manifest = {
  'packages/kv/package.json': JSON.stringify({
    exports: {
      '.': { default: './dist/index.js' },
      './memory': { default: './dist/memory/index.js' },
    },
    bin: { kv: './dist/cli/run.js' },
  }),
};
const lines = (count: number): string => 'x();\n'.repeat(count);

describe('floors', () => {
  it.each([
    ['up', 'packages/raft/src/a.ts', '@moku/storage'],
    ['sideways', 'packages/kv/src/a.ts', '@moku/region'],
    ['itself', 'packages/kv/src/a.ts', '@moku/kv'],
    ['up, for a type', 'packages/base/src/a.ts', 'moku'],
    ['up, from a test', 'packages/raft/test/a.test.ts', '@moku/kv'],
    ['a package on no floor', 'packages/node/src/a.ts', '@moku/attic'],
  ])('an import that goes %s fails', (_way, path, specifier) => {
    expect(judge(floorsRule, path, `import type { A } from '${specifier}';`)).toHaveLength(1);
  });

  it('an import of a lower floor passes, and the top level may import anything', () => {
    expect(judge(floorsRule, 'packages/node/src/a.ts', `import { a } from '@moku/kv';`)).toEqual(
      [],
    );
    expect(judge(floorsRule, 'test/cluster/a.test.ts', `import { open } from 'moku';`)).toEqual([]);
  });

  it('a package that stands on no floor fails', () => {
    expect(judge(floorsRule, 'packages/attic/src/a.ts', 'export {};')).toHaveLength(1);
  });
});

describe('manifests', () => {
  const kv = (
    dependencies: object,
    references: object,
    source: string,
  ): Record<string, string> => ({
    'packages/kv/package.json': JSON.stringify({ dependencies }),
    'packages/kv/tsconfig.json': JSON.stringify({ references }),
    'packages/kv/src/a.ts': source,
  });
  const base = { '@moku/base': 'workspace:*' };
  const baseReference = [{ path: '../base' }];

  it('an import that the manifest does not declare fails', () => {
    const files = kv(base, baseReference, `import tree from 'sorted-btree';`);
    expect(messages(manifestsRule, files)).toEqual([expect.stringContaining('sorted-btree')]);
  });

  it('a dependency on a package that is not on a lower floor fails', () => {
    const files = kv({ '@moku/region': 'workspace:*' }, [{ path: '../region' }], '');
    expect(messages(manifestsRule, files)).toEqual([expect.stringContaining('lower floor')]);
  });

  it('references that differ from the dependencies fail, either way', () => {
    expect(messages(manifestsRule, kv(base, [], ''))).toHaveLength(1);
    expect(messages(manifestsRule, kv({}, baseReference, ''))).toHaveLength(1);
  });

  it('a manifest that says what the sources import passes', () => {
    const source = `import { a } from '@moku/base'; import { b } from './b.js';`;
    expect(messages(manifestsRule, kv(base, baseReference, source))).toEqual([]);
  });
});

describe('boundaries', () => {
  it.each([
    ['a deep import', 'packages/kv/src/a.ts', '@moku/base/dist/ids.js'],
    ['a deep import of the top package', 'test/a.test.ts', 'moku/dist/open.js'],
    ['a relative import of another package', 'packages/kv/src/a.ts', '../../base/src/ids.js'],
    [
      'a relative import of a package from the top level',
      'test/a.test.ts',
      '../packages/kv/src/a.js',
    ],
    ['a relative import that leaves a package', 'packages/kv/test/a.test.ts', '../../../test/b.js'],
    ['product code that imports a test', 'packages/kv/src/a.ts', '../test/b.js'],
    ['product code on shared tests', 'packages/kv/src/a.ts', '../../../test/support/b.js'],
  ])('%s fails', (_what, path, specifier) => {
    expect(judge(boundariesRule, path, `import { a } from '${specifier}';`)).toHaveLength(1);
  });

  it.each([
    ['a package by its name', 'packages/kv/src/a.ts', '@moku/base'],
    ['a neighbour', 'packages/kv/src/txn/a.ts', '../b.js'],
    ['the sources from a test', 'packages/kv/test/a.test.ts', '../src/a.js'],
    ['what all tests share', 'packages/kv/test/a.test.ts', '../../../test/support/b.js'],
    ['a folder of an npm package', 'packages/kv/src/a.ts', 'msgpackr/pack'],
  ])('an import of %s passes', (_what, path, specifier) => {
    expect(judge(boundariesRule, path, `import { a } from '${specifier}';`)).toEqual([]);
  });
});

describe('boundaries that a manifest moves', () => {
  const at = (specifier: string) =>
    messages(boundariesRule, {
      ...manifest,
      'test/a.test.ts': `import { a } from '${specifier}';`,
    });

  it('a path that the manifest exports passes, and another fails', () => {
    expect(at('@moku/kv/memory')).toEqual([]);
    expect(at('@moku/kv/memory/index.js')).toHaveLength(1);
  });

  it('a URL of a file to start passes', () => {
    const text = `spawn(new URL('../packages/moku/dist/cli/main.js', import.meta.url));`;
    expect(judge(boundariesRule, 'test/a.test.ts', text)).toEqual([]);
  });
});

describe('cycles', () => {
  it('files that import each other through a third fail, with the way round', () => {
    const found = messages(cyclesRule, {
      'packages/kv/src/a.ts': `import { b } from './b.js';`,
      'packages/kv/src/b.ts': `export * from './txn/c.js';`,
      'packages/kv/src/txn/c.ts': `import { a } from '../a.js';`,
    });
    expect(found).toEqual([expect.stringMatching(/a\.ts → .*b\.ts → .*c\.ts → .*a\.ts$/)]);
  });

  it('a cycle that types alone close passes', () => {
    const found = messages(cyclesRule, {
      'packages/kv/src/a.ts': `import { b } from './b.js';`,
      'packages/kv/src/b.ts': `import type { A } from './a.js';`,
    });
    expect(found).toEqual([]);
  });
});

describe('barrels', () => {
  it('a re-export fails, except from an index that the manifest exports', () => {
    const text = `export * from './b.js'; export { c } from './c.js';`;
    const check = (path: string) => messages(barrelsRule, { ...manifest, [path]: text });
    expect(check('packages/kv/src/txn/index.ts')).toHaveLength(2);
    expect(check('packages/kv/src/index.ts')).toEqual([]);
    expect(check('packages/kv/src/memory/index.ts')).toEqual([]);
  });
});

describe('purity', () => {
  it.each([
    ['Node modules', `import { readFileSync } from 'node:fs';`],
    ['Node modules by their old name', `import type { Stats } from 'fs';`],
    ['async functions', 'export async function f() {}'],
    ['async arrows', 'export const f = async () => 1;'],
    ['await at the top', 'await f();'],
    ['await in a loop head', 'for await (const a of b) a();'],
    ['promises', 'export const a = Promise.resolve(1);'],
    ['promises as types', 'export type A = { b(): Promise<number> };'],
    ['dynamic imports', `export const a = import('./b.js');`],
    ['the date', 'export const a = Date.now();'],
    ['chance', 'export const a = Math.random();'],
    ['chance by its string', `export const a = Math['random']();`],
    ['chance taken out of Math', 'export const { random } = Math;'],
    ['timers', 'setTimeout(f, 1);'],
    ['the host clock', 'export const a = performance.now();'],
    ['the process', 'process.exit(1);'],
    ['the console', `console.log('a');`],
    ['the global object', 'export const a = globalThis.b;'],
    ['buffers', 'export const a = Buffer.alloc(1);'],
    ['the locale', 'export const a = (b: string, c: string) => b.localeCompare(c);'],
  ])('%s fail below floor 4', (_what, text) => {
    expect(judge(purityRule, raftPath, text)).not.toEqual([]);
  });

  it.each([
    ['in tests', testPath],
    ['from floor 4 on', 'packages/storage/src/a.ts'],
  ])('all of it passes %s', (_where, path) => {
    const text = `import 'node:fs'; await f(); process.exit(Math.random() + Date.now());`;
    expect(judge(purityRule, path, text)).toEqual([]);
  });

  it.each([
    [
      'labels that are spelt like a global',
      'export const a = { Date: 1, process() {} }; a.process();',
    ],
    ['locals that are spelt like a global', 'export const f = (process: number) => process + 1;'],
    ['imports that are spelt like a global', `import { crypto } from './b.js'; crypto();`],
    ['arithmetic', 'export const a = Math.max(1, Date.UTC(2020, 0));'],
  ])('%s pass', (_what, text) => {
    expect(judge(purityRule, raftPath, text)).toEqual([]);
  });

  it('only base/src/hash.ts may await, and only at the top', () => {
    const path = 'packages/base/src/hash.ts';
    expect(judge(purityRule, path, 'const a = await f();')).toEqual([]);
    expect(judge(purityRule, path, 'async function f() { await g(); }')).toHaveLength(2);
  });
});

describe('lengths', () => {
  const rule = lengthsRule({});
  const method = `class A {\n  long() {\n${lines(70)}  }\n}\n`;

  it('a file of 601 lines fails and one of 600 passes', () => {
    expect(judge(rule, raftPath, lines(601))).toEqual([expect.stringContaining('601')]);
    expect(judge(rule, raftPath, lines(600))).toEqual([]);
  });

  it.each([
    ['function', `function long() {\n${lines(69)}}\n`],
    ['arrow', `const long = () => {\n${lines(69)}};\n`],
    ['callback', `long(() => {\n${lines(69)}});\n`],
    ['method', method],
  ])('a %s of more than 70 lines fails', (_what, text) => {
    expect(judge(rule, raftPath, text)).toHaveLength(1);
  });

  it('a suite for several adapters may be of any length, a function around one may not', () => {
    const block = `describe(name, () => {\n${lines(80)}});`;
    const suite = `export function suite(name: string): void {\n${block}\n}`;
    expect(judge(lengthsRule({}), 'test/conformance/a.suite.ts', suite)).toEqual([]);
    const more = `export function suite(name: string): void {\n  prepare();\n${block}\n}`;
    expect(judge(lengthsRule({}), 'test/conformance/a.suite.ts', more)).toHaveLength(1);
  });

  it('a function of 70 lines passes, and a describe block of any length', () => {
    expect(judge(rule, raftPath, `function f() {\n${lines(68)}}\n`)).toEqual([]);
    expect(judge(rule, testPath, `describe('a', () => {\n${lines(99)}});\n`)).toEqual([]);
    expect(judge(rule, testPath, `describe.each([1])('a', () => {\n${lines(99)}});\n`)).toEqual([]);
  });

  it('an excepted function passes until it outgrows its figure', () => {
    const key = `${raftPath}#A.long`;
    expect(judge(lengthsRule({ [key]: 72 }), raftPath, method)).toEqual([]);
    expect(judge(lengthsRule({ [key]: 71 }), raftPath, method)).toHaveLength(1);
  });

  it('an exception that nothing needs fails', () => {
    const found = judge(lengthsRule({ [`${raftPath}#gone`]: 99 }), raftPath, 'x();');
    expect(found).toEqual([expect.stringContaining('no longer needed')]);
  });
});

describe('dead exports', () => {
  const index = { ...manifest, 'packages/kv/src/index.ts': `export { a } from './a.js';` };

  it('an export that nobody imports fails', () => {
    const files = { ...index, 'packages/kv/src/a.ts': 'export const a = 1;\nexport const b = 2;' };
    expect(messages(deadExportsRule, files)).toEqual([expect.stringMatching(/^b is exported/)]);
  });

  it('an export that a test or a neighbour imports passes', () => {
    const files = {
      ...index,
      'packages/kv/src/a.ts': `import * as c from './c.js'; export const a = c; export const b = 2;`,
      'packages/kv/src/c.ts': 'export const anything = 1;',
      'packages/kv/test/a.test.ts': `import { b } from '../src/a.js';`,
    };
    expect(messages(deadExportsRule, files)).toEqual([]);
  });

  it('a type passes if its own file uses it, and fails if nothing does', () => {
    const used = 'export interface B {}\nexport const a: B = {};';
    expect(messages(deadExportsRule, { ...index, 'packages/kv/src/a.ts': used })).toEqual([]);
    const unused = 'export interface B {}\nexport const a = 1;';
    expect(messages(deadExportsRule, { ...index, 'packages/kv/src/a.ts': unused })).toHaveLength(1);
  });

  it('a product file that nobody imports fails, unless a worker starts there', () => {
    const files = {
      ...manifest,
      'packages/kv/src/index.ts': '',
      'packages/kv/src/worker.ts': 'run();',
    };
    expect(messages(deadExportsRule, files)).toEqual(['no file imports it']);
    files['packages/kv/src/index.ts'] = `new Worker(new URL('./worker.js', import.meta.url));`;
    expect(messages(deadExportsRule, files)).toEqual([]);
  });

  it('the commands and other entries of the manifest need no importer', () => {
    const run = { 'packages/kv/src/cli/run.ts': 'run();' };
    expect(messages(deadExportsRule, run)).toHaveLength(1);
    expect(messages(deadExportsRule, { ...manifest, ...run })).toEqual([]);
  });
});

describe('leftovers', () => {
  it.each([
    ['a single test', testPath, `it.only('a', f);`],
    ['a skipped suite', testPath, `describe.skip('a', f);`],
    ['a single test among concurrent ones', testPath, `it.concurrent.only('a', f);`],
    ['a test to be written', testPath, `test.todo('a');`],
    ['a debugger statement', raftPath, 'debugger;'],
    ['output to the console', 'packages/node/src/a.ts', `console.error('a');`],
    ['a marker for later', raftPath, '// TODO: more'],
    ['a marker for later in a block', raftPath, '/** FIXME */'],
    ['a silenced compiler', raftPath, '// @ts-ignore'],
    ['a silenced compiler in product code', raftPath, '// @ts-expect-error'],
    ['a marker in a document', 'docs/a.md', 'TODO: write this'],
  ])('%s fails', (_what, path, text) => {
    expect(judge(leftoversRule, path, text)).toHaveLength(1);
  });

  it.each([
    ['output of the command line', 'packages/moku/src/cli/a.ts', `console.log('a');`],
    ['output of a script', 'scripts/a.ts', `console.log('a');`],
    ['a test that depends on the platform', testPath, `it.skipIf(a)('b', f);`],
    ['the same words in a string', raftPath, `export const a = 'TODO it.only debugger';`],
    ['an error that a test expects', testPath, '// @ts-expect-error: a number is no key'],
    ['the same word as code in a document', 'docs/a.md', 'It fails on `TODO`.'],
  ])('%s passes', (_what, path, text) => {
    expect(judge(leftoversRule, path, text)).toEqual([]);
  });
});

describe('sleeps', () => {
  it.each([
    ['a timer', 'await new Promise((resolve) => setTimeout(resolve, 10));'],
    ['a timer of the global object', 'globalThis.setTimeout(f, 10);'],
    ['a timer module', `import { setTimeout as pause } from 'node:timers/promises';`],
    ['a function that sleeps', 'await sleep(10);'],
    ['a blocked thread', 'Atomics.wait(a, 0, 0, 10);'],
  ])('%s in a test fails', (_what, text) => {
    expect(judge(sleepsRule, testPath, text)).toHaveLength(1);
    expect(judge(sleepsRule, 'test/cluster/a.test.ts', text)).toHaveLength(1);
  });

  it('a bounded wait for a condition passes, and a timer of the product', () => {
    expect(judge(sleepsRule, testPath, 'await vi.waitFor(() => f(), { timeout: 10 });')).toEqual(
      [],
    );
    expect(judge(sleepsRule, testPath, 'clock.setTimeout(f, 10);')).toEqual([]);
    expect(judge(sleepsRule, 'packages/node/src/a.ts', 'setTimeout(f, 10);')).toEqual([]);
  });
});

describe('documents', () => {
  const table = (name: string): string => `| File | What |\n|---|---|\n| \`${name}\` | it |\n`;
  const readme = 'packages/kv/README.md';
  const files = { 'packages/kv/src/txn/decide.ts': '', 'packages/kv/src/index.ts': '' };

  it('a table that names a file which is not there fails', () => {
    const found = messages(documentsRule, { ...files, [readme]: table('src/gone.ts') });
    expect(found).toEqual([expect.stringContaining('src/gone.ts')]);
  });

  it.each([
    ['from the document', 'src/index.ts'],
    ['from the top', 'packages/kv/src/index.ts'],
    ['by its end', 'decide.ts'],
    ['by its folder', 'src/txn/'],
    ['by a pattern', 'src/txn/*.ts'],
    ['by its package', '@moku/kv'],
    ['as build output', 'dist/cli/main.js'],
  ])('a table that names a file %s passes', (_how, name) => {
    expect(messages(documentsRule, { ...files, [readme]: table(name) })).toEqual([]);
  });

  it('other tables and code blocks may name anything', () => {
    const other = '| Setting | What |\n|---|---|\n| `gone.ts` | it |\n';
    expect(messages(documentsRule, { [readme]: other })).toEqual([]);
    expect(messages(documentsRule, { [readme]: `\`\`\`\n${table('gone.ts')}\`\`\`\n` })).toEqual(
      [],
    );
  });

  it('a link to a file which is not there fails', () => {
    expect(messages(documentsRule, { ...files, [readme]: '[a](src/gone.ts)' })).toHaveLength(1);
    const links = '[a](src/index.ts#L1) [b](https://example.org/c) [c](#d)';
    expect(messages(documentsRule, { ...files, [readme]: links })).toEqual([]);
  });
});

describe('source', () => {
  it('a file that is not TypeScript is refused with its path', () => {
    expect(() => parseSource(raftPath, 'const = ;')).toThrow(raftPath);
  });

  it('a problem names the line it stands on', () => {
    const project = projectOf({ [raftPath]: '// one\n// two\nexport const a = Date.now();\n' });
    expect(purityRule.check(project)).toEqual([{ path: raftPath, line: 3, message: 'uses Date' }]);
  });
});
