/**
 * MemoryLogStore as a disk by hand: what is synced, what a crash leaves. The contract itself is tested
 * by the conformance suite, on every adapter.
 */
import { type RegionId, utf8 } from '@moku/base';
import { beforeEach, describe, expect, test } from 'vitest';
import { confStateOf, MemoryLogStore, type RegionWrite } from '../src/index.js';
import { entries, id } from './harness/lone.js';

const one = 1 as RegionId;
const two = 2 as RegionId;
const confState = confStateOf([1, 2, 3].map(id));
const create = { replicaId: id(1), confState, truncatedIndex: 0, truncatedTerm: 0 };

let store: MemoryLogStore;
let events: string[];

function listen(to: MemoryLogStore): void {
  to.subscribe({
    onDurable: (batch) => events.push(`durable ${batch}`),
    onFetched: (region) => events.push(`fetched ${region}`),
    onFailure: (error) => events.push(`failed ${error.message}`),
  });
}

function write(...writes: RegionWrite[]): number {
  return store.write(writes);
}

beforeEach(() => {
  events = [];
  store = new MemoryLogStore();
  listen(store);
  write({ regionId: one, create });
  store.sync();
  events = [];
});

describe('sync and crash', () => {
  test('a batch is visible at once and durable when it is synced, in order', () => {
    expect(write({ regionId: one, entries: entries('1/1') })).toBe(2);
    expect(write({ regionId: one, entries: entries('1/2') })).toBe(3);
    expect(store.region(one)?.lastIndex()).toBe(2);
    expect(store.synced(one)?.lastIndex()).toBe(0);
    store.sync(1);
    expect(store.synced(one)?.lastIndex()).toBe(1);
    store.sync();
    store.sync();
    expect(events).toEqual(['durable 2', 'durable 3']);
  });

  test('a crash loses unsynced batches, but for those that happened to reach the disk', () => {
    write({ regionId: one, entries: entries('1/1', '1/2') });
    store.sync();
    write({ regionId: one, entries: entries('2/2') });
    write({ regionId: one, hardState: { term: 3, votedFor: id(2), commitIndex: 1 } });
    const after = store.crash(1);
    expect(after.recovered().regions).toMatchObject([
      { regionId: 1, replicaId: 1, lastIndex: 2, hardState: { term: 0 } },
    ]);
    expect(after.region(one)?.term(2)).toBe(2);
  });

  test('batches given up when the disk failed may be on it nevertheless', () => {
    write({ regionId: one, entries: entries('1/1') });
    write({ regionId: one, entries: entries('1/2') });
    store.fail(new Error('sync'));
    expect(store.synced(one)?.lastIndex()).toBe(0);
    expect(store.unsyncedBatches).toBe(2);
    expect(store.crash(1).region(one)?.lastIndex()).toBe(1);
  });

  test('a broken disk loses the newest synced batches, as many as are asked for', () => {
    store = new MemoryLogStore({ losableMax: 3 });
    listen(store);
    write({ regionId: one, create });
    for (let index = 1; index <= 5; index++) {
      write({ regionId: one, entries: entries(`1/${index}`) });
    }
    store.setMeta('a', utf8('x'));
    write({ regionId: one, hardState: { term: 4, votedFor: id(2), commitIndex: 2 } });
    store.sync();
    store = store.crash();
    expect(store.losable).toBe(3);
    const after = store.loseSynced(2);
    expect(after.region(one)?.lastIndex()).toBe(4);
    expect(after.syncedHardState(one)?.term).toBe(0);
    expect(after.getMeta('a')).toBeUndefined();
    expect(after.losable).toBe(1);
  });

  test('the former store is dead after a crash', () => {
    store.crash();
    expect(() => write({ regionId: one, entries: entries('1/1') })).toThrow('N1');
    store.sync();
    expect(events).toEqual([]);
  });

  test('a store that came back numbers its batches from 1 and remembers nothing unsynced', () => {
    write({ regionId: one, entries: entries('1/1') });
    store.sync();
    store = store.crash();
    listen(store);
    expect(write({ regionId: one, entries: entries('1/2') })).toBe(1);
    expect(store.region(one)?.lastIndex()).toBe(2);
    store = store.crash();
    expect(store.region(one)?.lastIndex()).toBe(1);
  });

  test('after a failure nothing more is reported durable', () => {
    write({ regionId: one, entries: entries('1/1') });
    store.fail(new Error('disk'));
    store.fail(new Error('again'));
    store.sync();
    expect(events).toEqual(['failed disk']);
    expect(() => store.write([])).toThrow('N1');
  });

  test('small values ride with the next batch', () => {
    store.setMeta('a', utf8('x'));
    expect(store.getMeta('a')).toEqual(utf8('x'));
    expect(store.crash().getMeta('a')).toBeUndefined();
  });

  test('small values are durable with their batch', () => {
    store.setMeta('a', utf8('x'));
    write({ regionId: one, entries: entries('1/1') });
    store.sync();
    expect(store.crash().getMeta('a')).toEqual(utf8('x'));
  });

  test('health counts what is under way', () => {
    let now = 5;
    const timed = new MemoryLogStore({ monotonicMs: () => now });
    timed.write([{ regionId: one, create, entries: entries('1/1', '1/2') }]);
    now = 12;
    expect(timed.health()).toEqual({ batchesInFlight: 1, bytesInFlight: 6, oldestUnsyncedMs: 7 });
    timed.sync();
    expect(timed.health()).toEqual({ batchesInFlight: 0, bytesInFlight: 0, oldestUnsyncedMs: 0 });
  });
});

describe('logs', () => {
  test('a suffix is replaced, a prefix truncated, a restart drops everything', () => {
    write({ regionId: one, entries: entries('1/1', '1/2', '1/3') });
    write({ regionId: one, entries: entries('2/2') });
    const log = store.region(one)!;
    expect([log.lastIndex(), log.term(2), log.bytes()]).toEqual([2, 2, 6]);
    write({ regionId: one, truncate: { index: 1, term: 1 } });
    expect([log.firstIndex(), log.term(1), log.term(0), log.bytes()]).toEqual([2, 1, undefined, 3]);
    write({ regionId: one, restart: { index: 9, term: 4, confState } });
    expect([log.firstIndex(), log.lastIndex(), log.term(9), log.bytes()]).toEqual([10, 9, 4, 0]);
  });

  test('reads are cut at the bytes asked for, but give at least one entry', () => {
    write({ regionId: one, entries: entries('1/1', '1/2', '1/3') });
    const log = store.region(one)!;
    expect(log.entries(1, 4, 0)).toHaveLength(1);
    expect(log.entries(1, 4, 6)).toHaveLength(2);
    expect(log.entries(2, 3, 99)).toEqual(entries('1/2'));
    expect(() => log.entries(4, 5, 9)).toThrow('L2');
  });

  test.each([
    ['a gap', { entries: entries('1/2') }],
    ['a falling term', { entries: entries('2/1', '1/2') }],
    ['a truncation by another term', { entries: entries('1/1'), truncate: { index: 1, term: 2 } }],
    ['a truncation of what is not there', { truncate: { index: 1, term: 1 } }],
  ])('%s is a bug of the host', (_, part) => {
    expect(() => write({ regionId: one, ...part })).toThrow('L2');
  });

  test('nothing is written below the floor', () => {
    write({ regionId: one, entries: entries('1/1', '1/2'), truncate: { index: 1, term: 1 } });
    expect(() => write({ regionId: one, entries: entries('2/1') })).toThrow('L3');
  });

  test('a destroyed replica stays dead, and its successor starts empty', () => {
    write({ regionId: one, entries: entries('1/1') });
    write({ regionId: one, destroy: { replicaId: id(1) } });
    expect(store.region(one)).toBeUndefined();
    expect(() => write({ regionId: one, create })).toThrow('L3');
    write({ regionId: one, create: { ...create, replicaId: id(2) } });
    expect(store.region(one)?.lastIndex()).toBe(0);
    store.sync();
    const after = store.crash();
    expect(after.recovered()).toMatchObject({
      regions: [{ replicaId: 2, lastIndex: 0 }],
      tombstones: [{ regionId: 1, replicaId: 1 }],
    });
  });

  test('regions are independent', () => {
    write({ regionId: two, create });
    write({ regionId: one, entries: entries('1/1') }, { regionId: two, entries: entries('7/1') });
    expect([store.region(one)?.term(1), store.region(two)?.term(1)]).toEqual([1, 7]);
  });

  test('evicted entries are fetched when they are asked for, and only then', () => {
    write({ regionId: one, entries: entries('1/1', '1/2') });
    store.sync();
    store.evict(one);
    store.fetch();
    const log = store.region(one)!;
    expect(log.entries(1, 2, 9)).toBe('fetching');
    expect(log.term(2)).toBe(1);
    write({ regionId: one, entries: entries('1/3') });
    expect(log.entries(3, 4, 9)).toHaveLength(1);
    store.fetch();
    expect(log.entries(1, 4, 99)).toHaveLength(3);
    expect(events).toEqual(['durable 2', 'fetched 1']);
  });

  test('what cannot be read is LOG_CORRUPT, never the end of the log', () => {
    write({ regionId: one, entries: entries('1/1', '1/2', '1/3') });
    store.corrupt(one, 2);
    const log = store.region(one)!;
    expect(log.entries(1, 4, 99)).toHaveLength(1);
    expect(() => log.entries(2, 4, 99)).toThrow('LOG_CORRUPT');
    expect(log.lastIndex()).toBe(3);
  });

  test('what was synced and cannot be read cannot be read after a crash either', () => {
    write({ regionId: one, entries: entries('1/1', '1/2', '1/3') });
    store.sync();
    store.corrupt(one, 2);
    const log = store.crash().region(one)!;
    expect(log.entries(1, 4, 99)).toHaveLength(1);
    expect(() => log.entries(2, 4, 99)).toThrow('LOG_CORRUPT');
  });
});
