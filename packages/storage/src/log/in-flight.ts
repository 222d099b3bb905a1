// @hot
/**
 * Batches handed over and not yet reported durable, oldest first.
 *
 * Invariant Q1 batch numbers and serials ascend from the front to the back.
 */
export class InFlight {
  batches = 0;
  bytes = 0;
  private readonly items: {
    readonly batchNumber: number;
    readonly serial: number;
    readonly bytes: number;
    readonly sinceMs: number;
  }[] = [];
  private head = 0;

  push(batchNumber: number, serial: number, bytes: number, sinceMs: number): void {
    this.items.push({ batchNumber, serial, bytes, sinceMs });
    this.batches += 1;
    this.bytes += bytes;
  }

  /** Removes the batches whose commits are synced up to `serial`; returns the last one's number, or 0. */
  takeDurable(serial: number): number {
    let batchNumber = 0;
    while (this.head < this.items.length && this.items[this.head]!.serial <= serial) {
      const item = this.items[this.head]!;
      batchNumber = item.batchNumber;
      this.batches -= 1;
      this.bytes -= item.bytes;
      this.head += 1;
    }
    if (this.head === this.items.length || this.head > 1024) {
      this.items.splice(0, this.head);
      this.head = 0;
    }
    return batchNumber;
  }

  /** Since when the oldest one waits; undefined when none does. */
  oldestSinceMs(): number | undefined {
    return this.items[this.head]?.sinceMs;
  }
}
