/**
 * `pnpm sim --seeds A..B`: runs seeds over processes and says which of them break an invariant.
 *
 * Invariants:
 *  S1 Every run is reported: it holds, or it failed. A process that dies or hangs is its seed's failure.
 *  S2 Of each seed that 100 divides, a new process has the same trace hash as the first.
 */
import { parseArgs } from 'node:util';
import { mutantOf } from '../mutants/mutants.js';
import { type Lane, Lanes } from '../processes/lane.js';
import { Progress } from '../processes/progress.js';
import type { SeedTask } from '../processes/protocol.js';
import type { SeedOutcome } from '../processes/seed-process.js';
import { addFailure, addResult, emptyTotals } from '../processes/totals.js';
import { judgeRange } from '../run/floors.js';
import type { ProfileName } from '../run/profile.js';
import type { SimulationResult } from '../run/simulate.js';
import { jobsOf, parsed, profilesOf, type SeedRange, seedOf, seedRangeOf } from './options.js';

interface Wish {
  readonly range: SeedRange;
  readonly profiles: readonly ProfileName[];
  readonly mutant: string | undefined;
  readonly jobs: number;
  readonly isTraced: boolean;
  readonly isJson: boolean;
}

/** A seed that this divides runs twice (S2): every range of as many seeds has one. */
const seedsPerRepeat = 100;
const interruptedExitCode = 130;

function print(line: string): void {
  process.stdout.write(`${line}\n`);
}

function wishOf(args: string[]): Wish {
  const { values } = parsed(() =>
    parseArgs({
      args,
      options: {
        seeds: { type: 'string' },
        seed: { type: 'string' },
        profile: { type: 'string', default: 'swarm' },
        mutant: { type: 'string' },
        jobs: { type: 'string' },
        trace: { type: 'boolean', default: false },
        json: { type: 'boolean', default: false },
      },
    }),
  );
  const seed = values.seed === undefined ? undefined : seedOf('seed', values.seed);
  const range =
    seed === undefined
      ? seedRangeOf('seeds', values.seeds ?? '1..100')
      : { first: seed, last: seed };
  const mutant = values.mutant === undefined ? undefined : mutantOf(values.mutant).name;
  const jobs = jobsOf('jobs', values.jobs);
  const profiles = profilesOf('profile', values.profile);
  // The lines of two runs at a time would be of no use.
  const isTraced = values.trace;
  return { range, profiles, mutant, jobs: isTraced ? 1 : jobs, isTraced, isJson: values.json };
}

/** Every seed of the range in every profile. */
function* tasksOf({ range, profiles, isTraced }: Wish): Generator<SeedTask> {
  for (let seed = range.first; seed <= range.last; seed++) {
    for (const profile of profiles) yield { seed, profile, isTraced };
  }
}

class SeedsRun {
  readonly totals = emptyTotals();
  readonly lanes = new Lanes();
  private readonly wish: Wish;
  private readonly startedMs = performance.now();
  private readonly progress: Progress;

  constructor(wish: Wish) {
    this.wish = wish;
    this.progress = new Progress(() => this.line());
  }

  async run(): Promise<void> {
    const { jobs, mutant } = this.wish;
    const tasks = tasksOf(this.wish);
    const lanes = Array.from({ length: Math.min(jobs, this.runs) }, () => null);
    try {
      await this.lanes.forEach(lanes, lanes.length, () =>
        this.lanes.with(mutant, (lane) =>
          this.lanes.forEach(tasks, 1, (task) => this.one(lane, task)),
        ),
      );
    } finally {
      this.progress.end();
    }
  }

  private get runs(): number {
    const { range, profiles } = this.wish;
    return (range.last - range.first + 1) * profiles.length;
  }

  private async one(lane: Lane, task: SeedTask): Promise<void> {
    const result = this.judged(task, await lane.current().run(task));
    if (result === undefined) return;
    if (task.seed % seedsPerRepeat === 0) await this.repeat(lane, task, result.traceHash);
    this.totals.seeds += 1;
    addResult(this.totals, result);
    if (this.runs > 1) return;
    this.progress.clear();
    print(`seed ${task.seed}: trace hash ${result.traceHash}`);
  }

  /** The result of a run, told if it failed; undefined when there is none. */
  private judged(task: SeedTask, outcome: SeedOutcome): SimulationResult | undefined {
    switch (outcome.kind) {
      case 'stopped':
        return undefined;
      case 'broken':
        this.totals.seeds += 1;
        this.fail(task, 'the run ends', outcome.what, []);
        return undefined;
      case 'ended': {
        const { failure, lastEvents } = outcome.result;
        if (failure !== undefined) {
          const what = `${failure.what} (at ${failure.atMs.toFixed(3)} ms)`;
          this.fail(task, failure.invariant, what, lastEvents);
        }
        return outcome.result;
      }
    }
  }

  /** S2. */
  private async repeat(lane: Lane, task: SeedTask, traceHash: string): Promise<void> {
    lane.renew();
    const outcome = await lane.current().run({ ...task, isTraced: false });
    if (outcome.kind === 'stopped') return;
    const again = outcome.kind === 'ended' ? outcome.result.traceHash : outcome.what;
    if (again === traceHash) return;
    this.fail(task, 'determinism', `${traceHash} in one process, ${again} in another`, []);
  }

  private fail(
    task: SeedTask,
    invariant: string,
    what: string,
    lastEvents: readonly string[],
  ): void {
    const { seed, profile } = task;
    const { mutant } = this.wish;
    addFailure(this.totals, task, invariant);
    this.progress.clear();
    for (const line of lastEvents) print(`  ${line}`);
    print(`seed ${seed}, profile ${profile}: ${invariant}: ${what}`);
    const planted = mutant === undefined ? '' : ` --mutant ${mutant}`;
    print(`replay: pnpm sim --seed ${seed} --profile ${profile}${planted} --trace`);
  }

  private line(): string {
    const { seeds, failures } = this.totals;
    const minutes = (performance.now() - this.startedMs) / 60_000;
    const left =
      seeds === 0 ? '' : `, ${((minutes / seeds) * (this.runs - seeds)).toFixed(0)} min left`;
    return `${seeds} of ${this.runs} seeds, ${failures.length} failures, ${minutes.toFixed(0)} min${left}`;
  }
}

function summarize({
  seeds,
  failures,
  operations,
  simulatedHours,
  cpuMinutes,
}: SeedsRun['totals']): void {
  print(`${seeds} seeds, ${failures.length} failures, ${operations} operations`);
  const speed = simulatedHours / cpuMinutes;
  print(`${simulatedHours.toFixed(2)} simulated hours, ${speed.toFixed(2)} per CPU minute`);
}

/** Gives the exit code: 1 when a seed failed, 130 when interrupted. Throws INVALID_ARGUMENT. */
export async function runSeeds(args: string[]): Promise<number> {
  const wish = wishOf(args);
  const run = new SeedsRun(wish);
  const signal = await run.lanes.interruptible(() => run.run());
  const { totals } = run;
  totals.cpuMinutes = run.lanes.cpuMinutes();
  const { first, last } = wish.range;
  const floors = judgeRange(totals, wish.profiles, last - first + 1);
  const isJudged = signal === undefined && wish.mutant === undefined;
  if (isJudged && floors.verdict !== 'pass') {
    const profile = wish.profiles.join();
    totals.failures.push({ seed: first, profile, invariant: 'observed too little' });
    print(`seeds ${first}..${last}: ${floors.explanation}`);
  }
  if (wish.isJson) print(JSON.stringify(totals));
  else summarize(totals);
  if (totals.failures.length > 0) return 1;
  return signal === undefined ? 0 : interruptedExitCode;
}
