/**
 * A node that may have forgotten a vote or an entry never votes, nor acknowledges (P6): one whose log can
 * tell does not start; one whose log is new is heard by nobody who knew the old one.
 */
import type { NodeId, RegionId } from '@moku/base';
import type { Message } from '@moku/raft';
import type { SimNode } from '../world/sim-node.js';
import type { Invariant, Report } from './invariant.js';

export class Amnesia implements Invariant {
  private readonly report: Report;

  constructor(report: Report) {
    this.report = report;
  }

  onStart(node: SimNode): void {
    if (node.harm !== 'amnesiac') return;
    this.report(
      'lost data is noticed',
      `node ${node.nodeId} starts on a log that lost synced data`,
    );
  }

  onSend(node: SimNode, peer: NodeId, regionId: RegionId, message: Message): void {
    if (node.harm === 'none' || node.harm === 'corrupt') return;
    const isVote = message.type === 'voteResponse' && message.isGranted;
    const isAcknowledgement = message.type === 'appendResponse' && !message.isRejected;
    if (!isVote && !isAcknowledgement) return;
    const place = `node ${node.nodeId}, region ${regionId}`;
    const what = `${place}: sends ${message.type} of term ${message.term} to node ${peer}`;
    this.report('an amnesiac replica never votes nor acknowledges', what);
  }
}
