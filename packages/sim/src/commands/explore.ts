/**
 * `pnpm sim explore`: the claims protocol, state by state.
 */
import { parseArgs } from 'node:util';
import { type ExploreReport, explore } from '../explore/explore.js';

/** Gives the exit code: 1 when a state breaks a rule, a range is not complete or a variant goes unnoticed. */
export function runExplore(args: string[]): number {
  const { values } = parseArgs({
    args,
    options: {
      long: { type: 'boolean', default: false },
      json: { type: 'boolean', default: false },
    },
  });
  const print = (line: string): void => void process.stdout.write(`${line}\n`);
  const report = explore({
    form: values.long ? 'long' : 'gate',
    nowMs: () => performance.now(),
    print: values.json ? () => {} : print,
  });
  if (values.json) print(JSON.stringify(totals(report)));
  return report.isGreen ? 0 : 1;
}

function totals({ isGreen, states, elapsedMs, ranges, variants }: ExploreReport): unknown {
  return {
    isGreen,
    states,
    seconds: Math.round(elapsedMs / 1_000),
    ranges: ranges.map((range) => ({
      name: range.name,
      states: range.states,
      depth: range.depth,
      isComplete: range.isComplete,
    })),
    statesToFind: Object.fromEntries(
      variants.map(({ rule, states: toFind, finding }) => [
        rule,
        finding === undefined ? null : toFind,
      ]),
    ),
  };
}
