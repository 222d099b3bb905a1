import { createPrng } from '@moku/base';
import { describe, expect, it } from 'vitest';
import { Backoff } from '../src/links/backoff.js';

function backoff(seed: number): Backoff {
  return new Backoff({ minMs: 50, maxMs: 2_000, prng: createPrng(seed) });
}

describe('a backoff', () => {
  it('doubles from the least wait to the greatest, within the upper half of each', () => {
    for (let seed = 0; seed < 50; seed++) {
      const waits = backoff(seed);
      for (const ceiling of [50, 100, 200, 400, 800, 1_600, 2_000, 2_000]) {
        const wait = waits.next();
        expect(wait).toBeGreaterThanOrEqual(ceiling / 2);
        expect(wait).toBeLessThanOrEqual(ceiling);
      }
    }
  });

  it('differs between nodes that failed together', () => {
    const first = Array.from({ length: 20 }, (_, seed) => backoff(seed).next());
    expect(new Set(first).size).toBe(20);
  });

  it('is short again after a reset, and long at once when there is no hope', () => {
    const waits = backoff(1);
    waits.despair();
    expect(waits.next()).toBeGreaterThanOrEqual(1_000);
    waits.reset();
    expect(waits.next()).toBeLessThanOrEqual(50);
  });
});
