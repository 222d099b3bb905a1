/**
 * `pnpm sim`: the simulator's command. Exit code 1 when something broke, 2 for options that it does not
 * take, 130 when interrupted.
 */
import { isMokuError } from '@moku/base';
import { runExplore } from './commands/explore.js';
import { runMutants } from './commands/mutants.js';
import { parsed } from './commands/options.js';
import { runSeeds } from './commands/seeds.js';
import { runStories } from './commands/stories.js';
import { profileNames } from './run/profile.js';

const usage = `pnpm sim [--seeds A..B | --seed N] [options]
                   runs clusters, each decided by its seed, and says which break an invariant
  --seeds A..B     these seeds (default 1..100); those that 100 divides run in two processes, which must
                   have equal traces
  --seed N         one seed; prints its trace hash
  --trace          prints every event
  --profile NAMES  one or more, parted by commas (default swarm); each runs all seeds:
                   ${profileNames.join(', ')}
  --mutant NAME    plants a bug, to see it found
  --jobs N         processes (default: one per core)
  --json           ends with one line of totals

pnpm sim mutants [options]
                   counts for each planted bug the seeds until it is found
  --only NAMES     these, parted by commas
  --seeds-max N    gives up after so many seeds (default 2000)
  --jobs N         processes (default: one per core)
  --json           ends with one line of totals

pnpm sim stories [--only NAME] [--trace] [--json]
                   tells the directed scenarios: of a theme, or with NAME as part of their own

pnpm sim explore [--long] [--json]
                   visits every state of the claims protocol within bounds, and drops each of its rules once

Exit code: 0 nothing broke, every mutant was found; 1 otherwise; 2 these options are not taken;
130 interrupted.
`;

async function run(args: string[]): Promise<number> {
  const [first, ...rest] = args;
  if (args.includes('--help') || args.includes('-h')) {
    process.stdout.write(usage);
    return 0;
  }
  switch (first) {
    case 'explore':
      return parsed(() => runExplore(rest));
    case 'mutants':
      return runMutants(rest);
    case 'stories':
      return runStories(rest);
    default:
      return runSeeds(args);
  }
}

try {
  process.exitCode = await run(process.argv.slice(2));
} catch (error) {
  if (!isMokuError(error, 'INVALID_ARGUMENT')) throw error;
  process.stderr.write(`${error.message}\n\n${usage}`);
  process.exitCode = 2;
}
