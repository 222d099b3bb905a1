/** Sums over runs: what the last line of `--json` says. */
import type { SimulationResult } from '../run/simulate.js';
import type { SeedTask } from './protocol.js';

export interface SeedFailure {
  readonly seed: number;
  readonly profile: string;
  readonly invariant: string;
}

export interface Totals {
  /** Runs: seeds times profiles. */
  seeds: number;
  failures: SeedFailure[];
  simulatedHours: number;
  /** Of all processes. */
  cpuMinutes: number;
  operations: number;
  reads: number;
  acknowledged: number;
  leaderChanges: number;
  crashes: number;
  faultsByClass: Record<string, number>;
}

export function emptyTotals(): Totals {
  return {
    seeds: 0,
    failures: [],
    simulatedHours: 0,
    cpuMinutes: 0,
    operations: 0,
    reads: 0,
    acknowledged: 0,
    leaderChanges: 0,
    crashes: 0,
    faultsByClass: {},
  };
}

export function addResult(totals: Totals, result: SimulationResult): void {
  totals.simulatedHours += result.simulatedMs / 3_600_000;
  totals.operations += result.operations;
  totals.reads += result.reads;
  totals.acknowledged += result.acknowledged;
  totals.leaderChanges += result.leaderChanges;
  totals.crashes += result.crashes;
  for (const [name, count] of Object.entries(result.faultsByClass)) {
    totals.faultsByClass[name] = (totals.faultsByClass[name] ?? 0) + count;
  }
}

export function addFailure(totals: Totals, { seed, profile }: SeedTask, invariant: string): void {
  totals.failures.push({ seed, profile, invariant });
  // Processes end their seeds in any order.
  totals.failures.sort((a, b) => a.seed - b.seed || a.profile.localeCompare(b.profile));
}
