/** A virtual clock: events in order of time, then of their making. Nothing here waits. */
export class VirtualClock {
  nowMs = 0;
  private readonly heap: { atMs: number; order: number; task: () => void }[] = [];
  private order = 0;

  at(atMs: number, task: () => void): void {
    this.heap.push({ atMs: Math.max(atMs, this.nowMs), order: this.order++, task });
    let child = this.heap.length - 1;
    while (child > 0) {
      const parent = (child - 1) >> 1;
      if (!this.isBefore(child, parent)) break;
      this.swap(child, parent);
      child = parent;
    }
  }

  after(delayMs: number, task: () => void): void {
    this.at(this.nowMs + delayMs, task);
  }

  /** Runs the next event; false when there is none. */
  step(): boolean {
    const first = this.heap[0];
    if (first === undefined) return false;
    const last = this.heap.pop()!;
    if (this.heap.length > 0) {
      this.heap[0] = last;
      this.sink();
    }
    this.nowMs = first.atMs;
    first.task();
    return true;
  }

  /** Forgets everything that was to happen. */
  clear(): void {
    this.heap.length = 0;
  }

  nextAtMs(): number {
    return this.heap[0]?.atMs ?? Number.POSITIVE_INFINITY;
  }

  private isBefore(a: number, b: number): boolean {
    const x = this.heap[a]!;
    const y = this.heap[b]!;
    return x.atMs < y.atMs || (x.atMs === y.atMs && x.order < y.order);
  }

  private swap(a: number, b: number): void {
    const x = this.heap[a]!;
    this.heap[a] = this.heap[b]!;
    this.heap[b] = x;
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
