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

describe('a simulated cluster', () => {
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
        const args = ['--seed', String(seed), '--profile', 'disk'];
        const { stdout } = await run(process.execPath, [main, ...args]);
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
