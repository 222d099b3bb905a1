/**
 * The engine in memory, for tests and the simulator. It is honest about durability: writes are lost by
 * `crash()` unless a `flush()` came in between, and `durableIndex` says what a crash would leave.
 *
 * Owns: the live image, and the durable one as of the last flush (copy-on-write clones of the trees).
 * Invariants: G1–G3 of the contract; and
 *  M1 The durable image is only changed by `flush`, as a whole.
 */
import {
  assert,
  compareBytes,
  equalBytes,
  limits,
  MokuError,
  present,
  type RegionId,
  type ReplicaId,
  type Timestamp,
} from '@moku/base';
import type {
  Engine,
  EngineEvents,
  EngineWrite,
  ReplicaState,
  ScanRange,
  ScanResult,
  StoreId,
  StoreInstall,
  StorePicture,
  VersionedValue,
} from './contracts/engine.js';
import { ScanPage } from './scan-page.js';
import { createVersionTree, type VersionTree, versionPosition } from './version-tree.js';

export interface MemoryEngineOptions {
  /** Unflushed bytes above which `isFull` holds; default limits.engineOverlayBytesMax. */
  readonly overlayBytesMax?: number;
  /**
   * Runs a task later, never from within the call (a clock's `soon`, say). When given, a requested or
   * needed flush happens by itself; when not, only `flush()` makes anything durable.
   */
  readonly schedule?: (task: () => void) => void;
}

/** Bytes that a version costs beside its key and value; about what the SQLite engine's overlay needs. */
const versionOverheadBytes = 40;

interface Image {
  readonly replicas: Map<RegionId, ReplicaState>;
  readonly trees: Map<StoreId, VersionTree>;
}

export class MemoryEngine implements Engine {
  private live: Image = { replicas: new Map(), trees: new Map() };
  private readonly durable: Image = { replicas: new Map(), trees: new Map() };
  private readonly dirtyRegions = new Set<RegionId>();
  private readonly dirtyStores = new Set<StoreId>();
  private readonly overlayBytesMax: number;
  private readonly schedule: ((task: () => void) => void) | undefined;
  private subscribers: EngineEvents[] = [];
  private unflushedBytes = 0;
  private isFlushScheduled = false;
  private nextStoreId = 1;
  /** Versions that cannot be read any more. */
  private readonly damaged = new Set<VersionedValue>();
  /** Raised by a crash: what was handed out before is dead. */
  private life = 0;

  constructor(options: MemoryEngineOptions = {}) {
    this.overlayBytesMax = options.overlayBytesMax ?? limits.engineOverlayBytesMax;
    this.schedule = options.schedule;
  }

  replicas(): readonly ReplicaState[] {
    return [...this.live.replicas.values()];
  }

  replica(regionId: RegionId): ReplicaState | undefined {
    return this.live.replicas.get(regionId);
  }

  createReplica(regionId: RegionId, replicaId: ReplicaId): ReplicaState {
    this.dropReplica(regionId);
    const storeId = this.createStore();
    const state = { regionId, replicaId, storeId, appliedIndex: 0, appliedTerm: 0 };
    this.live.replicas.set(regionId, state);
    this.dirtyRegions.add(regionId);
    return state;
  }

  dropReplica(regionId: RegionId): void {
    const replica = this.live.replicas.get(regionId);
    if (replica === undefined) return;
    this.live.replicas.delete(regionId);
    this.dirtyRegions.add(regionId);
    this.dropStore(replica.storeId);
  }

  write(write: EngineWrite): void {
    const { regionId, appliedIndex, appliedTerm } = write;
    const replica = present(this.live.replicas.get(regionId), 'G1: a written region has a replica');
    assert(appliedIndex >= replica.appliedIndex, 'G1: the applied index never goes back');
    const tree = this.tree(replica.storeId);
    for (const { key, timestamp } of write.removes) {
      tree.delete(versionPosition(key, timestamp));
      this.unflushedBytes += versionOverheadBytes + key.length;
    }
    this.putAll(tree, write.puts);
    this.live.replicas.set(regionId, { ...replica, appliedIndex, appliedTerm });
    this.dirtyStores.add(replica.storeId);
    this.dirtyRegions.add(regionId);
    if (this.isFull()) this.requestFlush();
  }

  isFull(): boolean {
    return this.unflushedBytes > this.overlayBytesMax;
  }

  get(regionId: RegionId, key: Uint8Array, at: Timestamp): VersionedValue | undefined {
    const tree = this.treeOf(regionId);
    const version = tree.getPairOrNextHigher(versionPosition(key, at))?.[0];
    if (version === undefined || !equalBytes(version.key, key)) return undefined;
    return this.whole(version);
  }

  scan(regionId: RegionId, range: ScanRange): ScanResult {
    const tree = this.treeOf(regionId);
    const page = new ScanPage(range);
    const { start, end, isReverse, at } = range;
    const versions = isReverse
      ? tree.entriesReversed(end === undefined ? undefined : versionPosition(end, Infinity))
      : tree.entries(versionPosition(start, Infinity));
    // Of each key's versions the newest <= at counts: the first of them forwards, the last in reverse.
    let candidate: VersionedValue | undefined;
    for (const [version] of versions) {
      const isOutside = isReverse
        ? compareBytes(version.key, start) < 0
        : end !== undefined && compareBytes(version.key, end) >= 0;
      if (isOutside) break;
      this.whole(version);
      if (version.timestamp > at) continue;
      if (candidate !== undefined) {
        if (equalBytes(candidate.key, version.key)) {
          if (isReverse) candidate = version;
          continue;
        }
        if (!page.take(candidate)) return page.result();
      }
      candidate = version;
    }
    if (candidate !== undefined) page.take(candidate);
    return page.result();
  }

  picture(regionId: RegionId): StorePicture {
    const versions = this.treeOf(regionId).clone().entries();
    let waiting: VersionedValue | undefined = versions.next().value?.[0];
    return {
      next: (bytesMax: number): readonly VersionedValue[] => {
        const batch: VersionedValue[] = [];
        let bytes = 0;
        while (waiting !== undefined) {
          bytes += waiting.key.length + (waiting.value?.length ?? 0);
          if (batch.length > 0 && bytes > bytesMax) break;
          batch.push(this.whole(waiting));
          waiting = versions.next().value?.[0];
        }
        return batch;
      },
      close: (): void => {
        waiting = undefined;
      },
    };
  }

  install(regionId: RegionId): StoreInstall {
    const replica = present(
      this.live.replicas.get(regionId),
      'G3: an installing region has a replica',
    );
    const { replicaId } = replica;
    const { life } = this;
    const storeId = this.createStore();
    let isOpen = true;
    const finish = (): void => {
      assert(isOpen && life === this.life, 'G3: an install is used until its commit or abort');
      isOpen = false;
    };
    return {
      put: (versions): void => {
        assert(isOpen && life === this.life, 'G3: an install is used until its commit or abort');
        this.putAll(this.tree(storeId), versions);
        this.dirtyStores.add(storeId);
      },
      commit: ({ appliedIndex, appliedTerm }): void => {
        finish();
        const former = present(this.live.replicas.get(regionId), 'G3: the region is still here');
        assert(former.replicaId === replicaId, 'G3: the replica is still the one that installs');
        assert(appliedIndex >= former.appliedIndex, 'G1: the applied index never goes back');
        this.dropStore(former.storeId);
        this.live.replicas.set(regionId, { ...former, storeId, appliedIndex, appliedTerm });
        this.dirtyRegions.add(regionId);
      },
      abort: (): void => {
        finish();
        this.dropStore(storeId);
      },
    };
  }

  durableIndex(regionId: RegionId): number {
    const replica = this.live.replicas.get(regionId);
    const durable = this.durable.replicas.get(regionId);
    if (replica === undefined || durable === undefined) return 0;
    return replica.replicaId === durable.replicaId ? durable.appliedIndex : 0;
  }

  requestFlush(): void {
    if (this.schedule === undefined || this.isFlushScheduled) return;
    this.isFlushScheduled = true;
    const { life } = this;
    this.schedule(() => {
      if (life === this.life) this.flush();
    });
  }

  subscribe(events: EngineEvents): void {
    this.subscribers.push(events);
  }

  /** Makes everything written so far durable at once, and reports it. */
  flush(): void {
    this.isFlushScheduled = false;
    for (const storeId of this.dirtyStores) {
      const tree = this.live.trees.get(storeId);
      if (tree === undefined) this.durable.trees.delete(storeId);
      else this.durable.trees.set(storeId, tree.clone());
    }
    for (const regionId of this.dirtyRegions) {
      const replica = this.live.replicas.get(regionId);
      if (replica === undefined) this.durable.replicas.delete(regionId);
      else this.durable.replicas.set(regionId, replica);
    }
    this.dirtyStores.clear();
    this.dirtyRegions.clear();
    this.unflushedBytes = 0;
    for (const events of this.subscribers) events.onFlushed();
  }

  /**
   * Forgets what was not flushed, as a crash of the machine and a restart would. Subscriptions,
   * installs and pictures of the former life are over.
   */
  crash(): void {
    this.life += 1;
    this.live = { replicas: new Map(this.durable.replicas), trees: new Map() };
    for (const { storeId } of this.durable.replicas.values()) {
      this.live.trees.set(storeId, present(this.durable.trees.get(storeId), 'M1: store').clone());
    }
    for (const storeId of this.durable.trees.keys()) {
      if (!this.live.trees.has(storeId)) this.durable.trees.delete(storeId); // G3
    }
    this.dirtyStores.clear();
    this.dirtyRegions.clear();
    this.unflushedBytes = 0;
    this.isFlushScheduled = false;
    this.subscribers = [];
  }

  /** What a flush would make durable: something was written since the last one. */
  get isDirty(): boolean {
    return this.dirtyStores.size + this.dirtyRegions.size > 0;
  }

  /** Durable versions of all replicas, in one order; `corruptDurable` takes their positions. */
  get durableVersions(): number {
    let versions = 0;
    for (const tree of this.durable.trees.values()) versions += tree.size;
    return versions;
  }

  /** A durable version can no longer be read: touching it throws ENGINE_CORRUPT. To be called after `crash`. */
  corruptDurable(position: number): void {
    let left = position;
    for (const tree of this.durable.trees.values()) {
      if (left >= tree.size) {
        left -= tree.size;
        continue;
      }
      const version = present(tree.keysArray()[left], 'a position is below the number of versions');
      this.damaged.add(version);
      return;
    }
    assert(false, 'a position is below the number of versions');
  }

  /** Reports an I/O failure to the subscribers, as a test's or the simulator's disk decides. */
  fail(error: Error): void {
    for (const events of this.subscribers) events.onFailure(error);
  }

  /** A damaged one fails its checksum, as a row of the SQLite engine would. */
  private whole(version: VersionedValue): VersionedValue {
    if (this.damaged.size > 0 && this.damaged.has(version)) {
      throw new MokuError('ENGINE_CORRUPT', { timestamp: version.timestamp });
    }
    return version;
  }

  private createStore(): StoreId {
    const storeId = this.nextStoreId as StoreId;
    this.nextStoreId += 1;
    this.live.trees.set(storeId, createVersionTree());
    this.dirtyStores.add(storeId);
    return storeId;
  }

  private dropStore(storeId: StoreId): void {
    this.live.trees.delete(storeId);
    this.dirtyStores.add(storeId);
  }

  private tree(storeId: StoreId): VersionTree {
    return present(this.live.trees.get(storeId), 'G3: a store in use has a tree');
  }

  private treeOf(regionId: RegionId): VersionTree {
    const replica = present(
      this.live.replicas.get(regionId),
      'G1: a region that is read has a replica',
    );
    return this.tree(replica.storeId);
  }

  private putAll(tree: VersionTree, versions: readonly VersionedValue[]): void {
    for (const { key, timestamp, value } of versions) {
      tree.set({ key: key.slice(), timestamp, value: value?.slice() }, undefined);
      this.unflushedBytes += versionOverheadBytes + key.length + (value?.length ?? 0);
    }
  }
}

export function createMemoryEngine(options: MemoryEngineOptions = {}): MemoryEngine {
  return new MemoryEngine(options);
}
