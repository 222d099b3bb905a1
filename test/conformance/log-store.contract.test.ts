/**
 * The contract of `LogStore` (packages/raft/src/contracts/log-store.ts), case by case, on every adapter.
 */
import { isMokuError, type RegionId, type ReplicaId, utf8 } from '@moku/base';
import type { ConfState } from '@moku/raft';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import {
  brief,
  confState,
  create,
  entriesOf,
  fetched,
  type LogHost,
  logAdapters,
  readAll,
  regionA,
  regionB,
  replica1,
  replica2,
  shape,
  waitOptions,
} from './log-store.adapters.js';
import { sectorLog } from './sector.adapters.js';

describe.each([...logAdapters, sectorLog])('log store on $name', (adapter) => {
  let host: LogHost;

  beforeEach(async () => {
    host = await adapter.open();
  });

  afterEach(async () => {
    await host.dispose();
  });

  describe('reads', () => {
    it('see a batch at once, before it is durable', async () => {
      const entries = entriesOf(regionA, 1, 3);
      const batchNumber = host.store.write([create(regionA), { regionId: regionA, entries }]);
      expect(batchNumber).toBe(1);
      expect(host.reports.durable).toEqual([]);
      const log = host.store.region(regionA)!;
      expect([log.firstIndex(), log.lastIndex(), log.term(0), log.term(3)]).toEqual([1, 3, 0, 1]);
      expect(log.entries(1, 4, 1 << 20)).toEqual(entries);
    });

    it('give the same after the store was closed and opened', async () => {
      const entries = [...entriesOf(regionA, 1, 3), ...entriesOf(regionA, 4, 5, { term: 4 })];
      host.store.write([create(regionA), { regionId: regionA, entries }]);
      await host.reopen();
      expect(shape(host, regionA)).toBe('1..5 terms 0,1,1,1,4,4');
      expect(await readAll(host, regionA, 1, 5)).toEqual(entries);
    });

    it('know terms of the floor and the log only', () => {
      const entries = entriesOf(regionA, 6, 8, { term: 3 });
      host.store.write([create(regionA, { behind: 5, term: 2 }), { regionId: regionA, entries }]);
      const log = host.store.region(regionA)!;
      expect([4, 5, 6, 8, 9].map((index) => log.term(index))).toEqual([
        undefined,
        2,
        3,
        3,
        undefined,
      ]);
    });

    it('stop at bytesMax of data, but give at least one entry', () => {
      const entries = entriesOf(regionA, 1, 4, { bytes: 100 });
      host.store.write([create(regionA), { regionId: regionA, entries }]);
      const log = host.store.region(regionA)!;
      expect(log.entries(1, 5, 300)).toHaveLength(3);
      expect(log.entries(1, 5, 299)).toHaveLength(2);
      expect(log.entries(2, 5, 1)).toHaveLength(1);
      expect(log.entries(2, 4, 1000)).toHaveLength(2);
    });

    it('stop at bytesMax of data also where entries come from disk', async () => {
      for (let index = 1; index <= 4; index++) {
        const entries = entriesOf(regionA, index, index, { bytes: 100 });
        host.store.write([
          ...(index === 1 ? [create(regionA)] : []),
          { regionId: regionA, entries },
        ]);
      }
      const more = entriesOf(regionA, 5, 8, { bytes: 100 });
      host.store.write([{ regionId: regionA, entries: more }]);
      await host.reopen();
      await readAll(host, regionA, 1, 8);
      const log = host.store.region(regionA)!;
      expect(log.entries(1, 9, 300)).toHaveLength(3);
      expect(log.entries(3, 9, 599)).toHaveLength(5);
      expect(log.entries(6, 9, 299)).toHaveLength(2);
      expect(log.entries(6, 9, 1)).toHaveLength(1);
    });

    it('say fetching for what is on disk only, and tell when to ask again', async () => {
      host.store.write([create(regionA), { regionId: regionA, entries: entriesOf(regionA, 1, 3) }]);
      await host.reopen();
      const log = host.store.region(regionA)!;
      expect(log.entries(2, 4, 1000)).toBe('fetching');
      expect(log.term(2)).toBe(1);
      await fetched(host, regionA);
      expect(log.entries(2, 4, 1000)).toEqual(entriesOf(regionA, 2, 3));
    });

    it('keep the kind of an entry and empty data', async () => {
      const entries = [
        { term: 1, index: 1, kind: 'normal' as const, data: new Uint8Array(0) },
        { term: 1, index: 2, kind: 'confChange' as const, data: utf8('change') },
      ];
      host.store.write([create(regionA), { regionId: regionA, entries }]);
      await host.reopen();
      expect(await readAll(host, regionA, 1, 2)).toEqual(entries);
    });

    it('know nothing of a region that was never created', () => {
      expect(host.store.region(regionA)).toBeUndefined();
    });

    it('count the bytes of live entries', async () => {
      const entries = entriesOf(regionA, 1, 10, { bytes: 1000 });
      host.store.write([create(regionA), { regionId: regionA, entries }]);
      const log = host.store.region(regionA)!;
      const full = log.bytes();
      expect(full).toBeGreaterThanOrEqual(10_000);
      host.store.write([{ regionId: regionA, truncate: { index: 9, term: 1 } }]);
      expect(log.bytes()).toBeGreaterThanOrEqual(1_000);
      expect(log.bytes()).toBeLessThan(full / 5);
      host.store.write([{ regionId: regionA, truncate: { index: 10, term: 1 } }]);
      expect(log.bytes()).toBe(0);
    });
  });

  describe('writes', () => {
    it('are reported durable in order, each at most once, and never within the write', async () => {
      for (let index = 1; index <= 20; index++) {
        const entries = entriesOf(regionA, index, index);
        host.store.write([
          ...(index === 1 ? [create(regionA)] : []),
          { regionId: regionA, entries },
        ]);
        expect(host.reports.durable).toEqual([]);
      }
      await host.settle();
      const { durable } = host.reports;
      expect(durable.at(-1)).toBe(20);
      expect(durable).toEqual([...new Set(durable)].sort((a, b) => a - b));
    });

    it('with nothing in them are durable after what came before', async () => {
      host.store.write([create(regionA)]);
      host.store.write([]);
      await host.settle();
      expect(host.reports.durable.at(-1)).toBe(2);
      host.store.write([]);
      expect(host.reports.durable.at(-1)).toBe(2);
      await host.settle();
      expect(host.reports.durable.at(-1)).toBe(3);
    });

    it('of a commitIndex alone are reported durable, and last until an orderly restart', async () => {
      const hardState = { term: 3, votedFor: replica1, commitIndex: 0 };
      host.store.write([create(regionA), { regionId: regionA, hardState }]);
      host.store.write([{ regionId: regionA, hardState: { ...hardState, commitIndex: 7 } }]);
      await host.settle();
      expect(host.reports.durable.at(-1)).toBe(2);
      await host.reopen();
      expect(host.store.recovered().regions[0]?.hardState).toEqual({
        ...hardState,
        commitIndex: 7,
      });
    });

    it('of a commitIndex beside a change of the configuration survive a crash with it', async () => {
      const hardState = { term: 1, votedFor: replica1, commitIndex: 0 };
      const entries = entriesOf(regionA, 1, 3);
      host.store.write([create(regionA), { regionId: regionA, hardState, entries }]);
      host.store.write([{ regionId: regionA, hardState: { ...hardState, commitIndex: 3 } }]);
      const change = entriesOf(regionA, 4, 4).map((e) => ({ ...e, kind: 'confChange' as const }));
      host.store.write([{ regionId: regionA, entries: change }]);
      await host.settle();
      await host.crash();
      // Nobody may campaign over two unapplied changes (raft E4).
      expect(host.store.recovered().regions[0]?.hardState.commitIndex).toBe(3);
    });

    it('that are not durable yet are counted in health', async () => {
      host.store.write([create(regionA), { regionId: regionA, entries: entriesOf(regionA, 1, 1) }]);
      host.store.write([{ regionId: regionA, entries: entriesOf(regionA, 2, 2, { bytes: 500 }) }]);
      expect(host.store.health().batchesInFlight).toBe(2);
      expect(host.store.health().bytesInFlight).toBeGreaterThanOrEqual(500);
      await host.settle();
      expect(host.store.health()).toEqual({
        batchesInFlight: 0,
        bytesInFlight: 0,
        oldestUnsyncedMs: 0,
      });
    });

    it('replace everything from their first entry on', async () => {
      host.store.write([create(regionA), { regionId: regionA, entries: entriesOf(regionA, 1, 9) }]);
      const entries = entriesOf(regionA, 4, 5, { term: 2 });
      host.store.write([{ regionId: regionA, entries }]);
      expect(shape(host, regionA)).toBe('1..5 terms 0,1,1,1,2,2');
      await host.reopen();
      expect(shape(host, regionA)).toBe('1..5 terms 0,1,1,1,2,2');
      expect(await readAll(host, regionA, 1, 5)).toEqual([...entriesOf(regionA, 1, 3), ...entries]);
    });

    it('may be larger than a row, and single entries too', async () => {
      const sizes = [700_000, 700_000, 1_180_000, 10, 1_180_000];
      const entries = sizes.flatMap((bytes, i) => entriesOf(regionA, i + 1, i + 1, { bytes }));
      const small = entriesOf(regionB, 1, 2);
      host.store.write([
        create(regionA),
        create(regionB),
        { regionId: regionA, entries },
        { regionId: regionB, entries: small },
      ]);
      await host.reopen();
      expect(brief(await readAll(host, regionA, 1, 5))).toEqual(brief(entries));
      expect(await readAll(host, regionB, 1, 2)).toEqual(small);
    });

    it('survive a crash once they are durable', async () => {
      const hardState = { term: 5, votedFor: replica2, commitIndex: 0 };
      const entries = entriesOf(regionA, 1, 5, { term: 5 });
      host.store.write([create(regionA), { regionId: regionA, hardState, entries }]);
      await host.settle();
      await host.crash();
      expect(host.store.recovered().regions[0]?.hardState).toEqual(hardState);
      expect(await readAll(host, regionA, 1, 5)).toEqual(entries);
    });

    it('are not reported durable after an error of the disk, which is told once', async () => {
      host.store.write([create(regionA)]);
      await host.settle();
      await host.breakDisk();
      const before = [...host.reports.durable];
      if (host.reports.failures.length === 0) {
        const entries = entriesOf(regionA, 1, 1, { bytes: 1_000_000 });
        host.store.write([{ regionId: regionA, entries }]);
        host.store.write([{ regionId: regionA, entries: entriesOf(regionA, 2, 2) }]);
      }
      await vi.waitFor(() => expect(host.reports.failures).toHaveLength(1), waitOptions);
      expect(host.reports.durable).toEqual(before);
    });
  });

  describe('regions', () => {
    it('are recovered with their state', async () => {
      const changed: ConfState = {
        ...confState,
        voters: [replica1, replica2],
        learners: [7 as ReplicaId],
      };
      host.store.write([
        create(regionA, { behind: 10, term: 2 }),
        {
          regionId: regionA,
          hardState: { term: 3, votedFor: replica2, commitIndex: 11 },
          entries: entriesOf(regionA, 11, 12, { term: 3 }),
        },
      ]);
      host.store.write([{ regionId: regionA, confState: { index: 11, confState: changed } }]);
      await host.reopen();
      expect(host.store.recovered()).toEqual({
        regions: [
          {
            regionId: regionA,
            replicaId: replica1,
            hardState: { term: 3, votedFor: replica2, commitIndex: 11 },
            confState: changed,
            confStateIndex: 11,
            truncatedIndex: 10,
            truncatedTerm: 2,
            lastIndex: 12,
          },
        ],
        tombstones: [],
      });
    });

    it('that were destroyed leave a tombstone, and nothing else', async () => {
      host.store.write([create(regionA), { regionId: regionA, entries: entriesOf(regionA, 1, 3) }]);
      host.store.write([{ regionId: regionA, destroy: { replicaId: replica1 } }]);
      expect(host.store.region(regionA)).toBeUndefined();
      await host.reopen();
      expect(host.store.region(regionA)).toBeUndefined();
      expect(host.store.recovered()).toEqual({
        regions: [],
        tombstones: [{ regionId: regionA, replicaId: replica1 }],
      });
    });

    it('cannot come back under a replica id that was destroyed', () => {
      host.store.write([create(regionA)]);
      host.store.write([{ regionId: regionA, destroy: { replicaId: replica1 } }]);
      expect(() => host.store.write([create(regionA)])).toThrow(/L3/);
    });

    it('that took in a snapshot begin behind it, with nothing from before', async () => {
      const entries = entriesOf(regionA, 1, 30);
      host.store.write([create(regionA), { regionId: regionA, entries }]);
      const restart = { index: 20, term: 4, confState };
      host.store.write([{ regionId: regionA, restart }]);
      expect(shape(host, regionA)).toBe('21..20 terms 4');
      await host.reopen();
      expect(shape(host, regionA)).toBe('21..20 terms 4');
      expect(host.store.recovered().regions[0]?.confStateIndex).toBe(20);
      host.store.write([{ regionId: regionA, entries: entriesOf(regionA, 21, 22, { term: 4 }) }]);
      await host.reopen();
      expect(shape(host, regionA)).toBe('21..22 terms 4,4,4');
    });

    it('do what one write says in the order of its fields', async () => {
      host.store.write([
        {
          ...create(regionA, { behind: 3, term: 1 }),
          hardState: { term: 2, votedFor: replica1, commitIndex: 3 },
          confState: { index: 3, confState },
          entries: entriesOf(regionA, 4, 8, { term: 2 }),
          truncate: { index: 6, term: 2 },
        },
      ]);
      expect(shape(host, regionA)).toBe('7..8 terms 2,2,2');
      await host.reopen();
      expect(shape(host, regionA)).toBe('7..8 terms 2,2,2');
      expect(await readAll(host, regionA, 7, 8)).toEqual(entriesOf(regionA, 7, 8, { term: 2 }));
    });

    it('stand still when they are truncated below their floor', async () => {
      host.store.write([create(regionA), { regionId: regionA, entries: entriesOf(regionA, 1, 9) }]);
      host.store.write([{ regionId: regionA, truncate: { index: 6, term: 1 } }]);
      host.store.write([{ regionId: regionA, truncate: { index: 4, term: 1 } }]);
      expect(shape(host, regionA)).toBe('7..9 terms 1,1,1,1');
    });

    it('reject entries that leave a hole or go below the floor', () => {
      host.store.write([create(regionA, { behind: 5, term: 1 })]);
      const write = (from: number) => () =>
        host.store.write([{ regionId: regionA, entries: entriesOf(regionA, from, 9) }]);
      expect(write(7)).toThrow(/invariant/);
      expect(write(5)).toThrow(/invariant/);
    });

    it('can have ids beyond 32 bits', async () => {
      const regionId = (2 ** 47 + 1) as RegionId;
      const replicaId = 0xffff_fffe as ReplicaId;
      const entries = entriesOf(regionId, 1, 2);
      host.store.write([create(regionId, { replicaId }), { regionId, entries }]);
      await host.reopen();
      expect(host.store.recovered().regions[0]).toMatchObject({ regionId, replicaId });
      expect(await readAll(host, regionId, 1, 2)).toEqual(entries);
    });
  });

  describe('small values', () => {
    it('are visible at once and durable with the next batch', async () => {
      host.store.setMeta('peer 2', utf8('abc'));
      expect(host.store.getMeta('peer 2')).toEqual(utf8('abc'));
      host.store.write([]);
      await host.settle();
      expect(host.reports.durable).toEqual([1]);
      await host.crash();
      expect(host.store.getMeta('peer 2')).toEqual(utf8('abc'));
      expect(host.store.getMeta('peer 3')).toBeUndefined();
    });
  });

  describe('errors of reading', () => {
    it('are never taken for the end of the log', async () => {
      const entries = entriesOf(regionA, 1, 1);
      host.store.write([create(regionA), create(regionB), { regionId: regionA, entries }]);
      for (let index = 2; index <= 4; index++) {
        host.store.write([
          { regionId: regionA, entries: entriesOf(regionA, index, index) },
          { regionId: regionB, entries: entriesOf(regionB, index - 1, index - 1) },
        ]);
      }
      await host.reopenDamaged(regionA, entriesOf(regionA, 3, 3)[0]!);
      expect(shape(host, regionA)).toBe('1..4 terms 0,1,1,1,1');
      expect(await readAll(host, regionA, 1, 2)).toEqual(entriesOf(regionA, 1, 2));
      expect(await readAll(host, regionA, 4, 4)).toEqual(entriesOf(regionA, 4, 4));
      let error: unknown;
      await readAll(host, regionA, 1, 4).catch((thrown: unknown) => {
        error = thrown;
      });
      expect(isMokuError(error, 'LOG_CORRUPT')).toBe(true);
      expect(await readAll(host, regionB, 1, 3)).toEqual(entriesOf(regionB, 1, 3));
    });
  });
});
