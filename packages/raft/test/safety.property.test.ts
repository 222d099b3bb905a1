/**
 * Groups of 3 and 5 under random moves; the safety properties of the paper are checked after every
 * step, and afterwards the healed group must make progress.
 *
 * Replay: RAFT_SEED=<seed> RAFT_PATH=<path> npx vitest run packages/raft/test/safety.property.test.ts
 */
import { createPrng } from '@moku/base';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { Chaos, type ChaosOptions, converge, type Move, moveKinds } from './harness/chaos.js';
import { Group } from './harness/group.js';

const seed = Number(process.env['RAFT_SEED'] ?? 20260723);
const path = process.env['RAFT_PATH'];
const runs = Number(process.env['RAFT_RUNS'] ?? 600);

/** Short timeouts make many terms. */
const quick = { electionTicks: 3, heartbeatTicks: 1 };

/** Without bias: small numbers are no more interesting than others. */
const moves: fc.Arbitrary<Move[]> = fc.noBias(
  fc.array(fc.tuple(fc.nat(moveKinds - 1), fc.nat(255), fc.nat(255)), {
    minLength: 200,
    maxLength: 600,
    size: 'max',
  }),
);

function live(group: Group, options: ChaosOptions, all: readonly Move[]): Chaos {
  const chaos = new Chaos(group, options);
  for (const move of all) chaos.move(move);
  converge(group);
  return chaos;
}

function check(make: (seed: number) => Group, options: ChaosOptions): void {
  fc.assert(
    fc.property(fc.nat(0xffff), moves, (groupSeed, all) => {
      live(make(groupSeed), options, all);
    }),
    {
      seed,
      numRuns: runs,
      ...(path === undefined ? {} : { path }),
      ...(process.env['RAFT_NO_SHRINK'] === undefined ? {} : { endOnFailure: true }),
    },
  );
}

describe('a group under random moves is safe after every step, and lives on when healed', () => {
  test('three voters', () => {
    check((s) => new Group([1, 2, 3], [], { seed: s, ...quick }), { withConfChanges: false });
  });

  test('five voters', () => {
    check((s) => new Group([1, 2, 3, 4, 5], [], { seed: s, ...quick }), { withConfChanges: false });
  });

  test('three voters with narrow bounds', () => {
    const limits = { appendEntriesMax: 2, inflightMessagesMax: 2, appendBytesMax: 6, readsMax: 4 };
    check((s) => new Group([1, 2, 3], [], { seed: s, limits, ...quick }), {
      withConfChanges: false,
    });
  });

  test('three voters watched by their hosts', () => {
    const byNode = { electionTicks: 3, heartbeatTicks: 0 };
    check((s) => new Group([1, 2, 3], [], { seed: s, ...byNode }), { withConfChanges: false });
  });

  test('changing configurations among five', () => {
    check((s) => withJoiners(s), { withConfChanges: true });
  });
});

function withJoiners(groupSeed: number): Group {
  const group = new Group([1, 2, 3], [], { seed: groupSeed, ...quick });
  group.add(4);
  group.add(5);
  return group;
}

test('the random moves reach what they are meant to reach', () => {
  const prng = createPrng(seed);
  const group = withJoiners(7);
  const chaos = new Chaos(group, { withConfChanges: true });
  for (let i = 0; i < 30_000; i++) {
    chaos.move([prng.below(moveKinds), prng.below(256), prng.below(256)]);
  }
  converge(group);
  expect(group.invariants.terms, `seed ${seed}`).toBeGreaterThan(20);
  expect(group.invariants.commitCount, `seed ${seed}`).toBeGreaterThan(100);
  for (const name of [
    'crashed',
    'installed',
    'compacted',
    'confChanged',
    'leftJoint',
    'transferred',
    'read',
  ]) {
    expect(chaos.counts[name] ?? 0, `${name}, seed ${seed}`).toBeGreaterThan(2);
  }
});
