import { compareBytes, emptyBytes, limits, type Timestamp, text, utf8 } from '@moku/base';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { decodeCommand, encodeCommand } from '../src/command-codec.js';
import type { Query, QueryOutcome } from '../src/commands.js';
import { storedKey, successor } from '../src/keys.js';
import { createKvMachine } from '../src/kv-machine.js';
import { createMemoryEngine } from '../src/memory-engine.js';
import { encodeQueryOutcome } from '../src/query-outcome-codec.js';
import { Driver, put, RegionDriver, replicaOne, wholeRegion, write } from './support.js';

type ScanQuery = Extract<Query, { type: 'scan' }>;
type Page = Extract<QueryOutcome, { type: 'page' }>;

const seed = 7004;
const everything: ScanQuery = {
  type: 'scan',
  epochVersion: 1,
  start: emptyBytes,
  end: undefined,
  isReverse: false,
  recordsMax: 100,
  bytesMax: limits.scanPageBytesMax,
  withValues: true,
  userPrefix: emptyBytes,
};

function page(region: RegionDriver, changed: Partial<ScanQuery> = {}): Page {
  const outcome = region.query({ ...everything, ...changed });
  if (outcome.type !== 'page') throw new Error(`no page but ${outcome.type}`);
  return outcome;
}

function keysOf(outcome: Page): string[] {
  return outcome.records.map((record) => text(record.key));
}

/** All pages of a scan, going on behind the last key looked at. */
function pages(region: RegionDriver, changed: Partial<ScanQuery>): Page[] {
  const all: Page[] = [];
  let query = { ...everything, ...changed };
  for (;;) {
    const next = page(region, query);
    all.push(next);
    if (!next.hasMore) return all;
    if (next.lastKey === undefined) throw new Error('a page with more has a last key');
    query = query.isReverse
      ? { ...query, end: next.lastKey }
      : { ...query, start: successor(next.lastKey) };
  }
}

function filled(keys: readonly string[], range = wholeRegion): RegionDriver {
  const region = new RegionDriver(range);
  for (const key of keys) region.run(write([put(key, `value of ${key}`)]));
  return region;
}

describe('get', () => {
  it('answers every key in order, undefined for an absent one', () => {
    const region = filled(['a', 'c']);
    const keys = [utf8('c'), utf8('b'), utf8('a')];
    const outcome = region.query({ type: 'get', epochVersion: 1, keys, withValues: true });
    if (outcome.type !== 'found') throw new Error(outcome.type);
    expect(outcome.records.map((record) => record && text(record.value))).toEqual([
      'value of c',
      undefined,
      'value of a',
    ]);
  });

  it('leaves values out when they are not wanted', () => {
    const region = filled(['a']);
    const keys = [utf8('a')];
    const outcome = region.query({ type: 'get', epochVersion: 1, keys, withValues: false });
    expect(outcome).toMatchObject({ records: [{ key: utf8('a'), value: emptyBytes }] });
  });

  it('answers fewer keys than asked rather than more than a page of bytes', () => {
    const region = new RegionDriver();
    for (const key of ['a', 'b', 'c']) region.run(write([put(key, 'v'.repeat(600_000))]));
    const keys = [utf8('a'), utf8('b'), utf8('c')];
    const outcome = region.query({ type: 'get', epochVersion: 1, keys, withValues: true });
    if (outcome.type !== 'found') throw new Error(outcome.type);
    expect(outcome.records).toHaveLength(1);
    expect(encodeQueryOutcome(outcome).length).toBeLessThan(limits.requestBytesMax);
  });

  it('refuses another epoch and keys outside the region', () => {
    const region = filled(['h'], { ...wholeRegion, startKey: utf8('g'), endKey: utf8('p') });
    const query = { type: 'get', epochVersion: 1, keys: [utf8('h'), utf8('z')] } as const;
    expect(region.query({ ...query, withValues: true })).toEqual({
      type: 'refused',
      reason: 'keyOutsideRegion',
    });
    expect(region.query({ ...query, epochVersion: 2, withValues: true })).toEqual({
      type: 'refused',
      reason: 'epochMismatch',
    });
  });
});

describe('scan', () => {
  it('goes through a range in both directions', () => {
    const region = filled(['a', 'b', 'c', 'd']);
    expect(keysOf(page(region))).toEqual(['a', 'b', 'c', 'd']);
    expect(keysOf(page(region, { start: utf8('b'), end: utf8('d') }))).toEqual(['b', 'c']);
    expect(keysOf(page(region, { start: utf8('b'), isReverse: true }))).toEqual(['d', 'c', 'b']);
    expect(page(region, { start: utf8('x') })).toEqual({
      type: 'page',
      records: [],
      hasMore: false,
      lastKey: undefined,
    });
  });

  it('is cut to the region', () => {
    const region = filled(['h', 'i'], { ...wholeRegion, startKey: utf8('g'), endKey: utf8('p') });
    expect(keysOf(page(region, { start: utf8('a'), end: utf8('z') }))).toEqual(['h', 'i']);
    expect(keysOf(page(region, { isReverse: true }))).toEqual(['i', 'h']);
    expect(page(region, { start: utf8('q') }).records).toEqual([]);
    expect(page(region, { end: utf8('c') }).records).toEqual([]);
  });

  it('is cut to the region, though its store holds more', () => {
    const engine = createMemoryEngine();
    let descriptor = wholeRegion;
    const machine = createKvMachine({
      descriptor: () => descriptor,
      engine,
      replicaId: replicaOne,
    });
    const region = new Driver(machine);
    for (const key of ['a', 'g', 'h', 'p', 'z']) region.run(write([put(key, '')]));
    descriptor = { ...wholeRegion, startKey: utf8('g'), endKey: utf8('p') };
    for (const isReverse of [false, true]) {
      for (const end of [undefined, utf8('zz')]) {
        const outcome = machine.query({ ...everything, end, isReverse }, region.wallMs);
        if (outcome.type !== 'page') throw new Error(outcome.type);
        expect(keysOf(outcome).sort()).toEqual(['g', 'h']);
      }
    }
  });

  it('gives each record once over pages of any size, in both directions', () => {
    const keys = fc.uniqueArray(fc.string({ minLength: 1, maxLength: 4 }), { maxLength: 40 });
    fc.assert(
      fc.property(
        keys,
        fc.integer({ min: 1, max: 7 }),
        fc.integer({ min: 1, max: 300 }),
        fc.boolean(),
        (names, recordsMax, bytesMax, isReverse) => {
          const region = filled(names);
          const found = pages(region, { recordsMax, bytesMax, isReverse }).flatMap((each) => {
            expect(each.records.length).toBeLessThanOrEqual(recordsMax);
            const bytes = each.records.reduce(
              (sum, { key, value }) => sum + key.length + value.length,
              0,
            );
            if (each.records.length > 1) expect(bytes).toBeLessThanOrEqual(bytesMax);
            return each.records.map((record) => record.key);
          });
          const sorted = names.map(utf8).sort(compareBytes);
          expect(found).toEqual(isReverse ? sorted.reverse() : sorted);
        },
      ),
      { seed, numRuns: 100 },
    );
  });

  it('never shows the machine records', () => {
    const region = filled(['a']);
    region.openSession();
    expect(keysOf(page(region))).toEqual(['a']);
    expect(keysOf(page(region, { isReverse: true }))).toEqual(['a']);
  });

  it('filters hashed keys by the prefix of their user part', () => {
    const region = new RegionDriver();
    for (const name of ['FR/A/1', 'FR/B/2', 'DE/A/3', 'F', 'FR/A/4']) {
      const operation = { ...put(name, ''), key: storedKey('hash', utf8(name)) };
      region.run(write([operation]));
    }
    for (const isReverse of [false, true]) {
      for (const recordsMax of [1, 2, 3, 10]) {
        const found = pages(region, { userPrefix: utf8('FR/'), recordsMax, isReverse })
          .flatMap((each) => each.records)
          .map((record) => text(record.key.subarray(8)));
        expect(found.sort()).toEqual(['FR/A/1', 'FR/A/4', 'FR/B/2']);
      }
    }
  });

  it('does a bounded amount of work for one page, though nothing matches', () => {
    const region = new RegionDriver();
    const value = 'v'.repeat(60_000);
    for (let i = 0; i < 120; i++) region.run(write([put(`12345678key-${i}`, value)]));
    const all = pages(region, { userPrefix: utf8('none') });
    expect(all.length).toBeGreaterThan(1);
    expect(all[0]).toMatchObject({ records: [], hasMore: true });
  });

  it('refuses another epoch', () => {
    expect(filled([]).query({ ...everything, epochVersion: 3 })).toEqual({
      type: 'refused',
      reason: 'epochMismatch',
    });
  });

  it('asks for the settling of every key past its time that it met, then goes on', () => {
    const region = filled(['a', 'd']);
    region.run(write([put('b', 'v', { ttlMs: 10 }), put('c', 'v', { ttlMs: 20 })]));
    region.wallMs += 15;
    const outcome = region.query(everything);
    if (outcome.type !== 'expired') throw new Error(outcome.type);
    expect(outcome.keys.map(({ key }) => text(key))).toEqual(['b']);
    region.run({ type: 'expire', keys: outcome.keys });
    expect(keysOf(page(region))).toEqual(['a', 'c', 'd']);
  });

  it.each([4_000, 100])('names no more keys to settle than one command takes (%i)', (bytes) => {
    const region = new RegionDriver();
    const keys = Array.from({ length: 1.2e6 / bytes }, (_, i) => `${i}`.padEnd(bytes, 'k'));
    for (let from = 0; from < keys.length; from += 200) {
      region.run(write(keys.slice(from, from + 200).map((key) => put(key, '', { ttlMs: 1 }))));
    }
    region.wallMs += 1;
    let settled = 0;
    for (;;) {
      const outcome = region.query({ ...everything, recordsMax: 10_000 });
      if (outcome.type === 'page') break;
      if (outcome.type !== 'expired') throw new Error(outcome.type);
      settled += outcome.keys.length;
      const command = encodeCommand({ type: 'expire', keys: outcome.keys });
      expect(decodeCommand(command).type).toBe('expire');
      region.applyBytes([command]);
    }
    expect(settled).toBe(keys.length);
  });
});

describe('digest', () => {
  function digest(region: RegionDriver) {
    const outcome = region.query({ type: 'digest' });
    if (outcome.type !== 'digest') throw new Error(outcome.type);
    return outcome;
  }

  it('counts the records and names the applied index', () => {
    const region = filled(['a', 'b']);
    region.openSession();
    expect(digest(region)).toMatchObject({ appliedIndex: 3, records: 2 });
    expect(digest(region).digest).toMatch(/^[0-9a-f]{16}$/);
  });

  it('tells a value, a version, a key and a session apart', () => {
    const make = (change: (region: RegionDriver) => void) => {
      const region = filled(['a']);
      change(region);
      return digest(region).digest;
    };
    const digests = [
      make((region) => region.run(write([put('b', '1')]))),
      make((region) => region.run(write([put('b', '2')]))),
      make((region) => region.run(write([put('c', '1')]))),
      make((region) => {
        region.wallMs += 1;
        region.run(write([put('b', '1')]));
      }),
      make((region) => region.openSession()),
    ];
    expect(new Set(digests).size).toBe(digests.length);
    expect(make((region) => region.run(write([put('b', '1')])))).toBe(digests[0]);
  });

  it('tells versions apart that were given in another order', () => {
    const [one, other] = [new RegionDriver(), new RegionDriver()];
    one.apply(write([put('a', 'v')]), write([put('b', 'v')]));
    other.apply(write([put('b', 'v')]), write([put('a', 'v')]));
    expect(digest(one).digest).not.toBe(digest(other).digest);
  });

  it('sees one changed byte in a large store', () => {
    const region = new RegionDriver();
    for (let i = 0; i < 40; i++) {
      region.apply(
        ...Array.from({ length: 100 }, (_, j) => write([put(`key-${i}-${j}`, 'v'.repeat(50))])),
      );
    }
    const before = digest(region);
    expect(before.records).toBe(4_000);
    const { regionId } = region.region;
    const key = utf8('\u0001key-20-20');
    const found = region.engine.get(regionId, key, Number.MAX_SAFE_INTEGER as Timestamp)!;
    const value = found.value!.slice();
    value[10]! ^= 1;
    region.engine.write({
      regionId,
      appliedIndex: 40,
      appliedTerm: 1,
      puts: [{ ...found, value }],
      removes: [],
    });
    expect(digest(region)).toMatchObject({ records: 4_000, appliedIndex: 40 });
    expect(digest(region).digest).not.toBe(before.digest);
  });
});
