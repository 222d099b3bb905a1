/**
 * The disk of one simulated node, in memory: its log, whose syncs complete later or fail, and its engine,
 * which is flushed now and then. What a crash leaves is decided here, and what an opening finds is what
 * the real stores would say of the same damage.
 *
 * Invariants:
 *  D1 A crash keeps the synced batches and a prefix of the others; of the engine, what was flushed.
 *  D2 Of a former life nothing completes.
 *  D3 What the real stores refuse to open stays refused, until the files are wiped.
 */
import { assert, MokuError, type NodeId, type Prng, type RegionId } from '@moku/base';
import { createMemoryEngine, type Engine, type EngineWrite, type MemoryEngine } from '@moku/kv';
import { refuseLostData } from '@moku/node';
import {
  type HardState,
  type LogStore,
  type LogStoreHealth,
  MemoryLogStore,
  type RegionLog,
  type RegionWrite,
} from '@moku/raft';
import type { Disk, DiskOpening, DiskPart, LogShape } from './disk-port.js';
import type { Scheduler } from './scheduler.js';

export interface DiskTimes {
  /** Until the batches in flight are synced. */
  readonly syncMs: () => number;
  /** Between two flushes of the engine. */
  readonly flushMs: () => number;
}

export interface DiskOptions {
  /** Who owns the directory. */
  readonly nodeId: NodeId;
  readonly scheduler: Scheduler;
  readonly prng: Prng;
  readonly times: DiskTimes;
  /** Bytes of unflushed writes beyond which the engine is full. */
  readonly overlayBytesMax: number;
  /** Runs a completion in the process of `life`, unless that is over. */
  readonly run: (life: number, task: () => void) => void;
  readonly onApply: (write: EngineWrite) => void;
  readonly onLogWrite: (write: RegionWrite) => void;
}

/** Synced batches that a broken disk may lose at once. */
const losableMax = 8;
/** Where a bit flips, out of ten: the rest hits an entry or a version. */
const stateShare = 1;
const replicaShare = 1;
const entryShare = 4;
const noHealth: LogStoreHealth = { batchesInFlight: 0, bytesInFlight: 0, oldestUnsyncedMs: 0 };

/** The files of a directory. */
interface Contents {
  readonly owner: NodeId;
  storeId: string;
  incarnation: number;
  log: MemoryLogStore;
  engine: MemoryEngine;
  /** What the next openings say of it (D3). */
  logDamage: MokuError | undefined;
  engineDamage: MokuError | undefined;
  isAmnesiac: boolean;
}

export class SimDisk implements Disk {
  readonly damageMayEnd = false;
  private readonly options: DiskOptions;
  private contents: Contents;
  /** Of the process that runs; -1: none does. */
  private life = -1;
  private isSyncing = false;
  /** Counts syncs, so that one that was given up does not complete. */
  private syncs = 0;
  private failsNextSync = false;
  private failsNextFlush = false;
  private isFull = false;
  private wipes = 0;

  constructor(options: DiskOptions) {
    this.options = options;
    this.contents = {
      owner: options.nodeId,
      storeId: this.nextStoreId(),
      incarnation: 0,
      log: this.emptyLog(),
      engine: this.emptyEngine(),
      logDamage: undefined,
      engineDamage: undefined,
      isAmnesiac: false,
    };
  }

  open(life: number, opening: DiskOpening): void {
    const { contents } = this;
    this.life = life;
    this.isSyncing = false;
    this.failsNextSync = false;
    this.failsNextFlush = false;
    try {
      this.checkFiles();
      contents.incarnation += 1;
      refuseLostData(contents, contents.engine, `disk ${contents.owner}`);
    } catch (error) {
      if (!(error instanceof MokuError)) throw error;
      // As `refuseForEver` notes it beside the log.
      if (error.code === 'LOG_AMNESIA') contents.isAmnesiac = true;
      this.life = -1;
      opening.onRefused(error);
      return;
    }
    this.flushLater();
    const { storeId, incarnation } = contents;
    opening.onOpened({ log: this.openedLog(), engine: this.openedEngine(), storeId, incarnation });
  }

  crash(): void {
    this.life = -1;
    const { contents } = this;
    contents.log = contents.log.crash(this.options.prng.below(contents.log.unsyncedBatches + 1));
    contents.engine.crash();
  }

  failSync(): void {
    this.failsNextSync = true;
    this.syncLater();
  }

  failFlush(): void {
    this.failsNextFlush = true;
  }

  mend(): void {
    this.failsNextSync = false;
    this.failsNextFlush = false;
    this.isSyncing = false;
    this.syncs += 1;
    this.syncLater();
  }

  flipBit(prng: Prng): boolean {
    this.assertIdle();
    const place = prng.below(10);
    if (place < stateShare) return this.flipState();
    if (place < stateShare + replicaShare) return this.flipReplica();
    if (place < stateShare + replicaShare + entryShare) return this.flipEntry(prng);
    return this.flipVersion(prng);
  }

  /**
   * The real log notices by the commits behind the lost ones, or by its note of how many were synced. That
   * the note went with them, as a power loss may do, is left out: then nothing on the disk can tell.
   */
  loseSyncedSuffix(prng: Prng): boolean {
    this.assertIdle();
    const { contents } = this;
    if (contents.log.losable === 0) return false;
    contents.log = contents.log.loseSynced(1 + prng.below(contents.log.losable));
    contents.isAmnesiac = true;
    return true;
  }

  fill(): void {
    this.isFull = true;
  }

  free(): void {
    this.isFull = false;
  }

  wipe(part: DiskPart): void {
    this.assertIdle();
    const { contents } = this;
    if (part !== 'engine') {
      contents.storeId = this.nextStoreId();
      contents.incarnation = 0;
      contents.log = this.emptyLog();
      contents.logDamage = undefined;
      contents.isAmnesiac = false;
    }
    if (part === 'log') return;
    contents.engine = this.emptyEngine();
    contents.engineDamage = undefined;
  }

  exchange(other: Disk): void {
    assert(other instanceof SimDisk, 'disks of one kind are exchanged');
    this.assertIdle();
    other.assertIdle();
    const { contents } = this;
    this.contents = other.contents;
    other.contents = contents;
  }

  visible(regionId: RegionId): RegionLog | undefined {
    return this.life < 0 ? undefined : this.contents.log.region(regionId);
  }

  synced(regionId: RegionId): LogShape | undefined {
    return this.contents.log.synced(regionId);
  }

  syncedHardState(regionId: RegionId): HardState | undefined {
    return this.contents.log.syncedHardState(regionId);
  }

  syncedMeta(key: string): Uint8Array | undefined {
    return this.contents.log.syncedMeta(key);
  }

  health(): LogStoreHealth {
    return this.life < 0 ? noHealth : this.contents.log.health();
  }

  appliedIndex(regionId: RegionId): number {
    return this.contents.engine.replica(regionId)?.appliedIndex ?? 0;
  }

  isEngineFull(): boolean {
    return this.life >= 0 && this.contents.engine.isFull();
  }

  private assertIdle(): void {
    assert(this.life < 0, 'disks are damaged while no process runs on them');
  }

  /** What the real stores look at before anything else, in their order. */
  private checkFiles(): void {
    const { owner, logDamage, engineDamage } = this.contents;
    const { nodeId } = this.options;
    if (owner !== nodeId) {
      throw new MokuError('DIR_FOREIGN', { field: 'nodeId', found: owner, expected: nodeId });
    }
    // The incarnation is written at each opening.
    if (this.isFull) throw noSpace('LOG_IO');
    if (logDamage !== undefined) throw logDamage;
    if (engineDamage !== undefined) throw engineDamage;
  }

  private emptyLog(): MemoryLogStore {
    const { scheduler } = this.options;
    return new MemoryLogStore({ monotonicMs: () => scheduler.nowMs, losableMax });
  }

  private emptyEngine(): MemoryEngine {
    const { overlayBytesMax, times } = this.options;
    return createMemoryEngine({
      overlayBytesMax,
      schedule: () => this.later(times.flushMs() / 10, () => this.flush()),
    });
  }

  private nextStoreId(): string {
    this.wipes += 1;
    return `store ${this.options.nodeId}.${this.wipes}`;
  }

  /** A region's hard state: its vote may be in it, so the log does not open. */
  private flipState(): boolean {
    const [region] = this.contents.log.recovered().regions;
    if (region === undefined) return false;
    const { regionId } = region;
    this.contents.logDamage = new MokuError('LOG_CORRUPT', { field: 'region.state', regionId });
    return true;
  }

  /** Where a replica stands in the engine: it does not open. */
  private flipReplica(): boolean {
    const [replica] = this.contents.engine.replicas();
    if (replica === undefined) return false;
    const { regionId } = replica;
    this.contents.engineDamage = new MokuError('ENGINE_CORRUPT', { table: 'replica', regionId });
    return true;
  }

  /** Its region's replica says LOG_CORRUPT when, and if, it reads it. */
  private flipEntry(prng: Prng): boolean {
    const { log } = this.contents;
    const regions = log.recovered().regions.filter((each) => each.lastIndex > each.truncatedIndex);
    const region = regions[prng.below(Math.max(1, regions.length))];
    if (region === undefined) return false;
    const { regionId, truncatedIndex, lastIndex } = region;
    log.corrupt(regionId, truncatedIndex + 1 + prng.below(lastIndex - truncatedIndex));
    return true;
  }

  private flipVersion(prng: Prng): boolean {
    const { engine } = this.contents;
    const versions = engine.durableVersions;
    if (versions === 0) return false;
    engine.corruptDurable(prng.below(versions));
    return true;
  }

  private openedLog(): LogStore {
    const store = this.contents.log;
    return {
      recovered: () => store.recovered(),
      subscribe: (subscriber) => store.subscribe(subscriber),
      region: (regionId): RegionLog | undefined => store.region(regionId),
      write: (writes: readonly RegionWrite[]): number => {
        for (const write of writes) this.options.onLogWrite(write);
        const batch = store.write(writes);
        this.syncLater();
        return batch;
      },
      health: (): LogStoreHealth => store.health(),
      getMeta: (key) => store.getMeta(key),
      setMeta: (key, value) => store.setMeta(key, value),
    };
  }

  private openedEngine(): Engine {
    const memory = this.contents.engine;
    const { onApply } = this.options;
    const engine: Engine = {
      replicas: () => memory.replicas(),
      replica: (regionId) => memory.replica(regionId),
      createReplica: (regionId, replicaId) => memory.createReplica(regionId, replicaId),
      dropReplica: (regionId) => memory.dropReplica(regionId),
      write: (write) => {
        onApply(write);
        memory.write(write);
      },
      isFull: () => memory.isFull(),
      get: (regionId, key, at) => memory.get(regionId, key, at),
      scan: (regionId, range) => memory.scan(regionId, range),
      picture: (regionId) => memory.picture(regionId),
      install: (regionId) => memory.install(regionId),
      durableIndex: (regionId) => memory.durableIndex(regionId),
      requestFlush: () => memory.requestFlush(),
      subscribe: (events) => memory.subscribe(events),
    };
    return engine;
  }

  private syncLater(): void {
    if (this.isSyncing || this.life < 0) return;
    const { log } = this.contents;
    const { batchesInFlight } = log.health();
    if (batchesInFlight === 0 && !this.failsNextSync) return;
    this.isSyncing = true;
    this.syncs += 1;
    const { syncs } = this;
    this.later(this.options.times.syncMs(), () => {
      if (syncs !== this.syncs) return;
      this.isSyncing = false;
      if (this.isFull) log.fail(noSpace('LOG_IO'));
      else if (this.failsNextSync) log.fail(new MokuError('LOG_IO', { found: 'SQLITE_IOERR' }));
      else {
        log.sync(batchesInFlight);
        this.syncLater();
      }
    });
  }

  private flushLater(): void {
    this.later(this.options.times.flushMs(), () => {
      this.flush();
      this.flushLater();
    });
  }

  private flush(): void {
    const { engine } = this.contents;
    if (!engine.isDirty) engine.flush();
    else if (this.isFull) engine.fail(noSpace('ENGINE_IO'));
    else if (this.failsNextFlush) {
      engine.fail(new MokuError('ENGINE_IO', { sqliteCode: 'SQLITE_IOERR' }));
    } else engine.flush();
  }

  private later(delayMs: number, task: () => void): void {
    const { life } = this;
    this.options.scheduler.after(delayMs, () => {
      if (life === this.life && life >= 0) this.options.run(life, task);
    });
  }
}

function noSpace(code: 'LOG_IO' | 'ENGINE_IO'): MokuError {
  return new MokuError(code, { found: 'SQLITE_FULL' });
}
