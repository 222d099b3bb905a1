import { execFile } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { isMokuError } from '@moku/base';
import { describe, expect, it } from 'vitest';
import { initialize, load } from '../src/mutants/hooks.js';
import { builtPath, builtUrl } from '../src/mutants/module-url.js';
import { plant } from '../src/mutants/mutant.js';
import { mutantOf, mutants } from '../src/mutants/mutants.js';

const run = promisify(execFile);
const main = fileURLToPath(new URL('../dist/main.js', import.meta.url));
const boundMs = 180_000;
const mutantsMin = 25;
/** Each shows early, by another kind of invariant. */
const quick = [
  'voteBeforeSync',
  'preVoteIgnored',
  'commitQuorumOffByOne',
  'syncReportedEarly',
  'durableIndexAhead',
  'appliedTwiceAfterRestart',
  'deduplicationLost',
  'staleEpochAccepted',
  'applySkipped',
];

interface Outcome {
  readonly exitCode: number;
  readonly stdout: string;
  readonly stderr: string;
}

async function sim(...args: string[]): Promise<Outcome> {
  try {
    const { stdout, stderr } = await run(process.execPath, [main, ...args]);
    return { exitCode: 0, stdout, stderr };
  } catch (error) {
    const { code, stdout, stderr } = error as { code: number; stdout: string; stderr: string };
    return { exitCode: code, stdout, stderr };
  }
}

function lastLine(stdout: string): unknown {
  return JSON.parse(stdout.trimEnd().split('\n').at(-1) ?? '');
}

describe('mutants', () => {
  it('are many, have names of their own, and say what they break', () => {
    expect(mutants.length).toBeGreaterThanOrEqual(mutantsMin);
    expect(new Set(mutants.map(({ name }) => name)).size).toBe(mutants.length);
    for (const { breaks } of mutants) expect(breaks).toMatch(/^[A-Z].+\.$/);
  });

  it.each(mutants)('$name finds what it changes exactly once in the built module', (mutant) => {
    const source = readFileSync(builtPath(mutant.file), 'utf8');
    const planted = plant(mutant, source);
    expect(planted).not.toBe(source);
    for (const { replacement } of mutant.edits) expect(planted).toContain(replacement);
  });

  it.each([
    ['nowhere', 'nothing of it', 0],
    ['twice', 'a fragment, a fragment', 2],
  ])('are refused where what they change occurs %s', (_where, source, occurrences) => {
    const edits = [{ fragment: 'a fragment', replacement: 'b' }];
    const stale = { name: 'stale', breaks: 'Nothing.', file: 'raft/raft.js', edits };
    const planting = (): string => plant(stale, source);
    expect(planting).toThrowError(/CONFIG_INVALID: mutant=stale file=raft\/raft.js/);
    expect(planting).toThrowError(new RegExp(`occurrences=${occurrences} bound=1`));
  });

  it('are planted in their own module while it is loaded, and in no other', async () => {
    const mutant = mutantOf('voteBeforeSync');
    const source = readFileSync(builtPath(mutant.file), 'utf8');
    await initialize(mutant.name);
    const loadedAs = async (url: string): Promise<unknown> => {
      const attributes = { importAttributes: {}, importAssertions: {} };
      const context = { conditions: [], format: 'module' as const, ...attributes };
      const next = () => ({ format: 'module', source: Buffer.from(source) }) as const;
      return (await load(url, context, next)).source;
    };
    expect(await loadedAs(builtUrl(mutant.file))).toBe(plant(mutant, source));
    expect(String(await loadedAs(builtUrl('raft/raft.js')))).toBe(source);
  });

  it(
    'that cannot be planted are not found: their process runs nothing, and says so',
    async () => {
      const url = new URL('../dist/processes/seed-process.js', import.meta.url).href;
      const { SeedProcess } = (await import(
        url
      )) as typeof import('../src/processes/seed-process.js');
      const outcomeOf = async (mutant: string | undefined) => {
        const process = new SeedProcess(mutant);
        const outcome = await process.run({ seed: 1, profile: 'network', isTraced: false });
        process.end();
        return outcome;
      };
      expect(await outcomeOf('nobody')).toMatchObject({ kind: 'broken', isReady: false });
      expect(await outcomeOf(undefined)).toMatchObject({ kind: 'ended' });
    },
    boundMs,
  );

  it('that do not exist are named with those that do', () => {
    try {
      mutantOf('nobody');
      expect.unreachable();
    } catch (error) {
      expect(isMokuError(error, 'INVALID_ARGUMENT')).toBe(true);
      expect(String(error)).toContain('field=mutant value=nobody bound=voteBeforeSync|');
    }
  });

  it(
    'are found within a few seeds, and the count of each is told',
    async () => {
      const args = ['--only', quick.join(','), '--seeds-max', '5', '--jobs', '2', '--json'];
      const { exitCode, stdout } = await sim('mutants', ...args);
      expect(stdout).toContain('durable before send');
      const totals = lastLine(stdout) as { seedsToFind: Record<string, number> };
      expect(totals).toMatchObject({ mutants: quick.length, found: quick.length });
      expect(Object.keys(totals.seedsToFind).toSorted()).toEqual(quick.toSorted());
      expect(exitCode).toBe(0);
    },
    boundMs,
  );

  it(
    'that a run replays break the same invariant, with the command that replays it again',
    async () => {
      const { exitCode, stdout } = await sim('--seed', '1', '--mutant', 'voteBeforeSync', '--json');
      expect(exitCode).toBe(1);
      expect(stdout).toContain('seed 1, profile swarm: durable before send: ');
      expect(stdout).toContain(
        'replay: pnpm sim --seed 1 --profile swarm --mutant voteBeforeSync --trace',
      );
      const failures = [{ seed: 1, profile: 'swarm', invariant: 'durable before send' }];
      expect(lastLine(stdout)).toMatchObject({ seeds: 1, failures });
    },
    boundMs,
  );
});
