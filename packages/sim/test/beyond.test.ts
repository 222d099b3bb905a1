/** Disks destroyed beyond a quorum: nodes stop rather than lie, and every call ends. */
import { describe, expect, it } from 'vitest';
import { simulate } from '../src/index.js';

const boundMs = 120_000;

/** Runs one seed; also gives the nodes that refused to start for good. */
async function run(seed: number) {
  const refused = new Set<string>();
  const result = await simulate({
    seed,
    profile: 'beyond',
    print: (line) => {
      const [, node] = /refused (\d+) (?:LOG_AMNESIA|LOG_CORRUPT|ENGINE_CORRUPT)/.exec(line) ?? [];
      if (node !== undefined) refused.add(node);
    },
  });
  return { result, refused: refused.size };
}

describe('disks destroyed beyond a quorum', () => {
  it(
    'stop nodes, also more than a minority, and no answer is wrong',
    async () => {
      let refusedMost = 0;
      let destroyed = 0;
      for (let seed = 1001; seed <= 1006; seed++) {
        // One after the other: a run has the thread to itself.
        const { result, refused } = await run(seed);
        expect(result.failure).toBeUndefined();
        refusedMost = Math.max(refusedMost, refused);
        const { bitFlip, lostSuffix, wipe } = result.faultsByClass;
        destroyed += bitFlip + lostSuffix + wipe;
      }
      expect(refusedMost).toBeGreaterThanOrEqual(2);
      expect(destroyed).toBeGreaterThan(5);
    },
    boundMs,
  );
});
