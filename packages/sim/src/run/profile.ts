/**
 * What a seed draws before its run: the size of the cluster, its speeds, its timings, and which faults
 * there are.
 */
import { createPrng, hash32, type Prng, utf8 } from '@moku/base';
import { defaultTimings, type NodeTimings } from '@moku/node';
import type { RegionHostConfig } from '@moku/region';
import {
  clientClasses,
  destructiveClasses,
  diskClasses,
  type FaultClass,
  faultClasses,
  networkClasses,
} from '../faults/classes.js';

export const profileNames = ['swarm', 'network', 'disk', 'many-regions', 'beyond'] as const;

export type ProfileName = (typeof profileNames)[number];

export interface Profile {
  readonly nodes: number;
  readonly regions: number;
  readonly clients: number;
  readonly safetyMs: number;
  readonly thinkMs: number;
  readonly latencyMsMax: number;
  /** Wires are up to so many times as fast or slow as an ordinary one; 1: all alike. */
  readonly unevenness: number;
  readonly syncMsMax: number;
  readonly flushMsMax: number;
  readonly logKeepBytes: number;
  readonly overlayBytesMax: number;
  /** Whether links are the real ones over simulated sockets, or the model of them. */
  readonly hasRealLinks: boolean;
  /** Whether the real stores run on SQLite over sectors, or their models in memory. */
  readonly hasSqlDisks: boolean;
  readonly timings: NodeTimings & Partial<RegionHostConfig>;
  /** Disks are destroyed beyond a quorum, too: then nodes stop rather than lie. */
  readonly exceedsQuorum: boolean;
  readonly classes: ReadonlySet<FaultClass>;
}

/** Which classes a seed of the profile may draw. */
export const classesOf: Readonly<Record<ProfileName, readonly FaultClass[]>> = {
  swarm: faultClasses,
  network: [...networkClasses, ...clientClasses, 'pause', 'clock'],
  disk: [...diskClasses, 'crash', 'crashWithin', 'restartStorm'],
  'many-regions': ['crash', 'partition', 'reset', 'delay'],
  beyond: [...destructiveClasses, 'crash', 'crashWithin', 'restartStorm', 'partition', 'noSpace'],
};

/** In these profiles one seed of so many runs the real stores. */
const sqlProfiles: readonly ProfileName[] = ['swarm', 'disk', 'beyond'];
const sqlSeedsEvery = 10;

/** Draws a profile; each fault class is off in half of the seeds. */
export function drawProfile(name: ProfileName, prng: Prng): Profile {
  const isLarge = name === 'many-regions';
  const one = <T>(values: readonly T[]): T => values[prng.below(values.length)]!;
  const nodes = isLarge ? 5 : one([3, 3, 5]);
  const regions = isLarge ? 1_000 : one([1, 2, 4, 8]);
  const drawn = {
    nodes,
    regions,
    clients: 2 + prng.below(3),
    safetyMs: isLarge ? 20_000 : 20_000 + prng.below(40_000),
    thinkMs: one([20, 100, 400]),
    latencyMsMax: one([1, 5, 20]),
    syncMsMax: one([1, 5, 25]),
    flushMsMax: one([200, 2_000, 20_000]),
    logKeepBytes: one([1_000, 20_000, 256 * 1024]),
    overlayBytesMax: one([20_000, 1 << 20, 1 << 26]),
  };
  const root = prng.next();
  const stream = (of: string): Prng => createPrng(hash32(utf8(of), root));
  // A class is off in half of the seeds; but some seeds have few classes, and some nearly all.
  const share = 0.1 + 0.2 * stream('share').below(5);
  const isOn = (each: FaultClass): boolean =>
    classesOf[name].includes(each) && stream(each).unit() < share;
  return {
    ...drawn,
    unevenness: isLarge ? 1 : [1, 2, 5][stream('unevenness').below(3)]!,
    exceedsQuorum: name === 'beyond',
    hasRealLinks: !isLarge && stream('links').below(3) === 0,
    hasSqlDisks: sqlProfiles.includes(name) && stream('sql').below(sqlSeedsEvery) === 0,
    timings: isLarge ? defaultTimings : drawTimings(stream('timings')),
    classes: new Set(faultClasses.filter(isOn)),
  };
}

/** Every bound of a node that may be set, small enough to be met, in a third of the seeds each. */
function drawTimings(prng: Prng): Profile['timings'] {
  const isUsual = prng.below(2) === 0;
  const heartbeatMs = [50, 100, 200][prng.below(3)]!;
  const tickMs = [20, 50, 100][prng.below(3)]!;
  const ticksMin = Math.floor((3 * heartbeatMs) / tickMs) + 1;
  const electionTicks = Math.max(6, ticksMin) + prng.below(10);
  const timings = isUsual ? defaultTimings : { heartbeatMs, tickMs, electionTicks };
  const bounds: Partial<RegionHostConfig>[] = [
    { campaignsPerTurnMax: 1, probesPerTurnMax: 2, replicasPerTurnMax: 2 },
    { inboxBytesPerTurnMax: 2_000 },
    { writeBytesPerTurnMax: 1_000, applyBytesPerTurnMax: 1_000 },
    { appendPauseBytes: 4_000, bulkPauseBytes: 4_000 },
    { snapshotsOutMax: 1, snapshotsInMax: 1 },
    { slowDiskMs: 200, peerGoneMs: 2_000 },
    { readRetryTicks: 2, readAttemptsMax: 2 },
  ];
  return Object.assign({}, timings, ...bounds.filter(() => prng.below(3) === 0));
}
