/**
 * `pnpm sim --seeds A..B`: runs seeds and says which of them break an invariant.
 */
import { parseArgs } from 'node:util';
import { type Bug, bugs } from './bugs.js';
import { faultClasses, type ProfileName, profileNames } from './profile.js';
import { type SimulationResult, simulate } from './simulate.js';

interface Wish {
  readonly first: number;
  readonly last: number;
  readonly profile: ProfileName;
  readonly bug: Bug | undefined;
  readonly isTraced: boolean;
  readonly isJson: boolean;
}

function print(line: string): void {
  process.stdout.write(`${line}\n`);
}

function parseWish(args: string[]): Wish {
  const { values } = parseArgs({
    args,
    options: {
      seeds: { type: 'string', default: '1..100' },
      seed: { type: 'string' },
      profile: { type: 'string', default: 'swarm' },
      bug: { type: 'string' },
      trace: { type: 'boolean', default: false },
      json: { type: 'boolean', default: false },
    },
  });
  const [first, last = first] = (values.seed ?? values.seeds).split('..').map(Number);
  const profile = profileNames.find((name) => name === values.profile);
  const bug = bugs.find((name) => name === values.bug);
  const isBugKnown = values.bug === undefined || bug !== undefined;
  const isRange = Number.isSafeInteger(first) && Number.isSafeInteger(last);
  if (!isRange || profile === undefined || !isBugKnown) {
    throw new TypeError(
      `--seeds A..B, --profile ${profileNames.join('|')}, --bug ${bugs.join('|')}`,
    );
  }
  return { first: first!, last: last!, profile, bug, isTraced: values.trace, isJson: values.json };
}

function printFailure(result: SimulationResult, { profile, bug }: Wish): void {
  const { failure, seed } = result;
  if (failure === undefined) return;
  for (const line of result.lastEvents) print(`  ${line}`);
  print(`seed ${seed}: ${failure.invariant} at ${failure.atMs.toFixed(3)} ms: ${failure.what}`);
  const planted = bug === undefined ? '' : ` --bug ${bug}`;
  print(
    `replay: node packages/sim/dist/main.js --seed ${seed} --profile ${profile}${planted} --trace`,
  );
}

interface Totals {
  seeds: number;
  failures: { seed: number; invariant: string }[];
  simulatedHours: number;
  cpuMinutes: number;
  operations: number;
  reads: number;
  leaderChanges: number;
  crashes: number;
  faultsByClass: Record<string, number>;
}

function add(totals: Totals, result: SimulationResult): void {
  totals.seeds += 1;
  totals.simulatedHours += result.simulatedMs / 3_600_000;
  totals.operations += result.operations;
  totals.reads += result.reads;
  totals.leaderChanges += result.leaderChanges;
  totals.crashes += result.crashes;
  for (const each of faultClasses) {
    totals.faultsByClass[each] = (totals.faultsByClass[each] ?? 0) + result.faultsByClass[each];
  }
  if (result.failure === undefined) return;
  totals.failures.push({ seed: result.seed, invariant: result.failure.invariant });
}

/** Gives the exit code: 1 when a seed failed. Throws TypeError for options that it does not know. */
export async function runSeeds(args: string[]): Promise<number> {
  const wish = parseWish(args);
  const totals: Totals = {
    seeds: 0,
    failures: [],
    simulatedHours: 0,
    cpuMinutes: 0,
    operations: 0,
    reads: 0,
    leaderChanges: 0,
    crashes: 0,
    faultsByClass: {},
  };
  for (let seed = wish.first; seed <= wish.last; seed++) {
    const traced = wish.isTraced ? { print } : {};
    const planted = wish.bug === undefined ? {} : { bug: wish.bug };
    // One after the other on purpose: a run has the thread to itself.
    const result = await simulate({ seed, profile: wish.profile, ...planted, ...traced });
    add(totals, result);
    printFailure(result, wish);
    if (wish.first === wish.last) print(`seed ${seed}: trace hash ${result.traceHash}`);
  }
  const { user, system } = process.cpuUsage();
  totals.cpuMinutes = (user + system) / 60_000_000;
  if (wish.isJson) print(JSON.stringify(totals));
  else {
    const speed = totals.simulatedHours / totals.cpuMinutes;
    print(
      `${totals.seeds} seeds, ${totals.failures.length} failures, ${totals.operations} operations`,
    );
    print(
      `${totals.simulatedHours.toFixed(2)} simulated hours, ${speed.toFixed(2)} per CPU minute`,
    );
  }
  return totals.failures.length === 0 ? 0 : 1;
}
