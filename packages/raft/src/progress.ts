// @hot
/**
 * What a leader knows of one replica, and the pace at which it is sent entries. Source: etcd's tracker
 * and thesis §10.2.1 (pipelining).
 *
 * - `probe`: the point of agreement is not known; one append at a time.
 * - `replicate`: it is; appends are pipelined within the bounds of Inflights, nextIndex runs ahead.
 * - `snapshot`: entries it needs are compacted; nothing is sent until it holds the snapshot.
 *
 * Invariants:
 *  P1 matchIndex < nextIndex.
 *  P2 matchIndex never falls within a term of the leader.
 *  P3 Inflights are empty outside `replicate`.
 */
import { assert, type ReplicaId } from '@moku/base';
import { Inflights } from './inflights.js';
import type { Voter } from './quorum.js';

export type ProgressState = 'probe' | 'replicate' | 'snapshot';

/** What a host may look at. */
export interface ProgressView {
  readonly replicaId: ReplicaId;
  readonly matchIndex: number;
  readonly nextIndex: number;
  readonly state: ProgressState;
  readonly isLearner: boolean;
}

export class Progress implements ProgressView, Voter {
  readonly replicaId: ReplicaId;
  matchIndex = 0;
  nextIndex: number;
  state: ProgressState = 'probe';
  isLearner = false;
  /** In `probe`: an append is under way, wait for its answer. */
  isProbeSent = false;
  /** An append has to leave, even an empty one, even when paused. */
  isProbeDue = false;
  /** Entries to send are on their way from disk. */
  isFetching = false;
  /** Heard from since the last check of the quorum. */
  isRecentlyActive = true;
  /** Judged silent by the host. */
  isSilent = false;
  /** In `snapshot`: index of the snapshot on its way. */
  snapshotIndex = 0;
  /** The newest commitIndex told to it by an append. */
  sentCommitIndex = 0;
  readRound = 0;
  readonly inflights: Inflights = new Inflights();

  constructor(replicaId: ReplicaId, nextIndex: number) {
    this.replicaId = replicaId;
    this.nextIndex = nextIndex;
  }

  /** The replica holds everything up to `index`. Returns whether that is news. */
  matched(index: number): boolean {
    if (index <= this.matchIndex) return false;
    this.matchIndex = index;
    if (this.nextIndex <= index) this.nextIndex = index + 1;
    return true;
  }

  /** Entries up to `lastIndex`, `bytes` of them, were put into an append. */
  sent(lastIndex: number, bytes: number): void {
    if (this.state === 'replicate') {
      this.nextIndex = lastIndex + 1;
      this.inflights.add(lastIndex, bytes);
    } else {
      assert(this.state === 'probe', 'P3: a replica that waits for a snapshot is sent no entries');
      this.isProbeSent = true;
    }
  }

  /** Agreement has to be found again, first tried behind `nextIndex - 1`. */
  becomeProbe(nextIndex: number): void {
    this.state = 'probe';
    this.nextIndex = nextIndex > this.matchIndex ? nextIndex : this.matchIndex + 1;
    this.isProbeSent = false;
    this.snapshotIndex = 0;
    this.inflights.clear();
  }

  becomeReplicate(): void {
    this.state = 'replicate';
    this.nextIndex = this.matchIndex + 1;
    this.isProbeSent = false;
    this.snapshotIndex = 0;
    this.inflights.clear();
  }

  becomeSnapshot(index: number): void {
    this.state = 'snapshot';
    this.snapshotIndex = index;
    this.nextIndex = (index > this.matchIndex ? index : this.matchIndex) + 1;
    this.isProbeSent = false;
    this.inflights.clear();
  }
}
