/**
 * A register as the searches see it: each operation is a guard on the state before and an effect.
 *
 * States are small integers. Values that no guard names cannot be told apart by anyone, so that they
 * share one state (`otherState`): exact, and it keeps the number of states small.
 *
 * Invariants:
 *  G1 An action with `keepsState` is pure: wherever its guard holds, it changes nothing.
 *  G2 An optional action (outcome `info`) may be left out; one without effect is always left out.
 */
import { unreachable } from '@moku/base';
import type { Operation } from './history.js';
import type { Json } from './history-values.js';

export type Guard = 'any' | 'equals' | 'differs';

export interface Action {
  readonly operation: Operation;
  readonly guard: Guard;
  /** What the guard compares with. */
  readonly operand: number;
  /** State afterwards, or keepsState. */
  readonly effect: number;
}

export interface Register {
  /** Answered operations, which all took effect, in order of invocation. */
  readonly required: readonly Action[];
  /** Operations that may have taken effect, in order of invocation. */
  readonly optional: readonly Action[];
  readonly initialState: number;
  /** For people. */
  readonly nameOf: (state: number) => string;
}

export const keepsState = -1;
const otherState = 0;

interface Draft {
  readonly operation: Operation;
  readonly guard: Guard;
  readonly operand: Json;
  /** undefined: none. Null: absent. */
  readonly effect: Json | undefined;
}

/** The register of one key, absent at first. `operations` are all of that key, in order of invocation. */
export function registerOf(operations: readonly Operation[]): Register {
  const drafts = operations.flatMap((operation) => draftOf(operation) ?? []);
  const states = new Map<string, number>();
  const names = ['a value that nobody asked about'];
  for (const { guard, operand } of drafts) {
    const name = canonical(operand);
    if (guard === 'any' || states.has(name)) continue;
    states.set(name, names.length);
    names.push(operand === null ? 'absent' : name);
  }
  const stateOf = (value: Json): number => states.get(canonical(value)) ?? otherState;
  const isOtherObserved = drafts.some(({ guard }) => guard === 'differs');
  const required: Action[] = [];
  const optional: Action[] = [];
  for (const { operation, guard, operand, effect } of drafts) {
    const action: Action = {
      operation,
      guard,
      operand: stateOf(operand),
      effect: effect === undefined ? keepsState : stateOf(effect),
    };
    if (operation.outcome === 'ok') required.push(action);
    // Without a guard that it could satisfy, this effect helps nobody: G2.
    else if (action.effect !== otherState || isOtherObserved) optional.push(action);
  }
  const initialState = stateOf(null);
  return { required, optional, initialState, nameOf: (state) => names[state] ?? '?' };
}

export function isSatisfied(action: Action, state: number): boolean {
  switch (action.guard) {
    case 'any':
      return true;
    case 'equals':
      return state === action.operand;
    case 'differs':
      return state !== action.operand;
    default:
      return unreachable(action.guard);
  }
}

/** Equal for equal values, whatever the order of an object's names. */
export function canonical(value: Json): string {
  return JSON.stringify(value, (_name, part: Json) => {
    if (typeof part !== 'object' || part === null || Array.isArray(part)) return part;
    // Every object becomes one of this form, so that none is taken for a list.
    return { entries: Object.entries(part).sort(([a], [b]) => (a < b ? -1 : 1)) };
  });
}

/** Undefined for what shows nothing and does nothing. */
function draftOf(operation: Operation): Draft | undefined {
  if (operation.outcome === 'fail') return undefined;
  return operation.outcome === 'ok' ? answered(operation) : uncertain(operation);
}

function answered(operation: Operation): Draft | undefined {
  const { f, argument, result } = operation;
  switch (f) {
    case 'read':
      return { operation, guard: 'equals', operand: result, effect: undefined };
    case 'write':
      return { operation, ...presence(result), effect: argument };
    case 'delete':
      // Found absent, left absent: pure, by G1.
      return { operation, ...presence(result), effect: result === false ? undefined : null };
    case 'putIfAbsent':
      return result === false
        ? { operation, guard: 'differs', operand: null, effect: undefined }
        : { operation, guard: 'equals', operand: null, effect: argument };
    case 'cas': {
      const [expected, next] = argument as readonly [Json, Json];
      if (result === false) {
        return { operation, guard: 'differs', operand: expected, effect: undefined };
      }
      const isPure = canonical(expected) === canonical(next);
      return { operation, guard: 'equals', operand: expected, effect: isPure ? undefined : next };
    }
    case 'txn':
      return undefined;
    default:
      return unreachable(f);
  }
}

function uncertain(operation: Operation): Draft | undefined {
  const { f, argument } = operation;
  switch (f) {
    case 'write':
      return { operation, guard: 'any', operand: null, effect: argument };
    case 'delete':
      return { operation, guard: 'any', operand: null, effect: null };
    case 'putIfAbsent':
      return { operation, guard: 'equals', operand: null, effect: argument };
    case 'cas': {
      const [expected, next] = argument as readonly [Json, Json];
      return { operation, guard: 'equals', operand: expected, effect: next };
    }
    case 'read':
    case 'txn':
      return undefined;
    default:
      return unreachable(f);
  }
}

/** What a write that says whether the key was there has seen. */
function presence(existed: Json): { readonly guard: Guard; readonly operand: null } {
  if (existed === null) return { guard: 'any', operand: null };
  return { guard: existed === true ? 'differs' : 'equals', operand: null };
}
