/**
 * Term, vote and commit never regress, over restarts too: neither on the synced disk nor in the replica
 * that was started from it. A vote of a term is given once.
 */
import type { HardState } from '@moku/raft';
import type { RegionStatus } from '@moku/region';
import type { SimNode } from '../sim-node.js';
import type { Invariant, Report } from './invariant.js';

export class NeverRegress implements Invariant {
  private readonly report: Report;
  private readonly synced = new Map<string, HardState>();

  constructor(report: Report) {
    this.report = report;
  }

  onStatus(node: SimNode, { regionId, term, replicaId, why }: RegionStatus): void {
    // Out of service, it says nothing of its term.
    if (why.includes('failed')) return;
    // A new directory begins anew, and nobody listens to it (amnesia.ts).
    if (node.harm === 'replaced') return;
    const state = node.disk.syncedHardState(regionId);
    if (state === undefined) return;
    const key = `${node.nodeId}/${regionId}/${replicaId}`;
    const place = `node ${node.nodeId}, region ${regionId}`;
    if (term < state.term) {
      this.report('term never regresses', `${place}: term ${term}, synced was ${state.term}`);
    }
    const before = this.synced.get(key);
    this.synced.set(key, state);
    if (before === undefined || before === state) return;
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
}
