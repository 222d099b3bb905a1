/**
 * A leader counts copies only for entries of its own term; earlier ones are committed along with them
 * (Raft, §5.4.2 and figure 8). Whatever commitIndex it tells beyond the one that it began with is the index
 * of an entry of its term.
 */
import type { NodeId, RegionId } from '@moku/base';
import type { Message } from '@moku/raft';
import type { SimNode } from '../world/sim-node.js';
import type { Invariant, Report } from './invariant.js';

interface Told {
  readonly term: number;
  commitIndex: number;
}

export class OwnTermCommit implements Invariant {
  private readonly report: Report;
  /** By node and region: what it told as the leader of a term. */
  private readonly told = new Map<string, Told>();

  constructor(report: Report) {
    this.report = report;
  }

  onSend(node: SimNode, _peer: NodeId, regionId: RegionId, message: Message): void {
    if (message.type !== 'append') return;
    const { term, commitIndex } = message;
    const key = `${node.nodeId}/${regionId}`;
    const before = this.told.get(key);
    if (before?.term !== term) {
      this.told.set(key, { term, commitIndex });
      return;
    }
    if (commitIndex <= before.commitIndex) return;
    before.commitIndex = commitIndex;
    const found = node.disk.visible(regionId)?.term(commitIndex);
    if (found === undefined || found === term) return;
    const what = `node ${node.nodeId}, region ${regionId}: the leader of term ${term} commits entry ${commitIndex} of term ${found}`;
    this.report('only own-term entries are committed by counting', what);
  }
}
