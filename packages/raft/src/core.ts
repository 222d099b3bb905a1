// @hot
/**
 * The state of one replica of one group, and the few transitions that every part of the protocol needs:
 * who it is, what it leads, what it will say. The rules live beside it: election, replication, reads,
 * transfer, membership. Its fields are changed by those files only, within one event.
 *
 * Invariants:
 *  R1 term never falls; votedFor changes within a term only from none.
 *  R2 `leader` is present exactly while the role is leader; `votes` exactly while it campaigns.
 *  R3 appliedIndex <= applyingIndex <= commitIndex <= lastIndex, and entries are handed out for apply
 *     only once this replica's own disk has synced them.
 *  R4 Attached only as a follower with a leader; any change of term, role or leader ends it.
 *  R5 A read is answered or refused exactly once.
 */
import { assert, noReplica, type Prng, type ReplicaId } from '@moku/base';
import { isVoter } from './conf-change.js';
import type { LeaderState } from './leader-state.js';
import type { RaftLimits } from './limits.js';
import type { LogTail } from './log-tail.js';
import type { ForwardedReads } from './read-rounds.js';
import type { ConfState, Message, ReadState, Role, SnapshotMeta } from './types.js';

/** Votes of one campaign. The own vote is in `granted` once it counts. */
export interface Votes {
  readonly granted: ReplicaId[];
  readonly refused: ReplicaId[];
}

export interface CoreConfig {
  readonly replicaId: ReplicaId;
  readonly electionTicks: number;
  readonly heartbeatTicks: number;
  readonly prng: Prng;
  readonly limits: RaftLimits;
  readonly tail: LogTail;
  readonly confState: ConfState;
}

export class Core {
  readonly id: ReplicaId;
  readonly electionTicks: number;
  /** 0: the host watches nodes; no heartbeats and no check of the quorum here. */
  readonly heartbeatTicks: number;
  readonly prng: Prng;
  readonly limits: RaftLimits;
  readonly tail: LogTail;

  term = 0;
  votedFor: ReplicaId = noReplica;
  role: Role = 'follower';
  leaderId: ReplicaId = noReplica;
  commitIndex = 0;
  applyingIndex = 0;
  appliedIndex = 0;
  confState: ConfState;
  /** A configuration change in the log is at most here; unknown ones of a recovered log count. */
  lastConfIndex = 0;
  /** Every change up to here is in confState; above appliedIndex, confState is not that of the state applied. */
  confStateIndex = 0;
  /** Was a voter and is none any more: it may still be needed to finish the change that took it out (E5). */
  isFormerVoter = false;
  /** Bytes handed out for apply since everything handed out was last applied. */
  applyingBytes = 0;
  /** Committed entries are on their way from disk. */
  isApplyFetching = false;

  leader: LeaderState | undefined = undefined;
  votes: Votes | undefined = undefined;
  forwarded: ForwardedReads | undefined = undefined;

  electionElapsed = 0;
  electionTimeout = 0;
  /** Ticks since this term's leader was last heard; electionTicks or more: not loyal to it. */
  leaderElapsed = 0;
  isAttached = false;

  /** A snapshot that the host was, or will be, asked to fetch. */
  snapshotWanted: SnapshotMeta | undefined = undefined;
  /** It goes into the next Ready. */
  isSnapshotDue = false;
  /** A restarted log has to be synced before anything more is acknowledged. */
  isRestartUnsynced = false;
  /** term or votedFor changed since the last Ready. */
  isHardStateDue = false;

  lastReadyNumber = 0;
  /** commitIndex of the hard state that was handed out last. */
  handedCommitIndex = 0;
  messages: Message[] | undefined = undefined;
  messagesAfterPersist: Message[] | undefined = undefined;
  readStates: ReadState[] | undefined = undefined;
  readsRefused: number[] | undefined = undefined;

  constructor(config: CoreConfig) {
    this.id = config.replicaId;
    this.electionTicks = config.electionTicks;
    this.heartbeatTicks = config.heartbeatTicks;
    this.prng = config.prng;
    this.limits = config.limits;
    this.tail = config.tail;
    this.confState = config.confState;
  }

  /** Leaves at once. */
  send(message: Message): void {
    if (this.messages === undefined) this.messages = [];
    this.messages.push(message);
  }

  /** Leaves once everything before it is synced: it promises something. */
  sendAfterPersist(message: Message): void {
    if (this.messagesAfterPersist === undefined) this.messagesAfterPersist = [];
    this.messagesAfterPersist.push(message);
  }

  /** Starts the election timer anew, of a random length in [electionTicks, 2 electionTicks). Paper §5.2. */
  resetElectionTimer(): void {
    this.electionElapsed = 0;
    this.electionTimeout = this.electionTicks + this.prng.below(this.electionTicks);
  }

  /** This term's leader was heard: the timer starts anew, and for an election timeout it has our loyalty. */
  heardLeader(): void {
    this.electionElapsed = 0;
    this.leaderElapsed = 0;
  }

  /** Adopts a greater term: no vote, no leader (R1). The election timer goes on unless it has to start. */
  adoptTerm(term: number): void {
    assert(term > this.term, 'R1: term never falls');
    this.term = term;
    this.votedFor = noReplica;
    this.isHardStateDue = true;
    this.follow(noReplica);
  }

  /** Becomes a follower of `leaderId` (0: of nobody) in the present term. */
  follow(leaderId: ReplicaId): void {
    if (this.role !== 'follower' || this.isAttached) this.resetElectionTimer();
    this.leaveRole();
    this.role = 'follower';
    if (this.leaderId !== leaderId) {
      this.isAttached = false;
      this.leaderId = leaderId;
      this.refuseForwarded();
    }
    if (leaderId === noReplica) this.isAttached = false;
  }

  /** Drops what only the present role has (R2), and refuses the reads it can no longer confirm (R5). */
  leaveRole(): void {
    this.votes = undefined;
    const leader = this.leader;
    if (leader === undefined) return;
    this.leader = undefined;
    if (leader.reads === undefined) return;
    const reads = leader.reads.takeAll();
    for (let i = 0; i < reads.length; i++) this.refuseRead(reads[i]!.from, reads[i]!.context);
  }

  answerRead(from: ReplicaId, context: number, index: number): void {
    if (from === this.id) {
      if (this.readStates === undefined) this.readStates = [];
      this.readStates.push({ context, index });
      return;
    }
    this.send({
      type: 'readIndexResponse',
      from: this.id,
      to: from,
      term: this.term,
      context,
      index,
    });
  }

  refuseRead(from: ReplicaId, context: number): void {
    if (from === this.id) {
      if (this.readsRefused === undefined) this.readsRefused = [];
      this.readsRefused.push(context);
      return;
    }
    const { id, term } = this;
    this.send({ type: 'readIndexResponse', from: id, to: from, term, context, index: -1 });
  }

  /** Reads that wait for the former leader's answer have to be asked again. */
  refuseForwarded(): void {
    const forwarded = this.forwarded;
    if (forwarded === undefined) return;
    this.forwarded = undefined;
    const contexts = forwarded.takeAll();
    for (let i = 0; i < contexts.length; i++) this.refuseRead(this.id, contexts[i]!);
  }

  /** R3: a leader's knowledge that everything up to `index` is committed. */
  commitTo(index: number): void {
    if (index <= this.commitIndex) return;
    assert(index <= this.tail.lastIndex, 'R3: an acknowledged entry is missing from the log');
    this.commitIndex = index;
    this.dropSnapshotReached();
  }

  /**
   * A snapshot whose last entry the log holds by now is not wanted any more: what the log holds behind it
   * may have been acknowledged, and a restart would lose it.
   */
  dropSnapshotReached(): void {
    const wanted = this.snapshotWanted;
    if (wanted === undefined) return;
    if (wanted.index > this.commitIndex && this.tail.term(wanted.index) !== wanted.term) return;
    this.snapshotWanted = undefined;
    this.isSnapshotDue = false;
  }

  isSelfVoter(): boolean {
    return isVoter(this.confState, this.id);
  }

  /** Takes up a configuration that holds as of `index`. */
  setConfState(confState: ConfState, index: number): void {
    const wasVoter = this.isSelfVoter();
    this.confState = confState;
    this.confStateIndex = index;
    if (this.isSelfVoter()) this.isFormerVoter = false;
    else if (wasVoter) this.isFormerVoter = true;
  }

  /** A configuration change may be committed here and not applied yet. */
  hasUnappliedConfChange(): boolean {
    const last = this.lastConfIndex < this.commitIndex ? this.lastConfIndex : this.commitIndex;
    return this.appliedIndex < last;
  }
}
