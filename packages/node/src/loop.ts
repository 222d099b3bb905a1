/**
 * Runs the region host's turns: one soon after something arrived, one when something is due.
 *
 * Invariants:
 *  O1 Turns never overlap and never run from within a callback of the host.
 *  O2 After `stop` no turn runs.
 */
import type { Clock, TimerHandle } from '@moku/base';
import type { RegionHost } from '@moku/region';

export class Loop {
  private readonly clock: Clock;
  private readonly host: () => RegionHost;
  /** Work of the node to be done before a turn (new regions and the like). */
  private readonly beforeTurn: () => void;
  private readonly onBug: (error: unknown) => void;
  private isScheduled = false;
  private isStopped = false;
  private timer: TimerHandle | undefined;
  private timerDueMs = Number.POSITIVE_INFINITY;

  constructor(options: {
    clock: Clock;
    host: () => RegionHost;
    beforeTurn: () => void;
    onBug: (error: unknown) => void;
  }) {
    this.clock = options.clock;
    this.host = options.host;
    this.beforeTurn = options.beforeTurn;
    this.onBug = options.onBug;
  }

  /** Something arrived: a turn runs soon. Cheap to call often. */
  readonly wake = (): void => {
    if (this.isScheduled || this.isStopped) return;
    this.isScheduled = true;
    this.clock.soon(this.run);
  };

  stop(): void {
    this.isStopped = true;
    this.timer?.cancel();
  }

  private readonly run = (): void => {
    this.isScheduled = false;
    if (this.isStopped) return;
    try {
      this.beforeTurn();
      const report = this.host().turn(this.clock.monotonicMs(), this.clock.wallMs());
      if (report.hasMore) this.wake();
      else this.sleepUntil(report.nextDueMs);
    } catch (error) {
      this.onBug(error);
    }
  };

  private sleepUntil(dueMs: number): void {
    // An earlier timer that still stands serves too: it runs a turn that finds little to do.
    if (this.timer !== undefined && this.timerDueMs <= dueMs) return;
    this.timer?.cancel();
    this.timerDueMs = dueMs;
    const delayMs = Math.max(0, dueMs - this.clock.monotonicMs());
    this.timer = this.clock.after(delayMs, () => {
      this.timer = undefined;
      this.timerDueMs = Number.POSITIVE_INFINITY;
      this.wake();
    });
  }
}
