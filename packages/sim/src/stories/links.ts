/**
 * What a story does to the links between its nodes. A direction that is cut holds everything back: it
 * arrives after `heal`, if its session still stands by then.
 */
import type { NodeId } from '@moku/base';
import type { SimCluster } from '../run/cluster.js';

export class Links {
  private readonly cluster: SimCluster;

  constructor(cluster: SimCluster) {
    this.cluster = cluster;
  }

  /** Nothing gets from any of `from` to any of `to`; the other direction stays. */
  cutOneWay(from: readonly number[], to: readonly number[]): void {
    for (const a of from) {
      for (const b of to) if (a !== b) this.cluster.network.clog(a as NodeId, b as NodeId);
    }
  }

  /** Nothing gets from one side to another; within a side all is well. */
  partition(...sides: readonly (readonly number[])[]): void {
    for (const side of sides) {
      for (const other of sides) if (side !== other) this.cutOneWay(side, other);
    }
  }

  /** Nothing gets in or out. */
  isolate(node: number): void {
    this.partition([node], this.others(node));
  }

  /** The node hears everybody; nobody hears it. */
  mute(node: number): void {
    this.cutOneWay([node], this.others(node));
  }

  /** Everybody hears the node; it hears nobody. */
  deafen(node: number): void {
    this.cutOneWay(this.others(node), [node]);
  }

  /** Both directions between two nodes, or between all. */
  heal(a?: number, b?: number): void {
    const { network } = this.cluster;
    if (a === undefined || b === undefined) {
      network.freeAll();
      return;
    }
    network.free(a as NodeId, b as NodeId);
    network.free(b as NodeId, a as NodeId);
  }

  /** Both ends lose the session and what is under way. */
  reset(a: number, b: number): void {
    this.cluster.network.reset(a as NodeId, b as NodeId);
  }

  resetAll(): void {
    const ids = this.cluster.nodes.map(({ nodeId }) => nodeId);
    for (const a of ids) for (const b of ids) if (a < b) this.reset(a, b);
  }

  /** Only `node` loses the session. */
  halfOpen(node: number, peer: number): void {
    this.cluster.network.halfOpen(node as NodeId, peer as NodeId);
  }

  private others(node: number): readonly number[] {
    return this.cluster.nodes.map(({ nodeId }) => nodeId).filter((id) => id !== node);
  }
}
