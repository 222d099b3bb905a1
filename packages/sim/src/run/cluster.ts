/**
 * A cluster under simulation: nodes, network, clients, what watches them, and the virtual time that drives
 * them. It does nothing by itself: a random run (`simulate.ts`) or a story makes it move.
 *
 * Invariants:
 *  Z1 Equal seeds, profiles and mutants give equal traces, in any process.
 *  Z2 Promises settle before the next event; nothing waits for real time.
 */
import { type NodeDescriptor, type NodeId, noAddress, type Prng } from '@moku/base';
import type { RegionHostConfig } from '@moku/region';
import { HistoryRecorder } from '../check/recorder.js';
import { clientAddressOf } from '../clients/channel.js';
import { type ClientWorld, SimClient } from '../clients/client.js';
import type { Invariant, Report } from '../invariants/invariant.js';
import { KeyOracle } from '../invariants/key-oracle.js';
import type { MachineRoom } from '../sql/machine.js';
import { SqlDisk } from '../sql/sql-disk.js';
import { type Network, type NetworkOptions, SimNetwork } from '../world/network.js';
import { afterPromises, forbidRealWorld, nextTask } from '../world/real-world.js';
import { Scheduler } from '../world/scheduler.js';
import { SimNode } from '../world/sim-node.js';
import { SocketNetwork } from '../world/socket-network.js';
import { Wires } from '../world/wires.js';
import { Damage } from './damage.js';
import type { Profile } from './profile.js';
import { Trace } from './trace.js';
import { Watch } from './watch.js';

export interface Failure {
  readonly invariant: string;
  readonly what: string;
  /** Virtual time. */
  readonly atMs: number;
}

/** What makes everything slower or lossier as long as a fault lasts. */
export interface Disturbance {
  /** Extra delay of one message or sync, at most. */
  slowNetworkMs: number;
  slowSyncMs: number;
  /** Chance in [0, 1] that a client's message breaks its channel. */
  clientLossChance: number;
  /** Nodes whose next sync does not come back until their disk mends. */
  readonly hangingSyncs: Set<NodeId>;
  /** Extra delay of a sync on a node's disk, at most. */
  readonly slowDisks: Map<NodeId, number>;
}

export interface ClusterOptions {
  readonly profile: Profile;
  /** Everything random in the cluster comes from it. */
  readonly prng: Prng;
  /** Gets every line of the trace. */
  readonly print?: ((line: string) => void) | undefined;
  /** A node gave up because of its disk; it is ended after the present event. */
  readonly onGaveUp?: (node: SimNode) => void;
  /** Over the defaults, the same on every node. */
  readonly timings?: Partial<RegionHostConfig>;
  /** Replicas of each region of the clients' keyspace; as the product chooses when absent. */
  readonly replication?: number;
  /** Where the real stores run on SQLite; the disks are in memory when absent. */
  readonly room?: MachineRoom | undefined;
  /** Looks on beside the invariants. */
  readonly observer?: Invariant;
}

/** Between two looks at the replicas that changed, in events. */
const eventsPerCheck = 100;
/** Between two looks at all of them; more when there are more. */
const eventsPerFullCheck = 2_000;
/** Between two passes of the host's own loop, which finds rejections that nobody handles. */
const eventsPerLoop = 100;
/** Between two questions whether what is waited for is true. */
const lookEveryMs = 20;
/** A sync that hangs: longer than any run. */
const neverMs = 1e12;

export class SimCluster {
  readonly scheduler: Scheduler = new Scheduler();
  readonly disturbance: Disturbance = {
    slowNetworkMs: 0,
    slowSyncMs: 0,
    clientLossChance: 0,
    hangingSyncs: new Set(),
    slowDisks: new Map(),
  };
  readonly profile: Profile;
  readonly trace: Trace;
  readonly nodes: readonly SimNode[];
  readonly watch: Watch;
  readonly damage: Damage;
  readonly network: Network;
  readonly oracle: KeyOracle;
  readonly clients: readonly SimClient[];
  readonly world: ClientWorld;
  private readonly eventsPerFullCheck: number;
  private firstFailure: Failure | undefined;

  constructor(options: ClusterOptions) {
    const { profile, prng, print } = options;
    const { scheduler } = this;
    this.profile = profile;
    this.trace = new Trace(scheduler, print);
    const nodes: SimNode[] = [];
    this.nodes = nodes;
    this.damage = new Damage(nodes, profile.regions, profile.exceedsQuorum);
    this.watch = new Watch({
      nodes,
      trace: this.trace,
      report: this.report,
      nowMs: () => scheduler.nowMs,
      onDiskFailure: (node) => {
        // The process ends after the present event, as it would.
        scheduler.after(0, () => node.crash());
        options.onGaveUp?.(node);
      },
      observer: options.observer,
    });
    this.network = this.createNetwork(prng.split());
    nodes.push(...this.createNodes(prng.split(), options));
    this.oracle = new KeyOracle(this.report, this.watch.effects);
    this.world = this.createWorld(prng.split(), options.replication);
    const clientPrng = prng.split();
    this.clients = Array.from(
      { length: profile.clients },
      (_, number) => new SimClient(number, this.world, clientPrng.split()),
    );
    this.eventsPerFullCheck = eventsPerFullCheck * Math.max(1, Math.ceil(profile.regions / 8));
  }

  /** The first one; a run ends with it. */
  get failure(): Failure | undefined {
    return this.firstFailure;
  }

  readonly report: Report = (invariant, what) => {
    this.firstFailure ??= { invariant, what, atMs: this.scheduler.nowMs };
  };

  /**
   * Does `task` with real timers, clocks and chance forbidden, and unhandled rejections reported. Resolves
   * also when an invariant is broken; rejects for bugs of the simulator.
   */
  async guarded(task: () => Promise<void>): Promise<void> {
    const onRejection = (error: unknown): void => {
      this.report('no unhandled rejection', String(error));
    };
    process.on('unhandledRejection', onRejection);
    const restore = forbidRealWorld((name) => this.report('nothing of the real world', name));
    try {
      await task();
    } finally {
      restore();
      process.off('unhandledRejection', onRejection);
    }
  }

  /** Runs events until `isOver` or a failure. */
  async advance(isOver: () => boolean): Promise<void> {
    // Promises made outside of events settle first.
    await nextTask();
    while (!(await this.runSome(isOver))) await nextTask();
    await nextTask();
  }

  /** Runs a bounded number of events; true once `isOver` or after a failure. */
  private runSome(isOver: () => boolean): Promise<boolean> {
    const last = this.scheduler.eventsRun + eventsPerLoop;
    return new Promise((resolve, reject) => {
      const run = (): void => {
        try {
          const end = this.runUntilDrain(last, isOver);
          if (end === 'drain') afterPromises(resume);
          else resolve(end === 'over');
        } catch (error) {
          reject(error);
        }
      };
      const resume = (): void => {
        this.checkNowAndThen();
        run();
      };
      run();
    });
  }

  /** Runs events until promises have to settle, or the event of number `last`, or the end. */
  private runUntilDrain(last: number, isOver: () => boolean): 'drain' | 'last' | 'over' {
    const { scheduler } = this;
    for (;;) {
      if (this.firstFailure !== undefined || isOver()) return 'over';
      if (scheduler.eventsRun >= last) return 'last';
      if (!scheduler.step()) this.report('liveness', 'nothing is left to happen');
      if (scheduler.needsDrain) {
        scheduler.needsDrain = false;
        return 'drain';
      }
      this.checkNowAndThen();
    }
  }

  private checkNowAndThen(): void {
    const { eventsRun } = this.scheduler;
    if (eventsRun % eventsPerCheck !== 0) return;
    this.watch.check(eventsRun % this.eventsPerFullCheck === 0);
  }

  /** Runs until `isTrue`, or reports `why()` as a failure of liveness at `dueMs`. */
  async until(isTrue: () => boolean, dueMs: number, why: () => string): Promise<void> {
    const { scheduler } = this;
    const sinceMs = scheduler.nowMs;
    let lookMs = scheduler.nowMs;
    let isMet = false;
    // Where no node runs any more, nothing else may be left to happen before the next look.
    const end = scheduler.at(dueMs + lookEveryMs, () => {});
    await this.advance(() => {
      if (scheduler.nowMs < lookMs) return false;
      lookMs = scheduler.nowMs + lookEveryMs;
      isMet = isTrue();
      return isMet || scheduler.nowMs > dueMs;
    });
    end.cancel();
    if (!isMet) this.report('liveness', `not within ${Math.round(dueMs - sinceMs)} ms: ${why()}`);
  }

  private createNetwork(prng: Prng): Network {
    const { scheduler, profile, disturbance, trace } = this;
    const latencyMs = (): number =>
      0.05 + prng.unit() * profile.latencyMsMax + prng.unit() * disturbance.slowNetworkMs;
    const options: NetworkOptions = {
      scheduler,
      wires: new Wires({ latencyMs }, prng.split(), profile.unevenness),
      prng: prng.split(),
      redialMs: () => 20 + prng.unit() * 200,
      onDeliver: (from, to, bytes) => trace.fact('frame', from, to, bytes.length),
    };
    if (profile.hasRealLinks) {
      const ids = Array.from({ length: profile.nodes }, (_, index) => (index + 1) as NodeId);
      return new SocketNetwork(options, ids);
    }
    return new SimNetwork(options);
  }

  private createNodes(prng: Prng, { timings: given, room }: ClusterOptions): readonly SimNode[] {
    const { profile, scheduler, network, watch, disturbance } = this;
    const roster: NodeDescriptor[] = [];
    for (let id = 1; id <= profile.nodes; id++) {
      const nodeId = id as NodeId;
      roster.push({ nodeId, peerAddress: noAddress, clientAddress: clientAddressOf(id) });
    }
    const timings = { ...profile.timings, logKeepBytes: profile.logKeepBytes, ...given };
    return roster.map(({ nodeId }) => {
      const disk = prng.split();
      return new SimNode({
        nodeId,
        roster,
        scheduler,
        network,
        timings,
        prng: prng.split(),
        overlayBytesMax: profile.overlayBytesMax,
        createDisk:
          room === undefined
            ? undefined
            : (options) => new SqlDisk({ ...options, room, report: this.report }),
        diskTimes: {
          syncMs: () => {
            const extraMs = disturbance.slowSyncMs + (disturbance.slowDisks.get(nodeId) ?? 0);
            const slow = disk.unit() * profile.syncMsMax + disk.unit() * extraMs;
            return disturbance.hangingSyncs.has(nodeId) ? neverMs : 0.1 + slow;
          },
          flushMs: () => 10 + disk.unit() * profile.flushMsMax,
        },
        watcher: watch,
      });
    });
  }

  private createWorld(prng: Prng, replication: number | undefined): ClientWorld {
    const { scheduler, trace, oracle, nodes, profile, disturbance } = this;
    return {
      scheduler,
      trace,
      oracle,
      history: new HistoryRecorder(() => scheduler.nowMs),
      regions: profile.regions,
      replication,
      channels: {
        scheduler,
        nodes,
        prng,
        latencyMs: () => 0.1 + prng.unit() * profile.latencyMsMax,
        lossChance: () => disturbance.clientLossChance,
        onLoss: () => {},
      },
    };
  }
}
