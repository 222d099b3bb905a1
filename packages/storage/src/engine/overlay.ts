// @hot
/**
 * One overlay: applied writes that are not known to be in data.db, ordered per store. At any time one
 * overlay is active (written to) and at most one frozen (being flushed, no longer changed).
 *
 * Invariants:
 *  O1 A store's versions are looked up active, then frozen, then in data.db; of one (key, timestamp)
 *     the first that is met counts, a removal included.
 *  O2 Chunks go back only when the flush is over and no picture refers to the overlay.
 */
import { assert, type RegionId, type ReplicaId, type Timestamp } from '@moku/base';
import type { StoreId, VersionedValue } from '@moku/kv';
import type sortedBtree from 'sorted-btree';
import { EmptyBTree } from 'sorted-btree';
import { Arena, type Chunk, type ChunkTable, deletionLength, removalLength } from './chunks.js';

type TreeClass = typeof sortedBtree.default<number, undefined>;
/** Locations in version order. Its clones are copy-on-write. */
export type LocationTree = InstanceType<TreeClass>;

// The class is taken from a named export: loaders unwrap this CommonJS module's default differently.
const Tree = EmptyBTree.constructor as TreeClass;

/** What a tree needs per record, about. */
const treeBytesPerRecord = 16;

/** One store's place in the overlays and in data.db. */
export class StoreState {
  readonly storeId: StoreId;
  active: LocationTree | undefined = undefined;
  frozen: LocationTree | undefined = undefined;
  /** Newest timestamps of the versions in active, in frozen, and ever put in data.db; -1: none. */
  activeTimestampMax = -1;
  frozenTimestampMax = -1;
  storedTimestampMax: number;
  /** Replicas that point here. */
  references = 0;

  constructor(storeId: StoreId, storedTimestampMax: number) {
    this.storeId = storeId;
    this.storedTimestampMax = storedTimestampMax;
  }
}

/** A replica as the loop's thread knows it. */
export class ReplicaRecord {
  readonly regionId: RegionId;
  readonly replicaId: ReplicaId;
  store: StoreState;
  appliedIndex: number;
  appliedTerm: number;
  /** Synced in data.db (G2). */
  durableIndex: number;
  /** False once it was dropped or replaced. */
  isLive = true;
  /** Number of the overlay that knows of its last change. */
  overlayNumber = 0;

  constructor(options: {
    readonly regionId: RegionId;
    readonly replicaId: ReplicaId;
    readonly store: StoreState;
    readonly appliedIndex: number;
    readonly appliedTerm: number;
    readonly durableIndex: number;
  }) {
    this.regionId = options.regionId;
    this.replicaId = options.replicaId;
    this.store = options.store;
    this.appliedIndex = options.appliedIndex;
    this.appliedTerm = options.appliedTerm;
    this.durableIndex = options.durableIndex;
  }
}

export class Overlay {
  readonly number: number;
  /** Stores with versions here. */
  readonly stores: StoreState[] = [];
  /** Replicas created or changed. One that was dropped or replaced since may still stand here. */
  readonly changed: ReplicaRecord[] = [];
  readonly dropped: Set<RegionId> = new Set();
  /** Stores that no replica points to once this overlay is in data.db (G3). */
  readonly orphans: StoreState[] = [];
  private readonly table: ChunkTable;
  private readonly arena: Arena;
  private records = 0;
  private pins = 1;

  constructor(number: number, table: ChunkTable) {
    this.number = number;
    this.table = table;
    this.arena = new Arena(table);
  }

  get bytes(): number {
    return this.arena.bytes + this.records * treeBytesPerRecord;
  }

  get isEmpty(): boolean {
    return (
      this.records === 0 &&
      this.changed.length === 0 &&
      this.dropped.size === 0 &&
      this.orphans.length === 0
    );
  }

  chunks(): readonly Chunk[] {
    return this.arena.list();
  }

  put(store: StoreState, version: VersionedValue): void {
    const { key, timestamp, value } = version;
    this.add(store, key, timestamp, value, deletionLength);
    if (timestamp > store.activeTimestampMax) store.activeTimestampMax = timestamp;
  }

  /** Forgets a version: leaves a removal, unless nothing below can hold the version. */
  remove(store: StoreState, key: Uint8Array, timestamp: Timestamp): void {
    const isBelow = timestamp <= store.storedTimestampMax || timestamp <= store.frozenTimestampMax;
    if (isBelow) this.add(store, key, timestamp, undefined, removalLength);
    else store.active?.delete(this.table.position(key, timestamp));
  }

  /** Notes that the replica's row has changed. */
  touch(replica: ReplicaRecord): void {
    if (replica.overlayNumber === this.number) return;
    replica.overlayNumber = this.number;
    this.changed.push(replica);
  }

  /** Keeps the chunks while a picture refers to them (O2). */
  pin(): void {
    assert(this.pins > 0, 'O2: only a living overlay is pinned');
    this.pins += 1;
  }

  /** Ends a pin; the first pin is that of the flush. */
  unpin(): void {
    this.pins -= 1;
    assert(this.pins >= 0, 'O2: each pin ends once');
    if (this.pins === 0) this.arena.release();
  }

  private add(
    store: StoreState,
    key: Uint8Array,
    timestamp: number,
    value: Uint8Array | undefined,
    kindLength: number,
  ): void {
    let tree = store.active;
    if (tree === undefined) {
      tree = new Tree(undefined, this.table.compare);
      store.active = tree;
      this.stores.push(store);
    }
    this.records += 1;
    tree.set(this.arena.add(key, timestamp, value, kindLength), undefined);
  }
}

/** The location of the newest record of `key` at or before `at` in `tree`; undefined when there is none. */
export function newestLocation(
  table: ChunkTable,
  tree: LocationTree | undefined,
  key: Uint8Array,
  at: number,
): number | undefined {
  if (tree === undefined) return undefined;
  const location = tree.getPairOrNextHigher(table.position(key, at), reusedPair)?.[0];
  return location !== undefined && table.hasKey(location, key) ? location : undefined;
}

const reusedPair: [number, undefined] = [0, undefined];
