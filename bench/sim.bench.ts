/**
 * How fast the simulator is: simulated hours per CPU minute of this process (its compiler and its collector,
 * too), after one seed that is not counted. What is simulated: runs of the swarm profile from
 * first to last, with 5 nodes and 8 regions (three replicas each, and meta on five nodes), disks in memory,
 * and everything else as each seed draws it: 2 to 4 clients, one call at a time with a mean pause of 20, 100
 * or 400 ms, delays, timings, real links in a third of the seeds, each class of faults in half of them; all
 * invariants on, and the history judged. 1,000 regions take the profile many-regions, which has fewer classes
 * of faults. Then the same cluster nearly idle: no faults, one client that calls every five seconds.
 * Run: `pnpm bench sim [REGIONS] [SEEDS]`.
 */
import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import {
  type SimulationOptions,
  type SimulationResult,
  seedProcessFlags,
  simulate,
} from '@moku/sim';

const nodes = 5;
const regions = Number(process.argv[2] ?? 8);
const isLarge = regions >= 100;
const seeds = Number(process.argv[3] ?? (isLarge ? 4 : 30));
const profile = isLarge ? 'many-regions' : 'swarm';

interface Speed {
  readonly what: string;
  readonly seeds: number;
  readonly failures: number;
  readonly simulatedHours: number;
  readonly cpuMinutes: number;
  readonly hoursPerCpuMinute: number;
  readonly events: number;
  readonly frames: number;
  readonly operations: number;
  readonly cpuMsPerSimulatedSecond: number;
}

function rounded(value: number): number {
  return Number(value.toPrecision(4));
}

async function measure(what: string, shape: SimulationOptions['shape']): Promise<Speed> {
  const run = (seed: number): Promise<SimulationResult> =>
    simulate({ seed, profile, shape: { nodes, regions, hasSqlDisks: false, ...shape } });
  await run(seeds + 1);
  const before = process.cpuUsage();
  const results: SimulationResult[] = [];
  // One after the other: a run has the thread to itself.
  for (let seed = 1; seed <= seeds; seed++) results.push(await run(seed));
  const { user, system } = process.cpuUsage(before);
  const sum = (of: (result: SimulationResult) => number): number =>
    results.reduce((total, result) => total + of(result), 0);
  const simulatedMs = sum((result) => result.simulatedMs);
  const cpuMs = (user + system) / 1_000;
  return {
    what,
    seeds,
    failures: sum(({ failure }) => (failure === undefined ? 0 : 1)),
    simulatedHours: rounded(simulatedMs / 3_600_000),
    cpuMinutes: rounded(cpuMs / 60_000),
    hoursPerCpuMinute: rounded(simulatedMs / 60 / cpuMs),
    events: sum((result) => result.events),
    frames: sum((result) => result.frames),
    operations: sum((result) => result.operations),
    cpuMsPerSimulatedSecond: rounded((cpuMs / simulatedMs) * 1_000),
  };
}

// In a process with the flags of those that `pnpm sim` runs seeds in.
if (!process.execArgv.includes(seedProcessFlags[0]!)) {
  const args = [...seedProcessFlags, ...process.execArgv, fileURLToPath(import.meta.url)];
  const { status } = spawnSync(process.execPath, [...args, ...process.argv.slice(2)], {
    stdio: 'inherit',
  });
  process.exit(status ?? 1);
}

const name = `${nodes} nodes, ${regions} regions, profile ${profile}`;
const full = await measure(`${name}, faults and invariants on`, {});
const idle = await measure(`${name}, no faults, one call every 5 s, invariants on`, {
  clients: 1,
  thinkMs: 5_000,
  classes: new Set(),
});
const idleShare = rounded(idle.cpuMsPerSimulatedSecond / full.cpuMsPerSimulatedSecond);
process.stdout.write(`${JSON.stringify({ full, idle, idleShare })}\n`);
