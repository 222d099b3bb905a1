/**
 * `npm start`: prepares the checkout, then runs the main job with the arguments given. Stdout belongs to
 * the main job alone; its exit code becomes ours, and signals are passed on to it.
 */
import { spawn } from 'node:child_process';
import { constants } from 'node:os';
import { join } from 'node:path';
import { whenAbandoned } from './parent.mjs';
import { build, install, root } from './setup.mjs';

const entry = join(root, 'scripts', 'main-job', 'main.ts');

function runMainJob(args) {
  // A URL is found whatever the current directory is; there is none before the installation.
  const typescript = import.meta.resolve('tsx');
  const child = spawn(process.execPath, ['--import', typescript, entry, ...args], {
    stdio: 'inherit',
  });
  // A terminal sends its interrupt to the whole process group, so the child already has it.
  process.on('SIGINT', () => process.stdin.isTTY || child.kill('SIGINT'));
  process.on('SIGTERM', () => child.kill('SIGTERM'));
  process.on('SIGHUP', () => child.kill('SIGHUP'));
  whenAbandoned(() => child.kill('SIGTERM'));
  child.on('error', (error) => {
    process.stderr.write(`${error}\n`);
    process.exit(1);
  });
  child.on('exit', (code, signal) => process.exit(code ?? 128 + constants.signals[signal]));
}

try {
  install();
  build();
  runMainJob(process.argv.slice(2));
} catch (error) {
  process.stderr.write(`${error}\n`);
  process.exitCode = 1;
}
