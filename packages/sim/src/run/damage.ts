/**
 * What broken disks did to the nodes of a run, and whether one more may be broken: destructive faults stay
 * under a quorum of every region, unless the run exceeds it on purpose.
 *
 * Invariants:
 *  H1 A region keeps a majority of homes to whose disks nothing was done. What was done to a disk is never
 *     undone: nothing brings a replica back that refuses, or a node whose directory is new.
 *  H2 A new directory in the place of an old one, which nothing in it can tell, stays under a quorum always,
 *     and only where all peers have met the old one.
 */
import type { NodeId, RegionId } from '@moku/base';
import { type SimNode, storeIdKey } from '../world/sim-node.js';

/**
 * 'corrupt': bits flipped or `data.db` is gone; it refuses to start, or replicas of it fail.
 * 'amnesiac': synced data of the log is gone, and the log can tell; it refuses to start.
 * 'replaced': the log is new; it refuses to start, or its peers refuse it.
 */
export type Harm = 'none' | 'corrupt' | 'amnesiac' | 'replaced';

export class Damage {
  private readonly nodes: readonly SimNode[];
  /** Regions that there are to be, meta included. */
  private readonly regionsExpected: number;
  private readonly exceedsQuorum: boolean;
  private readonly homes = new Map<RegionId, readonly NodeId[]>();

  constructor(nodes: readonly SimNode[], regions: number, exceedsQuorum: boolean) {
    this.nodes = nodes;
    this.regionsExpected = regions + 1;
    this.exceedsQuorum = exceedsQuorum;
  }

  /** May `node` be harmed so? One that is harmed already may be harmed again (H1). */
  allows(node: SimNode, harm: Harm): boolean {
    if (harm === 'replaced') return this.isKnown(node) && this.keepsQuorums(new Set([node]));
    return node.harm !== 'none' || this.exceedsQuorum || this.keepsQuorums(new Set([node]));
  }

  /** Whether everybody knows its directory, also after a crash: who never met it cannot miss it (H2). */
  private isKnown(node: SimNode): boolean {
    return this.nodes.every((other) => {
      if (other === node || other.harm === 'replaced') return true;
      return other.disk.syncedMeta(storeIdKey(node.nodeId)) !== undefined;
    });
  }

  /** Whether every region keeps a majority of sound homes if `lost` are lost, too. */
  keepsQuorums(lost: ReadonlySet<SimNode>): boolean {
    this.learnHomes();
    const gone = new Set<NodeId>();
    for (const node of this.nodes) {
      if (node.harm !== 'none' || lost.has(node)) gone.add(node.nodeId);
    }
    if (gone.size * 2 >= this.nodes.length) return false;
    // Regions that are not seen yet may have their homes anywhere.
    if (gone.size > 1 && this.homes.size < this.regionsExpected) return false;
    for (const homes of this.homes.values()) {
      const left = homes.filter((home) => !gone.has(home)).length;
      if (left * 2 <= homes.length) return false;
    }
    return true;
  }

  private learnHomes(): void {
    for (const node of this.nodes) {
      const host = node.running?.host;
      for (const regionId of host?.regionIds() ?? []) {
        const replicas = host?.descriptor(regionId)?.replicas;
        if (replicas === undefined) continue;
        this.homes.set(
          regionId,
          replicas.map(({ nodeId }) => nodeId),
        );
      }
    }
  }
}
