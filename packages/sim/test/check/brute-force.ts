/**
 * Checkers that try everything, for tiny histories: the oracle of the real ones. They share nothing
 * with these but the form of histories.
 */
import type { HistoryEvent, Operation } from '../../src/check/history.js';
import { operationsOf } from '../../src/check/history.js';
import type { Json } from '../../src/check/history-values.js';

/** Whether some order of all answered and some unanswered operations explains every answer. */
export function isLinearizable(events: readonly HistoryEvent[]): boolean {
  const keys = new Map<string, Operation[]>();
  for (const operation of operationsOf(events)) {
    const key = operation.key ?? '';
    keys.set(key, [...(keys.get(key) ?? []), operation]);
  }
  return [...keys.values()].every((operations) =>
    isExplained(operations, null as Json, (operation, value) => registerAnswer(operation, value)),
  );
}

/** Whether some serial order, which agrees with real time, explains every list that was read. */
export function isStrictlySerializable(events: readonly HistoryEvent[]): boolean {
  return isExplained(operationsOf(events), new Map<string, Json[]>(), listsAfter);
}

/** Undefined when the operation would not have been answered so; else the state after it. */
type Answer<State> = (operation: Operation, state: State) => { readonly after: State } | undefined;

function isExplained<State>(
  operations: readonly Operation[],
  state: State,
  answer: Answer<State>,
): boolean {
  const left = operations.filter((operation) => operation.outcome !== 'fail');
  if (left.every((operation) => operation.outcome === 'info')) return true;
  return left.some((operation) => {
    const others = left.filter((other) => other !== operation);
    if (others.some((other) => other.returnLine < operation.invokeLine)) return false;
    const result = answer(operation, state);
    return result !== undefined && isExplained(others, result.after, answer);
  });
}

function registerAnswer(operation: Operation, value: Json): { readonly after: Json } | undefined {
  const { f, argument, result, outcome } = operation;
  const isKnown = outcome === 'ok';
  const isThere = value !== null;
  if (f === 'read') return !isKnown || result === value ? { after: value } : undefined;
  if (f === 'write' || f === 'delete') {
    if (isKnown && result !== null && result !== isThere) return undefined;
    return { after: f === 'write' ? argument : null };
  }
  const [expected, next] = f === 'cas' ? (argument as readonly [Json, Json]) : [null, argument];
  const isApplied = value === expected;
  if (isKnown && isApplied === (result === false)) return undefined;
  return { after: isApplied ? next : value };
}

function listsAfter(
  { argument, result, outcome }: Operation,
  before: ReadonlyMap<string, Json[]>,
): { readonly after: Map<string, Json[]> } | undefined {
  const after = new Map(before);
  const steps = (outcome === 'ok' ? result : argument) as readonly [string, string, Json][];
  for (const [type, key, operand] of steps) {
    const list = after.get(key) ?? [];
    if (type === 'append') after.set(key, [...list, operand]);
    else if (outcome === 'ok' && JSON.stringify(operand) !== JSON.stringify(list)) return undefined;
  }
  return { after };
}
