/**
 * One picture of all logs of a node, for MemoryLogStore: what a sequence of batches makes of them.
 *
 * Invariants: L2 and L3 of contracts/log-store.ts. A write that would break them is a bug of the host.
 */
import { assert, type RegionId, type ReplicaId } from '@moku/base';
import type { RecoveredRegion, RegionWrite, Tombstone } from './contracts/log-store.js';
import type { ConfState, Entry, HardState } from './types.js';

const noHardState: HardState = { term: 0, votedFor: 0 as ReplicaId, commitIndex: 0 };

/** A replica's log as it stands. */
export class MemoryRegion {
  readonly replicaId: ReplicaId;
  hardState: HardState = noHardState;
  confState: ConfState;
  confStateIndex: number;
  truncatedIndex: number;
  truncatedTerm: number;
  entries: Entry[] = [];
  bytes = 0;
  /** Entries up to here are on disk only. */
  coldIndex = 0;
  /** Such an entry was asked for. */
  isWanted = false;
  /** Entries that cannot be read; ones below the floor do not matter. */
  readonly corrupted: Set<number> = new Set();

  constructor(replicaId: ReplicaId, confState: ConfState, index: number, term: number) {
    this.replicaId = replicaId;
    this.confState = confState;
    this.confStateIndex = index;
    this.truncatedIndex = index;
    this.truncatedTerm = term;
  }

  get lastIndex(): number {
    return this.truncatedIndex + this.entries.length;
  }

  get lastTerm(): number {
    return this.entries[this.entries.length - 1]?.term ?? this.truncatedTerm;
  }

  /** Keeps entries up to `index`. */
  cutBehind(index: number): void {
    const removed = this.entries.splice(index - this.truncatedIndex);
    for (const entry of removed) {
      this.bytes -= entry.data.length;
      this.corrupted.delete(entry.index);
    }
    if (this.coldIndex > index) this.coldIndex = index;
  }

  append(entries: readonly Entry[]): void {
    const first = entries[0];
    if (first === undefined) return;
    assert(first.index > this.truncatedIndex, 'L3: nothing is written below the floor');
    assert(first.index <= this.lastIndex + 1, 'L2: indexes are contiguous');
    this.cutBehind(first.index - 1);
    for (const entry of entries) {
      assert(entry.index === this.lastIndex + 1, 'L2: indexes are contiguous');
      assert(entry.term >= this.lastTerm, 'L2: terms never decrease');
      this.entries.push(entry);
      this.bytes += entry.data.length;
    }
  }

  /** Drops entries up to `index`; below the floor it does nothing. */
  truncate(index: number, term: number): void {
    if (index <= this.truncatedIndex) return;
    assert(index <= this.lastIndex, 'L2: only what exists is truncated');
    const last = this.entries[index - this.truncatedIndex - 1]!;
    assert(last.term === term, 'L2: truncated by index and term');
    for (const entry of this.entries.splice(0, index - this.truncatedIndex)) {
      this.bytes -= entry.data.length;
    }
    this.truncatedIndex = index;
    this.truncatedTerm = term;
  }

  restart(index: number, term: number, confState: ConfState): void {
    this.entries = [];
    this.bytes = 0;
    this.coldIndex = 0;
    this.isWanted = false;
    this.corrupted.clear();
    this.truncatedIndex = index;
    this.truncatedTerm = term;
    this.confState = confState;
    this.confStateIndex = index;
  }

  copy(): MemoryRegion {
    const { replicaId, confState, truncatedIndex, truncatedTerm } = this;
    const copied = new MemoryRegion(replicaId, confState, truncatedIndex, truncatedTerm);
    copied.hardState = this.hardState;
    copied.confStateIndex = this.confStateIndex;
    copied.entries = this.entries.slice();
    copied.bytes = this.bytes;
    for (const index of this.corrupted) copied.corrupted.add(index);
    return copied;
  }
}

export class LogPicture {
  readonly regions: Map<RegionId, MemoryRegion> = new Map();
  readonly tombstones: Map<RegionId, ReplicaId> = new Map();
  readonly meta: Map<string, Uint8Array> = new Map();

  apply(write: RegionWrite): void {
    const { regionId } = write;
    if (write.destroy !== undefined) {
      this.destroy(regionId, write.destroy.replicaId);
      return;
    }
    if (write.create !== undefined) this.create(regionId, write.create);
    const region = this.regions.get(regionId);
    assert(region !== undefined, 'L3: a region is created before it is written');
    if (write.hardState !== undefined) region.hardState = write.hardState;
    if (write.confState !== undefined) {
      region.confState = write.confState.confState;
      region.confStateIndex = write.confState.index;
    }
    if (write.restart !== undefined) {
      region.restart(write.restart.index, write.restart.term, write.restart.confState);
    }
    if (write.entries !== undefined) region.append(write.entries);
    if (write.truncate !== undefined) region.truncate(write.truncate.index, write.truncate.term);
  }

  private create(regionId: RegionId, create: NonNullable<RegionWrite['create']>): void {
    const { replicaId, confState, truncatedIndex, truncatedTerm } = create;
    assert(replicaId > (this.tombstones.get(regionId) ?? 0), 'L3: a destroyed replica stays dead');
    this.regions.set(
      regionId,
      new MemoryRegion(replicaId, confState, truncatedIndex, truncatedTerm),
    );
  }

  private destroy(regionId: RegionId, replicaId: ReplicaId): void {
    const dead = this.tombstones.get(regionId) ?? 0;
    if (replicaId > dead) this.tombstones.set(regionId, replicaId);
    const region = this.regions.get(regionId);
    if (region !== undefined && region.replicaId <= replicaId) this.regions.delete(regionId);
  }

  recovered(): readonly RecoveredRegion[] {
    const all: RecoveredRegion[] = [];
    for (const [regionId, region] of this.regions) {
      const { replicaId, hardState, confState, confStateIndex } = region;
      const { truncatedIndex, truncatedTerm, lastIndex } = region;
      all.push({
        regionId,
        replicaId,
        hardState,
        confState,
        confStateIndex,
        truncatedIndex,
        truncatedTerm,
        lastIndex,
      });
    }
    return all;
  }

  tombstoneList(): readonly Tombstone[] {
    const all: Tombstone[] = [];
    for (const [regionId, replicaId] of this.tombstones) all.push({ regionId, replicaId });
    return all;
  }

  /** An independent picture with the same entries. */
  copy(): LogPicture {
    const copied = new LogPicture();
    for (const [id, region] of this.regions) copied.regions.set(id, region.copy());
    for (const [id, replicaId] of this.tombstones) copied.tombstones.set(id, replicaId);
    for (const [key, value] of this.meta) copied.meta.set(key, value);
    return copied;
  }
}
