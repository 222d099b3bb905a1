/**
 * The exhaustive exploration of the claims protocol (design §6): the module as shipped, 3 nodes, one
 * region. Every range of a form is explored to its last state; every rule, dropped, is missed.
 *
 * What is bounded and what is not: see `ExploreBounds` and `forms.ts`. What is simplified: votes are
 * instantaneous, an append carries the leader's whole log, one probe or its answer at a time is under
 * way per pair. Time is not modelled: silence, elections and heartbeats happen at any moment, so that
 * pacing, loyalty (`released`) and quiet peers are not judged here.
 */
import { type ExploreForm, type ExploreVariant, rangesOf, variants } from './forms.js';
import type { ExploreBounds } from './rules.js';
import { type Finding, type Progress, Search, type SearchResult } from './search.js';

export interface ExploreOptions {
  /** `gate` ends within a minute of an idle core; `long` adds ranges of millions of states. */
  readonly form: ExploreForm;
  /** Visited states per range at which it is given up as incomplete; 60 to 90 bytes each. */
  readonly statesMax?: number;
  /** Monotonic milliseconds. */
  readonly nowMs: () => number;
  /** Takes lines for people: one per range and variant, and progress every few seconds. */
  readonly print: (line: string) => void;
}

export interface ExploredRange extends SearchResult {
  readonly name: string;
  readonly bounds: ExploreBounds;
  readonly elapsedMs: number;
  readonly statesPerSecond: number;
}

export interface ExploredVariant {
  readonly rule: ExploreVariant['rule'];
  readonly states: number;
  /** undefined: its absence was not noticed. */
  readonly finding: Finding | undefined;
}

export interface ExploreReport {
  readonly form: ExploreForm;
  readonly ranges: readonly ExploredRange[];
  readonly variants: readonly ExploredVariant[];
  /** Of all ranges. */
  readonly states: number;
  readonly elapsedMs: number;
  /** Every range complete without a finding, every dropped rule missed. */
  readonly isGreen: boolean;
}

const statesMaxDefault = 20_000_000;
const variantStatesMax = 100_000;
const progressMs = 5_000;

/** Explores all ranges of a form, and all variants. Synchronous; takes as long as it takes. */
export function explore(options: ExploreOptions): ExploreReport {
  const startMs = options.nowMs();
  const ranges = rangesOf[options.form].map(({ name, bounds }) =>
    exploreRange(options, name, bounds),
  );
  const explored = variants.map((variant) => exploreVariant(options, variant));
  const elapsedMs = options.nowMs() - startMs;
  let states = 0;
  for (const range of ranges) states += range.states;
  const isGreen =
    ranges.every(({ isComplete }) => isComplete) &&
    explored.every(({ finding }) => finding !== undefined);
  const seconds = (elapsedMs / 1_000).toFixed(1);
  options.print(`${isGreen ? 'green' : 'RED'}: ${states} states of all ranges, ${seconds} s`);
  return { form: options.form, ranges, variants: explored, states, elapsedMs, isGreen };
}

function exploreRange(options: ExploreOptions, name: string, bounds: ExploreBounds): ExploredRange {
  const { nowMs, print, statesMax } = options;
  const startMs = nowMs();
  let printedMs = startMs;
  const onProgress = (progress: Progress): void => {
    if (nowMs() - printedMs < progressMs) return;
    printedMs = nowMs();
    print(`  … ${progress.states} states, depth ${progress.depth}`);
  };
  const search = new Search({
    bounds,
    drop: 'none',
    situation: [],
    statesMax: statesMax ?? statesMaxDefault,
    onProgress,
  });
  const result = search.run();
  const elapsedMs = nowMs() - startMs;
  const statesPerSecond = Math.round((result.states * 1_000) / Math.max(1, elapsedMs));
  print(
    `${name}: ${result.states} states, ${result.transitions} transitions, depth ${result.depth}, ` +
      `${statesPerSecond} states/s, ${result.isComplete ? 'complete' : 'INCOMPLETE'}`,
  );
  if (result.finding !== undefined) printFinding(print, result.finding);
  return { ...result, name, bounds, elapsedMs, statesPerSecond };
}

function exploreVariant(options: ExploreOptions, variant: ExploreVariant): ExploredVariant {
  const { rule, bounds, situation } = variant;
  const statesMax = variantStatesMax;
  const search = new Search({ bounds, drop: rule, situation, statesMax, onProgress: () => {} });
  const { states, finding } = search.run();
  const outcome = finding === undefined ? 'NOT MISSED' : finding.violation;
  options.print(`without "${rule}": ${states} states, ${outcome}`);
  return { rule, states, finding };
}

function printFinding(print: ExploreOptions['print'], finding: Finding): void {
  print(`  ${finding.violation}`);
  print(`  ${finding.trace.join(', ')}`);
}
