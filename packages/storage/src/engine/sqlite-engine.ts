/**
 * The engine on SQLite: an ordered overlay of applied writes over data.db (design §8). Everything here
 * runs on the loop's thread; a worker thread writes.
 *
 * Owns: replicas and stores as the loop knows them, and the lives of reader, flusher, pictures and
 * writer. Invariants: G1–G3 of the contract, O1–O2, W1–W3, F1–F2; a store id is never used again
 * while a row of it may exist.
 */
import {
  assert,
  type Clock,
  isMokuError,
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
} from '@moku/kv';
import { diskMedium } from '../disk-medium.js';
import type { Medium } from '../medium.js';
import { ChunkTable } from './chunks.js';
import { Flusher } from './flusher.js';
import { Lookup } from './lookup.js';
import { type FlushStats, replicaField, replicaFields } from './messages.js';
import { ReplicaRecord, StoreState } from './overlay.js';
import { Pictures } from './pictures.js';
import { Reader } from './reader.js';
import { systemClock } from './system-clock.js';
import {
  type Ready,
  type StartWriterLink,
  startWriterWorker,
  WriterThread,
} from './writer-thread.js';

export interface EngineOptions {
  /** Directory of data.db; made when it does not exist. */
  readonly dir: string;
  /** Bytes of both overlays above which `isFull` holds; default limits.engineOverlayBytesMax. */
  readonly overlayBytesMax?: number;
  /** Bytes at which a flush begins; default a quarter of overlayBytesMax. */
  readonly flushBytes?: number;
  /** Age of the oldest unflushed change at which a flush begins; default 1,000. */
  readonly flushAgeMs?: number;
  /** Time and timers; default the process's. */
  readonly clock?: Clock;
}

export interface EngineStats {
  readonly replicas: number;
  /** Bytes in the active and the frozen overlay, what records need beside key and value included. */
  readonly overlayBytes: number;
  /** Memory taken for overlays since the start, in use or kept for reuse. */
  readonly chunkBytes: number;
  readonly flushes: number;
  readonly flushMsLast: number;
  readonly flushLast: FlushStats | undefined;
}

const flushAgeMsDefault = 1_000;
const readerCacheKiB = 8_192;

/**
 * Opens the engine in `options.dir`. Errors: DIR_UNUSABLE, DIR_LOCKED (another process or engine has
 * it), DIR_FORMAT_NEWER, ENGINE_CORRUPT, ENGINE_IO, SYNC_DISABLED.
 */
export function openEngine(options: EngineOptions): Promise<SqliteEngine> {
  return openEngineOver(options, diskMedium, startWriterWorker);
}

/** The same on another medium, whose writer `start` starts. */
export async function openEngineOver(
  options: EngineOptions,
  medium: Medium,
  start: StartWriterLink,
): Promise<SqliteEngine> {
  const thread = new WriterThread(options.dir, start);
  try {
    const ready = await thread.ready;
    return new SqliteEngine(options, medium, thread, ready);
  } catch (error) {
    await thread.close();
    throw error;
  }
}

export class SqliteEngine implements Engine {
  private readonly records = new Map<RegionId, ReplicaRecord>();
  private readonly table = new ChunkTable();
  private readonly reader: Reader;
  private readonly lookup: Lookup;
  private readonly pictures: Pictures;
  private readonly thread: WriterThread;
  private readonly flusher: Flusher;
  private readonly clock: Clock;
  private readonly overlayBytesMax: number;
  private readonly subscribers: EngineEvents[] = [];
  private nextStoreId: number;
  private failure: MokuError | undefined = undefined;
  private closing: Promise<void> | undefined = undefined;

  /** Use `openEngine`. */
  constructor(options: EngineOptions, medium: Medium, thread: WriterThread, ready: Ready) {
    this.overlayBytesMax = options.overlayBytesMax ?? limits.engineOverlayBytesMax;
    this.clock = options.clock ?? systemClock;
    this.thread = thread;
    this.nextStoreId = ready.nextStoreId;
    this.recover(ready.replicas);
    this.reader = new Reader(options.dir, readerCacheKiB, medium);
    this.lookup = new Lookup(this.table, this.reader);
    this.pictures = new Pictures(options.dir, this.table, medium);
    this.flusher = new Flusher({
      thread,
      table: this.table,
      clock: this.clock,
      flushLimits: {
        flushBytes: options.flushBytes ?? Math.ceil(this.overlayBytesMax / 4),
        flushAgeMs: options.flushAgeMs ?? flushAgeMsDefault,
      },
      events: {
        onFlushed: () => this.onFlushed(),
        onFailure: (error) => this.fail(error),
      },
    });
  }

  replicas(): readonly ReplicaState[] {
    return Array.from(this.records.values(), stateOf);
  }

  replica(regionId: RegionId): ReplicaState | undefined {
    const record = this.records.get(regionId);
    return record === undefined ? undefined : stateOf(record);
  }

  createReplica(regionId: RegionId, replicaId: ReplicaId): ReplicaState {
    this.assertOpen();
    this.dropReplica(regionId);
    const record = new ReplicaRecord({
      regionId,
      replicaId,
      store: this.createStore(),
      appliedIndex: 0,
      appliedTerm: 0,
      durableIndex: 0,
    });
    record.store.references = 1;
    this.records.set(regionId, record);
    this.flusher.active.dropped.delete(regionId);
    this.flusher.active.touch(record);
    this.flusher.noteChange();
    return stateOf(record);
  }

  dropReplica(regionId: RegionId): void {
    this.assertOpen();
    const record = this.records.get(regionId);
    if (record === undefined) return;
    this.records.delete(regionId);
    record.isLive = false;
    this.flusher.active.dropped.add(regionId);
    this.leaveStore(record.store);
    this.flusher.noteChange();
  }

  write(write: EngineWrite): void {
    this.assertOpen();
    const record = present(this.records.get(write.regionId), 'G1: a written region has a replica');
    assert(write.appliedIndex >= record.appliedIndex, 'G1: the applied index never goes back');
    const { active } = this.flusher;
    const { removes, puts } = write;
    for (let i = 0; i < removes.length; i++) {
      active.remove(record.store, removes[i]!.key, removes[i]!.timestamp);
    }
    for (let i = 0; i < puts.length; i++) active.put(record.store, puts[i]!);
    record.appliedIndex = write.appliedIndex;
    record.appliedTerm = write.appliedTerm;
    active.touch(record);
    this.flusher.noteChange();
  }

  isFull(): boolean {
    return this.flusher.bytes > this.overlayBytesMax;
  }

  get(regionId: RegionId, key: Uint8Array, at: Timestamp): VersionedValue | undefined {
    const store = this.storeOf(regionId);
    try {
      return this.lookup.get(store, key, at);
    } catch (error) {
      throw this.readFailed(error);
    }
  }

  scan(regionId: RegionId, range: ScanRange): ScanResult {
    const store = this.storeOf(regionId);
    try {
      return this.lookup.scan(store, range);
    } catch (error) {
      throw this.readFailed(error);
    }
  }

  picture(regionId: RegionId): StorePicture {
    const store = this.storeOf(regionId);
    const { active, frozen } = this.flusher;
    const overlays = frozen === undefined ? [active] : [active, frozen];
    try {
      return this.pictures.take(store, overlays);
    } catch (error) {
      throw this.readFailed(error);
    }
  }

  install(regionId: RegionId): StoreInstall {
    this.assertOpen();
    const record = present(this.records.get(regionId), 'G3: an installing region has a replica');
    const store = this.createStore();
    let isOpen = true;
    const use = (): void => {
      this.assertOpen();
      assert(isOpen, 'G3: an install is used until its commit or abort');
    };
    return {
      put: (versions): void => {
        use();
        for (const version of versions) this.flusher.active.put(store, version);
        this.flusher.noteChange();
      },
      commit: ({ appliedIndex, appliedTerm }): void => {
        use();
        assert(record.isLive, 'G3: the replica is still the one that installs');
        assert(appliedIndex >= record.appliedIndex, 'G1: the applied index never goes back');
        isOpen = false;
        this.leaveStore(record.store);
        store.references = 1;
        record.store = store;
        record.appliedIndex = appliedIndex;
        record.appliedTerm = appliedTerm;
        this.flusher.active.touch(record);
        this.flusher.noteChange();
      },
      abort: (): void => {
        use();
        isOpen = false;
        this.orphan(store);
        this.flusher.noteChange();
      },
    };
  }

  durableIndex(regionId: RegionId): number {
    return this.records.get(regionId)?.durableIndex ?? 0;
  }

  requestFlush(): void {
    this.flusher.request();
  }

  subscribe(events: EngineEvents): void {
    this.subscribers.push(events);
  }

  /** Resolves when everything written so far is durable. Rejects with the failure when it cannot be. */
  async flush(): Promise<void> {
    await this.flusher.flush();
  }

  /**
   * Flushes and closes the files. Pictures and installs are over. Always releases everything; rejects
   * when the flush failed.
   */
  close(): Promise<void> {
    this.closing ??= this.shut();
    return this.closing;
  }

  stats(): EngineStats {
    return {
      replicas: this.records.size,
      overlayBytes: this.flusher.bytes,
      chunkBytes: this.table.bytes,
      flushes: this.flusher.flushes,
      flushMsLast: this.flusher.flushMsLast,
      flushLast: this.flusher.statsLast,
    };
  }

  private async shut(): Promise<void> {
    this.pictures.close();
    try {
      await this.flusher.flush();
    } finally {
      this.flusher.stop(new MokuError('CLOSED', { what: 'engine' }));
      this.reader.close();
      await this.thread.close();
    }
  }

  private recover(rows: Float64Array): void {
    const stores = new Map<number, StoreState>();
    for (let at = 0; at < rows.length; at += replicaFields) {
      const storeId = rows[at + replicaField.storeId]!;
      const timestampMax = rows[at + replicaField.timestampMax]!;
      let store = stores.get(storeId);
      if (store === undefined) {
        store = new StoreState(storeId as StoreId, timestampMax);
        stores.set(storeId, store);
      }
      store.references += 1;
      store.storedTimestampMax = Math.max(store.storedTimestampMax, timestampMax);
      const appliedIndex = rows[at + replicaField.appliedIndex]!;
      const record = new ReplicaRecord({
        regionId: rows[at + replicaField.regionId]! as RegionId,
        replicaId: rows[at + replicaField.replicaId]! as ReplicaId,
        store,
        appliedIndex,
        appliedTerm: rows[at + replicaField.appliedTerm]!,
        durableIndex: appliedIndex,
      });
      this.records.set(record.regionId, record);
    }
  }

  private createStore(): StoreState {
    const store = new StoreState(this.nextStoreId as StoreId, -1);
    this.nextStoreId += 1;
    return store;
  }

  private leaveStore(store: StoreState): void {
    store.references -= 1;
    if (store.references === 0) this.orphan(store);
  }

  /** Nobody will read `store` again; its rows go once the change that left it is in data.db (G3). */
  private orphan(store: StoreState): void {
    store.active = undefined;
    this.flusher.active.orphans.push(store);
  }

  private storeOf(regionId: RegionId): StoreState {
    this.assertOpen();
    return present(this.records.get(regionId), 'G1: a region that is read has a replica').store;
  }

  private assertOpen(): void {
    if (this.closing !== undefined) throw new MokuError('CLOSED', { what: 'engine' });
  }

  private onFlushed(): void {
    for (const events of this.subscribers) events.onFlushed();
  }

  /** Reports the first failure, once (P6, P7). */
  private fail(error: MokuError): void {
    if (this.failure !== undefined) return;
    this.failure = error;
    for (const events of this.subscribers) events.onFailure(error);
  }

  /** The caller gets what a read met: damage concerns it alone, an I/O error soon the subscribers, too. */
  private readFailed(cause: unknown): unknown {
    if (isMokuError(cause, 'ENGINE_IO')) this.clock.soon(() => this.fail(cause));
    return cause;
  }
}

function stateOf(record: ReplicaRecord): ReplicaState {
  const { regionId, replicaId, appliedIndex, appliedTerm } = record;
  return { regionId, replicaId, storeId: record.store.storeId, appliedIndex, appliedTerm };
}
