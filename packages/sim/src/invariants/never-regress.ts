/**
 * Term, vote and commit never regress, over restarts too: neither on the synced disk nor in the replica
 * that was started from it. A vote of a term is given once, whatever happened to the process between.
 */
import type { NodeId, RegionId, ReplicaId } from '@moku/base';
import type { HardState, Message } from '@moku/raft';
import type { RegionStatus } from '@moku/region';
import type { SimNode } from '../world/sim-node.js';
import type { Invariant, Report } from './invariant.js';

/** The newest vote that left a replica. */
interface Vote {
  readonly term: number;
  readonly candidate: ReplicaId;
}

interface Seen {
  readonly replicaId: ReplicaId;
  readonly state: HardState;
}

export class NeverRegress implements Invariant {
  private readonly report: Report;
  /** Per node and region, of the newest replica seen there. */
  private readonly synced = new Map<SimNode, Map<RegionId, Seen>>();

  /** By region and voter. */
  private readonly votes = new Map<string, Vote>();

  constructor(report: Report) {
    this.report = report;
  }

  onSend(node: SimNode, _peer: NodeId, regionId: RegionId, message: Message): void {
    if (message.type !== 'voteResponse' || !message.isGranted) return;
    const { from, to, term } = message;
    const key = `${regionId}/${from}`;
    const last = this.votes.get(key);
    if (last === undefined || last.term < term) this.votes.set(key, { term, candidate: to });
    else if (last.term > term) {
      const what = `${placeOf(node, regionId)}: a vote of term ${term} after one of ${last.term}`;
      this.report('term never regresses', what);
    } else if (last.candidate !== to) {
      const what = `${placeOf(node, regionId)}, term ${term}: votes for ${last.candidate} and ${to}`;
      this.report('one vote a term', what);
    }
  }

  onStatus(node: SimNode, { regionId, term, replicaId, why }: RegionStatus): void {
    // Out of service, it says nothing of its term.
    if (why.includes('failed')) return;
    // A new directory begins anew, and nobody listens to it (amnesia.ts).
    if (node.harm === 'replaced') return;
    const state = node.disk.syncedHardState(regionId);
    if (state === undefined) return;
    if (term < state.term) {
      const what = `${placeOf(node, regionId)}: term ${term}, synced was ${state.term}`;
      this.report('term never regresses', what);
    }
    const seen = this.seenOf(node);
    const last = seen.get(regionId);
    if (last?.state === state) return;
    seen.set(regionId, { replicaId, state });
    if (last === undefined || last.replicaId !== replicaId) return;
    const before = last.state;
    const place = placeOf(node, regionId);
    if (state.term < before.term) {
      this.report('term never regresses', `${place}: ${before.term} became ${state.term}`);
    }
    const isOtherVote = before.votedFor !== 0 && state.votedFor !== before.votedFor;
    if (state.term === before.term && isOtherVote) {
      const what = `${place}, term ${state.term}: ${before.votedFor} became ${state.votedFor}`;
      this.report('vote never regresses', what);
    }
    if (state.commitIndex < before.commitIndex) {
      const what = `${place}: ${before.commitIndex} became ${state.commitIndex}`;
      this.report('commit never regresses', what);
    }
  }

  private seenOf(node: SimNode): Map<RegionId, Seen> {
    let seen = this.synced.get(node);
    if (seen === undefined) {
      seen = new Map();
      this.synced.set(node, seen);
    }
    return seen;
  }
}

function placeOf(node: SimNode, regionId: RegionId): string {
  return `node ${node.nodeId}, region ${regionId}`;
}
