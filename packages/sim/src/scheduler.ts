/**
 * Virtual time: one queue of events for the whole cluster, in order of time, then of their making.
 *
 * Invariants:
 *  S1 Time never goes back; an event runs at its time or, when that has passed, at once.
 *  S2 Equal calls give equal runs: nothing here depends on the machine.
 */

/** An event that is to come. */
export interface Planned {
  cancel(): void;
}

interface Event {
  readonly atMs: number;
  readonly order: number;
  task: (() => void) | undefined;
}

export class Scheduler {
  nowMs = 0;
  eventsRun = 0;
  /** Set by whoever may have settled a promise: its continuations run before the next event. */
  needsDrain = false;
  private readonly heap: Event[] = [];
  private order = 0;

  /** Runs `task` at `atMs`, or now when that has passed. */
  at(atMs: number, task: () => void): Planned {
    const event: Event = { atMs: Math.max(atMs, this.nowMs), order: this.order++, task };
    this.heap.push(event);
    this.rise(this.heap.length - 1);
    return {
      cancel: () => {
        event.task = undefined;
      },
    };
  }

  after(delayMs: number, task: () => void): Planned {
    return this.at(this.nowMs + delayMs, task);
  }

  /** Time of the next event; infinite when there is none. */
  nextAtMs(): number {
    for (;;) {
      const first = this.heap[0];
      if (first === undefined) return Number.POSITIVE_INFINITY;
      if (first.task !== undefined) return first.atMs;
      this.pop();
    }
  }

  /** Runs the next event; false when there is none. */
  step(): boolean {
    if (this.nextAtMs() === Number.POSITIVE_INFINITY) return false;
    const event = this.pop();
    this.nowMs = event.atMs;
    this.eventsRun += 1;
    event.task?.();
    return true;
  }

  private pop(): Event {
    const first = this.heap[0]!;
    const last = this.heap.pop()!;
    if (this.heap.length > 0) {
      this.heap[0] = last;
      this.sink();
    }
    return first;
  }

  private isBefore(a: number, b: number): boolean {
    const x = this.heap[a]!;
    const y = this.heap[b]!;
    return x.atMs < y.atMs || (x.atMs === y.atMs && x.order < y.order);
  }

  private swap(a: number, b: number): void {
    const event = this.heap[a]!;
    this.heap[a] = this.heap[b]!;
    this.heap[b] = event;
  }

  private rise(from: number): void {
    let child = from;
    while (child > 0) {
      const parent = (child - 1) >> 1;
      if (!this.isBefore(child, parent)) return;
      this.swap(child, parent);
      child = parent;
    }
  }

  private sink(): void {
    let parent = 0;
    for (;;) {
      const left = parent * 2 + 1;
      let least = parent;
      if (left < this.heap.length && this.isBefore(left, least)) least = left;
      if (left + 1 < this.heap.length && this.isBefore(left + 1, least)) least = left + 1;
      if (least === parent) return;
      this.swap(parent, least);
      parent = least;
    }
  }
}
