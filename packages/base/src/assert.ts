/**
 * Assertions: bugs, not errors. They stay on in production and end the process (the host's
 * `uncaughtException` handler reports and exits). Operational errors are `MokuError`.
 */

/** A broken invariant. Never caught and continued from. */
export class InvariantError extends Error {
  override readonly name = 'InvariantError';
}

/** Throws unless `condition` holds. `invariant` names what was broken, e.g. 'R3: index is contiguous'. */
export function assert(condition: unknown, invariant: string): asserts condition {
  if (!condition) throw new InvariantError(`invariant broken: ${invariant}`);
}

/** Ends every switch on a union: reached only when a case is missing. */
export function unreachable(value: never): never {
  throw new InvariantError(`unreachable case: ${String(value)}`);
}

/** Returns `value`, asserting that it is present. */
export function present<T>(value: T | undefined | null, invariant: string): T {
  if (value === undefined || value === null) throw new InvariantError(`missing: ${invariant}`);
  return value;
}

/** Asserts that `value` is a safe, non-negative integer (terms, indexes, sizes) and returns it. */
export function assertCount(value: number, invariant: string): number {
  if (!Number.isSafeInteger(value) || value < 0) {
    throw new InvariantError(`not a safe non-negative integer (${value}): ${invariant}`);
  }
  return value;
}
