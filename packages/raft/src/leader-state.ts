// @hot
/**
 * What a replica holds only while it leads: the progress of its peers, the transfer under way, reads.
 * Made at the start of a leadership and dropped whole at its end, so that an idle follower costs little.
 *
 * Invariants:
 *  S1 `progresses` has exactly the members of the configuration, ascending; `voters` and
 *     `votersOutgoing` are the same objects, by the halves of the configuration.
 *  S2 The leader's own progress stands at what its own disk has synced.
 */
import { assert, noReplica, type ReplicaId } from '@moku/base';
import { membersOf } from './conf-change.js';
import { Progress } from './progress.js';
import type { ReadRounds } from './read-rounds.js';
import type { ConfState } from './types.js';

const nobody: readonly Progress[] = Object.freeze([]);

export class LeaderState {
  progresses: readonly Progress[] = nobody;
  voters: readonly Progress[] = nobody;
  votersOutgoing: readonly Progress[] = nobody;
  /** Index of the no-op with which this leader's term began. */
  readonly firstIndexOfTerm: number;
  /** The last configuration change that may be unapplied: no other is taken until it is applied. */
  pendingConfIndex: number;
  /** Bytes of this term's entries that were not handed out for apply yet. */
  uncommittedBytes = 0;
  heartbeatElapsed = 0;
  quorumElapsed = 0;
  /** To whom leadership is being handed; 0: nobody. */
  transferee: ReplicaId = noReplica;
  transferElapsed = 0;
  isTimeoutNowSent = false;
  reads: ReadRounds | undefined = undefined;
  /** Something may have to be sent: the next Ready looks at every peer. */
  isFlushDue = true;

  constructor(firstIndexOfTerm: number, confState: ConfState, selfId: ReplicaId) {
    this.firstIndexOfTerm = firstIndexOfTerm;
    // Changes of former leaders may be in the log: until the no-op is applied, no other is taken.
    this.pendingConfIndex = firstIndexOfTerm;
    this.configure(confState, selfId, firstIndexOfTerm);
  }

  /** Follows a change of configuration (S1). Newcomers are first tried behind nextIndex - 1. */
  configure(confState: ConfState, selfId: ReplicaId, nextIndex: number): void {
    const former = this.progresses;
    const members = membersOf(confState);
    const progresses = new Array<Progress>(members.length);
    for (let i = 0; i < members.length; i++) {
      const id = members[i]!;
      const progress = findProgress(former, id) ?? new Progress(id, nextIndex);
      progress.isLearner = confState.learners.includes(id);
      if (id === selfId) progress.readRound = Number.POSITIVE_INFINITY;
      progresses[i] = progress;
    }
    this.progresses = progresses;
    this.voters = pick(progresses, confState.voters);
    this.votersOutgoing = pick(progresses, confState.votersOutgoing);
  }

  find(replicaId: ReplicaId): Progress | undefined {
    return findProgress(this.progresses, replicaId);
  }
}

function findProgress(progresses: readonly Progress[], replicaId: ReplicaId): Progress | undefined {
  for (let i = 0; i < progresses.length; i++) {
    if (progresses[i]!.replicaId === replicaId) return progresses[i];
  }
  return undefined;
}

function pick(progresses: readonly Progress[], ids: readonly ReplicaId[]): readonly Progress[] {
  if (ids.length === 0) return nobody;
  const picked = new Array<Progress>(ids.length);
  for (let i = 0; i < ids.length; i++) {
    const progress = findProgress(progresses, ids[i]!);
    assert(progress !== undefined, 'S1: every voter is a member');
    picked[i] = progress;
  }
  return picked;
}
