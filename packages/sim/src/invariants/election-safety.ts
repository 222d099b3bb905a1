/** Election safety: at most one leader can be elected in a given term (Raft, figure 3). */
import type { RegionStatus } from '@moku/region';
import type { SimNode } from '../sim-node.js';
import type { Invariant, Report } from './invariant.js';

export class ElectionSafety implements Invariant {
  private readonly report: Report;
  private readonly leaders = new Map<string, number>();

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
    const key = `${regionId}/${term}`;
    const known = this.leaders.get(key);
    if (known === undefined) this.leaders.set(key, node.nodeId);
    else if (known !== node.nodeId) {
      const what = `region ${regionId}, term ${term}: nodes ${known} and ${node.nodeId} lead`;
      this.report('election safety', what);
    }
  }
}
