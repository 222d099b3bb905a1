/**
 * `pnpm sim`: the simulator's command. Exit code 1 when something broke, 2 for options it does not know.
 */
import { runExplore } from './explore-command.js';
import { runSeeds } from './seeds-command.js';

const usage = `pnpm sim [options]

  --seeds A..B     runs these seeds (default 1..100)
  --seed N         runs one and prints its trace hash; --trace prints every event
  --profile NAME   swarm, network, disk or many-regions
  --bug NAME       plants a bug, to see it found
  --json           ends with one line of totals

pnpm sim explore [--long] [--json]
                   visits every state of the claims protocol within bounds, and drops each of its rules once
`;

async function run(args: string[]): Promise<number> {
  const [first, ...rest] = args;
  if (first === '--help' || first === '-h') {
    process.stdout.write(usage);
    return 0;
  }
  return first === 'explore' ? runExplore(rest) : runSeeds(args);
}

try {
  process.exitCode = await run(process.argv.slice(2));
} catch (error) {
  if (!(error instanceof TypeError)) throw error;
  process.stderr.write(`${error.message}\n\n${usage}`);
  process.exitCode = 2;
}
