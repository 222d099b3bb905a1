/**
 * What a run, or a range of runs, has to have observed at least: less has shown nothing, however right it
 * was. The floors of one run hold for every seed that is right; those of a range are about averages.
 */
import { checkFloors } from '../check/floors.js';
import type { Verdict } from '../check/verdict.js';
import type { Profile, ProfileName } from './profile.js';
import { classesOf } from './profile.js';

export interface Observed {
  readonly reads: number;
  readonly acknowledged: number;
  readonly leaderChanges: number;
  readonly faultsByClass: Readonly<Record<string, number>>;
}

/** Ranges of fewer seeds are not judged: any average is possible. */
export const rangeSeedsMin = 100;

/** Faults come at random: below this many expected ones, none is possible. */
const expectedFaultsMin = 20;
const expectedPerFault = 8;

/** Per run of a range, on average: about a fifth of what was seen when they were set. */
const averages: Readonly<Record<ProfileName, Omit<Observed, 'faultsByClass'>>> = {
  swarm: { reads: 30, acknowledged: 20, leaderChanges: 5 },
  network: { reads: 80, acknowledged: 50, leaderChanges: 3 },
  disk: { reads: 30, acknowledged: 20, leaderChanges: 5 },
  'many-regions': { reads: 20, acknowledged: 20, leaderChanges: 1_000 },
  beyond: { reads: 10, acknowledged: 10, leaderChanges: 3 },
};

/**
 * Judges one run that came to its end with a quorum: every client has read and written each of its keys,
 * every region has had a leader, and of many faults that were to be expected some happened.
 */
export function judgeRun(
  observed: Observed,
  profile: Profile,
  expected: { readonly callsPerKind: number; readonly faults: number },
): Verdict {
  const floors = {
    reads: expected.callsPerKind,
    acknowledged: expected.callsPerKind,
    leaderChanges: profile.regions + 1,
    faults:
      expected.faults < expectedFaultsMin ? 0 : Math.floor(expected.faults / expectedPerFault),
  };
  const faults = Object.values(observed.faultsByClass).reduce((sum, each) => sum + each, 0);
  const { reads, acknowledged, leaderChanges } = observed;
  return checkFloors({ reads, acknowledged, leaderChanges, faults }, floors);
}

/** Judges the sums over `runsEach` runs in each of `profiles`; passes when they are too few. */
export function judgeRange(
  observed: Observed,
  profiles: readonly ProfileName[],
  runsEach: number,
): Verdict {
  if (runsEach < rangeSeedsMin) return { verdict: 'pass' };
  const floors: Record<string, number> = { reads: 0, acknowledged: 0, leaderChanges: 0 };
  for (const profile of profiles) {
    for (const [name, average] of Object.entries(averages[profile])) {
      floors[name] = (floors[name] ?? 0) + average * runsEach;
    }
    for (const each of classesOf[profile]) floors[each] = runsEach / 10;
  }
  const { reads, acknowledged, leaderChanges, faultsByClass } = observed;
  return checkFloors({ ...faultsByClass, reads, acknowledged, leaderChanges }, floors);
}
