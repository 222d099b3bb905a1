/** The process is killed while it writes, again and again: nothing that it was told is durable is missing. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { createPrng } from '@moku/base';
import { expect, it } from 'vitest';
import { openQuiet, readAll, tempDir } from './fixtures.js';
import { region, streamEntries, streamRegionIds } from './histories.js';

const seed = 71;
const rounds = 6;
const childPath = new URL('./child.ts', import.meta.url).pathname;

/**
 * Runs a process on `dir` that writes, until it has told `count` times what is durable: then it is killed from
 * outside, at some moment, or by itself, in the very moment in which it is told. Returns the last index told.
 */
async function writeUntilKilled(dir: string, count: number, isByItself: boolean): Promise<number> {
  const args = ['--import', 'tsx', childPath, 'stream', dir, isByItself ? String(count) : '0'];
  const child = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'inherit'] });
  let told = 0;
  let last = 0;
  for await (const line of createInterface({ input: child.stdout })) {
    last = Number(line);
    told += 1;
    if (told === count && !isByItself) child.kill('SIGKILL');
  }
  if (child.exitCode === null && child.signalCode === null) await once(child, 'exit');
  expect(child.signalCode).toBe('SIGKILL');
  return last;
}

it('nothing acknowledged is missing after SIGKILL during writes', { timeout: 60_000 }, async () => {
  const prng = createPrng(seed);
  const dir = tempDir();
  for (let round = 1; round <= rounds; round++) {
    const killAt = 20 + prng.below(150);
    const acknowledged = await writeUntilKilled(dir, killAt, round % 2 === 0);
    const where = `seed ${seed}, round ${round}, killed after ${killAt} acknowledgements`;
    expect(acknowledged, where).toBeGreaterThanOrEqual(killAt);
    const store = await openQuiet(dir);
    expect(store.amnesia, where).toBe('');
    for (const id of streamRegionIds) {
      const log = store.region(region(id))!;
      expect(log.lastIndex(), where).toBeGreaterThanOrEqual(acknowledged);
      expect(log.lastIndex(), where).toBe(store.region(region(1))!.lastIndex());
      const [first, last] = [log.firstIndex(), log.lastIndex()];
      const found = await readAll(store, id, first, last);
      expect(found.length, where).toBe(last - first + 1);
      expect(
        found.every((entry, i) =>
          isSame(entry.data, streamEntries(id, first + i, first + i)[0]!.data),
        ),
        where,
      ).toBe(true);
    }
    await store.close();
  }
});

function isSame(a: Uint8Array, b: Uint8Array): boolean {
  return Buffer.compare(a, b) === 0;
}
