/**
 * LogStore in memory, for tests and simulated nodes. It keeps two pictures: what reads see, and what is
 * synced. A batch reaches the first at once and the second only through `sync`; `crash` gives the store
 * that a restart would find. Nothing here is asynchronous: events are reported from within `sync`,
 * `fetch` and `fail`, to whom `subscribe` named.
 *
 * Invariants: L1–L5 of contracts/log-store.ts, and
 *  N1 After `crash` or `fail` the former store takes nothing more: writing to it is a bug.
 *  N2 The two pictures share entries and nothing else; entries are never changed.
 */
import { assert, MokuError, type RegionId } from '@moku/base';
import type {
  LogStore,
  LogStoreEvents,
  LogStoreHealth,
  RecoveredRegion,
  RegionLog,
  RegionWrite,
  Tombstone,
} from './contracts/log-store.js';
import { LogMedium, type MemoryBatch } from './memory-log-medium.js';
import type { LogPicture, MemoryRegion } from './memory-log-picture.js';
import type { Entry, HardState } from './types.js';

export interface MemoryLogStoreOptions {
  /** Monotonic milliseconds, for the age in `health`; without it every batch has age 0. */
  readonly monotonicMs?: () => number;
  /** Synced batches that `loseSynced` can take away again; default 0, which costs least. */
  readonly losableMax?: number;
}

interface UnsyncedBatch extends MemoryBatch {
  readonly bytes: number;
  readonly sinceMs: number;
}

export class MemoryLogStore implements LogStore {
  private readonly monotonicMs: () => number;
  private readonly visible: LogPicture;
  private readonly medium: LogMedium;
  private readonly found: readonly RecoveredRegion[];
  private readonly foundTombstones: readonly Tombstone[];
  private readonly logs = new Map<RegionId, MemoryRegionLog>();
  private unsynced: UnsyncedBatch[] = [];
  /** Handed over and given up when the disk failed: a crash may find them on it nevertheless. */
  private doubtful: UnsyncedBatch[] = [];
  private pendingMeta = new Map<string, Uint8Array>();
  private events: LogStoreEvents | undefined = undefined;
  private lastBatch = 0;
  private syncedBatch = 0;
  private isOver = false;

  constructor(options: MemoryLogStoreOptions = {}, medium?: LogMedium) {
    this.monotonicMs = options.monotonicMs ?? zero;
    this.medium = medium ?? new LogMedium(options.losableMax);
    this.visible = this.medium.picture.copy();
    this.found = this.visible.recovered();
    this.foundTombstones = this.visible.tombstoneList();
  }

  recovered(): {
    readonly regions: readonly RecoveredRegion[];
    readonly tombstones: readonly Tombstone[];
  } {
    return { regions: this.found, tombstones: this.foundTombstones };
  }

  subscribe(events: LogStoreEvents): void {
    assert(this.events === undefined, 'the store has one subscriber');
    this.events = events;
  }

  region(regionId: RegionId): RegionLog | undefined {
    const region = this.visible.regions.get(regionId);
    if (region === undefined) return undefined;
    const known = this.logs.get(regionId);
    if (known !== undefined && known.region === region) return known;
    const log = new MemoryRegionLog(region);
    this.logs.set(regionId, log);
    return log;
  }

  write(writes: readonly RegionWrite[]): number {
    assert(!this.isOver, 'N1: nothing is written to a store that crashed or failed');
    for (const write of writes) this.visible.apply(write);
    for (const [key, value] of this.pendingMeta) this.visible.meta.set(key, value);
    let bytes = 0;
    for (const write of writes) bytes += bytesOf(write.entries);
    this.unsynced.push({ writes, meta: this.pendingMeta, bytes, sinceMs: this.monotonicMs() });
    this.pendingMeta = new Map();
    this.lastBatch++;
    return this.lastBatch;
  }

  health(): LogStoreHealth {
    const oldest = this.unsynced[0];
    let bytesInFlight = 0;
    for (const batch of this.unsynced) bytesInFlight += batch.bytes;
    return {
      batchesInFlight: this.unsynced.length,
      bytesInFlight,
      oldestUnsyncedMs: oldest === undefined ? 0 : this.monotonicMs() - oldest.sinceMs,
    };
  }

  getMeta(key: string): Uint8Array | undefined {
    return this.pendingMeta.get(key) ?? this.visible.meta.get(key);
  }

  setMeta(key: string, value: Uint8Array): void {
    assert(!this.isOver, 'N1: nothing is written to a store that crashed or failed');
    this.pendingMeta.set(key, value.slice());
  }

  // ---- What a disk does, by hand.

  /** Syncs the `batches` oldest unsynced batches (all by default) and reports them (L1). */
  sync(batches: number = this.unsynced.length): void {
    if (this.isOver) return;
    const done = this.unsynced.splice(0, batches);
    if (done.length === 0) return;
    for (const batch of done) this.medium.add(batch);
    this.syncedBatch += done.length;
    this.events?.onDurable(this.syncedBatch);
  }

  /**
   * The machine loses power. Of the unsynced batches the `batchesKept` oldest reached the disk (none by
   * default), unreported. Returns the store as opened afterwards.
   */
  crash(batchesKept = 0): MemoryLogStore {
    this.isOver = true;
    const pending = this.unsynced.length > 0 ? this.unsynced : this.doubtful;
    for (const batch of pending.slice(0, batchesKept)) this.medium.add(batch);
    this.unsynced = [];
    this.doubtful = [];
    return this.reopened(this.medium);
  }

  /** Batches that a crash at this moment may keep or not. */
  get unsyncedBatches(): number {
    return this.unsynced.length + this.doubtful.length;
  }

  /** The disk reports an error: nothing more becomes durable (L5). */
  fail(error: Error): void {
    if (this.isOver) return;
    this.isOver = true;
    this.doubtful = this.unsynced;
    this.unsynced = [];
    this.events?.onFailure(error);
  }

  /** Synced batches that `loseSynced` can take away. */
  get losable(): number {
    return this.medium.losable;
  }

  /**
   * The disk has lost its newest `batches` synced batches, 1 … `losable`. Returns the store as opened
   * afterwards; to be called before anything is written.
   */
  loseSynced(batches: number): MemoryLogStore {
    assert(this.lastBatch === 0 && !this.isOver, 'N1: a disk loses data while nobody uses it');
    this.isOver = true;
    return this.reopened(this.medium.without(batches));
  }

  private reopened(medium: LogMedium): MemoryLogStore {
    return new MemoryLogStore({ monotonicMs: this.monotonicMs }, medium);
  }

  /** Entries of the region are in memory no longer: reading them answers 'fetching' until `fetch`. */
  evict(regionId: RegionId): void {
    const region = this.visible.regions.get(regionId);
    if (region !== undefined) region.coldIndex = region.lastIndex;
  }

  /** Brings into memory what was asked for since, and reports it. */
  fetch(): void {
    for (const [regionId, region] of this.visible.regions) {
      if (!region.isWanted) continue;
      region.isWanted = false;
      region.coldIndex = 0;
      this.events?.onFetched(regionId);
    }
  }

  /** The entry can no longer be read: asking for it throws LOG_CORRUPT (L4), after a crash too. */
  corrupt(regionId: RegionId, index: number): void {
    this.visible.regions.get(regionId)?.corrupted.add(index);
    this.medium.corrupt(regionId, index);
  }

  /** The region as a crash at this moment would leave it; undefined when there would be none. */
  synced(regionId: RegionId): RegionLog | undefined {
    const region = this.medium.picture.regions.get(regionId);
    return region === undefined ? undefined : new MemoryRegionLog(region);
  }

  /** The value as a crash at this moment would leave it. */
  syncedMeta(key: string): Uint8Array | undefined {
    return this.medium.picture.meta.get(key);
  }

  /** The region's hard state as a crash at this moment would leave it. */
  syncedHardState(regionId: RegionId): HardState | undefined {
    return this.medium.picture.regions.get(regionId)?.hardState;
  }
}

class MemoryRegionLog implements RegionLog {
  readonly region: MemoryRegion;

  constructor(region: MemoryRegion) {
    this.region = region;
  }

  firstIndex(): number {
    return this.region.truncatedIndex + 1;
  }

  lastIndex(): number {
    return this.region.lastIndex;
  }

  term(index: number): number | undefined {
    const { truncatedIndex, truncatedTerm, entries } = this.region;
    if (index === truncatedIndex) return truncatedTerm;
    return index < truncatedIndex ? undefined : entries[index - truncatedIndex - 1]?.term;
  }

  entries(from: number, to: number, bytesMax: number): readonly Entry[] | 'fetching' {
    const { region } = this;
    assert(from > region.truncatedIndex && from <= region.lastIndex, 'L2: from is in the log');
    assert(to > from && to <= region.lastIndex + 1, 'L2: to is in the log');
    if (from <= region.coldIndex) {
      region.isWanted = true;
      return 'fetching';
    }
    const start = from - region.truncatedIndex - 1;
    const stop = to - region.truncatedIndex - 1;
    let bytes = 0;
    let at = start;
    while (at < stop) {
      bytes += region.entries[at]!.data.length;
      if (at > start && bytes > bytesMax) break;
      if (region.corrupted.has(at + region.truncatedIndex + 1)) break;
      at++;
    }
    if (at === start) throw new MokuError('LOG_CORRUPT', { field: 'entry', index: from });
    return region.entries.slice(start, at);
  }

  bytes(): number {
    return this.region.bytes;
  }
}

function bytesOf(entries: readonly Entry[] | undefined): number {
  let bytes = 0;
  if (entries !== undefined) for (const entry of entries) bytes += entry.data.length;
  return bytes;
}

function zero(): number {
  return 0;
}
