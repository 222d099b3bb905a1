/**
 * The small parts: quorum, inflights, progress, the log tail, limits of recovery.
 */
import { createPrng, isMokuError } from '@moku/base';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { confStateOf, MemoryLogStore, Raft } from '../src/index.js';
import { Inflights } from '../src/inflights.js';
import { Progress } from '../src/progress.js';
import { matchedByMajority, roundOfMajority, voteOutcome } from '../src/quorum.js';
import { entries, id } from './harness/lone.js';
import { regionId } from './harness/test-node.js';

describe('quorum', () => {
  test('the matched index is the greatest that a majority reaches', () => {
    fc.assert(
      fc.property(fc.array(fc.nat(20), { minLength: 1, maxLength: 9 }), (indexes) => {
        const voters = indexes.map((matchIndex) => ({ matchIndex, readRound: 20 - matchIndex }));
        const reaches = (index: number) => indexes.filter((each) => each >= index).length;
        const found = matchedByMajority(voters);
        expect(reaches(found) * 2).toBeGreaterThan(indexes.length);
        expect(reaches(found + 1) * 2).toBeLessThanOrEqual(indexes.length);
        const rounds = indexes.map((each) => 20 - each);
        const round = roundOfMajority(voters);
        expect(rounds.filter((each) => each >= round).length * 2).toBeGreaterThan(rounds.length);
      }),
      { seed: 51, numRuns: 500 },
    );
  });

  test('a vote is won or lost by majorities, and pending in between', () => {
    const conf = confStateOf([1, 2, 3, 4, 5].map(id));
    const of = (granted: number[], refused: number[]) =>
      voteOutcome(conf, granted.map(id), refused.map(id));
    expect(of([1, 2], [3, 4])).toBe('pending');
    expect(of([1, 2, 5], [3, 4])).toBe('won');
    expect(of([1, 2], [3, 4, 5])).toBe('lost');
    expect(of([1, 2, 9, 8, 7], [])).toBe('pending');
    const joint = { ...conf, votersOutgoing: [id(6)] };
    expect(voteOutcome(joint, [1, 2, 3].map(id), [])).toBe('pending');
    expect(voteOutcome(joint, [1, 2, 3].map(id), [id(6)])).toBe('lost');
    expect(voteOutcome(joint, [1, 2, 3, 6].map(id), [])).toBe('won');
  });
});

describe('inflights', () => {
  test('count and bytes are those of what was added and not freed', () => {
    const moves = fc.array(fc.tuple(fc.boolean(), fc.nat(30)), { maxLength: 200 });
    fc.assert(
      fc.property(moves, (all) => {
        const inflights = new Inflights();
        let model: { last: number; bytes: number }[] = [];
        let last = 0;
        for (const [isAdd, n] of all) {
          if (isAdd) {
            last += 1 + (n % 3);
            inflights.add(last, n);
            model.push({ last, bytes: n });
          } else {
            const index = last - n;
            inflights.freeUpTo(index);
            model = model.filter((each) => each.last > index);
          }
          expect(inflights.count).toBe(model.length);
          expect(inflights.bytes).toBe(model.reduce((sum, each) => sum + each.bytes, 0));
        }
      }),
      { seed: 52, numRuns: 200 },
    );
  });

  test('bounds: messages, bytes, but always one', () => {
    const inflights = new Inflights();
    expect(inflights.isFull(2, 10)).toBe(false);
    inflights.add(1, 99);
    expect(inflights.isFull(2, 10)).toBe(true);
    inflights.freeUpTo(1);
    inflights.add(2, 1);
    expect(inflights.isFull(2, 10)).toBe(false);
    inflights.add(3, 1);
    expect(inflights.isFull(2, 10)).toBe(true);
    expect(() => inflights.add(3, 1)).toThrow('I1');
  });
});

describe('progress', () => {
  test('matchIndex stays below nextIndex and never falls, whatever comes', () => {
    const moves = fc.array(fc.tuple(fc.nat(4), fc.nat(30)), { maxLength: 100 });
    fc.assert(
      fc.property(moves, (all) => {
        const progress = new Progress(id(2), 1);
        let match = 0;
        for (const [kind, n] of all) {
          if (kind === 0) progress.matched(n);
          else if (kind === 1) progress.becomeProbe(n);
          else if (kind === 2) progress.becomeReplicate();
          else if (kind === 3) progress.becomeSnapshot(n);
          else if (progress.state !== 'snapshot') progress.sent(progress.nextIndex + n, n);
          expect(progress.matchIndex).toBeGreaterThanOrEqual(match);
          expect(progress.nextIndex).toBeGreaterThan(progress.matchIndex);
          if (progress.state !== 'replicate') expect(progress.inflights.count).toBe(0);
          match = progress.matchIndex;
        }
      }),
      { seed: 53, numRuns: 300 },
    );
  });
});

describe('recovery', () => {
  function boot(hard: { term: number; commitIndex: number }, appliedIndex: number): Raft {
    const store = new MemoryLogStore();
    const confState = confStateOf([1, 2, 3].map(id));
    const create = { replicaId: id(1), confState, truncatedIndex: 0, truncatedTerm: 0 };
    store.write([{ regionId, create, entries: entries('1/1', '2/2', '2/3') }]);
    store.write([{ regionId, truncate: { index: 1, term: 1 } }]);
    return new Raft({
      replicaId: id(1),
      electionTicks: 10,
      heartbeatTicks: 1,
      prng: createPrng(1),
      log: store.region(regionId)!,
      hardState: { ...hard, votedFor: id(0) },
      confState,
      appliedIndex,
    });
  }

  test('what fits together is taken up', () => {
    const raft = boot({ term: 2, commitIndex: 2 }, 3);
    expect([raft.lastIndex, raft.lastTerm, raft.commitIndex, raft.stableIndex]).toEqual([
      3, 2, 3, 3,
    ]);
    expect(raft.hasReady()).toBe(false);
  });

  test.each([
    ['a commitIndex behind the log', { term: 2, commitIndex: 4 }, 1, 'commitIndex'],
    ['an applied index behind the log', { term: 2, commitIndex: 1 }, 4, 'commitIndex'],
    ['an applied index below the log', { term: 2, commitIndex: 3 }, 0, 'appliedIndex'],
    ['a term below the last entry', { term: 1, commitIndex: 2 }, 2, 'term'],
  ])('%s is LOG_CORRUPT', (_, hard, appliedIndex, field) => {
    let caught: unknown;
    try {
      boot(hard, appliedIndex);
    } catch (error) {
      caught = error;
    }
    expect(isMokuError(caught, 'LOG_CORRUPT') && caught.details['field']).toBe(field);
  });
});
