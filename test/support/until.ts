/**
 * Waiting for what is to come, with a bound.
 */
import { vi } from 'vitest';

const intervalMs = 20;

/**
 * Asks `isSo` again and again; fails with `what` in words when it does not hold within `boundMs`, and
 * with the error that it threw last.
 */
export async function until(
  what: string | (() => string),
  boundMs: number,
  isSo: () => boolean | Promise<boolean>,
): Promise<void> {
  const say = (): string => (typeof what === 'string' ? what : what());
  let last: unknown;
  const look = async (): Promise<void> => {
    last = undefined;
    try {
      if (await isSo()) return;
    } catch (error) {
      last = error;
    }
    throw new Error('not yet');
  };
  try {
    await vi.waitFor(look, { timeout: boundMs, interval: intervalMs });
  } catch {
    throw new Error(`not within ${boundMs} ms: ${say()}`, { cause: last });
  }
}
