/**
 * Records in chunks: their order, their bounds, and what a flush says of them.
 */
import { compareBytes, type Timestamp } from '@moku/base';
import type { StoreId } from '@moku/kv';
import fc from 'fast-check';
import { expect, it } from 'vitest';
import { Arena, ChunkTable, chunkBytes, deletionLength } from '../../src/engine/chunks.js';
import { FlushEncoder } from '../../src/engine/flush-encoder.js';
import { Overlay, ReplicaRecord, StoreState } from '../../src/engine/overlay.js';
import { regionId, replicaId } from './fixtures.js';

const seed = Number(process.env['MOKU_SEED'] ?? 3);

it(`orders records by key, then newest first (MOKU_SEED=${seed})`, () => {
  // Few letters and a common prefix, so that keys part at every offset within a word.
  const key = fc
    .tuple(fc.nat({ max: 9 }), fc.array(fc.constantFrom(0, 1, 0xff), { maxLength: 6 }))
    .map(([prefix, rest]) => Uint8Array.from([...new Array<number>(prefix).fill(7), ...rest]));
  const record = fc.record({ key, timestamp: fc.constantFrom(0, 1, 2 ** 52, 2 ** 53 - 1) });
  fc.assert(
    fc.property(record, record, (a, b) => {
      const table = new ChunkTable();
      const arena = new Arena(table);
      const locationA = arena.add(a.key, a.timestamp, new Uint8Array(3), 0);
      const locationB = arena.add(b.key, b.timestamp, undefined, deletionLength);
      const expected = compareBytes(a.key, b.key) || b.timestamp - a.timestamp;
      expect(Math.sign(table.compare(locationA, locationB))).toBe(Math.sign(expected));
      const position = table.position(a.key, a.timestamp);
      expect(table.compare(position, locationA)).toBe(0);
      expect(table.hasKey(locationB, a.key)).toBe(compareBytes(a.key, b.key) === 0);
      expect(table.key(locationA)).toEqual(a.key);
      expect(table.timestamp(locationB)).toBe(b.timestamp);
    }),
    { seed, numRuns: 2_000 },
  );
});

it('begins a new chunk when a record does not fit, and counts what is lost', () => {
  const table = new ChunkTable();
  const arena = new Arena(table);
  const value = new Uint8Array(1024 * 1024).fill(1);
  const locations = [1, 2, 3].map((i) => arena.add(Uint8Array.of(i), i, value.fill(i), 0));
  expect(arena.list().length).toBe(3);
  expect(arena.bytes).toBeGreaterThan(2 * chunkBytes);
  locations.forEach((location, i) => {
    expect(table.value(location)?.every((byte) => byte === i + 1)).toBe(true);
  });
  arena.release();
  expect(arena.bytes).toBe(0);
  arena.add(Uint8Array.of(1), 1, value, 0);
  expect(table.bytes).toBe(3 * chunkBytes);
});

it('refuses a record that fits no chunk', () => {
  const arena = new Arena(new ChunkTable());
  expect(() => arena.add(Uint8Array.of(1), 1, new Uint8Array(chunkBytes), 0)).toThrow('A1');
});

it('describes a flush in slices of bounded length, each version once, in order', () => {
  const table = new ChunkTable();
  const overlay = new Overlay(1, table);
  const stores = [4, 9].map((id) => new StoreState(id as StoreId, -1));
  const counts = [5, 20_000];
  const changed = stores.map((store, s) => {
    for (let i = counts[s]! - 1; i >= 0; i--) {
      overlay.put(store, {
        key: Uint8Array.of(i >> 8, i & 0xff),
        timestamp: i as Timestamp,
        value: undefined,
      });
    }
    store.frozen = store.active;
    store.frozenTimestampMax = store.activeTimestampMax;
    return new ReplicaRecord({
      regionId,
      replicaId,
      store,
      appliedIndex: 5 + s,
      appliedTerm: 2,
      durableIndex: 0,
    });
  });
  const encoder = new FlushEncoder(stores, changed);
  const begin = encoder.begin(overlay);
  expect(begin).toMatchObject({
    type: 'begin',
    replicas: Float64Array.of(1, 1, 4, 5, 2, 4, 1, 1, 9, 6, 2, 19_999),
  });
  const seen = new Map<number, number[]>();
  for (let slice = encoder.next(); slice !== undefined; slice = encoder.next()) {
    if (slice.type !== 'rows') throw new Error('a slice has rows');
    expect(slice.locations.length).toBeLessThanOrEqual(4_096);
    let at = 0;
    slice.storeIds.forEach((storeId, run) => {
      const end = at + slice.counts[run]!;
      const timestamps = [...slice.locations.subarray(at, end)].map((one) => table.timestamp(one));
      seen.set(storeId, [...(seen.get(storeId) ?? []), ...timestamps]);
      at = end;
    });
    expect(at).toBe(slice.locations.length);
  }
  stores.forEach(({ storeId }, s) => {
    expect(seen.get(storeId)).toEqual(Array.from({ length: counts[s]! }, (_, i) => i));
  });
});
