/** A clock that stands still until it is advanced. `soon` runs with the next advance. */
import type { Clock, TimerHandle } from '@moku/base';

interface Timer {
  readonly atMs: number;
  readonly task: () => void;
  readonly order: number;
}

export class ManualClock implements Clock {
  private nowMs = 1_000;
  private order = 0;
  private readonly timers = new Set<Timer>();

  monotonicMs(): number {
    return this.nowMs;
  }

  wallMs(): number {
    return this.nowMs;
  }

  after(delayMs: number, task: () => void): TimerHandle {
    this.order += 1;
    const timer: Timer = { atMs: this.nowMs + delayMs, task, order: this.order };
    this.timers.add(timer);
    return { cancel: () => void this.timers.delete(timer) };
  }

  soon(task: () => void): void {
    this.after(0, task);
  }

  /** Passes `ms`, running timers when they are due. */
  advance(ms: number): void {
    const endMs = this.nowMs + ms;
    for (let timer = this.next(endMs); timer !== undefined; timer = this.next(endMs)) {
      this.nowMs = Math.max(this.nowMs, timer.atMs);
      this.timers.delete(timer);
      timer.task();
    }
    this.nowMs = endMs;
  }

  /** The process was stopped for `ms`: afterwards all due timers fire, late. */
  pause(ms: number): void {
    this.nowMs += ms;
    this.advance(0);
  }

  private next(endMs: number): Timer | undefined {
    let first: Timer | undefined;
    for (const timer of this.timers) {
      if (timer.atMs > endMs) continue;
      const isFirst =
        first === undefined ||
        timer.atMs < first.atMs ||
        (timer.atMs === first.atMs && timer.order < first.order);
      if (isFirst) first = timer;
    }
    return first;
  }
}
