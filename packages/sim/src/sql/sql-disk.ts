/**
 * The disk of one simulated node with the real stores on it: their SQL, on SQLite, over sectors. What
 * a crash leaves is decided by sector and by operation of the disk, not by batch.
 *
 * Invariants:
 *  D1 What an opening finds is held against what was written and reported (`LogShadow`, S1).
 *  D2 Of a former life nothing completes.
 */
import {
  assert,
  type Clock,
  createPrng,
  MokuError,
  type NodeId,
  type Prng,
  type RegionId,
} from '@moku/base';
import type { Engine } from '@moku/kv';
import { refuseForEver } from '@moku/node';
import type {
  HardState,
  LogStore,
  LogStoreEvents,
  LogStoreHealth,
  RegionLog,
  RegionWrite,
} from '@moku/raft';
import { openEngineOver, openLogStoreOver, type SqliteLogStore } from '@moku/storage';
import type { Report } from '../invariants/invariant.js';
import type { DiskOptions } from '../world/disk.js';
import type { Disk, DiskOpening, DiskPart, LogShape } from '../world/disk-port.js';
import type { Planned } from '../world/scheduler.js';
import { flipStoredBit, loseWalSuffix, removeFiles } from './damage.js';
import type { Machine, MachineRoom } from './machine.js';
import type { Remains } from './sectors.js';
import { LogShadow } from './shadow.js';
import { type Actor, logLinks, type Pace, writerLinks } from './threads.js';

export interface SqlDiskOptions extends DiskOptions {
  readonly room: MachineRoom;
  readonly report: Report;
}

const remainsOfCut: readonly Remains[] = ['nothing', 'everything', 'prefix', 'subset'];
/** A crash comes within this many operations of the disk, if any are under way. */
const operationsMax = 40;
const answerMs = 0.05;
const clusterId = 'simulated';
/** Small, so that checkpoints and compaction come often. */
const checkpointBytes: number = 128 * 1024;
const garbageBytesMin: number = 64 * 1024;
const noHealth: LogStoreHealth = { batchesInFlight: 0, bytesInFlight: 0, oldestUnsyncedMs: 0 };

/** What is exchanged with a disk. */
interface Contents {
  readonly owner: NodeId;
  /** A log was opened here, which names its owner. */
  isMade: boolean;
  readonly machine: Machine;
  readonly shadow: LogShadow;
}

/** A thread's next piece of work, which may hang. */
interface Work {
  planned: Planned;
  readonly task: () => void;
}

export class SqlDisk implements Disk {
  readonly damageMayEnd = true;
  private readonly options: SqlDiskOptions;
  private contents: Contents;
  /** Of the process that runs; -1: none does. */
  private life = -1;
  private readonly actors = new Set<Actor>();
  private readonly works = new Set<Work>();
  private log: SqliteLogStore | undefined;
  private engine: Engine | undefined;
  private isOpening = false;
  private isFull = false;
  private copies = 0;

  constructor(options: SqlDiskOptions) {
    this.options = options;
    const { room, nodeId, prng, scheduler } = options;
    this.contents = {
      owner: nodeId,
      isMade: false,
      machine: room.machine(`node-${nodeId}`, prng.split()),
      shadow: new LogShadow(() => scheduler.nowMs),
    };
  }

  open(life: number, opening: DiskOpening): void {
    this.life = life;
    this.isOpening = true;
    // Promises settle in this event and in those that answer.
    this.options.scheduler.needsDrain = true;
    void this.openStores(life).then(
      (opened) => {
        if (opened !== undefined) this.later(0, () => opening.onOpened(opened));
      },
      (error: unknown) => {
        if (life !== this.life) return;
        if (!(error instanceof MokuError)) throw error;
        this.end('everything');
        this.options.scheduler.after(0, () => opening.onRefused(error));
      },
    );
  }

  crash(): void {
    if (this.life < 0) return;
    const { prng } = this.options;
    const isKill = prng.below(3) === 0;
    if (prng.below(4) > 0) this.goOnUntilCut(prng);
    this.end(isKill ? 'everything' : remainsOfCut[prng.below(remainsOfCut.length)]!);
  }

  failSync(): void {
    this.contents.machine.disk.failsNextSync = true;
  }

  failFlush(): void {
    this.failSync();
  }

  mend(): void {
    this.contents.machine.disk.failsNextSync = false;
    for (const work of this.works) {
      work.planned.cancel();
      work.planned = this.options.scheduler.after(this.options.times.syncMs(), () =>
        this.doWork(work),
      );
    }
  }

  flipBit(prng: Prng): boolean {
    this.assertIdle();
    return flipStoredBit(this.contents.machine.disk, prng, () => this.storedValues());
  }

  /** Values in data.db as they are stored; none when it cannot be read. Asked of a copy, as asking writes. */
  private storedValues(): readonly Uint8Array[] {
    const { machine } = this.contents;
    this.copies += 1;
    const copy = this.options.room.machine(
      `copy-${this.options.nodeId}-${this.copies}`,
      createPrng(this.copies),
    );
    copy.copyFrom(machine);
    try {
      const db = copy.connect(`${copy.dir}/data.db`);
      return db.prepare('SELECT value FROM version').pluck().all() as Uint8Array[];
    } catch {
      return [];
    } finally {
      copy.discard();
    }
  }

  loseSyncedSuffix(prng: Prng): boolean {
    this.assertIdle();
    return loseWalSuffix(this.contents.machine.disk, prng);
  }

  fill(): void {
    this.isFull = true;
    this.boundSpace();
  }

  free(): void {
    this.isFull = false;
    this.boundSpace();
  }

  wipe(part: DiskPart): void {
    this.assertIdle();
    const { machine, shadow } = this.contents;
    removeFiles(machine.disk, part);
    if (part === 'engine') return;
    shadow.clear();
    this.contents.isMade = false;
  }

  exchange(other: Disk): void {
    assert(other instanceof SqlDisk, 'disks of one kind are exchanged');
    this.assertIdle();
    other.assertIdle();
    const { contents } = this;
    this.contents = other.contents;
    other.contents = contents;
    this.boundSpace();
    other.boundSpace();
  }

  visible(regionId: RegionId): RegionLog | undefined {
    return this.log?.region(regionId);
  }

  synced(regionId: RegionId): LogShape | undefined {
    return this.contents.shadow.store.synced(regionId);
  }

  syncedHardState(regionId: RegionId): HardState | undefined {
    return this.contents.shadow.syncedHardState(regionId);
  }

  syncedMeta(key: string): Uint8Array | undefined {
    return this.contents.shadow.store.syncedMeta(key);
  }

  health(): LogStoreHealth {
    return this.log?.health() ?? noHealth;
  }

  appliedIndex(regionId: RegionId): number {
    return this.engine?.replica(regionId)?.appliedIndex ?? 0;
  }

  isEngineFull(): boolean {
    return this.engine?.isFull() === true;
  }

  /** The stores as `startNode` opens them; undefined when the process has ended meanwhile. */
  private async openStores(
    life: number,
  ): Promise<Parameters<DiskOpening['onOpened']>[0] | undefined> {
    const { contents } = this;
    const { owner, machine, shadow } = contents;
    const { nodeId, overlayBytesMax, times } = this.options;
    const { dir } = machine;
    // A disk that was wiped and taken away looks new to a stranger; nobody is to move in.
    if (owner !== nodeId && !contents.isMade) {
      throw new MokuError('DIR_FOREIGN', { field: 'nodeId', found: owner, expected: nodeId });
    }
    const clock = this.clock();
    const pace = this.pace();
    const onStart = (actor: Actor): void => {
      this.actors.add(actor);
    };
    const log = await openLogStoreOver(
      { dir, clusterId, nodeId, clock, checkpointBytes, garbageBytesMin },
      logLinks(machine, pace, onStart),
    );
    const flushAgeMs = times.flushMs();
    const engine = await openEngineOver(
      { dir, clock, overlayBytesMax, flushAgeMs },
      machine,
      writerLinks(machine, pace, onStart),
    );
    if (life !== this.life) return undefined;
    contents.isMade = true;
    await refuseForEver(log, engine, dir);
    // Noting a refusal takes its time.
    if (life !== this.life) return undefined;
    const problem = shadow.adopt(log);
    if (problem !== undefined) {
      this.options.report('what was synced is found again', `node ${nodeId}: ${problem}`);
    }
    this.isOpening = false;
    this.log = log;
    this.engine = engine;
    const { storeId, incarnation } = log;
    return { log: this.openedLog(log), engine: this.openedEngine(engine), storeId, incarnation };
  }

  private openedLog(store: SqliteLogStore): LogStore {
    const { shadow } = this.contents;
    const { onLogWrite } = this.options;
    return {
      recovered: () => store.recovered(),
      subscribe: (events: LogStoreEvents) => {
        store.subscribe({
          onDurable: (batch) => {
            shadow.durable(batch);
            events.onDurable(batch);
          },
          onFetched: (regionId) => events.onFetched(regionId),
          onFailure: (error) => events.onFailure(error),
        });
      },
      region: (regionId) => store.region(regionId),
      write: (writes: readonly RegionWrite[]): number => {
        for (const write of writes) onLogWrite(write);
        shadow.wrote(writes);
        return store.write(writes);
      },
      health: () => store.health(),
      getMeta: (key) => store.getMeta(key),
      setMeta: (key, value) => {
        shadow.setMeta(key, value);
        store.setMeta(key, value);
      },
    };
  }

  private openedEngine(engine: Engine): Engine {
    const { onApply } = this.options;
    return {
      replicas: () => engine.replicas(),
      replica: (regionId) => engine.replica(regionId),
      createReplica: (regionId, replicaId) => engine.createReplica(regionId, replicaId),
      dropReplica: (regionId) => engine.dropReplica(regionId),
      write: (write) => {
        onApply(write);
        engine.write(write);
      },
      isFull: () => engine.isFull(),
      get: (regionId, key, at) => engine.get(regionId, key, at),
      scan: (regionId, range) => engine.scan(regionId, range),
      picture: (regionId) => engine.picture(regionId),
      install: (regionId) => engine.install(regionId),
      durableIndex: (regionId) => engine.durableIndex(regionId),
      requestFlush: () => engine.requestFlush(),
      subscribe: (events) => engine.subscribe(events),
    };
  }

  /** What the threads were about to do goes on, until the power is cut in the midst of an operation. */
  private goOnUntilCut(prng: Prng): void {
    const { disk } = this.contents.machine;
    disk.operationsLeft = 1 + prng.below(operationsMax);
    for (;;) {
      const busy = [...this.actors].filter((actor) => actor.isAlive && !actor.isIdle);
      if (disk.isOff || busy.length === 0) return;
      busy[prng.below(busy.length)]!.step();
    }
  }

  /** D2. */
  private end(remains: Remains): void {
    this.life = -1;
    for (const actor of this.actors) actor.kill();
    this.actors.clear();
    for (const { planned } of this.works) planned.cancel();
    this.works.clear();
    this.log = undefined;
    this.engine = undefined;
    this.isOpening = false;
    this.contents.machine.crash(remains);
  }

  /** Space belongs to the place, not to the contents. */
  private boundSpace(): void {
    const { disk } = this.contents.machine;
    disk.bytesMax = this.isFull ? disk.bytesUsed() : Number.POSITIVE_INFINITY;
  }

  private assertIdle(): void {
    assert(this.life < 0, 'disks are damaged while no process runs on them');
  }

  private pace(): Pace {
    return {
      work: (task) => {
        const { scheduler, times } = this.options;
        const delayMs = times.syncMs();
        const work: Work = { task, planned: scheduler.after(delayMs, () => this.doWork(work)) };
        this.works.add(work);
      },
      answer: (task) => {
        this.later(answerMs, () => {
          if (this.isOpening) this.options.scheduler.needsDrain = true;
          task();
        });
      },
    };
  }

  private doWork(work: Work): void {
    this.options.run(this.life, () => {
      // A crash meanwhile has dropped it.
      if (this.works.delete(work)) work.task();
    });
  }

  private clock(): Clock {
    const { scheduler } = this.options;
    return {
      monotonicMs: () => scheduler.nowMs,
      wallMs: () => scheduler.nowMs,
      after: (delayMs, task) => this.later(delayMs, task),
      soon: (task) => {
        this.later(answerMs, task);
      },
    };
  }

  private later(delayMs: number, task: () => void): Planned {
    const { life } = this;
    return this.options.scheduler.after(delayMs, () => {
      if (life === this.life && life >= 0) this.options.run(life, task);
    });
  }
}
