/**
 * `pnpm sim stories`: tells the directed scenarios, each under its seeds.
 */
import { parseArgs } from 'node:util';
import { MokuError } from '@moku/base';
import { themes } from '../stories/all.js';
import { type Story, type StoryResult, seedsOf, tellStory } from '../stories/story.js';
import { parsed } from './options.js';

interface Totals {
  stories: number;
  runs: number;
  failures: { story: string; seed: number; invariant: string }[];
  simulatedHours: number;
  cpuMinutes: number;
}

function print(line: string): void {
  process.stdout.write(`${line}\n`);
}

/** Stories of themes so named, and such as have `only` in their names; all without it. */
function chosen(only: string | undefined): readonly Story[] {
  const all = Object.entries(themes);
  const stories = all.flatMap(([theme, ofTheme]) =>
    ofTheme.filter(({ name }) => only === undefined || theme === only || name.includes(only)),
  );
  if (stories.length > 0) return stories;
  const bound = `${all.map(([theme]) => theme).join('|')}, or a part of a story's name`;
  throw new MokuError('INVALID_ARGUMENT', { field: '--only', value: only, bound });
}

function printFailure({ name, seed, failure, lastEvents }: StoryResult): void {
  if (failure === undefined) return;
  for (const line of lastEvents) print(`  ${line}`);
  print(`${name}, seed ${seed}: ${failure.invariant} at ${failure.atMs.toFixed(3)} ms:`);
  print(`  ${failure.what}`);
}

/**
 * Gives the exit code: 1 when a story did not go as told. Throws INVALID_ARGUMENT for
 * options that it does not take.
 */
export async function runStories(args: string[]): Promise<number> {
  const { values } = parsed(() =>
    parseArgs({
      args,
      options: {
        only: { type: 'string' },
        trace: { type: 'boolean', default: false },
        json: { type: 'boolean', default: false },
      },
    }),
  );
  const totals: Totals = { stories: 0, runs: 0, failures: [], simulatedHours: 0, cpuMinutes: 0 };
  for (const story of chosen(values.only)) {
    totals.stories += 1;
    const failed = totals.failures.length;
    for (const seed of seedsOf(story)) {
      const trace: string[] = [];
      // One after the other on purpose: a run has the thread to itself.
      const result = await tellStory(
        story,
        seed,
        values.trace ? (line) => trace.push(line) : undefined,
      );
      for (const line of trace) print(line);
      totals.runs += 1;
      totals.simulatedHours += result.simulatedMs / 3_600_000;
      const { failure } = result;
      if (failure === undefined) continue;
      totals.failures.push({ story: story.name, seed, invariant: failure.invariant });
      if (!values.json) printFailure(result);
    }
    if (!values.json) print(`${totals.failures.length === failed ? 'ok ' : 'RED'} ${story.name}`);
  }
  const { user, system } = process.cpuUsage();
  totals.cpuMinutes = (user + system) / 60_000_000;
  if (values.json) print(JSON.stringify(totals));
  else print(`${totals.stories} stories, ${totals.runs} runs, ${totals.failures.length} failures`);
  return totals.failures.length === 0 ? 0 : 1;
}
