/**
 * What durableIndex promises, held against the files themselves, and the space that comes back.
 */
import { copyFileSync, mkdirSync } from 'node:fs';
import { join } from 'node:path';
import type { RegionId, ReplicaId } from '@moku/base';
import Database from 'better-sqlite3';
import { expect, it } from 'vitest';
import { openEngine } from '../../src/engine/sqlite-engine.js';
import { put, regionId, replicaId, temporaryDirectory, until, version } from './fixtures.js';

it('reports an index as durable only once data.db alone, without its write-ahead log, holds it', async () => {
  const dir = temporaryDirectory();
  const engine = await openEngine({ dir, flushAgeMs: 1 });
  engine.createReplica(regionId, replicaId);
  let copies = 0;
  let index = 0;
  while (copies < 5) {
    index += 1;
    put(engine, index, version(`k${index}`, index, 'v'.repeat(100)));
    await new Promise((resolve) => setImmediate(resolve));
    if (engine.durableIndex(regionId) <= copies) continue;
    const durableIndex = engine.durableIndex(regionId);
    const copy = join(dir, `copy-${copies}`);
    mkdirSync(copy);
    copyFileSync(join(dir, 'data.db'), join(copy, 'data.db'));
    const recovered = await openEngine({ dir: copy });
    expect(recovered.replica(regionId)?.appliedIndex).toBeGreaterThanOrEqual(durableIndex);
    await recovered.close();
    copies += 1;
  }
  await engine.close();
});

it('syncs the write-ahead log instead while a picture holds the checkpoint up', async () => {
  const engine = await openEngine({ dir: temporaryDirectory() });
  engine.createReplica(regionId, replicaId);
  put(engine, 1, version('k', 1, 'v'));
  await engine.flush();
  expect(engine.stats().flushLast?.syncedBy).toBe('checkpoint');
  const picture = engine.picture(regionId);
  for (let index = 2; index < 5; index++) {
    put(engine, index, version('k', index, 'v'));
    await engine.flush();
    expect(engine.durableIndex(regionId)).toBe(index);
  }
  expect(engine.stats().flushLast?.syncedBy).toBe('wal');
  picture.close();
  put(engine, 5, version('k', 5, 'v'));
  await engine.flush();
  expect(engine.stats().flushLast?.syncedBy).toBe('checkpoint');
  await engine.close();
});

it('gives the rows of a dropped replica back in small steps that no flush waits for', async () => {
  const dir = temporaryDirectory();
  const engine = await openEngine({ dir });
  const other = 2 as RegionId;
  engine.createReplica(other, 1 as ReplicaId);
  engine.createReplica(regionId, replicaId);
  const rows = 40_000;
  const puts = Array.from({ length: rows }, (_, i) => version(`k${i}`, i, `value ${i}`));
  put(engine, 1, ...puts);
  await engine.flush();
  const db = new Database(join(dir, 'data.db'), { readonly: true });
  const count = db.prepare('SELECT count(*) FROM version').pluck();
  expect(count.get()).toBe(rows);

  engine.dropReplica(regionId);
  await engine.flush();
  const write = { regionId: other, appliedTerm: 1, removes: [] };
  engine.write({ ...write, appliedIndex: 1, puts: [version('k', 1, 'v')] });
  await engine.flush();
  expect(engine.durableIndex(other)).toBe(1);
  expect(count.get()).toBeGreaterThan(rows / 2);

  await until(() => count.get() === 1);
  db.close();
  await engine.close();
});

it('finds what an earlier process had begun to reclaim', async () => {
  const dir = temporaryDirectory();
  const first = await openEngine({ dir });
  first.createReplica(regionId, replicaId);
  const install = first.install(regionId);
  install.put(Array.from({ length: 3_000 }, (_, i) => version(`k${i}`, i, 'value')));
  await first.close();
  const second = await openEngine({ dir });
  const db = new Database(join(dir, 'data.db'), { readonly: true });
  const count = db.prepare('SELECT count(*) FROM version').pluck();
  await until(() => count.get() === 0);
  db.close();
  // Its id is not given to the next store while rows of it may be left.
  expect(second.createReplica(2 as RegionId, replicaId).storeId).toBeGreaterThan(2);
  await second.close();
});
