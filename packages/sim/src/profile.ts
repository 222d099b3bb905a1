/**
 * What a seed draws before its run: the size of the cluster, its speeds, and which faults there are.
 */
import type { Prng } from '@moku/base';

export const faultClasses = [
  'crash',
  'pause',
  'clock',
  'syncDelay',
  'syncFailure',
  'partition',
  'reset',
  'delay',
  'clientLoss',
] as const;

export type FaultClass = (typeof faultClasses)[number];

export const profileNames = ['swarm', 'network', 'disk', 'many-regions'] as const;

export type ProfileName = (typeof profileNames)[number];

export interface Profile {
  readonly nodes: number;
  readonly regions: number;
  readonly clients: number;
  readonly safetyMs: number;
  readonly thinkMs: number;
  readonly latencyMsMax: number;
  readonly syncMsMax: number;
  readonly flushMsMax: number;
  readonly logKeepBytes: number;
  readonly overlayBytesMax: number;
  readonly classes: ReadonlySet<FaultClass>;
}

const classesOf: Readonly<Record<ProfileName, readonly FaultClass[]>> = {
  swarm: faultClasses,
  network: ['partition', 'reset', 'delay', 'clientLoss', 'pause'],
  disk: ['crash', 'syncDelay', 'syncFailure'],
  'many-regions': ['crash', 'partition', 'reset', 'delay'],
};

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
  const coins = faultClasses.map(() => prng.below(2) === 0);
  const isOn = (each: FaultClass): boolean =>
    classesOf[name].includes(each) && coins[faultClasses.indexOf(each)] === true;
  return { ...drawn, classes: new Set(faultClasses.filter(isOn)) };
}
