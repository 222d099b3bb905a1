/**
 * The process's own time and timers, for an engine that is opened without a clock.
 */
import type { Clock, TimerHandle } from '@moku/base';

export const systemClock: Clock = {
  monotonicMs: (): number => performance.now(),
  wallMs: (): number => Date.now(),
  after: (delayMs: number, task: () => void): TimerHandle => {
    const timer = setTimeout(task, delayMs);
    return { cancel: (): void => clearTimeout(timer) };
  },
  soon: (task: () => void): void => {
    setImmediate(task);
  },
};
