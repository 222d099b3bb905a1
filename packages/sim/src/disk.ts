/**
 * The disk of one simulated node: its log, whose syncs complete later or fail, and its engine, which is
 * flushed now and then. What a crash leaves is decided here.
 *
 * Invariants:
 *  D1 A crash keeps the synced batches and a prefix of the others; of the engine, what was flushed.
 *  D2 Of a former life nothing completes.
 */
import { MokuError, type Prng } from '@moku/base';
import { createMemoryEngine, type Engine, type EngineWrite, type MemoryEngine } from '@moku/kv';
import {
  type LogStore,
  type LogStoreEvents,
  type LogStoreHealth,
  MemoryLogStore,
  type RegionLog,
  type RegionWrite,
} from '@moku/raft';
import type { Bug } from './bugs.js';
import type { Scheduler } from './scheduler.js';

export interface DiskTimes {
  /** Until the batches in flight are synced. */
  readonly syncMs: () => number;
  /** Between two flushes of the engine. */
  readonly flushMs: () => number;
}

export interface DiskOptions {
  readonly scheduler: Scheduler;
  readonly prng: Prng;
  readonly times: DiskTimes;
  /** Bytes of unflushed writes beyond which the engine is full. */
  readonly overlayBytesMax: number;
  readonly bug: Bug | undefined;
  /** Runs a completion in the process of `life`, unless that is over. */
  readonly run: (life: number, task: () => void) => void;
  readonly onApply: (write: EngineWrite) => void;
  readonly onLogWrite: (write: RegionWrite) => void;
}

export class SimDisk {
  log: MemoryLogStore;
  readonly memory: MemoryEngine;
  private readonly options: DiskOptions;
  private life = 0;
  private isSyncing = false;
  /** Counts syncs, so that one that was given up does not complete. */
  private syncs = 0;
  private failsNextSync = false;

  constructor(options: DiskOptions) {
    this.options = options;
    const { scheduler } = options;
    this.log = new MemoryLogStore({ monotonicMs: () => scheduler.nowMs });
    this.memory = createMemoryEngine({
      overlayBytesMax: options.overlayBytesMax,
      schedule: (task) => this.later(options.times.flushMs() / 10, task),
    });
  }

  /** The stores as a process that starts now opens them. */
  open(life: number): { readonly log: LogStore; readonly engine: Engine } {
    this.life = life;
    this.isSyncing = false;
    this.failsNextSync = false;
    this.flushLater();
    return { log: this.openedLog(), engine: this.openedEngine() };
  }

  /** The machine loses power, or the process ends. */
  crash(): void {
    this.life = -1;
    const { batchesInFlight } = this.log.health();
    this.log = this.log.crash(this.options.prng.below(batchesInFlight + 1));
    this.memory.crash();
  }

  /** The sync under way, or the next, reports an error. */
  failSync(): void {
    this.failsNextSync = true;
    this.syncLater();
  }

  /** A failure that has not happened yet does not happen, and a sync that hangs goes on. */
  mend(): void {
    this.failsNextSync = false;
    this.isSyncing = false;
    this.syncs += 1;
    this.syncLater();
  }

  private openedLog(): LogStore {
    const store = this.log;
    const lies = this.options.bug === 'durableBeforeSync';
    let events: LogStoreEvents | undefined;
    return {
      recovered: () => store.recovered(),
      subscribe: (subscriber) => {
        events = subscriber;
        store.subscribe(lies ? { ...silent(subscriber), onDurable: () => {} } : subscriber);
      },
      region: (regionId): RegionLog | undefined => store.region(regionId),
      write: (writes: readonly RegionWrite[]): number => {
        for (const write of writes) this.options.onLogWrite(write);
        const batch = store.write(writes);
        this.syncLater();
        if (lies) this.later(0.01, () => events?.onDurable(batch));
        return batch;
      },
      health: (): LogStoreHealth => store.health(),
      getMeta: (key) => store.getMeta(key),
      setMeta: (key, value) => store.setMeta(key, value),
    };
  }

  private openedEngine(): Engine {
    const { memory } = this;
    const { bug, onApply } = this.options;
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
      durableIndex: (regionId) =>
        bug === 'durableIndexAhead'
          ? (memory.replica(regionId)?.appliedIndex ?? 0)
          : memory.durableIndex(regionId),
      requestFlush: () => memory.requestFlush(),
      subscribe: (events) => memory.subscribe(events),
    };
    return engine;
  }

  private syncLater(): void {
    if (this.isSyncing) return;
    const { batchesInFlight } = this.log.health();
    if (batchesInFlight === 0 && !this.failsNextSync) return;
    this.isSyncing = true;
    this.syncs += 1;
    const { syncs } = this;
    this.later(this.options.times.syncMs(), () => {
      if (syncs !== this.syncs) return;
      this.isSyncing = false;
      if (this.failsNextSync) {
        this.log.fail(new MokuError('LOG_IO', { reason: 'simulated' }));
        return;
      }
      this.log.sync(batchesInFlight);
      this.syncLater();
    });
  }

  private flushLater(): void {
    this.later(this.options.times.flushMs(), () => {
      this.memory.flush();
      this.flushLater();
    });
  }

  private later(delayMs: number, task: () => void): void {
    const { life } = this;
    this.options.scheduler.after(delayMs, () => {
      if (life === this.life) this.options.run(life, task);
    });
  }
}

function silent(events: LogStoreEvents): LogStoreEvents {
  return {
    onDurable: (batch) => events.onDurable(batch),
    onFetched: (regionId) => events.onFetched(regionId),
    onFailure: (error) => events.onFailure(error),
  };
}
