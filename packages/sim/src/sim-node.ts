/**
 * One simulated node: the real `createNode` on a virtual clock, disk and network, started and ended as
 * often as the faults want.
 *
 * Invariants:
 *  P1 Nothing runs in a process that has ended or is paused; what came meanwhile runs after the pause.
 *  P2 Its clock is its own: offset and rate differ, the wall clock jumps, the monotonic one never goes back.
 */
import type { Clock, NodeDescriptor, NodeId, Prng } from '@moku/base';
import type { EngineWrite } from '@moku/kv';
import { createNode, type MokuNode, type NodeTimings } from '@moku/node';
import type { RegionWrite } from '@moku/raft';
import type { RegionHostConfig, Transport } from '@moku/region';
import type { Bug } from './bugs.js';
import { type DiskTimes, SimDisk } from './disk.js';
import type { NetworkProcess, SimNetwork } from './network.js';
import type { Scheduler } from './scheduler.js';

/** What a node does that others look at. */
export interface NodeWatcher {
  onStart(node: SimNode): void;
  onStop(node: SimNode): void;
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
  readonly network: SimNetwork;
  readonly prng: Prng;
  readonly diskTimes: DiskTimes;
  readonly overlayBytesMax: number;
  /** Bounds of the region host may be given, too, so that short runs meet them. */
  readonly timings: NodeTimings & Partial<RegionHostConfig>;
  readonly bug: Bug | undefined;
  readonly watcher: NodeWatcher;
}

const wallStartMs = 1_700_000_000_000;

export class SimNode implements NetworkProcess {
  readonly nodeId: NodeId;
  readonly disk: SimDisk;
  running: MokuNode | undefined;
  /** Raised by each start and end. */
  life = 0;
  incarnation = 0;
  /** Clients' requests whose answers are awaited. */
  openRequests = 0;
  wallOffsetMs = 0;
  /** A fault broke its log: its end is expected. */
  isDiskBroken = false;
  /** It stays dead. */
  isRetired = false;
  private readonly options: SimNodeOptions;
  private rate = 1;
  private rateSinceMs = 0;
  private localMs = 0;
  private pausedUntilMs = 0;

  constructor(options: SimNodeOptions) {
    this.options = options;
    this.nodeId = options.nodeId;
    const { scheduler, diskTimes, overlayBytesMax, bug, watcher } = options;
    this.disk = new SimDisk({
      scheduler,
      prng: options.prng.split(),
      times: diskTimes,
      overlayBytesMax,
      bug,
      run: (life, task) => this.runIn(life, task),
      onApply: (write) => watcher.onApply(this, write),
      onLogWrite: (write) => watcher.onLogWrite(this, write),
    });
  }

  get isRunning(): boolean {
    return this.running !== undefined;
  }

  get isPaused(): boolean {
    return this.options.scheduler.nowMs < this.pausedUntilMs;
  }

  /** Starts a process on what the disk holds. */
  start(): void {
    const { options } = this;
    this.life += 1;
    this.incarnation += 1;
    this.pausedUntilMs = 0;
    this.isDiskBroken = false;
    this.openRequests = 0;
    const { life } = this;
    const { log, engine } = this.disk.open(life);
    const { roster, timings } = options;
    const config = { nodeId: this.nodeId, clusterId: 'simulated', roster, timings };
    this.running = createNode(config, {
      clock: this.clockOf(life),
      prng: options.prng.split(),
      log,
      engine,
      transport: this.tapped(options.network.start(this)),
      onFatal: (error) => {
        if (life === this.life) options.watcher.onFatal(this, error);
      },
      onEvent: (event, details) => {
        if (life !== this.life || event !== 'leaderChange' || details['isLeader'] !== true) return;
        options.watcher.onLeader(this, Number(details['regionId']));
      },
    });
    options.watcher.onStart(this);
  }

  /** The process ends without a word. */
  crash(): void {
    if (this.running === undefined) return;
    this.options.watcher.onStop(this);
    this.life += 1;
    this.running = undefined;
    this.options.network.stop(this.nodeId);
    this.disk.crash();
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
    task();
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

  private tapped(transport: Transport): Transport {
    const { watcher } = this.options;
    return {
      subscribe: (events) => transport.subscribe(events),
      send: (session, lane, bytes) => {
        if (lane === 'control') watcher.onSend(this, session.peer, bytes);
        return transport.send(session, lane, bytes);
      },
      bufferedBytes: (session, lane) => transport.bufferedBytes(session, lane),
      closeSession: (session, reason) => transport.closeSession(session, reason),
    };
  }
}
