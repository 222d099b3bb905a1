import { createPrng } from '@moku/base';
import { describe, expect, it } from 'vitest';
import { judgeRange, judgeRun, rangeSeedsMin } from '../src/run/floors.js';
import { classesOf, drawProfile } from '../src/run/profile.js';

const profile = drawProfile('swarm', createPrng(1));
const enough = {
  reads: 8,
  acknowledged: 8,
  leaderChanges: profile.regions + 1,
  faultsByClass: { crash: 30 },
};
const expected = { callsPerKind: 8, faults: 100 };

describe('a run', () => {
  it('that observed what every right run does is judged', () => {
    expect(judgeRun(enough, profile, expected).verdict).toBe('pass');
  });

  it.each([
    ['reads', { ...enough, reads: 7 }],
    ['acknowledged writes', { ...enough, acknowledged: 7 }],
    ['leader changes', { ...enough, leaderChanges: profile.regions }],
    ['faults', { ...enough, faultsByClass: {} }],
  ])('that observed too few %s is unknown', (_what, observed) => {
    expect(judgeRun(observed, profile, expected).verdict).toBe('unknown');
  });

  it('need not meet faults that are rare', () => {
    const observed = { ...enough, faultsByClass: {} };
    expect(judgeRun(observed, profile, { ...expected, faults: 3 }).verdict).toBe('pass');
  });
});

describe('a range of runs', () => {
  const runs = rangeSeedsMin;
  const faultsByClass = Object.fromEntries(classesOf.network.map((each) => [each, runs]));
  const many = { reads: 1e6, acknowledged: 1e6, leaderChanges: 1e6, faultsByClass };

  it('passes with reads, writes, leader changes and faults of each of its classes', () => {
    expect(judgeRange(many, ['network'], runs).verdict).toBe('pass');
  });

  it('is unknown when a class of faults hardly happened', () => {
    const observed = { ...many, faultsByClass: { ...faultsByClass, partition: 1 } };
    expect(judgeRange(observed, ['network'], runs).verdict).toBe('unknown');
  });

  it('is unknown when it read too little, and not judged when it is short', () => {
    const observed = { ...many, reads: 10 };
    expect(judgeRange(observed, ['network'], runs).verdict).toBe('unknown');
    expect(judgeRange(observed, ['network'], runs - 1).verdict).toBe('pass');
  });
});
