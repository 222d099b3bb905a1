/**
 * Brings a checkout to the point where it can run: dependencies installed as the lock file says,
 * packages built. Uses only what Node itself offers, because it runs before anything is installed.
 * Everything it says goes to stderr, so that the stdout of what runs after it stays clean.
 */
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

export const root = fileURLToPath(new URL('..', import.meta.url));

const stampPath = join(root, 'node_modules', '.moku-setup');
const outputBytesMax = 256 * 1024 * 1024;
const failureLinesMax = 80;

function say(text) {
  process.stderr.write(`${text}\n`);
}

function seconds(startMs) {
  return `${((Date.now() - startMs) / 1000).toFixed(1)} s`;
}

function manifest() {
  return JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'));
}

/** Throws unless this Node is one that the root manifest's `engines` accepts. */
function checkNode() {
  const floor = manifest().engines.node.replace('>=', '');
  const [needMajor, needMinor] = floor.split('.').map(Number);
  const [major, minor] = process.versions.node.split('.').map(Number);
  if (major > needMajor || (major === needMajor && minor >= needMinor)) return;
  throw new Error(`Moku needs Node ${floor} or newer; this is Node ${process.versions.node}`);
}

/** What an installation depends on: the lock file, the manifests, and the ABI of native code. */
function fingerprint() {
  const hash = createHash('sha256');
  hash.update(`${process.versions.modules} ${process.platform} ${process.arch}\n`);
  const packages = readdirSync(join(root, 'packages')).sort();
  const manifests = packages.map((name) => join('packages', name, 'package.json'));
  for (const path of ['pnpm-lock.yaml', 'pnpm-workspace.yaml', 'package.json', ...manifests]) {
    if (existsSync(join(root, path)))
      hash.update(`${path}\n`).update(readFileSync(join(root, path)));
  }
  return hash.digest('hex');
}

/** Runs a command, silent unless it fails: then its last lines are shown and an error is thrown. */
function run(what, command, args) {
  const result = spawnSync(command, args, {
    cwd: root,
    encoding: 'utf8',
    env: { ...process.env, CI: 'true', npm_config_loglevel: 'warn' },
    maxBuffer: outputBytesMax,
    shell: process.platform === 'win32',
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  if (result.status === 0) return;
  const lines = `${result.stdout ?? ''}${result.stderr ?? ''}`.trimEnd().split('\n');
  say(lines.slice(-failureLinesMax).join('\n'));
  throw new Error(`${what} failed`, { cause: result.error ?? result.signal ?? result.status });
}

/** Installs what the lock file names; returns at once if that is what node_modules holds. */
export function install() {
  checkNode();
  const wanted = fingerprint();
  if (existsSync(stampPath) && readFileSync(stampPath, 'utf8') === wanted) return;
  const startMs = Date.now();
  say('Installing dependencies (the first time compiles SQLite, which takes a minute or two) …');
  const pnpm = manifest().packageManager;
  run('Installing', 'npx', ['-y', pnpm, 'install', '--frozen-lockfile']);
  writeFileSync(stampPath, wanted);
  say(`Installed in ${seconds(startMs)}`);
}

/** Compiles every package whose sources changed. */
export function build() {
  const startMs = Date.now();
  run('Building', process.execPath, [join('node_modules', 'typescript', 'bin', 'tsc'), '-b']);
  say(`Built in ${seconds(startMs)}`);
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  try {
    install();
    build();
  } catch (error) {
    say(String(error));
    process.exitCode = 1;
  }
}
