/**
 * The exhaustive exploration of the claims protocol: every range of the gate's form to its last state,
 * every rule dropped. One story per range, so that each has a bound of its own.
 */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { rangesOf, variants } from '../../src/explore/forms.js';
import { type ExploreBounds, rules } from '../../src/explore/rules.js';
import { Search, type SearchResult } from '../../src/explore/search.js';

const wide: ExploreBounds = {
  termMax: 15,
  proposeIndexMax: 20,
  faultsMax: 15,
  crashesMax: 3,
  replacementsMax: 2,
  failuresMax: 4,
  heartbeatsMax: 15,
  claimsMax: 12,
  queueMax: 8,
  doAllBeat: true,
  isDiskSlow: false,
};
const seed = 20_251;
/** A range takes 1–7 s of an idle core. */
const timeoutMs = 60_000;

const leastStates: Readonly<Record<string, number>> = {
  'two faults': 20_000,
  'a term change': 10_000,
  'a term change and a fault': 150_000,
  'two term changes': 200_000,
  'entries and heartbeats around a fault': 150_000,
  'a slow disk': 150_000,
};

describe('every state within reach is safe and has a way back', () => {
  for (const { name, bounds } of rangesOf.gate) {
    it(`within ${name}`, { timeout: timeoutMs }, () => {
      const result = searched({ bounds, drop: 'none', situation: [] });
      expect(result.finding).toBeUndefined();
      expect(result.isComplete).toBe(true);
      expect(result.states).toBeGreaterThan(leastStates[name]!);
    });
  }
});

describe('long ways beyond what can be exhausted', () => {
  for (const isDiskSlow of [false, true]) {
    it(`are safe and lead back, ${isDiskSlow ? 'a slow' : 'a fast'} disk`, {
      timeout: timeoutMs,
    }, () => {
      const bounds = { ...wide, isDiskSlow };
      const search = new Search({
        ...{ bounds, drop: 'none', situation: [] },
        ...{ statesMax: 1, onProgress: () => {} },
      });
      const choices = fc.array(fc.nat(), { minLength: 20, maxLength: 120, size: 'max' });
      fc.assert(
        fc.property(choices, (ways) => {
          expect(search.walk(ways)).toBeUndefined();
        }),
        { seed, numRuns: 150 },
      );
    });
  }
});

describe('without the rule that', () => {
  it('each is dropped once', () => {
    expect(variants.map(({ rule }) => rule).sort()).toEqual([...rules].sort());
  });

  for (const { rule, bounds, situation } of variants) {
    it(`${rule}, a check fails`, { timeout: timeoutMs }, () => {
      const search = { bounds, situation };
      expect(searched({ ...search, drop: rule }).finding).toBeDefined();
      // The start itself is no reason.
      expect(searched({ ...search, drop: 'none', statesMax: 3_000 }).finding).toBeUndefined();
    });
  }

  it('an answer stays behind queued detaches, the way to the finding can be gone again', () => {
    const { rule, bounds, situation } = variants.find(
      (variant) => variant.rule === 'an answer stays behind queued detaches',
    )!;
    const options = { bounds, situation, statesMax: 10_000, onProgress: () => {} };
    const { finding } = new Search({ ...options, drop: rule }).run();
    expect(new Search({ ...options, drop: rule }).replay(finding!.trace)).toBe(finding!.violation);
    expect(new Search({ ...options, drop: 'none' }).replay(finding!.trace)).toBeUndefined();
  });
});

function searched(options: {
  readonly bounds: (typeof variants)[number]['bounds'];
  readonly drop: (typeof variants)[number]['rule'] | 'none';
  readonly situation: readonly string[];
  readonly statesMax?: number;
}): SearchResult {
  const statesMax = options.statesMax ?? 1_000_000;
  return new Search({ ...options, statesMax, onProgress: () => {} }).run();
}
