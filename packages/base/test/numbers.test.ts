import { describe, expect, it } from 'vitest';
import { hash64 } from '../src/hash.js';
import { toNodeId, toRegionId, toReplicaId } from '../src/ids.js';
import { Histogram } from '../src/metrics.js';
import { createPrng } from '../src/prng.js';
import { nextTimestamp, type Timestamp, timestampOf, wallMsOf } from '../src/timestamp.js';

describe('random numbers', () => {
  it('are decided by the seed', () => {
    const draw = (seed: number): number[] => {
      const prng = createPrng(seed);
      return Array.from({ length: 5 }, () => prng.next());
    };
    expect(draw(7)).toEqual(draw(7));
    expect(draw(7)).not.toEqual(draw(8));
    expect(draw(7)).not.toEqual(draw(7 + 2 ** 32));
  });

  it('fill their range evenly', () => {
    const prng = createPrng(1);
    const counts = new Array<number>(10).fill(0);
    for (let i = 0; i < 100_000; i++) counts[prng.below(10)]! += 1;
    for (const count of counts) expect(Math.abs(count - 10_000)).toBeLessThan(500);
  });

  it('of a split stream do not depend on later draws from the first', () => {
    const a = createPrng(3);
    const splitA = a.split();
    a.next();
    const splitB = createPrng(3).split();
    expect(splitA.next()).toBe(splitB.next());
  });
});

describe('hash64', () => {
  it('is xxHash64', () => {
    expect(hash64(new Uint8Array(0))).toBe(0xef46db3751d8e999n);
  });
});

describe('ids from outside', () => {
  it.each([0, 65_536, 1.5, Number.NaN, -1])('refuse %s as a node', (value) => {
    expect(() => toNodeId(value)).toThrow('nodeId');
  });

  it('accept their bounds', () => {
    expect([toNodeId(65_535), toRegionId(0), toReplicaId(2 ** 32 - 1)]).toEqual([
      65_535,
      0,
      2 ** 32 - 1,
    ]);
  });
});

describe('timestamps', () => {
  const now = Date.UTC(2026, 10, 22, 12, 0, 0, 7);

  it('keep the millisecond', () => {
    expect(wallMsOf(timestampOf(now))).toBe(now);
  });

  it('ascend though the clock goes back or is broken', () => {
    const last = timestampOf(now);
    expect(nextTimestamp(last, now - 60_000)).toBe(last + 1);
    expect(nextTimestamp(last, -1)).toBe(last + 1);
    expect(nextTimestamp(last, now + 1)).toBe(timestampOf(now + 1));
  });

  it('are safe integers until 2089', () => {
    const end = timestampOf(Date.UTC(2089, 0, 1));
    expect(Number.isSafeInteger(end + 4096)).toBe(true);
    const zero = 0 as Timestamp;
    expect(nextTimestamp(zero, 0)).toBe(1);
  });
});

describe('a histogram', () => {
  it('counts a value in the bucket of its power of two', () => {
    const histogram = new Histogram();
    for (const value of [0, 0.5, 1, 3, 4, 2 ** 60]) histogram.record(value);
    expect(histogram.count).toBe(6);
    expect([...histogram.buckets.slice(0, 4)]).toEqual([2, 1, 1, 1]);
    expect(histogram.buckets[47]).toBe(1);
  });
});
