/**
 * `npm test`: the one gate, which writes nothing but build output. Prepares the checkout, then runs
 * every stage, also after one has failed, and says what failed. The last line of stdout is always
 * `N passed, N failed`: the tests, plus one for each stage that is not a test run.
 *
 * `--only unit,lint` runs the stages named.
 */
import { spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, relative } from 'node:path';
import { parseArgs } from 'node:util';
import { whenAbandoned } from './parent.mjs';
import { install, root } from './setup.mjs';

const minuteMs = 60_000;
const messageLinesMax = 12;
const colors = process.stdout.isTTY ? {} : { NO_COLOR: '1', FORCE_COLOR: undefined };
const biomeColors = process.stdout.isTTY ? [] : ['--colors=off'];

const bin = (...path) => [process.execPath, join(root, 'node_modules', ...path)];
const biome = bin('@biomejs', 'biome', 'bin', 'biome');
const tsc = bin('typescript', 'bin', 'tsc');
const vitest = (project, boundMs) => ({
  name: project,
  boundMs,
  tests: true,
  commands: [
    [
      ...bin('vitest', 'vitest.mjs'),
      'run',
      '--config',
      'test/vitest.config.ts',
      '--project',
      project,
    ],
  ],
});
const stages = [
  {
    name: 'tidy',
    boundMs: 2 * minuteMs,
    commands: [[...bin('tsx', 'dist', 'cli.mjs'), 'scripts/tidy.ts']],
  },
  {
    name: 'lint',
    boundMs: 2 * minuteMs,
    commands: [[...biome, 'ci', '--error-on-warnings', ...biomeColors, '.']],
  },
  {
    name: 'types',
    boundMs: 5 * minuteMs,
    commands: [
      [...tsc, '-b'],
      [...tsc, '-p', 'test'],
    ],
  },
  vitest('unit', 15 * minuteMs),
  {
    name: 'simulation',
    boundMs: 10 * minuteMs,
    commands: [
      [
        process.execPath,
        join(root, 'packages/sim/dist/main.js'),
        '--seeds=1..100',
        '--profile=swarm,network,disk',
      ],
    ],
  },
  vitest('conformance', 15 * minuteMs),
  vitest('cluster', 45 * minuteMs),
  vitest('process', 15 * minuteMs),
];

let running;
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.on(signal, () => stop(signal));
whenAbandoned(() => stop('SIGTERM'));

function stop(signal) {
  if (running !== undefined) killGroup(running, signal);
  process.exit(1);
}

/** Ends a child and whatever it started, which share its process group. */
function killGroup(child, signal) {
  try {
    process.kill(-child.pid, signal);
  } catch {
    child.kill(signal); // the group is gone already, or this platform has none
  }
}

/** Exit code of the command, or a sentence when it did not end by itself. */
function runCommand([command, ...args], boundMs) {
  return new Promise((resolve) => {
    const env = { ...process.env, CI: 'true', ...colors };
    const child = spawn(command, args, {
      cwd: root,
      detached: true,
      env,
      stdio: ['ignore', 'inherit', 'inherit'],
    });
    running = child;
    let overdue = false;
    const timer = setTimeout(() => {
      overdue = true;
      killGroup(child, 'SIGKILL');
    }, boundMs);
    const end = (outcome) => {
      clearTimeout(timer);
      running = undefined;
      resolve(overdue ? `did not end within ${boundMs / minuteMs} minutes` : outcome);
    };
    child.on('error', (error) => end(String(error)));
    child.on('exit', (code, signal) => end(code ?? `ended by ${signal}`));
  });
}

/** One result for the whole stage. */
async function runChecks(stage) {
  const failures = [];
  for (const command of stage.commands) {
    const outcome = await runCommand(command, stage.boundMs);
    if (outcome !== 0) failures.push({ name: stage.name, message: describe(command, outcome) });
  }
  const ok = failures.length === 0;
  return { passed: ok ? 1 : 0, failed: ok ? 0 : 1, skipped: 0, failures };
}

function describe(command, outcome) {
  const line = command.slice(1).map((part) => part.replace(root, ''));
  return `${line.join(' ')}: ${typeof outcome === 'number' ? `exit code ${outcome}` : outcome}`;
}

/** One result per test, read from the runner's report; a file or a run that broke counts as one. */
async function runTests(stage, reportPath) {
  const [command] = stage.commands;
  const report = ['--reporter=default', '--reporter=json', `--outputFile.json=${reportPath}`];
  const outcome = await runCommand([...command, ...report], stage.boundMs);
  const result = { passed: 0, failed: 0, skipped: 0, failures: [] };
  try {
    tally(JSON.parse(readFileSync(reportPath, 'utf8')), result);
  } catch (error) {
    const message = `${describe(command, outcome)}; no report: ${error.message}`;
    result.failures.push({ name: stage.name, message });
  }
  if (outcome !== 0 && result.failures.length === 0) {
    result.failures.push({ name: stage.name, message: describe(command, outcome) });
  }
  result.failed = result.failures.length;
  return result;
}

function tally(report, result) {
  for (const file of report.testResults) {
    const path = relative(root, file.name);
    const failedBefore = result.failures.length;
    for (const test of file.assertionResults) {
      if (test.status === 'passed') result.passed += 1;
      else if (test.status === 'failed') {
        const message = (test.failureMessages ?? []).join('\n');
        result.failures.push({ name: `${path} > ${test.fullName}`, message });
      } else result.skipped += 1;
    }
    if (file.status === 'failed' && result.failures.length === failedBefore) {
      result.failures.push({ name: path, message: file.message ?? 'the file did not load' });
    }
  }
}

function selectStages() {
  const { values } = parseArgs({ options: { only: { type: 'string', multiple: true } } });
  if (values.only === undefined) return stages;
  const names = values.only.flatMap((list) => list.split(','));
  const unknown = names.filter((name) => !stages.some((stage) => stage.name === name));
  if (unknown.length === 0) return stages.filter((stage) => names.includes(stage.name));
  throw new Error(
    `no such stage: ${unknown.join(', ')}; there are ${stages.map((s) => s.name).join(', ')}`,
  );
}

async function runStages(selected) {
  const reports = mkdtempSync(join(tmpdir(), 'moku-gate-'));
  const results = [];
  try {
    for (const stage of selected) {
      console.log(`\n── ${stage.name}`);
      const startMs = Date.now();
      const reportPath = join(reports, `${stage.name}.json`);
      const result = stage.tests ? await runTests(stage, reportPath) : await runChecks(stage);
      results.push({ stage, elapsedMs: Date.now() - startMs, ...result });
    }
  } finally {
    rmSync(reports, { recursive: true, force: true });
  }
  return results;
}

/** Lines of a failure that help: without frames of the runner, which reports a timeout oddly. */
function readable(message) {
  const text = message.replace('STACK_TRACE_ERROR', 'the test did not end in time');
  const lines = text.split('\n').filter((line) => !/^ +at .*node_modules/.test(line));
  return lines.slice(0, messageLinesMax);
}

function printSummary(results) {
  for (const { name, message } of results.flatMap((result) => result.failures)) {
    console.log(`\n✗ ${name}`);
    for (const line of readable(message)) console.log(`    ${line}`);
  }
  console.log('');
  for (const { stage, elapsedMs, passed, failed, skipped } of results) {
    const mark = failed === 0 ? '✓' : '✗';
    const time = `${(elapsedMs / 1000).toFixed(1)} s`.padStart(9);
    const aside = skipped === 0 ? '' : `, ${skipped} skipped`;
    console.log(
      `${mark} ${stage.name.padEnd(12)}${time}   ${passed} passed, ${failed} failed${aside}`,
    );
  }
}

async function main() {
  const selected = selectStages();
  install();
  const results = await runStages(selected);
  printSummary(results);
  let passed = 0;
  let failed = 0;
  for (const result of results) {
    passed += result.passed;
    failed += result.failed;
  }
  const testStages = results.filter((result) => result.stage.tests);
  const testsRan = testStages.some((result) => result.passed + result.failed > 0);
  if (testStages.length > 0 && !testsRan) console.log('\nNo test ran.');
  process.exitCode = failed > 0 || (testStages.length > 0 && !testsRan) ? 1 : 0;
  console.log(`\n${passed} passed, ${failed} failed`);
}

try {
  await main();
} catch (error) {
  console.error(error);
  process.exitCode = 1;
  console.log('0 passed, 1 failed');
}
