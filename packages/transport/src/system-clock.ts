/**
 * The host's clock and timers behind the `Clock` contract: the one place in this package that
 * touches them.
 */
import type { Clock, TimerHandle } from '@moku/base';

class SystemClock implements Clock {
  monotonicMs(): number {
    return performance.now();
  }

  wallMs(): number {
    return Date.now();
  }

  after(delayMs: number, task: () => void): TimerHandle {
    const timer = setTimeout(task, delayMs);
    return { cancel: () => clearTimeout(timer) };
  }

  soon(task: () => void): void {
    setImmediate(task);
  }
}

/** Time of this machine. Its timers keep the process alive until they fire or are cancelled. */
export function createSystemClock(): Clock {
  return new SystemClock();
}
