/**
 * Counts the syncs of the engine's write-ahead log from outside the process (see the log's test of the
 * same name): an index that is called durable without a sync turns this red, whatever SQLite says.
 */
import { execFileSync } from 'node:child_process';
import { existsSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { temporaryDirectory } from './fixtures.js';

const flushes = 20;
/** Creating the file, recovering it, and the first flush. */
const openingSyncsMax = 8;
const childPath = fileURLToPath(new URL('flushing-child.ts', import.meta.url));
const shimSource = fileURLToPath(new URL('../log/sync-shim.c', import.meta.url));

function syncsOf(count: number, hasPicture: boolean): number {
  const work = temporaryDirectory();
  const shim = join(work, 'sync-shim.so');
  const counter = join(work, 'syncs');
  execFileSync('cc', ['-shared', '-fPIC', '-O1', '-o', shim, shimSource, '-ldl']);
  const args = [
    '--import',
    'tsx',
    childPath,
    join(work, 'data'),
    String(count),
    hasPicture ? '1' : '0',
  ];
  const env = { ...process.env, LD_PRELOAD: shim, MOKU_SYNC_COUNT: counter };
  execFileSync(process.execPath, args, { env, stdio: ['ignore', 'inherit', 'inherit'] });
  return existsSync(counter) ? statSync(counter).size : 0;
}

describe.skipIf(process.platform !== 'linux')('syncs of the write-ahead log of data.db', () => {
  it.each([
    ['checkpoints', false],
    ['a picture holds the checkpoint up', true],
  ])('are one at least for each durable flush while %s', (_what, hasPicture) => {
    const syncs = syncsOf(flushes, hasPicture);
    expect(syncs).toBeGreaterThanOrEqual(flushes);
    expect(syncs).toBeLessThanOrEqual(2 * flushes + openingSyncsMax);
  });
});
