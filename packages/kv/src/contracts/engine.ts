/**
 * Contract of the local ordered store under the state machines: versions of keys in numbered stores,
 * and each replica's applied index, changed atomically together. Reads are synchronous and see every
 * write at once; durability comes later, by background flushes, and is reported by `durableIndex`.
 * Adapters: SQLite with an ordered overlay (production), memory (tests); one conformance suite for both.
 *
 * Invariants:
 *  G1 A write becomes visible and, later, durable as a whole: versions, applied index, machine state.
 *  G2 `durableIndex` never exceeds what a crash of the machine leaves.
 *  G3 A store that no replica points to is invisible, and its space is reclaimed in small steps.
 */
import type { RegionId, ReplicaId, Timestamp } from '@moku/base';

export type StoreId = number & { readonly __brand: 'StoreId' };

export interface VersionedValue {
  readonly key: Uint8Array;
  readonly timestamp: Timestamp;
  /** undefined: a deletion. */
  readonly value: Uint8Array | undefined;
}

export interface ReplicaState {
  readonly regionId: RegionId;
  readonly replicaId: ReplicaId;
  readonly storeId: StoreId;
  readonly appliedIndex: number;
  readonly appliedTerm: number;
}

/**
 * One atomic change, usually one applied entry. The engine copies the bytes that it keeps: the caller
 * may reuse them once `write` has returned.
 */
export interface EngineWrite {
  readonly regionId: RegionId;
  readonly appliedIndex: number;
  readonly appliedTerm: number;
  /** New versions, any order; a (key, timestamp) that exists is replaced. */
  readonly puts: readonly VersionedValue[];
  /** Versions to forget; before the puts, so that a put of the same version stands. */
  readonly removes: readonly { readonly key: Uint8Array; readonly timestamp: Timestamp }[];
}

export interface ScanRange {
  /** Inclusive; empty: from the start. */
  readonly start: Uint8Array;
  /** Exclusive; undefined: to the end. */
  readonly end: Uint8Array | undefined;
  readonly isReverse: boolean;
  /** Versions above this are not seen. */
  readonly at: Timestamp;
  /** >= 1. */
  readonly recordsMax: number;
  /** Of keys and values; one record is given even if it is larger. */
  readonly bytesMax: number;
}

export interface ScanResult {
  /** The newest version <= `at` of each key in order; deletions are left out. */
  readonly records: readonly VersionedValue[];
  /** True when the range may hold more: continue behind (or before) the last key looked at. */
  readonly hasMore: boolean;
  /** The last key looked at, also when it was left out; undefined when none was. */
  readonly lastKey: Uint8Array | undefined;
}

/** Takes in a snapshot under a new store id; the region's pointer flips in `commit`, atomically. */
export interface StoreInstall {
  put(versions: readonly VersionedValue[]): void;
  commit(applied: { readonly appliedIndex: number; readonly appliedTerm: number }): void;
  abort(): void;
}

/** A consistent picture of one store that later writes do not change. */
export interface StorePicture {
  /** The next versions in (key, timestamp descending) order, at most `bytesMax` but at least one; empty at the end. */
  next(bytesMax: number): readonly VersionedValue[];
  close(): void;
}

export interface Engine {
  /** Replicas as recovered or created. */
  replicas(): readonly ReplicaState[];
  replica(regionId: RegionId): ReplicaState | undefined;
  /** Makes an empty store for a new replica, replacing any former replica of the region. */
  createReplica(regionId: RegionId, replicaId: ReplicaId): ReplicaState;
  dropReplica(regionId: RegionId): void;
  /** Copies what it is given. Throws BUSY never: callers ask `isFull` first and delay applying. */
  write(write: EngineWrite): void;
  /** True while the overlay is over its limit and applies should wait for a flush. */
  isFull(): boolean;
  /** The newest version of `key` at or before `at`, deletions included; undefined when there is none. */
  get(regionId: RegionId, key: Uint8Array, at: Timestamp): VersionedValue | undefined;
  scan(regionId: RegionId, range: ScanRange): ScanResult;
  picture(regionId: RegionId): StorePicture;
  install(regionId: RegionId): StoreInstall;
  /** Applied index of the region that is synced in data.db. */
  durableIndex(regionId: RegionId): number;
  /** Asks for a flush and checkpoint soon, so that durableIndex rises and the log can be truncated. */
  requestFlush(): void;
  subscribe(events: EngineEvents): void;
}

export interface EngineEvents {
  /** Some durableIndex rose, or isFull ended. */
  onFlushed(): void;
  /** Nothing more becomes durable, or nothing can be read. Damage that one read met is thrown to it only. */
  onFailure(error: Error): void;
}
