/**
 * What the command and the processes that run seeds for it tell each other, over Node's channel between
 * parent and child.
 */
import type { ProfileName } from '../run/profile.js';
import type { SimulationResult } from '../run/simulate.js';

export interface SeedTask {
  readonly seed: number;
  readonly profile: ProfileName;
  /** Prints every event. */
  readonly isTraced: boolean;
}

/** `cpuMs`: of the whole process so far. */
export type SeedAnswer =
  /** Once, before any task: everything is loaded, and its mutant planted. */
  | { readonly kind: 'ready'; readonly cpuMs: number }
  | { readonly kind: 'ended'; readonly result: SimulationResult; readonly cpuMs: number }
  /** The simulator itself threw. */
  | { readonly kind: 'broken'; readonly what: string; readonly cpuMs: number };
