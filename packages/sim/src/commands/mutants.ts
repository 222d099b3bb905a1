/**
 * `pnpm sim mutants`: for each planted bug, how many seeds it takes until the simulator sees it.
 *
 * Invariants:
 *  M1 A mutant is found by a seed that holds without it.
 *  M2 A process that does not get as far as a run finds nothing: that ends the command with an error.
 */
import { parseArgs } from 'node:util';
import type { Mutant } from '../mutants/mutant.js';
import { mutantOf, mutants } from '../mutants/mutants.js';
import { Lanes } from '../processes/lane.js';
import { Progress } from '../processes/progress.js';
import type { SeedOutcome } from '../processes/seed-process.js';
import type { ProfileName } from '../run/profile.js';
import { integerOf, jobsOf, parsed } from './options.js';

/** Each mutant is to be found within so many. */
const seedsMaxDefault = 2_000;
const seedsMaxMax = 1_000_000;
const interruptedExitCode = 130;

interface Wish {
  readonly mutants: readonly Mutant[];
  readonly seedsMax: number;
  readonly jobs: number;
  readonly isJson: boolean;
}

interface Finding {
  readonly mutant: Mutant;
  /** Broken by the last seed; undefined: not found. */
  readonly invariant: string | undefined;
  /** Seeds taken. */
  readonly seeds: number;
  readonly cpuSeconds: number;
}

function print(line: string): void {
  process.stdout.write(`${line}\n`);
}

function wishOf(args: string[]): Wish {
  const { values } = parsed(() =>
    parseArgs({
      args,
      options: {
        only: { type: 'string' },
        'seeds-max': { type: 'string', default: String(seedsMaxDefault) },
        jobs: { type: 'string' },
        json: { type: 'boolean', default: false },
      },
    }),
  );
  return {
    mutants: values.only === undefined ? mutants : values.only.split(',').map(mutantOf),
    seedsMax: integerOf('seeds-max', values['seeds-max'], 1, seedsMaxMax),
    jobs: jobsOf('jobs', values.jobs),
    isJson: values.json,
  };
}

/** The invariant that a run broke; undefined when it broke none. Throws when nothing was run. */
function brokenBy(outcome: SeedOutcome): string | undefined {
  if (outcome.kind === 'broken' && !outcome.isReady) throw new Error(outcome.what); // M2
  if (outcome.kind === 'ended') return outcome.result.failure?.invariant;
  return outcome.kind === 'broken' ? 'the run ends' : undefined;
}

class MutantsRun {
  readonly lanes = new Lanes();
  readonly findings: Finding[] = [];
  private readonly wish: Wish;
  private readonly progress: Progress;
  /** What the seeds break without any mutant, by profile and seed. */
  private readonly unplanted = new Map<string, Promise<string | undefined>>();
  private readonly underWay = new Map<string, number>();

  constructor(wish: Wish) {
    this.wish = wish;
    this.progress = new Progress(() => this.line(), true);
  }

  async run(): Promise<void> {
    const { jobs, mutants: sought } = this.wish;
    print(row(['mutant', 'found by', 'seeds', 'CPU s']));
    try {
      await this.lanes.forEach(sought, jobs, (mutant) => this.seek(mutant));
    } finally {
      this.progress.end();
    }
  }

  private async seek(mutant: Mutant): Promise<void> {
    const { name, profile = 'swarm' } = mutant;
    const finding = await this.lanes.with(name, async (lane): Promise<Finding | undefined> => {
      let invariant: string | undefined;
      let seed = 0;
      while (invariant === undefined && seed < this.wish.seedsMax) {
        seed += 1;
        this.underWay.set(name, seed);
        // One seed after the other: the first that breaks is what is asked.
        const outcome = await lane.current().run({ seed, profile, isTraced: false });
        if (outcome.kind === 'stopped') return undefined;
        invariant = brokenBy(outcome);
        if (invariant !== undefined && (await this.breaksUnplanted(profile, seed))) {
          invariant = undefined; // M1
        }
      }
      return { mutant, invariant, seeds: seed, cpuSeconds: lane.cpuMs / 1_000 };
    });
    this.underWay.delete(name);
    if (finding !== undefined) this.found(finding);
  }

  private async breaksUnplanted(profile: ProfileName, seed: number): Promise<boolean> {
    const key = `${profile} ${seed}`;
    let broken = this.unplanted.get(key);
    if (broken === undefined) {
      broken = this.lanes.with(undefined, async (lane) =>
        brokenBy(await lane.current().run({ seed, profile, isTraced: false })),
      );
      this.unplanted.set(key, broken);
    }
    return (await broken) !== undefined;
  }

  private found(finding: Finding): void {
    this.findings.push(finding);
    this.progress.clear();
    const { mutant, invariant = 'NOT FOUND', seeds, cpuSeconds } = finding;
    print(row([mutant.name, invariant, String(seeds), cpuSeconds.toFixed(1)]));
  }

  private line(): string {
    const sought = [...this.underWay].map(([name, seed]) => `${name} ${seed}`).join(', ');
    return `${this.findings.length} of ${this.wish.mutants.length}; ${sought}`;
  }
}

const columns = [28, 50, 6, 8] as const;

function row(cells: readonly [string, string, string, string]): string {
  const [name, invariant, seeds, cpu] = cells;
  const [nameWidth, invariantWidth, seedsWidth, cpuWidth] = columns;
  return `${name.padEnd(nameWidth)}${invariant.padEnd(invariantWidth)}${seeds.padStart(seedsWidth)}${cpu.padStart(cpuWidth)}`;
}

/** Gives the exit code: 1 when a mutant was not found, 130 when interrupted. Throws INVALID_ARGUMENT. */
export async function runMutants(args: string[]): Promise<number> {
  const wish = wishOf(args);
  const run = new MutantsRun(wish);
  const signal = await run.lanes.interruptible(() => run.run());
  const found = run.findings.filter(({ invariant }) => invariant !== undefined);
  const total = wish.mutants.length;
  if (wish.isJson) {
    const seedsToFind = Object.fromEntries(found.map(({ mutant, seeds }) => [mutant.name, seeds]));
    print(JSON.stringify({ mutants: total, found: found.length, seedsToFind }));
  } else {
    print(`${found.length} of ${total} found, ${run.lanes.cpuMinutes().toFixed(1)} CPU minutes`);
  }
  if (signal !== undefined) return interruptedExitCode;
  return found.length === total ? 0 : 1;
}
