/**
 * Virtual time: one queue of events for the whole cluster, in order of time, then of their making.
 *
 * Invariants:
 *  S1 Time never goes back; an event runs at its time or, when that has passed, at once.
 *  S2 Equal calls give equal runs: nothing here depends on the machine.
 *  S3 Of the events in the queue at most half, and a few, were cancelled: most timers of a client are.
 */

/** An event that is to come. */
export interface Planned {
  cancel(): void;
}

/** Below this many cancelled events the queue is not worth a sweep. */
const cancelledMin = 256;

class Event implements Planned {
  readonly atMs: number;
  readonly order: number;
  /** Undefined once it was cancelled. */
  task: (() => void) | undefined;
  /** Where it waits; undefined once it ran. */
  queue: Scheduler | undefined;

  constructor(atMs: number, order: number, task: () => void, queue: Scheduler) {
    this.atMs = atMs;
    this.order = order;
    this.task = task;
    this.queue = queue;
  }

  cancel(): void {
    if (this.task === undefined || this.queue === undefined) return;
    this.task = undefined;
    this.queue.noteCancelled();
  }
}

export class Scheduler {
  nowMs = 0;
  eventsRun = 0;
  /** Set by whoever may have settled a promise: its continuations run before the next event. */
  needsDrain = false;
  private heap: Event[] = [];
  private order = 0;
  private cancelled = 0;

  /** Runs `task` at `atMs`, or now when that has passed. */
  at(atMs: number, task: () => void): Planned {
    const event = new Event(atMs > this.nowMs ? atMs : this.nowMs, this.order++, task, this);
    this.heap.push(event);
    this.rise(event, this.heap.length - 1);
    return event;
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
      this.cancelled--;
      this.pop();
    }
  }

  /** Runs the next event; false when there is none. */
  step(): boolean {
    if (this.nextAtMs() === Number.POSITIVE_INFINITY) return false;
    const event = this.pop();
    event.queue = undefined;
    this.nowMs = event.atMs;
    this.eventsRun += 1;
    event.task!();
    return true;
  }

  /** For events only: S3. */
  noteCancelled(): void {
    this.cancelled++;
    if (this.cancelled < cancelledMin || this.cancelled * 2 <= this.heap.length) return;
    const kept = this.heap.filter((event) => event.task !== undefined);
    this.cancelled = 0;
    // Ascending order is a heap.
    this.heap = kept.sort((a, b) => (isBefore(a, b) ? -1 : 1));
  }

  private pop(): Event {
    const { heap } = this;
    const first = heap[0]!;
    const last = heap.pop()!;
    if (heap.length > 0) this.sink(last);
    return first;
  }

  /** Places `event`, whose place is free at `from`, where it belongs above. */
  private rise(event: Event, from: number): void {
    const { heap } = this;
    let at = from;
    while (at > 0) {
      const parent = (at - 1) >> 1;
      const above = heap[parent]!;
      if (!isBefore(event, above)) break;
      heap[at] = above;
      at = parent;
    }
    heap[at] = event;
  }

  /** Places `event` where it belongs below the free first place. */
  private sink(event: Event): void {
    const { heap } = this;
    const { length } = heap;
    let at = 0;
    for (;;) {
      let child = at * 2 + 1;
      if (child >= length) break;
      if (child + 1 < length && isBefore(heap[child + 1]!, heap[child]!)) child++;
      const below = heap[child]!;
      if (!isBefore(below, event)) break;
      heap[at] = below;
      at = child;
    }
    heap[at] = event;
  }
}

function isBefore(a: Event, b: Event): boolean {
  return a.atMs < b.atMs || (a.atMs === b.atMs && a.order < b.order);
}
