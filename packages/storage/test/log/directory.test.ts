/** Who may open a log directory, and what opening it says. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import Database from 'better-sqlite3';
import { expect, it } from 'vitest';
import { openLogStore } from '../../src/log/open.js';
import { openQuiet, rejection, tempDir } from './fixtures.js';
import { append, create, owner, region } from './histories.js';

it('a directory is made with its parents, and its incarnation rises with each opening', async () => {
  const dir = join(tempDir(), 'a', 'b');
  const seen: [number, string][] = [];
  for (let round = 0; round < 3; round++) {
    const store = await openQuiet(dir);
    seen.push([store.incarnation, store.storeId]);
    await store.close();
  }
  const storeId = seen[0]![1];
  expect(storeId).toMatch(/^[0-9a-f]{16}$/);
  expect(seen).toEqual([
    [1, storeId],
    [2, storeId],
    [3, storeId],
  ]);
});

it('the incarnation also rises after a crash', async () => {
  const dir = tempDir();
  await (await openQuiet(dir)).abandon();
  expect((await openQuiet(dir)).incarnation).toBe(2);
});

it('directories have different store ids', async () => {
  const [first, second] = [await openQuiet(tempDir()), await openQuiet(tempDir())];
  expect(first.storeId).not.toBe(second.storeId);
});

it.each([
  ['a file', (dir: string) => join(dir, 'file')],
  ['a path below a file', (dir: string) => join(dir, 'file', 'log')],
])('%s is refused with DIR_UNUSABLE', async (_what, pathIn) => {
  const dir = tempDir();
  writeFileSync(join(dir, 'file'), '');
  const error = await rejection(openLogStore({ dir: pathIn(dir), ...owner }));
  expect(error).toMatchObject({
    code: 'DIR_UNUSABLE',
    details: { field: 'dir', dir: pathIn(dir) },
  });
});

it('a directory in which the file cannot be opened is refused with DIR_UNUSABLE', async () => {
  const dir = tempDir();
  mkdirSync(join(dir, 'log.db'));
  const error = await rejection(openLogStore({ dir, ...owner }));
  expect(error).toMatchObject({ code: 'DIR_UNUSABLE', details: { field: 'dir', dir } });
});

it('a directory of another cluster or node is refused with DIR_FOREIGN and stays as it is', async () => {
  const dir = tempDir();
  const store = await openQuiet(dir);
  store.write([create(1), append(1, 1, 3)]);
  await store.close();
  const otherCluster = await rejection(openLogStore({ dir, clusterId: 'other', nodeId: 1 }));
  expect(otherCluster).toMatchObject({
    code: 'DIR_FOREIGN',
    details: { field: 'clusterId', found: 'test', expected: 'other' },
  });
  const otherNode = await rejection(openLogStore({ dir, clusterId: 'test', nodeId: 2 }));
  expect(otherNode).toMatchObject({
    code: 'DIR_FOREIGN',
    details: { field: 'nodeId', found: '1', expected: '2' },
  });
  const again = await openQuiet(dir);
  expect(again.incarnation).toBe(2);
  expect(again.region(region(1))?.lastIndex()).toBe(3);
});

it('a database of something else is refused with DIR_FOREIGN', async () => {
  const dir = tempDir();
  const database = new Database(join(dir, 'log.db'));
  database.exec('CREATE TABLE cats (name TEXT)');
  database.close();
  const error = await rejection(openLogStore({ dir, ...owner }));
  expect(error).toMatchObject({ code: 'DIR_FOREIGN', details: { field: 'tables', found: 'cats' } });
});

it('a newer format is refused with DIR_FORMAT_NEWER', async () => {
  const dir = tempDir();
  await (await openQuiet(dir)).close();
  const database = new Database(join(dir, 'log.db'));
  database.prepare("UPDATE meta SET value = ? WHERE key = 'format'").run(Buffer.from('2'));
  database.close();
  const error = await rejection(openLogStore({ dir, ...owner }));
  expect(error).toMatchObject({
    code: 'DIR_FORMAT_NEWER',
    details: { field: 'format', found: 2, expected: 1 },
  });
});

it('a file that is no database is refused with LOG_CORRUPT', async () => {
  const dir = tempDir();
  writeFileSync(join(dir, 'log.db'), 'this is no database, and long enough to be one'.repeat(100));
  const error = await rejection(openLogStore({ dir, ...owner }));
  expect(error).toMatchObject({ code: 'LOG_CORRUPT', details: { field: 'log.db' } });
});

it.each([
  ['clusterId', { clusterId: '' }],
  ['nodeId', { nodeId: 0 }],
  ['nodeId', { nodeId: Number.NaN }],
  ['cacheBytesMax', { cacheBytesMax: -1 }],
])('a bad %s is refused with INVALID_ARGUMENT', async (field, options) => {
  const error = await rejection(openLogStore({ dir: tempDir(), ...owner, ...options }));
  expect(error).toMatchObject({ code: 'INVALID_ARGUMENT', details: { field } });
});

it('a second opening in the same process is refused with DIR_LOCKED, until the first is closed', async () => {
  const dir = tempDir();
  const store = await openQuiet(dir);
  const error = await rejection(openLogStore({ dir, ...owner }));
  expect(error).toMatchObject({ code: 'DIR_LOCKED', details: { field: 'dir', dir } });
  await store.close();
  expect((await openQuiet(dir)).incarnation).toBe(2);
});

it('a second process is refused with DIR_LOCKED, until the first is killed', async () => {
  const dir = tempDir();
  const child = spawn(
    process.execPath,
    ['--import', 'tsx', new URL('./child.ts', import.meta.url).pathname, 'hold', dir],
    { stdio: ['ignore', 'pipe', 'inherit'] },
  );
  await once(child.stdout, 'data');
  const error = await rejection(openLogStore({ dir, ...owner }));
  expect(error).toMatchObject({ code: 'DIR_LOCKED', details: { field: 'dir', dir } });
  child.kill('SIGKILL');
  await once(child, 'exit');
  expect((await openQuiet(dir)).incarnation).toBe(2);
});
