import { execFile } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { promisify } from 'node:util';
import { describe, expect, it } from 'vitest';
import { type ProfileName, profileNames, type SimulationResult, simulate } from '../src/index.js';

const run = promisify(execFile);
const main = new URL('../dist/main.js', import.meta.url).pathname;
const seedsFile = new URL('../seeds.txt', import.meta.url);
const boundMs = 180_000;

/** What a failure says: enough to replay it. */
function verdict({ seed, failure }: SimulationResult, profile: ProfileName): string {
  if (failure === undefined) return 'holds';
  return `${failure.invariant}: ${failure.what}; replay: pnpm sim --seed ${seed} --profile ${profile} --trace`;
}

function regressionSeeds(): { profile: ProfileName; seed: number }[] {
  const lines = readFileSync(seedsFile, 'utf8').split('\n');
  return lines.flatMap((line) => {
    const [name, seed] = line.split(' ');
    const profile = profileNames.find((each) => each === name);
    return profile === undefined ? [] : [{ profile, seed: Number(seed) }];
  });
}

async function runSeeds(profile: ProfileName, first: number, last: number) {
  const results: SimulationResult[] = [];
  for (let seed = first; seed <= last; seed++) {
    // One after the other: a run has the thread to itself.
    const result = await simulate({ seed, profile });
    expect(verdict(result, profile)).toBe('holds');
    results.push(result);
  }
  return results;
}

function sum(results: readonly SimulationResult[], of: (result: SimulationResult) => number) {
  return results.reduce((total, result) => total + of(result), 0);
}

describe('a simulated cluster', () => {
  it(
    'keeps every invariant under faults of all classes, and observes enough to say so',
    async () => {
      const results = await runSeeds('swarm', 1001, 1007);
      expect(sum(results, (result) => result.reads)).toBeGreaterThan(1_000);
      expect(sum(results, (result) => result.leaderChanges)).toBeGreaterThan(20);
      expect(sum(results, (result) => result.crashes)).toBeGreaterThan(5);
    },
    boundMs,
  );

  it(
    'keeps every invariant on a bad network',
    async () => {
      const results = await runSeeds('network', 1001, 1002);
      expect(sum(results, ({ faultsByClass }) => faultsByClass.partition)).toBeGreaterThan(0);
    },
    boundMs,
  );

  it(
    'keeps every invariant on bad disks',
    async () => {
      const results = await runSeeds('disk', 1002, 1003);
      expect(sum(results, ({ faultsByClass }) => faultsByClass.syncFailure)).toBeGreaterThan(0);
    },
    boundMs,
  );

  it(
    'keeps what it once broke',
    async () => {
      for (const { profile, seed } of regressionSeeds()) {
        // One after the other: a run has the thread to itself.
        expect(verdict(await simulate({ seed, profile }), profile)).toBe('holds');
      }
    },
    boundMs,
  );

  it(
    'has the same trace for the same seed in two processes, and another for another',
    async () => {
      const traceOf = async (seed: number): Promise<string> => {
        const { stdout } = await run(process.execPath, [main, '--seed', String(seed)]);
        return /trace hash ([0-9a-f]{8})/.exec(stdout)?.[1] ?? stdout;
      };
      const [once, again, other] = await Promise.all([traceOf(1008), traceOf(1008), traceOf(4)]);
      expect(once).toMatch(/^[0-9a-f]{8}$/);
      expect(again).toBe(once);
      expect(other).not.toBe(once);
    },
    boundMs,
  );
});
