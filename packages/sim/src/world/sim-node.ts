/**
 * One simulated node: the real `createNode` on a virtual clock, disk and network, started and ended as
 * often as the faults want.
 *
 * Invariants:
 *  P1 Nothing runs in a process that has ended or is paused; what came meanwhile runs after the pause.
 *  P2 A process that ends in the midst of an event leaves what it had done by then, and does nothing more.
 *  P3 Its clock is its own: offset and rate differ, the wall clock jumps, the monotonic one never goes back.
 */
import {
  type Clock,
  isMokuError,
  type MokuError,
  type NodeDescriptor,
  type NodeId,
  type Prng,
  utf8,
} from '@moku/base';
import type { EngineWrite } from '@moku/kv';
import { createNode, type MokuNode, type NodeTimings } from '@moku/node';
import type { LogStore, RegionWrite } from '@moku/raft';
import type { RegionHostConfig } from '@moku/region';
import type { Harm } from '../run/damage.js';
import { engineWithPoints, logWithPoints, transportWithPoints } from './crash-points.js';
import { type DiskOptions, type DiskTimes, SimDisk } from './disk.js';
import type { Disk, OpenedDisk } from './disk-port.js';
import type { Network, NetworkProcess } from './network.js';
import type { Scheduler } from './scheduler.js';

/** What a node does that others look at. */
export interface NodeWatcher {
  onStart(node: SimNode): void;
  onStop(node: SimNode): void;
  /** The stores refused to open: no process runs. */
  onRefused?(node: SimNode, error: MokuError): void;
  onApply(node: SimNode, write: EngineWrite): void;
  /** Before the log takes it. */
  onLogWrite(node: SimNode, write: RegionWrite): void;
  onSend(node: SimNode, peer: NodeId, bytes: Uint8Array): void;
  onLeader(node: SimNode, regionId: number): void;
  /** The node gave up by itself. */
  onFatal(node: SimNode, error: Error): void;
}

export interface SimNodeOptions {
  readonly nodeId: NodeId;
  readonly roster: readonly NodeDescriptor[];
  readonly scheduler: Scheduler;
  readonly network: Network;
  readonly prng: Prng;
  readonly diskTimes: DiskTimes;
  readonly overlayBytesMax: number;
  /** Bounds of the region host may be given, too, so that short runs meet them. */
  readonly timings: NodeTimings & Partial<RegionHostConfig>;
  /** Default: the disk in memory. */
  readonly createDisk?: ((options: DiskOptions) => Disk) | undefined;
  readonly watcher: NodeWatcher;
}

const wallStartMs = 1_700_000_000_000;

/** The process ends at the last of so many points. */
interface Trap {
  pointsLeft: number;
  readonly onEnded: () => void;
}

const clusterId = 'simulated';
const text = new TextDecoder();

/** Where a node keeps the directory of `peer` that it knows. */
export function storeIdKey(peer: NodeId): string {
  return `peer/${peer}/storeId`;
}

/** The directories of its peers that a node knows, kept beside its log. */
function storeIdsIn(log: LogStore): NetworkProcess['storeIds'] {
  return {
    known: (peer) => {
      const bytes = log.getMeta(storeIdKey(peer));
      return bytes === undefined ? undefined : text.decode(bytes);
    },
    remember: (peer, storeId) => log.setMeta(storeIdKey(peer), utf8(storeId)),
  };
}

export class SimNode implements NetworkProcess {
  readonly nodeId: NodeId;
  readonly disk: Disk;
  running: MokuNode | undefined;
  /** Raised by each start and end. */
  life = 0;
  incarnation = 0;
  storeId = '';
  storeIds: NetworkProcess['storeIds'] = { known: () => undefined, remember: () => {} };
  /** Clients' requests whose answers are awaited. */
  openRequests = 0;
  wallOffsetMs = 0;
  /** A fault broke its log: its end is expected. */
  isDiskBroken = false;
  /** No space is left: its ends and refusals are expected. */
  isDiskFull = false;
  /** It has another node's disk: that it refuses is expected. */
  hasForeignDisk = false;
  /** What was done to its disk for ever. */
  harm: Harm = 'none';
  /** It stays dead. */
  isRetired = false;
  private readonly options: SimNodeOptions;
  private rate = 1;
  private rateSinceMs = 0;
  private localMs = 0;
  private pausedUntilMs = 0;
  /** Running, or about to. */
  private isAlive = false;
  private trap: Trap | undefined;

  constructor(options: SimNodeOptions) {
    this.options = options;
    this.nodeId = options.nodeId;
    const { scheduler, diskTimes, overlayBytesMax, watcher } = options;
    const diskOptions: DiskOptions = {
      nodeId: options.nodeId,
      scheduler,
      prng: options.prng.split(),
      times: diskTimes,
      overlayBytesMax,
      run: (life, task) => this.runIn(life, task),
      onApply: (write) => watcher.onApply(this, write),
      onLogWrite: (write) => watcher.onLogWrite(this, write),
    };
    this.disk = options.createDisk?.(diskOptions) ?? new SimDisk(diskOptions);
  }

  get isRunning(): boolean {
    return this.running !== undefined;
  }

  get isPaused(): boolean {
    return this.options.scheduler.nowMs < this.pausedUntilMs;
  }

  /** When its pause ends, or ended. */
  get pausedUntil(): number {
    return this.pausedUntilMs;
  }

  /** Starts a process on what the disk holds; does nothing while one runs or is about to. */
  start(): void {
    if (this.isAlive) return;
    this.life += 1;
    this.pausedUntilMs = 0;
    this.isDiskBroken = false;
    this.openRequests = 0;
    this.isAlive = true;
    const { life } = this;
    this.disk.open(life, {
      onOpened: (opened) => {
        if (life === this.life) this.boot(life, opened);
      },
      onRefused: (error) => {
        if (life !== this.life) return;
        this.isAlive = false;
        this.options.watcher.onRefused?.(this, error);
      },
    });
  }

  /** Wires the node over its opened disk. */
  private boot(life: number, { log, engine, storeId, incarnation }: OpenedDisk): void {
    const { roster, timings, prng, network, watcher } = this.options;
    this.incarnation = incarnation;
    this.storeId = storeId;
    this.storeIds = storeIdsIn(log);
    const point = (): boolean => this.passPoint(life);
    const config = { nodeId: this.nodeId, clusterId, roster, timings };
    const clock = this.clockOf(life);
    try {
      const running = createNode(config, {
        clock,
        prng: prng.split(),
        log: logWithPoints(log, point),
        engine: engineWithPoints(engine, point),
        transport: transportWithPoints(
          network.start(this, clock),
          point,
          (session, lane, bytes) => {
            if (lane === 'control') watcher.onSend(this, session.peer, bytes);
          },
        ),
        onFatal: (error) => {
          if (life === this.life) watcher.onFatal(this, error);
        },
        onEvent: (event, details) => {
          if (life !== this.life || event !== 'leaderChange') return;
          if (details['isLeader'] === true) watcher.onLeader(this, Number(details['regionId']));
        },
      });
      if (life !== this.life) return;
      this.running = running;
      watcher.onStart(this);
    } catch (error) {
      // What has ended may stumble over what it was refused (P2).
      if (life !== this.life) return;
      if (!isMokuError(error)) throw error;
      this.crash();
      watcher.onRefused?.(this, error);
    }
  }

  /** The process ends without a word, also while it is starting. */
  crash(): void {
    if (!this.isAlive) return;
    this.options.watcher.onStop(this);
    this.isAlive = false;
    this.life += 1;
    this.running = undefined;
    this.options.network.stop(this.nodeId);
    this.disk.crash();
  }

  /**
   * The process, or one that is started later, ends at its `points`-th point from now: between what an
   * event brings about. `onEnded` is called then.
   */
  crashWithin(points: number, onEnded: () => void): void {
    this.trap = { pointsLeft: points, onEnded };
  }

  /** Its clock runs as clocks do; it ends no more by itself. */
  heal(): void {
    this.setRate(1);
    this.trap = undefined;
  }

  private passPoint(life: number): boolean {
    if (life !== this.life) return false;
    const { trap } = this;
    if (trap === undefined) return true;
    trap.pointsLeft -= 1;
    if (trap.pointsLeft > 0) return true;
    this.trap = undefined;
    this.crash();
    trap.onEnded();
    return false;
  }

  /** Stands still for `ms`; a pause that lasts is not made longer, so that what waits keeps its order. */
  pause(ms: number): void {
    if (!this.isPaused) this.pausedUntilMs = this.options.scheduler.nowMs + ms;
  }

  /** From now on its clock runs `rate` times as fast. */
  setRate(rate: number): void {
    this.localMs = this.monotonicMs();
    this.rateSinceMs = this.options.scheduler.nowMs;
    this.rate = rate;
  }

  run(task: () => void): void {
    this.runIn(this.life, task);
  }

  /** Runs `task` in the process of `life`: now, after its pause, or never. */
  runIn(life: number, task: () => void): void {
    if (life !== this.life) return;
    const { scheduler } = this.options;
    if (this.isPaused) {
      scheduler.at(this.pausedUntilMs, () => this.runIn(life, task));
      return;
    }
    if (this.openRequests > 0) scheduler.needsDrain = true;
    try {
      task();
    } catch (error) {
      // A process that ended in the midst of this task may stumble over what it was refused (P2).
      if (life === this.life) throw error;
    }
  }

  private monotonicMs(): number {
    return this.localMs + (this.options.scheduler.nowMs - this.rateSinceMs) * this.rate;
  }

  private clockOf(life: number): Clock {
    const { scheduler, prng } = this.options;
    const delays = prng.split();
    const plan = (delayMs: number, task: () => void) =>
      scheduler.after(delayMs, () => this.runIn(life, task));
    return {
      monotonicMs: () => this.monotonicMs(),
      wallMs: () => wallStartMs + this.monotonicMs() + this.wallOffsetMs,
      after: (delayMs, task) => plan(Math.max(0.01, delayMs / this.rate), task),
      soon: (task) => {
        plan(0.02 + delays.unit() * 0.1, task);
      },
    };
  }
}
