/**
 * Transactions of a list-append history.
 */
import { MokuError } from '@moku/base';
import type { Operation } from './history.js';
import { type MicroOperation, microOperations } from './history-values.js';
import { canonical } from './register.js';

export interface Transaction {
  readonly operation: Operation;
  /** With the lists that were read when the outcome is ok. */
  readonly steps: readonly MicroOperation[];
}

/**
 * Position in the result is a transaction's number. Throws INVALID_ARGUMENT for other operations, and
 * for an element that is appended to the same key again, by whatever transaction.
 */
export function transactionsOf(operations: readonly Operation[]): Transaction[] {
  const appended = new Set<string>();
  return operations.map((operation) => {
    const { f, outcome, argument, result, invokeLine: line } = operation;
    if (f !== 'txn') throw new MokuError('INVALID_ARGUMENT', { line, field: 'f', rule: 'txn' });
    const steps = microOperations(outcome === 'ok' ? result : argument);
    for (const step of steps) {
      if (step.type !== 'append') continue;
      const name = canonical([step.key, step.element]);
      if (appended.has(name)) {
        const rule = 'elements appended once per key';
        throw new MokuError('INVALID_ARGUMENT', { line, field: 'value', rule });
      }
      appended.add(name);
    }
    return { operation, steps };
  });
}

/** For people. */
export function nameAt(transactions: readonly Transaction[], index: number): string {
  const operation = transactions[index]?.operation;
  if (operation === undefined) return `T${index + 1}`;
  const { invokeLine, returnLine } = operation;
  const end = Number.isFinite(returnLine) ? String(returnLine) : '…';
  return `T${index + 1} (lines ${invokeLine}–${end})`;
}
