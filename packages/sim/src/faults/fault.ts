/**
 * What a kind of fault is, and what it may do to the cluster. Kinds are stateless: one object per class,
 * in the file of its family.
 */
import type { Prng } from '@moku/base';
import type { SimCluster } from '../run/cluster.js';
import type { SimNode } from '../world/sim-node.js';

/** What one fault has to work with. */
export interface FaultScene {
  readonly cluster: SimCluster;
  /** Of the fault's class alone. */
  readonly prng: Prng;
  /** Drawn for this fault; kinds that concern others ignore it. */
  readonly node: SimNode;
  /** How long this one lasts, if it lasts; drawn. */
  readonly lastsMs: number;
  /** Undoes a fault after `lastsMs`, or when all faults end, whichever comes first; exactly once. */
  during(end: () => void): void;
  /** Has `task` done every `periodMs()` until the fault's time or all faults are over. */
  repeat(periodMs: () => number, task: () => void): void;
  /** Nothing could be done this time: it does not count. */
  skip(): void;
  /** A node that ended comes back later, also after the last fault, unless it is to stay dead. */
  restartLater(node: SimNode): void;
}

export interface FaultKind {
  /** Mean pause between two of them, in ms of virtual time, at the middle of the intensities. */
  readonly pauseMs: number;
  inject(scene: FaultScene): void;
}

/** Between `from` and `to`, each order of magnitude as likely as any other. Both above 0. */
export function logUniform(prng: Prng, from: number, to: number): number {
  return from * (to / from) ** prng.unit();
}
