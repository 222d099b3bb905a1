/**
 * Linearizability of registers: a history passes when, for each key by itself (linearizability is
 * local: Herlihy and Wing, 1990), one order of its operations explains all answers and agrees with real time.
 *
 * A key is absent until it is written. Operations: read, write, cas, delete, putIfAbsent.
 */
import { MokuError } from '@moku/base';
import { type HistoryEvent, type Operation, operationsOf } from './history.js';
import { searchLinearization } from './linearization-search.js';
import { registerOf } from './register.js';
import { checkUniqueWrites } from './unique-writes.js';
import { type Verdict, worstOf } from './verdict.js';

export interface LinearizabilityOptions {
  /** Bound of the search per key; default 1,000,000. */
  readonly configurationsMax?: number;
  /** Bound of the whole check, by the clock below; without one only the former bound holds. */
  readonly time?: { readonly nowMs: () => number; readonly msMax: number };
  /** Default true. False judges every key by search. */
  readonly isFastPathUsed?: boolean;
}

export interface LinearizabilityReport {
  readonly verdict: Verdict;
  readonly keys: number;
  readonly operations: number;
  /** Keys that needed no search. */
  readonly keysByFastPath: number;
  readonly configurations: number;
}

interface KeyReport {
  readonly verdict: Verdict;
  readonly isByFastPath: boolean;
  readonly configurations: number;
}

const configurationsMaxDefault = 1_000_000;
const operationsShownMax = 12;

/** Throws INVALID_ARGUMENT naming line and field for events that do not pair up, and for txn. */
export function checkLinearizable(
  events: readonly HistoryEvent[],
  options: LinearizabilityOptions = {},
): LinearizabilityReport {
  const { time } = options;
  const endMs = time === undefined ? Number.POSITIVE_INFINITY : time.nowMs() + time.msMax;
  const isTimeUp = (): boolean => time !== undefined && time.nowMs() >= endMs;
  const operations = operationsOf(events);
  const byKey = operationsByKey(operations);
  const reports: KeyReport[] = [];
  for (const [key, ofKey] of byKey) reports.push(checkKey(key, ofKey, options, isTimeUp));
  return {
    verdict: worstOf(reports.map((report) => report.verdict)),
    keys: byKey.size,
    operations: operations.length,
    keysByFastPath: reports.filter((report) => report.isByFastPath).length,
    configurations: reports.reduce((sum, report) => sum + report.configurations, 0),
  };
}

function operationsByKey(operations: readonly Operation[]): Map<string, Operation[]> {
  const byKey = new Map<string, Operation[]>();
  for (const operation of operations) {
    const { f, key, invokeLine: line } = operation;
    if (f === 'txn' || key === null) {
      throw new MokuError('INVALID_ARGUMENT', { line, field: 'f', rule: 'of a single key' });
    }
    const ofKey = byKey.get(key);
    if (ofKey === undefined) byKey.set(key, [operation]);
    else ofKey.push(operation);
  }
  return byKey;
}

function checkKey(
  key: string,
  operations: readonly Operation[],
  options: LinearizabilityOptions,
  isTimeUp: () => boolean,
): KeyReport {
  const { configurationsMax = configurationsMaxDefault, isFastPathUsed = true } = options;
  const fast = isFastPathUsed ? checkUniqueWrites(operations) : { kind: 'unfit' as const };
  if (fast.kind !== 'unfit') {
    const verdict: Verdict =
      fast.kind === 'found'
        ? { verdict: 'pass' }
        : { verdict: 'fail', explanation: `key ${key}: ${fast.explanation}` };
    return { verdict, isByFastPath: true, configurations: 0 };
  }
  const register = registerOf(operations);
  const result = searchLinearization(register, { configurationsMax, isTimeUp });
  const { configurations } = result;
  if (result.kind === 'found') {
    return { verdict: { verdict: 'pass' }, isByFastPath: false, configurations };
  }
  if (result.kind === 'spent') {
    const explanation = `key ${key}: undecided after ${configurations} configurations of ${operations.length} operations`;
    return { verdict: { verdict: 'unknown', explanation }, isByFastPath: false, configurations };
  }
  const { operation } = result.blocked;
  const states = result.states.map(register.nameOf).join(' or ');
  const explanation = [
    `key ${key}: no order explains the lines up to ${operation.returnLine}: ${sentence(operation)}`,
    `  at that point the register could hold: ${states}`,
    ...context(operations, operation),
  ].join('\n');
  return { verdict: { verdict: 'fail', explanation }, isByFastPath: false, configurations };
}

/** The last operations that were invoked before the history went wrong. */
function context(operations: readonly Operation[], blocked: Operation): string[] {
  return operations
    .filter((operation) => operation.invokeLine < blocked.returnLine)
    .slice(-operationsShownMax)
    .map((operation) => `  ${sentence(operation)}`);
}

function sentence({ process, f, argument, outcome, result, ...lines }: Operation): string {
  const { invokeLine, returnLine } = lines;
  const end = Number.isFinite(returnLine) ? String(returnLine) : '…';
  const what = argument === null ? f : `${f} ${JSON.stringify(argument)}`;
  const answer = outcome === 'ok' ? `ok ${JSON.stringify(result)}` : outcome;
  return `lines ${invokeLine}–${end}, process ${process}: ${what} → ${answer}`;
}
