/**
 * The forms that a history's values have, by operation (see the table in `history.ts`).
 */
import { unreachable } from '@moku/base';

export type Json =
  | null
  | boolean
  | number
  | string
  | readonly Json[]
  | { readonly [name: string]: Json };

export const operationNames = ['read', 'write', 'cas', 'delete', 'putIfAbsent', 'txn'] as const;
export type OperationName = (typeof operationNames)[number];

/** One step of a txn: an element appended to the list of a key, or the whole list read. */
export type MicroOperation =
  | { readonly type: 'append'; readonly key: string; readonly element: Json }
  /** list: undefined before it is answered. */
  | { readonly type: 'read'; readonly key: string; readonly list: readonly Json[] | undefined };

/**
 * What `value` should have been, or undefined when it is right: of an invocation, or of the ok event
 * (`isAnswer`) of an invocation with `argument`.
 */
export function checkValue(
  f: OperationName,
  isAnswer: boolean,
  value: Json,
  argument: Json,
): string | undefined {
  switch (f) {
    case 'read':
      return isAnswer || value === null ? undefined : 'null';
    case 'delete':
      return isAnswer ? flagRule(value) : value === null ? undefined : 'null';
    case 'write':
    case 'putIfAbsent':
      return isAnswer ? flagRule(value) : value !== null ? undefined : 'not null';
    case 'cas':
      if (isAnswer) return flagRule(value);
      return Array.isArray(value) && value.length === 2 && value[1] !== null
        ? undefined
        : '[expected or null, new]';
    case 'txn':
      return transactionRule(isAnswer, value, argument);
    default:
      return unreachable(f);
  }
}

/** The steps of a txn's value that `checkValue` found right. */
export function microOperations(value: Json): MicroOperation[] {
  const steps = value as readonly (readonly [string, string, Json])[];
  return steps.map(([type, key, operand]) =>
    type === 'append'
      ? { type, key, element: operand }
      : { type: 'read', key, list: operand === null ? undefined : (operand as readonly Json[]) },
  );
}

function flagRule(value: Json): string | undefined {
  return value === null || typeof value === 'boolean' ? undefined : 'null, true or false';
}

function transactionRule(isAnswer: boolean, value: Json, argument: Json): string | undefined {
  if (!Array.isArray(value)) return 'a list of steps';
  for (const step of value as readonly Json[]) {
    if (!isStep(step, isAnswer)) {
      return `steps ["append", key, element] or ["r", key, ${isAnswer ? 'list' : 'null'}]`;
    }
  }
  if (!isAnswer) return undefined;
  const asked = JSON.stringify(withoutLists(argument));
  return JSON.stringify(withoutLists(value as Json)) === asked ? undefined : 'the steps invoked';
}

function isStep(step: Json, isAnswer: boolean): boolean {
  if (!Array.isArray(step) || step.length !== 3) return false;
  const [type, key, operand] = step as readonly Json[];
  if (typeof key !== 'string' || key === '') return false;
  if (type === 'append') return operand !== null && operand !== undefined;
  return type === 'r' && (isAnswer ? Array.isArray(operand) : operand === null);
}

function withoutLists(value: Json): Json {
  return microOperations(value).map((step) =>
    step.type === 'append' ? ['append', step.key, step.element] : ['r', step.key],
  );
}
