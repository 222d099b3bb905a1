/** Election safety: at most one leader can be elected in a given term (Raft, figure 3). */
import type { NodeId, RegionId } from '@moku/base';
import type { RegionStatus } from '@moku/region';
import type { SimNode } from '../world/sim-node.js';
import type { Invariant, Report } from './invariant.js';

export class ElectionSafety implements Invariant {
  private readonly report: Report;
  /** Per region and term. */
  private readonly leaders = new Map<RegionId, Map<number, NodeId>>();

  constructor(report: Report) {
    this.report = report;
  }

  onLeader(node: SimNode, status: RegionStatus): void {
    this.note(node, status);
  }

  onStatus(node: SimNode, status: RegionStatus): void {
    if (status.role === 'leader') this.note(node, status);
  }

  private note(node: SimNode, { regionId, term }: RegionStatus): void {
    let leaders = this.leaders.get(regionId);
    if (leaders === undefined) {
      leaders = new Map();
      this.leaders.set(regionId, leaders);
    }
    const known = leaders.get(term);
    if (known === undefined) leaders.set(term, node.nodeId);
    else if (known !== node.nodeId) {
      const what = `region ${regionId}, term ${term}: nodes ${known} and ${node.nodeId} lead`;
      this.report('election safety', what);
    }
  }
}
