/**
 * However the log's thread ends, a log that has lost nothing is not taken for one that has: SQLite's
 * connection is closed with its thread, and the write-ahead log may go with it.
 */
import { spawnSync } from 'node:child_process';
import { expect, it } from 'vitest';
import { openLogStore } from '../../src/log/open.js';
import { openQuiet, settle, tempDir } from './fixtures.js';
import { append, create, owner, region } from './histories.js';

const childPath = new URL('./child.ts', import.meta.url).pathname;

it('a process that ends itself while its log is open has lost nothing', {
  timeout: 30_000,
}, async () => {
  const dir = tempDir();
  const args = ['--import', 'tsx', childPath, 'each', dir, '20'];
  expect(spawnSync(process.execPath, args, { stdio: 'inherit' }).status).toBe(0);
  const store = await openQuiet(dir);
  expect(store.amnesia).toBe('');
  expect(store.region(region(1))!.lastIndex()).toBe(20);
});

it('a log whose thread is abandoned has lost nothing', async () => {
  const dir = tempDir();
  const store = await openQuiet(dir);
  store.write([create(1)]);
  await settle(store);
  store.write([append(1, 1, 5)]);
  await settle(store);
  await store.abandon();
  const again = await openQuiet(dir);
  expect(again.amnesia).toBe('');
  expect(again.region(region(1))!.lastIndex()).toBe(5);
});

it('a log whose disk was full has lost nothing once there is space', async () => {
  const dir = tempDir();
  const store = await openLogStore({ dir, ...owner, fileBytesMax: 1 << 20 });
  const failed = new Promise<Error>((resolve) => {
    store.subscribe({ onDurable() {}, onFetched() {}, onFailure: resolve });
  });
  store.write([create(1)]);
  await settle(store);
  store.write([append(1, 1, 5)]);
  await settle(store);
  store.write([append(1, 6, 6, 1, 2 << 20)]);
  expect(await failed).toMatchObject({ code: 'LOG_IO' });
  await store.abandon();
  const again = await openQuiet(dir);
  expect(again.amnesia).toBe('');
  expect(again.region(region(1))!.lastIndex()).toBe(5);
});

it('a process that a full disk ended has lost nothing that it was told is durable', {
  timeout: 30_000,
}, async () => {
  const dir = tempDir();
  // A limit on the size of files makes writes fail as a full disk does. Units of 512 bytes.
  const limited = 'ulimit -f 600; exec "$0" "$@"';
  const node = [process.execPath, '--import', 'tsx', childPath, 'stream', dir, '0'];
  const child = spawnSync('sh', ['-c', limited, ...node], { encoding: 'utf8' });
  expect(child.stderr).toContain('LOG_IO');
  const told = Number(child.stdout.trim().split('\n').at(-1));
  expect(told).toBeGreaterThan(0);
  const store = await openQuiet(dir);
  expect(store.amnesia).toBe('');
  expect(store.region(region(1))!.lastIndex()).toBeGreaterThanOrEqual(told);
});
