/**
 * A process is killed while it writes, flushes, installs and reclaims; what it leaves must be whole.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { createPrng, type RegionId } from '@moku/base';
import type { Engine } from '@moku/kv';
import Database from 'better-sqlite3';
import { describe, expect, it } from 'vitest';
import { openEngine } from '../../src/engine/sqlite-engine.js';
import { temporaryDirectory, until } from './fixtures.js';
import { installedVersions, shown, stateAt } from './history.js';

const childPath = fileURLToPath(new URL('writing-child.ts', import.meta.url));
const seed = Number(process.env['MOKU_SEED'] ?? 11);
const regionCount = 6;
const rounds = Number(process.env['MOKU_ROUNDS'] ?? 3);
const installingRegion = 1_000 as RegionId;

/** Runs the child until it has printed `lines` lines, kills it, and returns the last index of each region. */
async function writeAndKill(dir: string, lines: number): Promise<Map<number, number>> {
  const child = spawn(
    process.execPath,
    ['--import', 'tsx', childPath, dir, String(regionCount), '1'],
    { stdio: ['ignore', 'pipe', 'inherit'] },
  );
  const exited = once(child, 'exit');
  const durable = new Map<number, number>();
  let seen = 0;
  for await (const line of createInterface({ input: child.stdout })) {
    const report = JSON.parse(line) as { regionId: number; durableIndex: number };
    durable.set(report.regionId, report.durableIndex);
    seen += 1;
    if (seen === lines) child.kill('SIGKILL');
  }
  const [, signal] = (await exited) as [number | null, string | null];
  expect(signal).toBe('SIGKILL');
  return durable;
}

function stateOf(engine: Engine, regionId: RegionId): string[] {
  const picture = engine.picture(regionId);
  const all: string[] = [];
  for (;;) {
    const batch = picture.next(1_000_000);
    if (batch.length === 0) break;
    for (const one of batch) all.push(shown(one));
  }
  picture.close();
  return all.sort();
}

function storesIn(dir: string): number[] {
  const db = new Database(join(dir, 'data.db'), { readonly: true });
  const stores = db.prepare('SELECT DISTINCT store FROM version ORDER BY store').pluck().all();
  db.close();
  return stores as number[];
}

describe('a process that is killed while it writes', () => {
  it(`leaves each region exactly at its applied index, not before what it called durable (MOKU_SEED=${seed})`, async () => {
    const dir = temporaryDirectory();
    const prng = createPrng(seed);
    let indexesSeen = 0;
    for (let round = 0; round < rounds; round++) {
      const durable = await writeAndKill(dir, 20 + prng.below(200));
      const engine = await openEngine({ dir });
      for (const { regionId, appliedIndex } of engine.replicas()) {
        expect(appliedIndex).toBeGreaterThanOrEqual(durable.get(regionId) ?? 0);
        expect(engine.durableIndex(regionId)).toBe(appliedIndex);
        indexesSeen += appliedIndex;
        const expected =
          regionId === installingRegion
            ? appliedIndex === 0
              ? []
              : installedVersions(appliedIndex).map(shown).sort()
            : stateAt(regionId, appliedIndex);
        expect(stateOf(engine, regionId)).toEqual(expected);
      }
      // What the interrupted install left is reclaimed, and nothing else.
      const used = engine.replicas().map(({ storeId }) => storeId);
      await until(() =>
        storesIn(dir).every((storeId) => used.includes(storeId as (typeof used)[0])),
      );
      await engine.close();
    }
    expect(indexesSeen).toBeGreaterThan(100);
  }, 120_000);
});
