/**
 * `pnpm bench NAME [ARGUMENTS]`: runs one benchmark in a process of its own; without a name, lists them.
 * Benchmarks stand in `bench/` and in the packages' own `bench/`, named NAME.bench.ts.
 */
import { spawnSync } from 'node:child_process';
import { existsSync, readdirSync } from 'node:fs';
import { basename, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('..', import.meta.url));
const suffix = '.bench.ts';

function benchmarks(): Map<string, string> {
  const packages = readdirSync(join(root, 'packages')).map((name) =>
    join(root, 'packages', name, 'bench'),
  );
  const found = new Map<string, string>();
  for (const folder of [join(root, 'bench'), ...packages]) {
    if (!existsSync(folder)) continue;
    for (const file of readdirSync(folder)) {
      if (file.endsWith(suffix)) found.set(basename(file, suffix), join(folder, file));
    }
  }
  return found;
}

const [name, ...rest] = process.argv.slice(2);
const all = benchmarks();
const file = name === undefined ? undefined : all.get(name);
if (file === undefined) {
  const names = [...all.keys()].sort().join(', ');
  process.stderr.write(
    `${name === undefined ? 'usage: pnpm bench NAME' : `no benchmark ${name}`}; there are: ${names}\n`,
  );
  process.exitCode = 2;
} else {
  process.stderr.write(`${name}: Node ${process.version}\n`);
  const run = spawnSync(
    process.execPath,
    ['--expose-gc', '--import', import.meta.resolve('tsx'), file, ...rest],
    {
      stdio: 'inherit',
    },
  );
  process.exitCode = run.status ?? 1;
}
