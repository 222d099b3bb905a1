// @hot
/**
 * Bytes that live as long as the entry that is being applied: keys and records on their way to the
 * engine, which copies what it keeps. One allocation serves thousands of entries.
 *
 * Invariant B1: what was handed out stays as it is until `reset`, also when the arena grows.
 */

const bytesMin: number = 64 * 1024;

export class Arena {
  private buffer: Uint8Array = new Uint8Array(bytesMin);
  private at = 0;

  /** `length` bytes of undefined content, for the caller to fill. Valid until `reset`. */
  take(length: number): Uint8Array {
    if (this.at + length > this.buffer.length) {
      this.buffer = new Uint8Array(Math.max(2 * this.buffer.length, length)); // B1
      this.at = 0;
    }
    const start = this.at;
    this.at = start + length;
    return this.buffer.subarray(start, start + length);
  }

  reset(): void {
    this.at = 0;
  }
}
