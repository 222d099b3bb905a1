/**
 * The writing side alone, without its thread: what a reader of the file can see between its steps.
 */
import { join } from 'node:path';
import type { RegionId, ReplicaId, Timestamp } from '@moku/base';
import type { StoreId } from '@moku/kv';
import Database from 'better-sqlite3';
import { expect, it } from 'vitest';
import { diskMedium } from '../../src/disk-medium.js';
import { ChunkTable } from '../../src/engine/chunks.js';
import { FlushEncoder } from '../../src/engine/flush-encoder.js';
import { Overlay, ReplicaRecord, StoreState } from '../../src/engine/overlay.js';
import { Writer } from '../../src/engine/writer.js';
import { temporaryDirectory } from './fixtures.js';

/** More than fit one of the writer's transactions. */
const rowsPerStore = 35_000;
const installing = 2 as StoreId;
/** Small ones too, which share a transaction. */
const smallStores = [4, 5];
const smallRows = 10;

/** An overlay with regions' stores around one that is being installed. */
function filledOverlay(
  table: ChunkTable,
  rows: number,
): { overlay: Overlay; encoder: FlushEncoder } {
  const overlay = new Overlay(1, table);
  const stores = [1, installing, 3, ...smallStores].map((id) => new StoreState(id as StoreId, -1));
  const value = new Uint8Array(8);
  for (const store of stores) {
    const count = smallStores.includes(store.storeId) ? smallRows : rows;
    for (let i = 0; i < count; i++) {
      const key = Uint8Array.of(i >> 16, i >> 8, i);
      overlay.put(store, { key, timestamp: 1 as Timestamp, value });
    }
    store.frozen = store.active;
  }
  const changed = stores
    .filter(({ storeId }) => storeId !== installing)
    .map(
      (store) =>
        new ReplicaRecord({
          regionId: store.storeId as number as RegionId,
          replicaId: 1 as ReplicaId,
          store,
          appliedIndex: 7,
          appliedTerm: 1,
          durableIndex: 0,
        }),
    );
  return { overlay, encoder: new FlushEncoder(stores, changed) };
}

it('shows a store to others only whole and together with its replica', () => {
  const dir = temporaryDirectory();
  const writer = new Writer(dir, diskMedium);
  writer.recover();
  const table = new ChunkTable();
  const { overlay, encoder } = filledOverlay(table, rowsPerStore);
  for (const { slot, memory } of overlay.chunks()) writer.adoptChunk(slot, memory);

  const db = new Database(join(dir, 'data.db'), { readonly: true });
  const count = db.prepare('SELECT count(*) FROM version WHERE store = ?').pluck();
  const applied = db.prepare('SELECT applied_index FROM replica WHERE store = ?').pluck();
  const partsSeen = new Set<string>();
  const check = (): void => {
    for (const storeId of [1, 3, ...smallStores]) {
      const rows = count.get(storeId);
      expect([0, smallStores.includes(storeId) ? smallRows : rowsPerStore]).toContain(rows);
      expect(applied.get(storeId)).toBe(rows === 0 ? undefined : 7);
    }
    partsSeen.add(`${count.get(1)} ${count.get(installing)} ${count.get(3)}`);
  };

  const begin = encoder.begin(overlay);
  if (begin.type !== 'begin') throw new Error('a flush begins');
  writer.begin(begin);
  for (let slice = encoder.next(); slice?.type === 'rows'; slice = encoder.next()) {
    writer.rows(slice);
    check();
  }
  const { appliedIndexes, stats } = writer.end();
  check();
  expect(appliedIndexes).toEqual(Float64Array.of(7, 7, 7, 7));
  expect(stats).toMatchObject({ rows: 3 * rowsPerStore + 2 * smallRows, syncedBy: 'checkpoint' });
  // It was seen on the way, the installing store also in parts.
  expect(partsSeen.size).toBeGreaterThan(3);
  db.close();
  writer.close();
});

it('does not reclaim a store before the flush that left it is in', () => {
  const dir = temporaryDirectory();
  const writer = new Writer(dir, diskMedium);
  writer.recover();
  expect(writer.reclaimStep()).toBe(false);
  const table = new ChunkTable();
  const { overlay, encoder } = filledOverlay(table, 3_000);
  for (const { slot, memory } of overlay.chunks()) writer.adoptChunk(slot, memory);
  const begin = encoder.begin(overlay);
  if (begin.type !== 'begin') throw new Error('a flush begins');
  writer.begin({ ...begin, orphans: Float64Array.of(installing) });
  for (let slice = encoder.next(); slice?.type === 'rows'; slice = encoder.next()) {
    writer.rows(slice);
  }
  expect(() => writer.reclaimStep()).toThrow('W3');
  writer.end();
  let steps = 0;
  while (writer.reclaimStep()) steps += 1;
  expect(steps).toBeGreaterThan(3);
  writer.close();
  const db = new Database(join(dir, 'data.db'), { readonly: true });
  expect(db.prepare('SELECT DISTINCT store FROM version').pluck().all()).toEqual([1, 3, 4, 5]);
  db.close();
});
