/**
 * A timer that comes again and knows when it was late: whoever judges others by their silence must not
 * do so when it was itself asleep (design §6, correlated judgement).
 */
import type { Clock, TimerHandle } from '@moku/base';

/** `lateMs` is 0 unless the tick came later than a whole period after it was due. */
export type OnTick = (nowMs: number, lateMs: number) => void;

export class Ticker {
  private readonly clock: Clock;
  private readonly periodMs: number;
  private readonly onTick: OnTick;
  private dueMs: number;
  private timer: TimerHandle;
  private isStopped = false;

  constructor(clock: Clock, periodMs: number, onTick: OnTick) {
    this.clock = clock;
    this.periodMs = periodMs;
    this.onTick = onTick;
    this.dueMs = clock.monotonicMs() + periodMs;
    this.timer = clock.after(periodMs, () => this.tick());
  }

  stop(): void {
    this.isStopped = true;
    this.timer.cancel();
  }

  private tick(): void {
    const nowMs = this.clock.monotonicMs();
    const delayedMs = nowMs - this.dueMs;
    this.onTick(nowMs, delayedMs > this.periodMs ? delayedMs : 0);
    if (this.isStopped) return;
    this.dueMs = nowMs + this.periodMs;
    this.timer = this.clock.after(this.periodMs, () => this.tick());
  }
}
