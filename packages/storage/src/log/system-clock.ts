/** The machine's clock, for stores opened without another one. */
import { performance } from 'node:perf_hooks';
import type { Clock, TimerHandle } from '@moku/base';

export const systemClock: Clock = {
  monotonicMs(): number {
    return performance.now();
  },
  wallMs(): number {
    return Date.now();
  },
  after(delayMs: number, task: () => void): TimerHandle {
    const timer = setTimeout(task, delayMs);
    timer.unref();
    return { cancel: () => clearTimeout(timer) };
  },
  soon(task: () => void): void {
    setImmediate(task);
  },
};
