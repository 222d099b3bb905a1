/**
 * Counts the syncs of the write-ahead log from outside the process, with a library that is loaded before
 * libc. A commit that is not synced (synchronous below FULL) turns this red, whatever SQLite says of itself.
 */
import { execFileSync } from 'node:child_process';
import { existsSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import { tempDir } from './fixtures.js';

const batches = 40;
const childPath = new URL('./child.ts', import.meta.url).pathname;
const shimSource = new URL('./sync-shim.c', import.meta.url).pathname;

/** Syncs of the log by a process that writes `count` batches in the given way. */
function syncsOf(mode: 'each' | 'burst', count: number): number {
  const work = tempDir();
  const shim = join(work, 'sync-shim.so');
  const counter = join(work, 'syncs');
  execFileSync('cc', ['-shared', '-fPIC', '-O1', '-o', shim, shimSource, '-ldl']);
  const env = { ...process.env, LD_PRELOAD: shim, MOKU_SYNC_COUNT: counter };
  const args = ['--import', 'tsx', childPath, mode, join(work, 'log'), String(count)];
  execFileSync(process.execPath, args, { env, stdio: ['ignore', 'inherit', 'inherit'] });
  return existsSync(counter) ? statSync(counter).size : 0;
}

describe.skipIf(process.platform !== 'linux')('syncs of the write-ahead log', () => {
  let none = 0;

  beforeAll(() => {
    none = syncsOf('each', 0);
  });

  it('are one for each batch that is waited for', () => {
    const syncs = syncsOf('each', batches) - none;
    expect(syncs).toBeGreaterThanOrEqual(batches);
    expect(syncs).toBeLessThanOrEqual(batches + 4);
  });

  it('are shared by batches that wait together', () => {
    const syncs = syncsOf('burst', batches) - none;
    expect(syncs).toBeGreaterThanOrEqual(1);
    expect(syncs).toBeLessThanOrEqual(batches / 4);
  });
});
