/**
 * Pre-vote (thesis §9.6): a replica asks for votes in a term only after a majority would have voted for it
 * in that term, or when its leader handed over. So a replica that was cut off disturbs nobody when it is back.
 */
import type { NodeId, RegionId, ReplicaId } from '@moku/base';
import type { Message } from '@moku/raft';
import type { SimNode } from '../world/sim-node.js';
import type { Invariant, Report } from './invariant.js';

interface Campaign {
  readonly term: number;
  /** Who promised a vote. */
  readonly granters: Set<ReplicaId>;
}

export class PreVoteFirst implements Invariant {
  private readonly report: Report;
  /** By region and candidate; the newest term only. */
  private readonly campaigns = new Map<string, Campaign>();
  /** Campaigns that were looked at, and those that a leader asked for. */
  private readonly settled = new Map<string, number>();
  private readonly handedOver = new Map<string, number>();

  constructor(report: Report) {
    this.report = report;
  }

  onSend(node: SimNode, _peer: NodeId, regionId: RegionId, message: Message): void {
    const { type, term, from, to } = message;
    if (type === 'preVoteResponse' && message.isGranted) {
      this.campaign(`${regionId}/${to}`, term).granters.add(from);
    } else if (type === 'timeoutNow') {
      this.handedOver.set(`${regionId}/${to}`, term + 1);
    } else if (type === 'vote') {
      this.look(node, regionId, from, term);
    }
  }

  private campaign(key: string, term: number): Campaign {
    let campaign = this.campaigns.get(key);
    if (campaign === undefined || campaign.term < term) {
      campaign = { term, granters: new Set() };
      this.campaigns.set(key, campaign);
    }
    return campaign;
  }

  private look(node: SimNode, regionId: RegionId, candidate: ReplicaId, term: number): void {
    const key = `${regionId}/${candidate}`;
    if (this.settled.get(key) === term || this.handedOver.get(key) === term) return;
    this.settled.set(key, term);
    const confState = node.running?.host.regionStatus(regionId)?.confState;
    const campaign = this.campaigns.get(key);
    if (confState === undefined || (campaign !== undefined && campaign.term > term)) return;
    for (const voters of [confState.voters, confState.votersOutgoing]) {
      const granted = voters.filter(
        (id) => id === candidate || (campaign?.term === term && campaign.granters.has(id)),
      );
      if (voters.length === 0 || granted.length * 2 > voters.length) continue;
      const what = `node ${node.nodeId}, region ${regionId}: asks for votes in term ${term}, which ${granted.length} of ${voters.length} would give`;
      this.report('pre-vote before vote', what);
    }
  }
}
