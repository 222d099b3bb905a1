/**
 * Floors: a run that observed too little has shown nothing, however right what it saw was.
 */
import type { HistoryEvent } from './history.js';
import { microOperations } from './history-values.js';
import type { Verdict } from './verdict.js';

/** What a history shows by itself; faults and leader changes are counted by whoever makes them. */
export interface HistoryCounts {
  readonly invoked: number;
  /** Answered reads, of keys or of lists within a txn. */
  readonly reads: number;
  /** Acknowledged changes; refused conditional writes are none. */
  readonly acknowledged: number;
  readonly failed: number;
  /** Neither acknowledged nor certainly without effect, those without completion included. */
  readonly uncertain: number;
}

export function countHistory(events: readonly HistoryEvent[]): HistoryCounts {
  const counts = { invoked: 0, reads: 0, acknowledged: 0, failed: 0 };
  let answered = 0;
  for (const { f, type, value } of events) {
    if (type === 'invoke') counts.invoked += 1;
    if (type === 'fail') counts.failed += 1;
    if (type !== 'ok') continue;
    answered += 1;
    if (f === 'read') counts.reads += 1;
    else if (f === 'txn') {
      const steps = microOperations(value);
      counts.reads += steps.filter((step) => step.type === 'read').length;
      if (steps.some((step) => step.type === 'append')) counts.acknowledged += 1;
    } else if (value !== false || f === 'write' || f === 'delete') counts.acknowledged += 1;
  }
  return { ...counts, uncertain: counts.invoked - counts.failed - answered };
}

/**
 * `unknown` when something that has a floor was observed less often, or not counted at all.
 * Both map a name (reads, acknowledged, faults, leaderChanges, …) to a count.
 */
export function checkFloors(
  observed: Readonly<Record<string, number>>,
  floors: Readonly<Record<string, number>>,
): Verdict {
  const missed: string[] = [];
  for (const [name, min] of Object.entries(floors)) {
    const count = Object.hasOwn(observed, name) ? observed[name] : undefined;
    // NaN is below every floor.
    if (count === undefined) missed.push(`${name} not counted, at least ${min} wanted`);
    else if (!(count >= min)) missed.push(`${name} ${count}, at least ${min} wanted`);
  }
  if (missed.length === 0) return { verdict: 'pass' };
  return { verdict: 'unknown', explanation: `observed too little: ${missed.join('; ')}` };
}
