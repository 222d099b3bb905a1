/**
 * What is on the disk of a MemoryLogStore: the picture that all synced batches make, and the newest of
 * them once more, so that a broken disk can lose them again.
 *
 * Invariants:
 *  M1 `picture` is what `base` becomes by the batches of `tail`, in order.
 */
import type { RegionId } from '@moku/base';
import type { RegionWrite } from './contracts/log-store.js';
import { LogPicture } from './memory-log-picture.js';

/** One batch as it was handed over. */
export interface MemoryBatch {
  readonly writes: readonly RegionWrite[];
  readonly meta: ReadonlyMap<string, Uint8Array>;
}

export class LogMedium {
  readonly picture: LogPicture;
  private readonly losableMax: number;
  private readonly base: LogPicture;
  private readonly tail: MemoryBatch[] = [];

  /** `losableMax`: batches of the end that may be lost again, >= 0. */
  constructor(losableMax = 0, picture: LogPicture = new LogPicture()) {
    this.losableMax = losableMax;
    this.picture = picture;
    this.base = losableMax === 0 ? picture : picture.copy();
  }

  /** The batch has reached the disk. */
  add(batch: MemoryBatch): void {
    applyBatch(this.picture, batch);
    if (this.losableMax === 0) return;
    this.tail.push(batch);
    if (this.tail.length > this.losableMax) applyBatch(this.base, this.tail.shift()!);
  }

  /** Synced batches that can be lost. */
  get losable(): number {
    return this.tail.length;
  }

  /** What the disk holds once the newest `batches` are gone; 1 … `losable`. */
  without(batches: number): LogMedium {
    const kept = new LogMedium(this.losableMax, this.base.copy());
    for (const batch of this.tail.slice(0, this.tail.length - batches)) kept.add(batch);
    return kept;
  }

  /** The entry can no longer be read, after a crash neither. */
  corrupt(regionId: RegionId, index: number): void {
    for (const picture of [this.picture, this.base]) {
      const region = picture.regions.get(regionId);
      if (region === undefined) continue;
      if (index > region.truncatedIndex && index <= region.lastIndex) region.corrupted.add(index);
    }
  }
}

function applyBatch(picture: LogPicture, { writes, meta }: MemoryBatch): void {
  for (const write of writes) picture.apply(write);
  for (const [key, value] of meta) picture.meta.set(key, value);
}
