// @hot
/**
 * Appends with entries under way to one replica: a ring of (last index, bytes), bounded in both. Holds
 * no memory while nothing is under way.
 *
 * Invariants:
 *  I1 Last indexes ascend from head to tail.
 *  I2 count <= messagesMax; bytes is the sum of the ring's bytes.
 */
import { assert } from '@moku/base';

const capacityMin = 8;
/** A drained ring longer than this gives its memory back. */
const capacityKept = 32;

export class Inflights {
  private lastIndexes: number[] | undefined = undefined;
  private sizes: number[] | undefined = undefined;
  private head = 0;
  private used = 0;
  private usedBytes = 0;

  get count(): number {
    return this.used;
  }

  get bytes(): number {
    return this.usedBytes;
  }

  /** True when another append has to wait. One append always passes, whatever its size. */
  isFull(messagesMax: number, bytesMax: number): boolean {
    return this.used >= messagesMax || (this.used > 0 && this.usedBytes >= bytesMax);
  }

  add(lastIndex: number, bytes: number): void {
    if (this.lastIndexes === undefined || this.used === this.lastIndexes.length) this.grow();
    const indexes = this.lastIndexes!;
    const mask = indexes.length - 1;
    if (this.used > 0) {
      assert(indexes[(this.head + this.used - 1) & mask]! < lastIndex, 'I1: last indexes ascend');
    }
    const at = (this.head + this.used) & mask;
    indexes[at] = lastIndex;
    this.sizes![at] = bytes;
    this.used++;
    this.usedBytes += bytes;
  }

  /** Frees every append whose entries are all at or below `index`. */
  freeUpTo(index: number): void {
    if (this.used === 0) return;
    const indexes = this.lastIndexes!;
    const mask = indexes.length - 1;
    while (this.used > 0 && indexes[this.head]! <= index) {
      this.usedBytes -= this.sizes![this.head]!;
      this.head = (this.head + 1) & mask;
      this.used--;
    }
    if (this.used === 0 && indexes.length > capacityKept) this.clear();
  }

  /** Forgets everything: whatever was under way is lost. */
  clear(): void {
    this.lastIndexes = undefined;
    this.sizes = undefined;
    this.head = 0;
    this.used = 0;
    this.usedBytes = 0;
  }

  private grow(): void {
    const from = this.lastIndexes;
    const capacity = from === undefined ? capacityMin : from.length * 2;
    const indexes: number[] = new Array<number>(capacity).fill(0);
    const sizes: number[] = new Array<number>(capacity).fill(0);
    for (let i = 0; i < this.used; i++) {
      const at = (this.head + i) & (from!.length - 1);
      indexes[i] = from![at]!;
      sizes[i] = this.sizes![at]!;
    }
    this.lastIndexes = indexes;
    this.sizes = sizes;
    this.head = 0;
  }
}
