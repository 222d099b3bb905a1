/**
 * Region hosts in one process on a virtual clock: their logs sync late, their engines flush later, their
 * links have latency, and any of them may crash and come back with what was durable.
 */
import {
  createPrng,
  type NodeId,
  type Prng,
  type RegionDescriptor,
  type RegionId,
  type ReplicaId,
} from '@moku/base';
import { MemoryLogStore } from '@moku/raft';
import {
  createRegionHost,
  type ProposeOutcome,
  type ReadOutcome,
  type RegionHost,
  type RegionHostConfig,
} from '../../src/index.js';
import { VirtualClock } from './clock.js';
import { DigestBook, Disk, put, TestMachine } from './machine.js';
import { Network } from './network.js';

export interface ClusterOptions {
  readonly nodes: number;
  readonly regions: number;
  readonly seed?: number;
  readonly config?: Partial<RegionHostConfig>;
  /** Replicas of each region; default all nodes up to 3. */
  readonly replication?: number;
}

export class SimNode {
  readonly nodeId: NodeId;
  readonly disk = new Disk();
  readonly machines = new Map<RegionId, TestMachine>();
  log: MemoryLogStore;
  host: RegionHost | undefined;
  fatal: Error | undefined;
  /** Why the replica that failed last did. */
  failed: Error | undefined = undefined;
  /** Milliseconds until a batch is synced, drawn per sync. */
  syncMs: () => number;
  flushMs = 500;
  /** The loop stands still until then. */
  pausedUntilMs = 0;
  canApply = true;
  /** Raised by each crash and start: events of a former process do nothing. */
  life = 0;
  turns = 0;
  isScheduled = false;
  isSyncing = false;

  constructor(nodeId: NodeId, log: MemoryLogStore, syncMs: () => number) {
    this.nodeId = nodeId;
    this.log = log;
    this.syncMs = syncMs;
  }
}

export class Cluster {
  readonly clock = new VirtualClock();
  readonly prng: Prng;
  readonly network: Network;
  readonly nodes: SimNode[] = [];
  readonly book = new DigestBook();
  readonly descriptors: RegionDescriptor[] = [];
  private readonly options: ClusterOptions;

  constructor(options: ClusterOptions) {
    this.options = options;
    this.prng = createPrng(options.seed ?? 1);
    const draw = this.prng.split();
    this.network = new Network({
      clock: this.clock,
      latencyMs: () => 1 + draw.below(3),
      redialMs: () => 20 + draw.below(60),
    });
    for (let i = 1; i <= options.nodes; i++) {
      const monotonicMs = (): number => this.clock.nowMs;
      const syncMs = (): number => 1 + draw.below(4);
      this.nodes.push(new SimNode(i as NodeId, new MemoryLogStore({ monotonicMs }), syncMs));
    }
    const replication = options.replication ?? Math.min(3, options.nodes);
    for (let r = 1; r <= options.regions; r++) {
      this.descriptors.push(this.describe(r as RegionId, replication));
    }
  }

  private describe(regionId: RegionId, replication: number): RegionDescriptor {
    const replicas = [];
    for (let i = 0; i < replication; i++) {
      const { nodeId } = this.nodes[(regionId + i) % this.nodes.length]!;
      replicas.push({ replicaId: (nodeId + 100) as ReplicaId, nodeId, isLearner: false });
    }
    return {
      regionId,
      keyspaceId: 1,
      startKey: new Uint8Array(),
      endKey: undefined,
      epoch: { version: 1, config: 1 },
      replicas,
    };
  }

  node(nodeId: number): SimNode {
    return this.nodes[nodeId - 1]!;
  }

  startAll(): this {
    for (const node of this.nodes) this.start(node);
    return this;
  }

  start(node: SimNode): void {
    const life = ++node.life;
    node.isScheduled = false;
    node.isSyncing = false;
    node.machines.clear();
    node.host = createRegionHost({
      nodeId: node.nodeId,
      log: node.log,
      transport: this.network.start(node.nodeId),
      prng: this.prng.split(),
      config: this.options.config ?? {},
      callbacks: {
        onWork: () => this.schedule(node, life, this.clock.nowMs + 0.1),
        openMachine: (descriptor) => {
          const machine = new TestMachine(descriptor.regionId, node.disk, this.book);
          node.machines.set(descriptor.regionId, machine);
          return machine;
        },
        dropMachine: (regionId) => {
          node.machines.delete(regionId);
          node.disk.states.delete(regionId);
        },
        canApply: () => node.canApply,
        onFatal: (error) => {
          node.fatal = error;
        },
        onReplicaFailed: (_regionId, error) => {
          node.failed = error;
        },
      },
    });
    for (const descriptor of this.descriptors) node.host.openReplica(descriptor);
    this.flushLater(node, life);
  }

  /** The process is killed, or the machine loses power: of unsynced batches the oldest `kept` survive. */
  crash(node: SimNode, kept = 0): void {
    node.life++;
    node.host = undefined;
    node.log = node.log.crash(kept);
    this.network.stop(node.nodeId);
  }

  /** Lets go of all hosts and of every event that could reach them, and keeps logs and machines. */
  dropHosts(): void {
    for (const node of this.nodes) {
      this.network.stop(node.nodeId);
      node.life++;
      node.host = undefined;
      node.log = node.log.crash(1_000_000);
    }
    this.clock.clear();
  }

  private schedule(node: SimNode, life: number, atMs: number): void {
    if (node.isScheduled || node.life !== life) return;
    node.isScheduled = true;
    this.clock.at(Math.max(atMs, node.pausedUntilMs), () => {
      if (node.life !== life) return;
      node.isScheduled = false;
      if (this.clock.nowMs < node.pausedUntilMs) this.schedule(node, life, node.pausedUntilMs);
      else this.turn(node, life);
    });
  }

  private turn(node: SimNode, life: number): void {
    const { host } = node;
    if (host === undefined || node.fatal !== undefined) return;
    node.turns++;
    const report = host.turn(this.clock.nowMs, 1_600_000_000_000 + this.clock.nowMs);
    if (node.life !== life) return;
    this.syncLater(node, life);
    if (report.hasMore) this.schedule(node, life, this.clock.nowMs + 0.1);
    else if (Number.isFinite(report.nextDueMs)) {
      const dueMs = report.nextDueMs;
      this.clock.at(dueMs, () => this.schedule(node, life, Math.max(dueMs, this.clock.nowMs)));
    }
  }

  private syncLater(node: SimNode, life: number): void {
    if (node.isSyncing || node.log.health().batchesInFlight === 0) return;
    node.isSyncing = true;
    const batches = node.log.health().batchesInFlight;
    this.clock.after(node.syncMs(), () => {
      if (node.life !== life) return;
      node.isSyncing = false;
      node.log.sync(batches);
      this.syncLater(node, life);
    });
  }

  private flushLater(node: SimNode, life: number): void {
    this.clock.after(node.flushMs, () => {
      if (node.life !== life || node.fatal !== undefined) return;
      for (const machine of node.machines.values()) machine.flush();
      node.host?.engineFlushed();
      this.flushLater(node, life);
    });
  }

  /** Lets time pass. */
  run(ms: number): void {
    const endMs = this.clock.nowMs + ms;
    while (this.clock.nextAtMs() <= endMs) {
      this.clock.step();
      this.checkFatal();
    }
    this.clock.nowMs = endMs;
  }

  /** Lets time pass until `predicate` holds, looking every few milliseconds; throws after `boundMs`. */
  runUntil(predicate: () => boolean, boundMs: number, what: string): void {
    const endMs = this.clock.nowMs + boundMs;
    while (!predicate()) {
      if (this.clock.nowMs > endMs) throw new Error(`not within ${boundMs} ms: ${what}`);
      const lookMs = this.clock.nowMs + 5;
      while (this.clock.nextAtMs() <= lookMs) {
        this.clock.step();
        this.checkFatal();
      }
      this.clock.nowMs = lookMs;
    }
  }

  private checkFatal(): void {
    for (const node of this.nodes) if (node.fatal !== undefined) throw node.fatal;
  }

  // ---- What tests ask.

  alive(): SimNode[] {
    return this.nodes.filter((node) => node.host !== undefined);
  }

  /** The node that leads `regionId` and knows it; undefined when there is none or two. */
  leader(regionId: number): SimNode | undefined {
    const leaders = this.alive().filter((node) => {
      const status = node.host!.regionStatus(regionId as RegionId);
      return status?.role === 'leader';
    });
    if (leaders.length <= 1) return leaders[0];
    const terms = leaders.map((n) => n.host!.regionStatus(regionId as RegionId)!.term);
    return leaders[terms.indexOf(Math.max(...terms))];
  }

  allLed(): boolean {
    return this.descriptors.every(({ regionId }) => {
      const leader = this.leader(regionId);
      if (leader === undefined) return false;
      const hosts = this.alive().filter((n) => n.host!.machine(regionId) !== undefined);
      return hosts.every((n) => n.host!.leaderOf(regionId) === leader.nodeId);
    });
  }

  /** Nothing is awake anywhere, and every pair with a live node is attached. */
  isAtRest(): boolean {
    return this.alive().every((node) => node.host!.status().awake === 0);
  }

  propose(regionId: number, key: string, value: string): { outcome: ProposeOutcome | undefined } {
    const call: { outcome: ProposeOutcome | undefined } = { outcome: undefined };
    const node = this.leader(regionId) ?? this.alive()[0]!;
    node.host!.propose(regionId as RegionId, put(key, value), (outcome) => {
      if (call.outcome !== undefined) throw new TypeError('answered twice');
      call.outcome = outcome;
    });
    return call;
  }

  read(node: SimNode, regionId: number): { outcome: ReadOutcome | undefined } {
    const call: { outcome: ReadOutcome | undefined } = { outcome: undefined };
    node.host!.read(regionId as RegionId, (outcome) => {
      if (call.outcome !== undefined) throw new TypeError('answered twice');
      call.outcome = outcome;
    });
    return call;
  }

  /** Writes once per region and waits until each is applied. */
  writeAll(value: string, boundMs = 5_000): void {
    const calls = this.descriptors.map(({ regionId }) => this.propose(regionId, 'k', value));
    this.runUntil(() => calls.every((c) => c.outcome !== undefined), boundMs, 'writes answered');
    const other = calls.find((call) => call.outcome?.kind !== 'applied');
    if (other !== undefined) throw new Error(`write not applied: ${JSON.stringify(other.outcome)}`);
  }

  /** Every live replica of every region has applied the same. */
  isConverged(): boolean {
    return this.descriptors.every(({ regionId }) => {
      const machines = this.alive().flatMap((n) => n.machines.get(regionId) ?? []);
      return machines.every((m) => m.digest === machines[0]!.digest);
    });
  }

  sum(counter: string): number {
    let sum = 0;
    for (const node of this.alive()) sum += node.host!.status().counters[counter] ?? 0;
    return sum;
  }
}
