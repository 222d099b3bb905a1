import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { describe, expect, it } from 'vitest';

const run = promisify(execFile);
const main = fileURLToPath(new URL('../dist/main.js', import.meta.url));
const boundMs = 180_000;

interface Outcome {
  readonly exitCode: number;
  readonly stdout: string;
  readonly stderr: string;
}

async function sim(args: readonly string[], nodeOptions = ''): Promise<Outcome> {
  const env = { ...process.env, NODE_OPTIONS: nodeOptions };
  try {
    const { stdout, stderr } = await run(process.execPath, [main, ...args], { env });
    return { exitCode: 0, stdout, stderr };
  } catch (error) {
    const { code, stdout, stderr } = error as { code: number; stdout: string; stderr: string };
    return { exitCode: code, stdout, stderr };
  }
}

function totalsOf(stdout: string): Record<string, unknown> {
  return JSON.parse(stdout.trimEnd().split('\n').at(-1) ?? '') as Record<string, unknown>;
}

/** Resolves once the child has written something to `stream`. */
async function hasWritten(child: ChildProcess, stream: 'stdout' | 'stderr'): Promise<void> {
  await once(child[stream]!, 'data');
}

describe('the command that runs seeds', () => {
  it(
    'runs every seed in every profile, and ends with one line of totals',
    async () => {
      const args = ['--seeds', '1001..1002', '--profile', 'disk,network', '--jobs', '2', '--json'];
      const { exitCode, stdout } = await sim(args);
      const totals = totalsOf(stdout);
      expect(Object.keys(totals)).toEqual(
        expect.arrayContaining([
          'seeds',
          'failures',
          'simulatedHours',
          'cpuMinutes',
          'operations',
          'reads',
          'leaderChanges',
          'crashes',
          'faultsByClass',
        ]),
      );
      expect(totals).toMatchObject({ seeds: 4, failures: [] });
      expect(totals['operations']).toBeGreaterThan(100);
      expect(totals['cpuMinutes']).toBeGreaterThan(0);
      expect(exitCode).toBe(0);
    },
    boundMs,
  );

  it.each([
    [['--seeds', '1..'], 'field=seeds value= bound=0..'],
    [['--seeds', '9..3'], 'field=seeds value=9..3 bound=A..B with 0 <= A <= B'],
    [['--seeds', '7'], 'field=seeds value=7 bound=A..B'],
    [['--seed', '-1'], 'INVALID_ARGUMENT: rule='],
    [['--seed', '1.5'], 'field=seed value=1.5 bound=0..'],
    [['--profile', 'swarm,none'], 'field=profile value=none bound=swarm|network|disk'],
    [['--mutant', 'none'], 'field=mutant value=none bound=voteBeforeSync|'],
    [['--jobs', '0'], 'field=jobs value=0 bound=1..256'],
    [['--nothing'], "INVALID_ARGUMENT: rule=Unknown option '--nothing'"],
    [['mutants', '--seeds-max', 'x'], 'field=seeds-max value=x bound=1..'],
    [['mutants', '--only', 'voteBeforeSync,none'], 'field=mutant value=none'],
    [['explore', '--short'], "INVALID_ARGUMENT: rule=Unknown option '--short'"],
  ])('refuses %j with what may be given', async (args, expected) => {
    const { exitCode, stdout, stderr } = await sim(args);
    expect(stderr).toContain(expected);
    expect(stderr).toContain('pnpm sim [--seeds A..B | --seed N] [options]');
    expect(stdout).toBe('');
    expect(exitCode).toBe(2);
  });

  it('says what it takes', async () => {
    const { exitCode, stdout } = await sim(['mutants', '--help']);
    expect(stdout).toContain('--seeds-max N');
    expect(exitCode).toBe(0);
  });

  it(
    'tells a process that runs out of memory as the failure of its seed',
    async () => {
      const args = ['--seed', '3', '--profile', 'many-regions', '--json'];
      const { exitCode, stdout } = await sim(args, '--max-old-space-size=16');
      expect(stdout).toContain(
        'seed 3, profile many-regions: the run ends: the process ended with',
      );
      expect(stdout).toContain('JavaScript heap out of memory');
      const failures = [{ seed: 3, profile: 'many-regions', invariant: 'the run ends' }];
      expect(totalsOf(stdout)).toMatchObject({ seeds: 1, failures });
      expect(exitCode).toBe(1);
    },
    boundMs,
  );

  it(
    'runs seeds that 100 divides in a second process, and tells a trace that is not the same',
    async () => {
      // What a run notes of its profile names its process.
      const unequal = `const f=JSON.stringify;JSON.stringify=(v,...r)=>f(v,...r)+(v?.safetyMs?process.pid:'')`;
      const imported = `--import=data:text/javascript,${encodeURIComponent(unequal)}`;
      // One that ends early.
      const args = ['--seed', '100', '--mutant', 'voteBeforeSync', '--json'];
      const found = { seed: 100, profile: 'swarm', invariant: 'durable before send' };
      expect(totalsOf((await sim(args)).stdout)['failures']).toEqual([found]);
      expect(totalsOf((await sim(args, imported)).stdout)['failures']).toEqual([
        found,
        { ...found, invariant: 'determinism' },
      ]);
    },
    boundMs,
  );

  it(
    'tells the totals so far when it is interrupted, and leaves no process behind',
    async () => {
      const args = ['--seeds', '1..1000000', '--mutant', 'voteBeforeSync', '--jobs', '2', '--json'];
      const child = spawn(process.execPath, [main, ...args], { stdio: ['ignore', 'pipe', 'pipe'] });
      let stdout = '';
      child.stdout.setEncoding('utf8').on('data', (text: string) => {
        stdout += text;
      });
      await hasWritten(child, 'stdout');
      child.kill('SIGINT');
      // Its pipes close once the last process that holds them has ended.
      await once(child, 'close');
      const totals = totalsOf(stdout) as { seeds: number; failures: unknown[] };
      expect(totals.seeds).toBeGreaterThan(0);
      expect(totals.failures).toHaveLength(totals.seeds);
      expect(child.exitCode).toBe(1);
    },
    boundMs,
  );
});
