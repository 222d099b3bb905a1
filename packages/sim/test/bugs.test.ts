import { describe, expect, it } from 'vitest';
import { type Bug, simulate } from '../src/index.js';

const boundMs = 180_000;

/** Invariants that the first `seedsMax` seeds name, up to the first one that does. */
async function findBug(bug: Bug, seedsMax: number): Promise<string> {
  for (let seed = 1; seed <= seedsMax; seed++) {
    // One after the other: a run has the thread to itself.
    const { failure } = await simulate({ seed, bug });
    if (failure !== undefined) return failure.invariant;
  }
  return 'not found';
}

describe('the simulator can fail: it finds', () => {
  it(
    'a log that says durable before it has synced',
    async () => {
      expect(await findBug('durableBeforeSync', 1)).toBe('durable before send');
    },
    boundMs,
  );

  it(
    'an engine that claims a durable index which a crash takes away',
    async () => {
      expect(await findBug('durableIndexAhead', 5)).not.toBe('not found');
    },
    boundMs,
  );

  it(
    'a transport that replays a frame of a former session',
    async () => {
      expect(await findBug('oldFrameReplayed', 5)).not.toBe('not found');
    },
    boundMs,
  );
});
