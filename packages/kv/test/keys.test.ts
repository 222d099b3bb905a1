import { compareBytes, concatBytes, hash64, isMokuError, limits, utf8 } from '@moku/base';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  contains,
  findRegion,
  findRegionIndex,
  routingPrefixLength,
  startKeysOf,
  storedKey,
  successor,
  userKey,
} from '../src/keys.js';
import { wholeRegion } from './support.js';

const seed = 7003;

describe('stored keys', () => {
  it('are the user keys in a range keyspace', () => {
    const key = utf8('a/b');
    expect(storedKey('range', key)).toBe(key);
    expect(userKey('range', key)).toBe(key);
  });

  it('put the hash of the routing prefix in front in a hash keyspace', () => {
    const stored = storedKey('hash', utf8('FR/IDF/Paris#1'));
    const hash = new DataView(stored.buffer).getBigUint64(0, false);
    expect(hash).toBe(hash64(utf8('FR/IDF/')));
    expect(userKey('hash', stored)).toEqual(utf8('FR/IDF/Paris#1'));
  });

  it('keep a bucket together and in order, and give keys back', () => {
    const part = fc
      .uint8Array({ minLength: 1, maxLength: 10 })
      .map((p) => p.filter((b) => b !== 0x2f));
    fc.assert(
      fc.property(part, part, part, (bucket, a, b) => {
        const prefix = concatBytes([bucket, utf8('/')]);
        const [one, two] = [concatBytes([prefix, a]), concatBytes([prefix, b])];
        const [storedOne, storedTwo] = [storedKey('hash', one), storedKey('hash', two)];
        expect(storedOne.subarray(0, 8)).toEqual(storedTwo.subarray(0, 8));
        expect(Math.sign(compareBytes(storedOne, storedTwo))).toBe(
          Math.sign(compareBytes(one, two)),
        );
        expect(userKey('hash', storedOne)).toEqual(one);
      }),
      { seed },
    );
  });

  it('route by the whole key when it has no slash, and up to the last one when it has', () => {
    expect(routingPrefixLength(utf8('abc'))).toBe(3);
    expect(routingPrefixLength(utf8('a/b/c'))).toBe(4);
    expect(routingPrefixLength(utf8('a/'))).toBe(2);
  });

  it('refuse an empty or oversized user key in both modes, naming the bound', () => {
    for (const mode of ['hash', 'range'] as const) {
      expect(() => storedKey(mode, utf8(''))).toThrow('KEY_EMPTY');
      const large = new Uint8Array(limits.keyBytesMax + 1);
      try {
        storedKey(mode, large);
        expect.unreachable();
      } catch (error) {
        expect(isMokuError(error, 'KEY_TOO_LARGE')).toBe(true);
        expect(isMokuError(error) && error.details).toMatchObject({ max: limits.keyBytesMax });
      }
      expect(storedKey(mode, large.subarray(1)).length).toBeGreaterThanOrEqual(limits.keyBytesMax);
    }
  });

  it('refuse to give back the user key of too short a stored key', () => {
    expect(() => userKey('hash', new Uint8Array(8))).toThrow('FRAME_MALFORMED');
  });
});

describe('regions of a keyspace', () => {
  function regionsFrom(starts: readonly Uint8Array[]) {
    return starts.map((startKey, i) => ({ ...wholeRegion, startKey, endKey: starts[i + 1] }));
  }

  it('cut the hash space evenly', () => {
    const starts = startKeysOf('hash', 4, []);
    expect(starts.map((start) => [...start.subarray(0, 2)])).toEqual([
      [],
      [0x40, 0],
      [0x80, 0],
      [0xc0, 0],
    ]);
    expect(startKeysOf('hash', 1, [])).toHaveLength(1);
  });

  it('hold every key exactly once, and the search finds the one', () => {
    const bounds = fc
      .uniqueArray(fc.uint8Array({ minLength: 1, maxLength: 3 }), {
        maxLength: 12,
        selector: (key) => key.join(),
      })
      .map((keys) => keys.sort(compareBytes));
    fc.assert(
      fc.property(bounds, fc.uint8Array({ minLength: 1, maxLength: 4 }), (splits, key) => {
        const regions = regionsFrom(startKeysOf('range', splits.length + 1, splits));
        const holders = regions.filter((region) => contains(region, key));
        expect(holders).toHaveLength(1);
        expect(findRegion(regions, key)).toBe(holders[0]);
      }),
      { seed, numRuns: 300 },
    );
  });

  it('are not found for a key in a gap', () => {
    const [first, , third] = regionsFrom(startKeysOf('range', 3, [utf8('g'), utf8('p')]));
    expect(findRegionIndex([first!, third!], utf8('h'))).toBe(-1);
    expect(findRegionIndex([third!], utf8('a'))).toBe(-1);
    expect(findRegionIndex([], utf8('a'))).toBe(-1);
    expect(findRegionIndex([first!, third!], utf8('p'))).toBe(1);
  });

  it('spread the buckets of a hash keyspace', () => {
    const regions = regionsFrom(startKeysOf('hash', 8, []));
    const held = new Array<number>(8).fill(0);
    for (let i = 0; i < 8_000; i++) {
      held[findRegionIndex(regions, storedKey('hash', utf8(`bucket-${i}/x`)))]! += 1;
    }
    for (const count of held) expect(count).toBeGreaterThan(800);
  });

  it('follow one another without a key in between', () => {
    expect(compareBytes(successor(utf8('a')), utf8('a'))).toBeGreaterThan(0);
    expect([...successor(utf8('a'))]).toEqual([0x61, 0]);
  });
});
