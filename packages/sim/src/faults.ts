/**
 * The faults of a run. Each class has its own stream of randomness and its own rhythm, so that one more
 * class does not shift the others.
 */
import type { NodeId, Prng } from '@moku/base';
import type { SimCluster } from './cluster.js';
import { type FaultClass, faultClasses } from './profile.js';
import type { SimNode } from './sim-node.js';

export interface FaultsOptions {
  readonly cluster: SimCluster;
  readonly prng: Prng;
}

/** Mean pause between two faults of a class. */
const meanMs: Readonly<Record<FaultClass, number>> = {
  crash: 6_000,
  pause: 5_000,
  clock: 4_000,
  syncDelay: 4_000,
  syncFailure: 12_000,
  partition: 6_000,
  reset: 3_000,
  delay: 4_000,
  clientLoss: 8_000,
};

export class Faults {
  readonly counts: Record<FaultClass, number>;
  private readonly cluster: SimCluster;
  private readonly prng: Prng;
  private isOver = false;

  constructor({ cluster, prng }: FaultsOptions) {
    this.cluster = cluster;
    this.prng = prng;
    this.counts = Object.fromEntries(faultClasses.map((each) => [each, 0])) as typeof this.counts;
  }

  start(): void {
    const { classes } = this.cluster.profile;
    for (const each of faultClasses) {
      const stream = this.prng.split();
      if (classes.has(each)) this.plan(each, stream);
    }
  }

  /** No more faults; clogged links are freed. Nodes that are down stay so. */
  stop(): void {
    this.isOver = true;
    const { disturbance } = this.cluster;
    disturbance.slowNetworkMs = 0;
    disturbance.slowSyncMs = 0;
    disturbance.clientLossChance = 0;
    this.cluster.network.freeAll();
    for (const node of this.cluster.nodes) {
      node.setRate(1);
      node.disk.mend();
    }
  }

  /** A node that ended comes back later, also after the last fault, unless it is to stay dead. */
  restartLater(node: SimNode, prng: Prng): void {
    const delayMs = 100 + prng.unit() ** 3 * 15_000;
    this.cluster.scheduler.after(delayMs, () => {
      if (!node.isRunning && !node.isRetired) node.start();
    });
  }

  private plan(each: FaultClass, prng: Prng): void {
    const delayMs = -Math.log(1 - prng.unit()) * meanMs[each];
    this.cluster.scheduler.after(delayMs, () => {
      if (this.isOver) return;
      this.counts[each] += 1;
      this.inject(each, prng);
      this.plan(each, prng);
    });
  }

  /** Ends a fault after `ms`, unless all are over by then. */
  private during(ms: number, end: () => void): void {
    this.cluster.scheduler.after(ms, () => {
      if (!this.isOver) end();
    });
  }

  private inject(each: FaultClass, prng: Prng): void {
    const { nodes, trace, network, disturbance } = this.cluster;
    const node = nodes[prng.below(nodes.length)]!;
    const lastsMs = 50 + prng.unit() ** 2 * 8_000;
    trace.note(`fault ${each} ${node.nodeId} ${lastsMs.toFixed(0)}`);
    switch (each) {
      case 'crash':
        this.crash(node, prng);
        return;
      case 'pause':
        node.pause(lastsMs);
        return;
      case 'clock':
        this.disturbClock(node, prng);
        return;
      case 'syncDelay':
        disturbance.slowSyncMs = prng.unit() ** 3 * 30_000;
        this.during(lastsMs, () => {
          disturbance.slowSyncMs = 0;
        });
        return;
      case 'syncFailure':
        if (!node.isRunning) return;
        node.isDiskBroken = true;
        node.disk.failSync();
        return;
      case 'partition':
        this.partition(node, prng);
        this.during(lastsMs, () => network.freeAll());
        return;
      case 'reset':
        this.reset(node, prng);
        return;
      case 'delay':
        disturbance.slowNetworkMs = prng.unit() ** 2 * 2_000;
        this.during(lastsMs, () => {
          disturbance.slowNetworkMs = 0;
        });
        return;
      case 'clientLoss':
        disturbance.clientLossChance = prng.unit() * 0.3;
        this.during(lastsMs, () => {
          disturbance.clientLossChance = 0;
        });
    }
  }

  private crash(node: SimNode, prng: Prng): void {
    const victims = prng.below(6) === 0 ? this.cluster.nodes : [node];
    for (const victim of victims) {
      victim.crash();
      this.restartLater(victim, prng);
    }
  }

  private disturbClock(node: SimNode, prng: Prng): void {
    const kind = prng.below(3);
    if (kind === 0) node.wallOffsetMs = (prng.unit() - 0.5) * 3_600_000;
    else if (kind === 1) node.wallOffsetMs += (prng.unit() - 0.5) * 10_000;
    else node.setRate(0.5 + prng.unit() * 1.5);
  }

  private reset(node: SimNode, prng: Prng): void {
    const { nodes, network } = this.cluster;
    const others = nodes.filter((other) => other !== node);
    const peer = others[prng.below(others.length)]!;
    const kind = prng.below(3);
    if (kind === 0) network.halfOpen(node.nodeId, peer.nodeId);
    else if (kind === 1) network.reset(node.nodeId, peer.nodeId);
    else for (const other of others) network.reset(node.nodeId, other.nodeId);
  }

  private partition(node: SimNode, prng: Prng): void {
    const ids = this.cluster.nodes.map(({ nodeId }) => nodeId);
    const cut = shapes[prng.below(shapes.length)]!(node.nodeId, ids, prng);
    for (const from of ids) {
      for (const to of ids) {
        if (from !== to && cut(from, to)) this.cluster.network.clog(from, to);
      }
    }
  }
}

/** Which directions are cut. */
type Shape = (
  node: NodeId,
  ids: readonly NodeId[],
  prng: Prng,
) => (from: NodeId, to: NodeId) => boolean;

const shapes: readonly Shape[] = [
  // Isolated.
  (node) => (from, to) => from === node || to === node,
  // It hears, but is not heard; and the other way round.
  (node) => (from) => from === node,
  (node) => (_from, to) => to === node,
  // One direction of one pair.
  (node, ids, prng) => {
    const peer = ids[prng.below(ids.length)]!;
    return (from, to) => from === node && to === peer;
  },
  // Two halves.
  (_node, ids, prng) => {
    const side = new Set(ids.filter(() => prng.below(2) === 0));
    return (from, to) => side.has(from) !== side.has(to);
  },
  // A ring.
  (_node, ids) => (from, to) => {
    const apart = Math.abs(ids.indexOf(from) - ids.indexOf(to));
    return apart !== 1 && apart !== ids.length - 1;
  },
  // A bridge: one node that both sides reach.
  (node, ids, prng) => {
    const side = new Set(ids.filter(() => prng.below(2) === 0));
    return (from, to) => from !== node && to !== node && side.has(from) !== side.has(to);
  },
];
