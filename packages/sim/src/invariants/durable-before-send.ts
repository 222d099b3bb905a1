/**
 * Durable before send: a granted vote and an acknowledgement leave only once the sender's disk would
 * remember them after a crash at this moment.
 */
import type { NodeId, RegionId } from '@moku/base';
import type { Message } from '@moku/raft';
import type { SimNode } from '../world/sim-node.js';
import type { Invariant, Report } from './invariant.js';

export class DurableBeforeSend implements Invariant {
  private readonly report: Report;

  constructor(report: Report) {
    this.report = report;
  }

  onSend(node: SimNode, peer: NodeId, regionId: RegionId, message: Message): void {
    if (message.type === 'voteResponse' && message.isGranted) {
      const synced = node.disk.syncedHardState(regionId);
      const isKept =
        synced !== undefined &&
        (synced.term > message.term ||
          (synced.term === message.term && synced.votedFor === message.to));
      if (!isKept) this.fail(node, peer, regionId, `a vote of term ${message.term}`);
    } else if (message.type === 'appendResponse' && !message.isRejected) {
      const { disk } = node;
      const synced = disk.synced(regionId);
      const term = disk.syncedHardState(regionId)?.term ?? 0;
      const isKept =
        synced !== undefined &&
        term >= message.term &&
        synced.lastIndex() >= message.index &&
        (message.index < synced.firstIndex() ||
          synced.term(message.index) === disk.visible(regionId)?.term(message.index));
      if (!isKept) this.fail(node, peer, regionId, `the acknowledgement of ${message.index}`);
    }
  }

  private fail(node: SimNode, peer: NodeId, regionId: RegionId, what: string): void {
    this.report(
      'durable before send',
      `node ${node.nodeId}, region ${regionId}: sends ${what} to node ${peer} before it is synced`,
    );
  }
}
