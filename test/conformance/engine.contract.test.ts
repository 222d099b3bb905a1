/**
 * The contract of `Engine` (packages/kv/src/contracts/engine.ts), case by case, on every adapter. Each
 * read is made three times: from the overlay, while a flush is under way, and after it.
 */
import { utf8 } from '@moku/base';
import { type StorePicture, scanDeletionsMax, type VersionedValue } from '@moku/kv';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import {
  apply,
  type EngineHost,
  engineAdapters,
  latest,
  range,
  regionA,
  regionB,
  replica1,
  replica2,
  shown,
  shownAll,
  version,
} from './engine.adapters.js';
import { sectorEngine } from './sector.adapters.js';

function drain(picture: StorePicture, bytesMax: number): VersionedValue[] {
  const all: VersionedValue[] = [];
  for (;;) {
    const batch = picture.next(bytesMax);
    if (batch.length === 0) return all;
    all.push(...batch);
  }
}

describe.each([...engineAdapters, sectorEngine])('engine on $name', (adapter) => {
  let host: EngineHost;

  beforeEach(async () => {
    host = await adapter.open();
    host.engine.createReplica(regionA, replica1);
  });

  afterEach(async () => {
    await host.dispose();
  });

  /** Runs `check` on the overlay, on what is being flushed, on what was flushed, and after a restart. */
  async function inEveryLayer(check: () => void): Promise<void> {
    check();
    host.beginFlush();
    check();
    await host.settle();
    check();
    await host.reopen();
    check();
  }

  describe('get', () => {
    it('finds the newest version at or before a timestamp, deletions included', async () => {
      apply(host.engine, regionA, 1, [
        version('k', 10, 'ten'),
        version('k', 20, 'twenty'),
        version('k', 30, undefined),
        version('j', 15, 'other'),
        version('kk', 15, 'longer'),
      ]);
      await inEveryLayer(() => {
        const at = (timestamp: number) =>
          shown(host.engine.get(regionA, utf8('k'), timestamp as typeof latest));
        expect(at(9)).toBeUndefined();
        expect(at(10)).toBe('k@10=ten');
        expect(at(19)).toBe('k@10=ten');
        expect(at(20)).toBe('k@20=twenty');
        expect(at(29)).toBe('k@20=twenty');
        expect(at(30)).toBe('k@30=(deleted)');
        expect(shown(host.engine.get(regionA, utf8('k'), latest))).toBe('k@30=(deleted)');
        expect(host.engine.get(regionA, utf8('absent'), latest)).toBeUndefined();
      });
    });

    it('prefers the newer timestamp wherever it lies, also when it was written first', async () => {
      apply(host.engine, regionA, 1, [version('k', 20, 'newer')]);
      await host.settle();
      apply(host.engine, regionA, 2, [version('k', 10, 'older')]);
      await inEveryLayer(() => {
        expect(shown(host.engine.get(regionA, utf8('k'), latest))).toBe('k@20=newer');
        expect(shownAll(host.engine.scan(regionA, range()).records)).toEqual(['k@20=newer']);
      });
    });

    it('sees a replaced version in place of the one that was flushed', async () => {
      apply(host.engine, regionA, 1, [version('k', 10, 'first')]);
      await host.settle();
      apply(host.engine, regionA, 2, [version('k', 10, 'second')]);
      await inEveryLayer(() => {
        expect(shown(host.engine.get(regionA, utf8('k'), latest))).toBe('k@10=second');
        expect(shownAll(host.engine.scan(regionA, range()).records)).toEqual(['k@10=second']);
      });
    });

    it('forgets a removed version and shows the one below it', async () => {
      apply(host.engine, regionA, 1, [version('k', 10, 'old'), version('k', 20, 'new')]);
      await host.settle();
      apply(host.engine, regionA, 2, [], [version('k', 20, undefined)]);
      await inEveryLayer(() => {
        expect(shown(host.engine.get(regionA, utf8('k'), latest))).toBe('k@10=old');
        for (const isReverse of [false, true]) {
          const { records } = host.engine.scan(regionA, range({ isReverse }));
          expect(shownAll(records)).toEqual(['k@10=old']);
        }
      });
    });

    it('forgets a removed version that was never flushed', async () => {
      apply(host.engine, regionA, 1, [version('k', 10, 'old'), version('j', 10, 'stays')]);
      apply(host.engine, regionA, 2, [], [version('k', 10, undefined)]);
      await inEveryLayer(() => {
        expect(host.engine.get(regionA, utf8('k'), latest)).toBeUndefined();
        expect(shownAll(host.engine.scan(regionA, range()).records)).toEqual(['j@10=stays']);
      });
    });

    it('lets a put win over a removal of the same version in one write', async () => {
      apply(host.engine, regionA, 1, [version('k', 10, 'old')]);
      await host.settle();
      apply(host.engine, regionA, 2, [version('k', 10, 'new')], [version('k', 10, undefined)]);
      await inEveryLayer(() => {
        expect(shown(host.engine.get(regionA, utf8('k'), latest))).toBe('k@10=new');
      });
    });

    it('keeps what it was given, whatever the caller does with the bytes later', async () => {
      const written = version('k', 10, 'value');
      apply(host.engine, regionA, 1, [written]);
      written.value?.fill(0);
      written.key.fill(0);
      expect(shown(host.engine.get(regionA, utf8('k'), latest))).toBe('k@10=value');
    });

    it('tells an empty value from a deletion and keeps large ones whole', async () => {
      const large = new Uint8Array(1024 * 1024);
      for (let i = 0; i < large.length; i++) large[i] = (i * 31) & 0xff;
      apply(host.engine, regionA, 1, [
        version('empty', 1, ''),
        version('deleted', 1, undefined),
        { ...version('large', 1, ''), value: large },
      ]);
      await inEveryLayer(() => {
        expect(host.engine.get(regionA, utf8('empty'), latest)?.value).toEqual(new Uint8Array(0));
        expect(host.engine.get(regionA, utf8('deleted'), latest)?.value).toBeUndefined();
        const found = host.engine.get(regionA, utf8('large'), latest)?.value;
        expect(Buffer.compare(found ?? new Uint8Array(0), large)).toBe(0);
      });
    });

    it('keeps regions apart', async () => {
      host.engine.createReplica(regionB, replica1);
      apply(host.engine, regionA, 1, [version('k', 10, 'a')]);
      apply(host.engine, regionB, 1, [version('k', 10, 'b'), version('l', 10, 'b')]);
      await inEveryLayer(() => {
        expect(shown(host.engine.get(regionA, utf8('k'), latest))).toBe('k@10=a');
        expect(shown(host.engine.get(regionB, utf8('k'), latest))).toBe('k@10=b');
        expect(shownAll(host.engine.scan(regionA, range()).records)).toEqual(['k@10=a']);
      });
    });
  });

  describe('scan', () => {
    it('gives the newest visible version of each key in order, without deletions', async () => {
      apply(host.engine, regionA, 1, [
        version('a', 10, 'a10'),
        version('a', 20, 'a20'),
        version('b', 10, 'b10'),
        version('b', 20, undefined),
        version('c', 30, 'c30'),
        version('d', 5, 'd5'),
      ]);
      await inEveryLayer(() => {
        const scan = (at: number, isReverse = false) =>
          shownAll(
            host.engine.scan(regionA, range({ at: at as typeof latest, isReverse })).records,
          );
        expect(scan(15)).toEqual(['a@10=a10', 'b@10=b10', 'd@5=d5']);
        expect(scan(25)).toEqual(['a@20=a20', 'd@5=d5']);
        expect(scan(30)).toEqual(['a@20=a20', 'c@30=c30', 'd@5=d5']);
        expect(scan(30, true)).toEqual(['d@5=d5', 'c@30=c30', 'a@20=a20']);
      });
    });

    it('includes the start and leaves out the end, in both directions', async () => {
      apply(
        host.engine,
        regionA,
        1,
        ['a', 'b', 'ba', 'c', 'd'].map((key) => version(key, 1, key)),
      );
      await inEveryLayer(() => {
        for (const isReverse of [false, true]) {
          const { records, hasMore } = host.engine.scan(
            regionA,
            range({ start: utf8('b'), end: utf8('c'), isReverse }),
          );
          const expected = ['b@1=b', 'ba@1=ba'];
          expect(shownAll(records)).toEqual(isReverse ? expected.reverse() : expected);
          expect(hasMore).toBe(false);
        }
      });
    });

    it('stops at recordsMax and says whether there is more', async () => {
      apply(
        host.engine,
        regionA,
        1,
        ['a', 'b', 'c'].map((key) => version(key, 1, key)),
      );
      await inEveryLayer(() => {
        const first = host.engine.scan(regionA, range({ recordsMax: 2 }));
        expect(shownAll(first.records)).toEqual(['a@1=a', 'b@1=b']);
        expect(first.hasMore).toBe(true);
        expect(first.lastKey).toEqual(utf8('b'));
        const all = host.engine.scan(regionA, range({ recordsMax: 3 }));
        expect(all.hasMore).toBe(false);
        expect(all.lastKey).toEqual(utf8('c'));
        const back = host.engine.scan(regionA, range({ recordsMax: 2, isReverse: true }));
        expect(shownAll(back.records)).toEqual(['c@1=c', 'b@1=b']);
        expect(back.lastKey).toEqual(utf8('b'));
      });
    });

    it('stops before bytesMax is passed, but gives one record at least', async () => {
      apply(host.engine, regionA, 1, [
        version('a', 1, '123456789'),
        version('b', 1, '123456789'),
        version('c', 1, '123456789'),
      ]);
      await inEveryLayer(() => {
        const two = host.engine.scan(regionA, range({ bytesMax: 29 }));
        expect(two.records.length).toBe(2);
        expect(two.hasMore).toBe(true);
        expect(two.lastKey).toEqual(utf8('b'));
        expect(host.engine.scan(regionA, range({ bytesMax: 30 })).records.length).toBe(3);
        expect(host.engine.scan(regionA, range({ bytesMax: 1 })).records.length).toBe(1);
      });
    });

    it('names a left-out deletion as the last key looked at', async () => {
      apply(host.engine, regionA, 1, [version('a', 1, 'a'), version('b', 2, undefined)]);
      await inEveryLayer(() => {
        const { records, lastKey, hasMore } = host.engine.scan(regionA, range());
        expect(shownAll(records)).toEqual(['a@1=a']);
        expect(lastKey).toEqual(utf8('b'));
        expect(hasMore).toBe(false);
      });
    });

    it('has no last key when it looked at none', async () => {
      await inEveryLayer(() => {
        expect(host.engine.scan(regionA, range())).toEqual({
          records: [],
          hasMore: false,
          lastKey: undefined,
        });
      });
    });

    it('passes a bounded number of deletions per page and comes to the end page by page', async () => {
      const puts: VersionedValue[] = [];
      for (let i = 0; i < scanDeletionsMax + 10; i++) {
        puts.push(version(`k${String(i).padStart(5, '0')}`, 1, undefined));
      }
      puts.push(version('z', 1, 'last'));
      apply(host.engine, regionA, 1, puts);
      const first = host.engine.scan(regionA, range());
      expect(first.records).toEqual([]);
      expect(first.hasMore).toBe(true);
      const start = new Uint8Array([...(first.lastKey ?? []), 0]);
      const second = host.engine.scan(regionA, range({ start }));
      expect(shownAll(second.records)).toEqual(['z@1=last']);
      expect(second.hasMore).toBe(false);
    });
  });

  describe('replicas', () => {
    it('start empty and durable at nothing', () => {
      expect(host.engine.replica(regionA)).toMatchObject({
        replicaId: replica1,
        appliedIndex: 0,
        appliedTerm: 0,
      });
      expect(host.engine.durableIndex(regionA)).toBe(0);
      expect(host.engine.replica(regionB)).toBeUndefined();
      expect(host.engine.durableIndex(regionB)).toBe(0);
    });

    it('are durable up to what was flushed, and recovered so', async () => {
      host.engine.createReplica(regionB, replica2);
      apply(host.engine, regionA, 7, [version('k', 1, 'v')]);
      expect(host.engine.durableIndex(regionA)).toBe(0);
      await host.settle();
      expect(host.engine.durableIndex(regionA)).toBe(7);
      apply(host.engine, regionA, 9, []);
      expect(host.engine.durableIndex(regionA)).toBe(7);
      expect(host.engine.replica(regionA)?.appliedIndex).toBe(9);
      await host.reopen();
      expect(host.engine.replica(regionA)).toMatchObject({ appliedIndex: 9, appliedTerm: 1 });
      expect(host.engine.durableIndex(regionA)).toBe(9);
      expect(host.engine.replicas().map(({ regionId }) => regionId)).toEqual([regionA, regionB]);
    });

    it('that are created again begin empty, and nothing old comes back', async () => {
      apply(host.engine, regionA, 5, [version('k', 1, 'old'), version('l', 1, 'old')]);
      await host.settle();
      host.engine.createReplica(regionA, replica2);
      expect(host.engine.durableIndex(regionA)).toBe(0);
      expect(host.engine.get(regionA, utf8('k'), latest)).toBeUndefined();
      apply(host.engine, regionA, 1, [version('l', 1, 'new')]);
      await inEveryLayer(() => {
        expect(shownAll(host.engine.scan(regionA, range()).records)).toEqual(['l@1=new']);
        expect(host.engine.replica(regionA)).toMatchObject({
          replicaId: replica2,
          appliedIndex: 1,
        });
      });
    });

    it('that are dropped stay away', async () => {
      apply(host.engine, regionA, 5, [version('k', 1, 'old')]);
      await host.settle();
      host.engine.dropReplica(regionA);
      await inEveryLayer(() => {
        expect(host.engine.replica(regionA)).toBeUndefined();
        expect(host.engine.replicas()).toEqual([]);
        expect(host.engine.durableIndex(regionA)).toBe(0);
      });
    });

    it('that are replaced while their flush is under way do not inherit its durable index', async () => {
      apply(host.engine, regionA, 5, [version('k', 1, 'old')]);
      host.beginFlush();
      host.engine.createReplica(regionA, replica2);
      await host.settle();
      expect(host.engine.durableIndex(regionA)).toBe(0);
      expect(host.engine.get(regionA, utf8('k'), latest)).toBeUndefined();
    });
  });

  describe('picture', () => {
    it('streams all versions in order, newest first within a key', async () => {
      apply(host.engine, regionA, 1, [version('b', 1, 'b1'), version('a', 1, 'a1')]);
      await host.settle();
      apply(
        host.engine,
        regionA,
        2,
        [version('a', 3, undefined), version('b', 1, 'again'), version('c', 2, 'c2')],
        [],
      );
      const expected = ['a@3=(deleted)', 'a@1=a1', 'b@1=again', 'c@2=c2'];
      await inEveryLayer(() => {
        for (const bytesMax of [0, 4, 1_000]) {
          const picture = host.engine.picture(regionA);
          expect(shownAll(drain(picture, bytesMax))).toEqual(expected);
          picture.close();
        }
      });
    });

    it('does not change with later writes, flushes, installs and drops', async () => {
      apply(host.engine, regionA, 1, [version('a', 1, 'a1'), version('b', 1, 'b1')]);
      await host.settle();
      apply(host.engine, regionA, 2, [version('c', 1, 'c1')], [version('a', 1, undefined)]);
      const picture = host.engine.picture(regionA);
      expect(shownAll(picture.next(1))).toEqual(['b@1=b1']);
      apply(
        host.engine,
        regionA,
        3,
        [version('bb', 1, 'late'), version('c', 1, 'late')],
        [version('b', 1, undefined)],
      );
      await host.settle();
      host.engine.dropReplica(regionA);
      await host.settle();
      expect(shownAll(drain(picture, 1_000))).toEqual(['c@1=c1']);
      picture.close();
    });

    it('does not keep flushes from becoming durable while it is open', async () => {
      apply(host.engine, regionA, 1, [version('a', 1, 'a1')]);
      await host.settle();
      const picture = host.engine.picture(regionA);
      for (let index = 2; index < 6; index++) {
        apply(host.engine, regionA, index, [version('a', index, 'later')]);
        await host.settle();
        expect(host.engine.durableIndex(regionA)).toBe(index);
      }
      expect(shownAll(drain(picture, 1_000))).toEqual(['a@1=a1']);
      picture.close();
    });
  });

  describe('install', () => {
    it('is invisible until its commit, and then replaces everything', async () => {
      apply(host.engine, regionA, 3, [version('old', 1, 'old'), version('k', 1, 'old')]);
      await host.settle();
      const install = host.engine.install(regionA);
      install.put([version('k', 5, 'new')]);
      await host.settle();
      install.put([version('l', 6, 'new'), version('l', 4, 'older')]);
      expect(shownAll(host.engine.scan(regionA, range()).records)).toEqual([
        'k@1=old',
        'old@1=old',
      ]);
      install.commit({ appliedIndex: 50, appliedTerm: 4 });
      await inEveryLayer(() => {
        expect(shownAll(host.engine.scan(regionA, range()).records)).toEqual([
          'k@5=new',
          'l@6=new',
        ]);
        expect(host.engine.replica(regionA)).toMatchObject({ appliedIndex: 50, appliedTerm: 4 });
      });
      expect(host.engine.durableIndex(regionA)).toBe(50);
    });

    it('that is aborted leaves everything as it was', async () => {
      apply(host.engine, regionA, 3, [version('k', 1, 'old')]);
      const install = host.engine.install(regionA);
      install.put([version('k', 5, 'new')]);
      host.beginFlush();
      install.abort();
      await inEveryLayer(() => {
        expect(shownAll(host.engine.scan(regionA, range()).records)).toEqual(['k@1=old']);
        expect(host.engine.replica(regionA)?.appliedIndex).toBe(3);
      });
    });

    it('that is not finished before a restart is gone', async () => {
      apply(host.engine, regionA, 3, [version('k', 1, 'old')]);
      const install = host.engine.install(regionA);
      install.put([version('k', 5, 'new'), version('m', 5, 'new')]);
      await host.settle();
      await host.reopen();
      expect(shownAll(host.engine.scan(regionA, range()).records)).toEqual(['k@1=old']);
      host.engine.createReplica(regionB, replica1);
      expect(host.engine.scan(regionB, range()).records).toEqual([]);
    });
  });

  it('reports flushes to its subscribers', async () => {
    let flushed = 0;
    host.engine.subscribe({ onFlushed: () => flushed++, onFailure: () => {} });
    apply(host.engine, regionA, 1, [version('k', 1, 'v')]);
    await host.settle();
    expect(flushed).toBeGreaterThan(0);
  });
});

describe.each([...engineAdapters, sectorEngine])('a small overlay on $name', (adapter) => {
  it('is full above its bound and not full once it was flushed', async () => {
    const host = await adapter.open({ overlayBytesMax: 10_000 });
    host.engine.createReplica(regionA, replica1);
    let index = 0;
    while (!host.engine.isFull()) {
      index += 1;
      apply(host.engine, regionA, index, [version(`k${index}`, index, 'x'.repeat(100))]);
      expect(index).toBeLessThan(200);
    }
    expect(index).toBeGreaterThan(40);
    await host.settle();
    expect(host.engine.isFull()).toBe(false);
    expect(host.engine.durableIndex(regionA)).toBe(index);
    await host.dispose();
  });
});
