/**
 * The traps of a log that all regions share (design §7): what is dead stays dead though others keep its
 * row, what lives survives the rewriting of its row, and no region pays for another's silence.
 */
import { isMokuError, type RegionId } from '@moku/base';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import {
  brief,
  confState,
  create,
  entriesOf,
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

const KiB = 1024;
const MiB = 1024 * KiB;

describe.each([...logAdapters, sectorLog])('shared log on $name', (adapter) => {
  let host: LogHost;

  afterEach(async () => {
    await host.dispose();
  });

  /** Rewrites what is worth it, where rows are rewritten. */
  async function compact(): Promise<void> {
    await host.settle();
    await host.compact?.();
  }

  // A newer leader may bring entries of an older term than those that it replaces: then terms tell nothing.
  describe.each([
    { term: 1, rewritesRows: false },
    { term: 3, rewritesRows: false },
    { term: 3, rewritesRows: true },
  ])(
    'a suffix of term $term that another region keeps on disk (rows rewritten: $rewritesRows)',
    ({ term, rewritesRows }) => {
      beforeEach(async () => {
        host = await adapter.open({ rewritesRows });
      });

      async function conflictAndCompact(): Promise<void> {
        host.store.write([create(regionA, { behind: 49, term: 1 }), create(regionB)]);
        host.store.write([
          { regionId: regionA, entries: entriesOf(regionA, 50, 60, { term }) },
          { regionId: regionB, entries: entriesOf(regionB, 1, 3) },
        ]);
        host.store.write([{ regionId: regionA, entries: entriesOf(regionA, 50, 52, { term: 2 }) }]);
        host.store.write([{ regionId: regionA, truncate: { index: 52, term: 2 } }]);
        await host.settle();
      }

      it('does not come back after a restart', async () => {
        await conflictAndCompact();
        await host.reopen();
        expect(shape(host, regionA)).toBe('53..52 terms 2');
        expect(shape(host, regionB)).toBe('1..3 terms 0,1,1,1');
      });

      it('does not come back after a crash', async () => {
        await conflictAndCompact();
        await host.crash();
        expect(shape(host, regionA)).toBe('53..52 terms 2');
      });

      it('does not come back behind entries that were written since', async () => {
        await conflictAndCompact();
        host.store.write([{ regionId: regionA, entries: entriesOf(regionA, 53, 54, { term: 2 }) }]);
        await host.reopen();
        expect(shape(host, regionA)).toBe('53..54 terms 2,2,2');
        expect(await readAll(host, regionA, 53, 54)).toEqual(
          entriesOf(regionA, 53, 54, { term: 2 }),
        );
      });

      it('does not come back when its row had time to be rewritten', async () => {
        await conflictAndCompact();
        await compact();
        await host.reopen();
        expect(shape(host, regionA)).toBe('53..52 terms 2');
        expect(await readAll(host, regionB, 1, 3)).toEqual(entriesOf(regionB, 1, 3));
      });

      it('does not come back when a snapshot replaced it in the same batch', async () => {
        host.store.write([create(regionA), create(regionB)]);
        host.store.write([
          { regionId: regionA, entries: entriesOf(regionA, 1, 9, { term }) },
          { regionId: regionB, entries: entriesOf(regionB, 1, 1) },
          { regionId: regionA, restart: { index: 4, term: 2, confState } },
          { regionId: regionA, entries: entriesOf(regionA, 5, 5, { term: 2 }) },
        ]);
        await host.reopen();
        expect(shape(host, regionA)).toBe('5..5 terms 2,2');
        expect(await readAll(host, regionA, 5, 5)).toEqual(entriesOf(regionA, 5, 5, { term: 2 }));
      });
    },
  );

  describe('a rewritten remnant', () => {
    const bytes = 10 * KiB;

    beforeEach(async () => {
      host = await adapter.open({ rewritesRows: true });
    });

    it('never overrides what superseded it', async () => {
      host.store.write([create(regionA), create(regionB)]);
      host.store.write([
        { regionId: regionA, entries: entriesOf(regionA, 1, 20, { bytes }) },
        { regionId: regionB, entries: entriesOf(regionB, 1, 40, { bytes }) },
      ]);
      const second = entriesOf(regionA, 5, 9, { term: 2 });
      host.store.write([{ regionId: regionA, entries: second }]);
      host.store.write([{ regionId: regionB, truncate: { index: 39, term: 1 } }]);
      await compact();
      const third = entriesOf(regionA, 7, 7, { term: 3 });
      host.store.write([{ regionId: regionA, entries: third }]);
      await compact();
      const live = [...entriesOf(regionA, 1, 4, { bytes }), ...second.slice(0, 2), ...third];
      for (const restart of [() => host.reopen(), () => host.crash()]) {
        expect(shape(host, regionA)).toBe('1..7 terms 0,1,1,1,1,2,2,3');
        expect(brief(await readAll(host, regionA, 1, 7))).toEqual(brief(live));
        await restart();
      }
      expect(brief(await readAll(host, regionB, 40, 40))).toEqual(
        brief(entriesOf(regionB, 40, 40, { bytes })),
      );
    });

    it('leaves no hole where what lay between was superseded and dropped', async () => {
      host.store.write([create(regionA), create(regionB)]);
      host.store.write([
        { regionId: regionA, entries: entriesOf(regionA, 1, 20, { bytes }) },
        { regionId: regionB, entries: entriesOf(regionB, 1, 20, { bytes }) },
      ]);
      host.store.write([{ regionId: regionA, entries: entriesOf(regionA, 10, 15, { term: 2 }) }]);
      host.store.write([
        { regionId: regionA, entries: entriesOf(regionA, 13, 16, { term: 3 }) },
        { regionId: regionB, entries: entriesOf(regionB, 21, 21) },
      ]);
      host.store.write([{ regionId: regionA, entries: entriesOf(regionA, 8, 8, { term: 4 }) }]);
      host.store.write([{ regionId: regionB, truncate: { index: 20, term: 1 } }]);
      await compact();
      await host.reopen();
      expect(shape(host, regionA)).toBe('1..8 terms 0,1,1,1,1,1,1,1,4');
      expect(brief(await readAll(host, regionA, 1, 8))).toEqual(
        brief([...entriesOf(regionA, 1, 7, { bytes }), ...entriesOf(regionA, 8, 8, { term: 4 })]),
      );
    });

    it('keeps what is damaged in it: the region learns of it, not of an end', async () => {
      host.store.write([create(regionA), create(regionB)]);
      host.store.write([
        { regionId: regionA, entries: entriesOf(regionA, 1, 2) },
        { regionId: regionB, entries: entriesOf(regionB, 1, 40, { bytes }) },
      ]);
      await host.reopenDamaged(regionA, entriesOf(regionA, 2, 2)[0]!);
      host.store.write([{ regionId: regionB, truncate: { index: 40, term: 1 } }]);
      await compact();
      expect(shape(host, regionA)).toBe('1..2 terms 0,1,1');
      const error = await readAll(host, regionA, 2, 2).catch((thrown: unknown) => thrown);
      expect(isMokuError(error, 'LOG_CORRUPT')).toBe(true);
      await host.reopen();
      expect(shape(host, regionA)).toBe('1..2 terms 0,1,1');
    });
  });

  describe('a region removed and created again under its id', () => {
    beforeEach(async () => {
      host = await adapter.open();
    });

    it('starts empty, though others keep its old rows', async () => {
      host.store.write([create(regionA), create(regionB)]);
      host.store.write([
        { regionId: regionA, entries: entriesOf(regionA, 1, 9) },
        { regionId: regionB, entries: entriesOf(regionB, 1, 1) },
      ]);
      host.store.write([{ regionId: regionA, destroy: { replicaId: replica1 } }]);
      host.store.write([create(regionA, { replicaId: replica2 })]);
      await host.reopen();
      expect(shape(host, regionA)).toBe('1..0 terms 0');
      host.store.write([{ regionId: regionA, entries: entriesOf(regionA, 1, 2, { term: 3 }) }]);
      await host.reopen();
      expect(shape(host, regionA)).toBe('1..2 terms 0,3,3');
      expect(await readAll(host, regionA, 1, 2)).toEqual(entriesOf(regionA, 1, 2, { term: 3 }));
    });

    it('starts empty also when all of it happens in one batch', async () => {
      host.store.write([create(regionA), create(regionB)]);
      host.store.write([
        { regionId: regionA, entries: entriesOf(regionA, 1, 9) },
        { regionId: regionB, entries: entriesOf(regionB, 1, 1) },
        { regionId: regionA, destroy: { replicaId: replica1 } },
        create(regionA, { replicaId: replica2 }),
        { regionId: regionA, entries: entriesOf(regionA, 1, 1, { term: 2 }) },
      ]);
      await host.reopen();
      expect(shape(host, regionA)).toBe('1..1 terms 0,2');
      expect(await readAll(host, regionA, 1, 1)).toEqual(entriesOf(regionA, 1, 1, { term: 2 }));
    });
  });

  describe('idle regions', () => {
    const idleCount = 20;
    const rounds = 4;
    const idle = Array.from({ length: idleCount }, (_, i) => (100 + i) as RegionId);

    beforeEach(async () => {
      host = await adapter.open({ rewritesRows: true });
    });

    /** Each idle region writes one small entry beside half a mebibyte of a busy one, then falls silent. */
    async function work(): Promise<void> {
      let next = 1;
      host.store.write([create(regionA), ...idle.map((regionId) => create(regionId))]);
      for (let round = 0; round < rounds; round++) {
        for (const regionId of idle) {
          const from = next;
          next += 8;
          const entries = entriesOf(regionA, from, next - 1, { bytes: 64 * KiB });
          const own = round === 0 ? [{ regionId, entries: entriesOf(regionId, 1, 1) }] : [];
          host.store.write([{ regionId: regionA, entries }, ...own]);
          host.store.write([{ regionId: regionA, truncate: { index: next - 1, term: 1 } }]);
          await host.settle();
        }
      }
      await compact();
    }

    it('pin no space', async () => {
      await work();
      for (const regionId of idle) {
        expect(await readAll(host, regionId, 1, 1)).toEqual(entriesOf(regionId, 1, 1));
      }
      if (host.disk === undefined) return;
      const { rowBytes, liveBytes, rows, fileBytes } = await host.disk();
      // 40 MiB went through; what is kept is one small row for each idle region.
      expect(rows).toBe(idleCount);
      expect(rowBytes).toBeLessThan(idleCount * 250);
      expect(rowBytes).toBeLessThanOrEqual(2 * liveBytes);
      expect(fileBytes).toBeLessThan(8 * MiB);
      await host.reopen();
      for (const regionId of idle) {
        expect(await readAll(host, regionId, 1, 1)).toEqual(entriesOf(regionId, 1, 1));
      }
    });
  });

  describe('a catch-up of many regions', () => {
    const regionCount = 60;
    const rows = 12;
    const regionIds = Array.from({ length: regionCount }, (_, i) => (200 + i) as RegionId);

    beforeEach(async () => {
      host = await adapter.open();
    });

    it('reads each row once', async () => {
      host.store.write(regionIds.map((regionId) => create(regionId)));
      for (let index = 1; index <= rows; index++) {
        host.store.write(
          regionIds.map((regionId) => ({
            regionId,
            entries: entriesOf(regionId, index, index, { bytes: 4 * KiB }),
          })),
        );
      }
      await host.reopen();
      const next = new Map(regionIds.map((regionId) => [regionId, 1]));
      const pump = (): number => {
        for (const [regionId, from] of next) {
          const got = host.store.region(regionId)!.entries(from, rows + 1, 8 * KiB);
          if (got === 'fetching') continue;
          expect(got[0]?.index).toBe(from);
          if (from + got.length > rows) next.delete(regionId);
          else next.set(regionId, from + got.length);
        }
        host.progress();
        return next.size;
      };
      await vi.waitFor(() => expect(pump()).toBe(0), waitOptions);
      if (host.disk !== undefined) expect((await host.disk()).rowsRead).toBe(rows);
    });
  });
});
