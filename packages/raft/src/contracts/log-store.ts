/**
 * Contract of a node's shared log: one store, the logs of all its replicas.
 * Writes are handed over in batches (one per turn), become visible to reads at once and durable later,
 * in order. Adapters: SQLite (production), memory (tests); one conformance suite for both.
 *
 * Invariants:
 *  L1 `onDurable(n)` is reported only after batches 1 … n are synced; in order, each at most once.
 *  L2 Per region, indexes firstIndex … lastIndex are contiguous and terms never decrease.
 *  L3 A record below the region's floor, or of another replica id, is dead: it never comes back (design §7).
 *  L4 A read error is never taken for the end of the log.
 *  L5 After an I/O error nothing more is reported durable; `onFailure` is called once (P7).
 */
import type { RegionId, ReplicaId } from '@moku/base';
import type { ConfState, Entry, HardState } from '../types.js';

/** What the log knows of one replica after opening. */
export interface RecoveredRegion {
  readonly regionId: RegionId;
  readonly replicaId: ReplicaId;
  readonly hardState: HardState;
  /** Configuration as of `truncatedIndex` or later; entries behind it may change it again on replay. */
  readonly confState: ConfState;
  /** Applied index as of which confState holds (<= any applied index of the engine plus replay). */
  readonly confStateIndex: number;
  readonly truncatedIndex: number;
  readonly truncatedTerm: number;
  readonly lastIndex: number;
}

/** A region that was destroyed here: replica ids up to this one must never live here again. */
export interface Tombstone {
  readonly regionId: RegionId;
  readonly replicaId: ReplicaId;
}

/** Changes of one region within a batch. Applied in the order of the fields below. */
export interface RegionWrite {
  readonly regionId: RegionId;
  /** Creates the region's log, empty after (truncatedIndex, truncatedTerm); any former log of the id is dead (L3). */
  readonly create?: {
    readonly replicaId: ReplicaId;
    readonly confState: ConfState;
    readonly truncatedIndex: number;
    readonly truncatedTerm: number;
  };
  /** Removes the log and leaves a tombstone. No other field may be given with it. */
  readonly destroy?: { readonly replicaId: ReplicaId };
  readonly hardState?: HardState;
  /** Configuration that holds once `index` is applied. */
  readonly confState?: { readonly index: number; readonly confState: ConfState };
  /** A snapshot was installed: drops the whole log and restarts it behind (index, term). */
  readonly restart?: {
    readonly index: number;
    readonly term: number;
    readonly confState: ConfState;
  };
  /** Replaces everything from entries[0].index on. */
  readonly entries?: readonly Entry[];
  /** Drops entries up to and including (index, term). */
  readonly truncate?: { readonly index: number; readonly term: number };
}

/**
 * Reads of one region. Synchronous, on the loop's thread, never on disk: what is not in memory is
 * fetched in the background, and `LogStoreEvents.onFetched` tells when to ask again.
 */
export interface RegionLog {
  /** truncatedIndex + 1. */
  firstIndex(): number;
  /** truncatedIndex when empty. */
  lastIndex(): number;
  /** Term of `index` in [firstIndex - 1, lastIndex]; undefined outside. Never needs the disk. */
  term(index: number): number | undefined;
  /**
   * Entries from `from` up to but not including `to`, at least one, cut at `bytesMax` of data.
   * 'fetching': on their way from disk. Throws LOG_CORRUPT when they cannot be read.
   * `from` in [firstIndex, lastIndex], `to` <= lastIndex + 1.
   */
  entries(from: number, to: number, bytesMax: number): readonly Entry[] | 'fetching';
  /** Bytes of live entries, for truncation by size. */
  bytes(): number;
}

export interface LogStoreEvents {
  /** All batches up to `batchNumber` are synced. */
  onDurable(batchNumber: number): void;
  /** Entries asked for before are in memory now. */
  onFetched(regionId: RegionId): void;
  /** The log cannot go on; the process must stop (P7). */
  onFailure(error: Error): void;
}

export interface LogStoreHealth {
  /** Batches handed over and not yet synced, and their bytes. */
  readonly batchesInFlight: number;
  readonly bytesInFlight: number;
  /** Age of the oldest of them. */
  readonly oldestUnsyncedMs: number;
}

export interface LogStore {
  /** Everything recovered when the store was opened. */
  recovered(): {
    readonly regions: readonly RecoveredRegion[];
    readonly tombstones: readonly Tombstone[];
  };
  /** Where events go. Must be called once, before the first write. */
  subscribe(events: LogStoreEvents): void;
  /** Reads of an existing region; undefined for one that was never created or was destroyed. */
  region(regionId: RegionId): RegionLog | undefined;
  /** Hands over a batch; returns its number (1, 2, …). The caller must not touch the data afterwards. */
  write(writes: readonly RegionWrite[]): number;
  health(): LogStoreHealth;
  /** Small values beside the log (peer store ids and the like); durable with the batch they ride in. */
  getMeta(key: string): Uint8Array | undefined;
  setMeta(key: string, value: Uint8Array): void;
}
