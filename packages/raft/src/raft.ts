// @hot
/**
 * One replica of one Raft group: a deterministic state machine without clock, I/O or threads. Events go
 * in, a Ready comes out. This file owns the order of things and the answers to the host; the rules are in
 * election, replication, reads, transfer and membership, the state in core.
 *
 * What the host owes (the invariants are of core.ts and log-tail.ts):
 *  - One call at a time, never from within another.
 *  - Entries of a Ready, with its hardState in the same atomic write, are handed to the LogStore before
 *    any further call (T1). The hardState's commitIndex is what E4 rests on after a restart.
 *  - `persisted(number)` in order, for every Ready with mustSync; messagesAfterPersist leave after it.
 *  - Committed entries are applied strictly in order; for each confChange entry `applyConfChange`, then
 *    `applied`. The log is never compacted beyond what was reported applied.
 *  - Contexts of reads are not reused while a message about them may be under way, also after a restart.
 */
import { assert, MokuError, noReplica, type Prng, type ReplicaId } from '@moku/base';
import { membersOf } from './conf-change.js';
import type { RegionLog } from './contracts/log-store.js';
import { Core } from './core.js';
import {
  checkSilence,
  mayCampaign,
  ownVotePersisted,
  startPreVote,
  stepDown,
  tickElection,
  tickQuorum,
} from './election.js';
import { defaultRaftLimits, type RaftLimits } from './limits.js';
import { LogTail } from './log-tail.js';
import { applyConfChange, followApplied, proposeConfChange } from './membership.js';
import type { ProgressView } from './progress.js';
import {
  askRead,
  type ReadIndexResult,
  sendHeartbeat,
  tickForwarded,
  tickHeartbeat,
} from './reads.js';
import { buildReady, hasReady } from './ready.js';
import {
  ownLogPersisted,
  resumeOffers,
  snapshotInstalled,
  snapshotReached,
} from './replication.js';
import { stepMessage } from './step.js';
import { beginTransfer, tickTransfer } from './transfer.js';
import type {
  ConfChange,
  ConfState,
  HardState,
  Message,
  ProposeResult,
  Ready,
  Role,
  SnapshotMeta,
} from './types.js';

export interface RaftConfig {
  readonly replicaId: ReplicaId;
  /** Ticks without word from a leader before an election; the timer draws from [n, 2n). At least 2. */
  readonly electionTicks: number;
  /** Ticks between heartbeats, below electionTicks. 0: the host watches nodes (design §6). */
  readonly heartbeatTicks: number;
  readonly prng: Prng;
  readonly log: RegionLog;
  /** As recovered; all zero for a new replica. */
  readonly hardState: HardState;
  /** As of `confStateIndex`; emptyConfState for a replica that joins: it takes a snapshot first. */
  readonly confState: ConfState;
  /**
   * Index as of which `confState` holds; appliedIndex when not given. May be greater than appliedIndex;
   * if it is lower, the host first adds the changes between (confStateAfter).
   */
  readonly confStateIndex?: number;
  /** In [log.firstIndex() - 1, log.lastIndex()]. */
  readonly appliedIndex: number;
  /**
   * True when the log and the hard state given here are still on their way to the disk, in the batch of the
   * first Ready or an earlier one: nothing is promised on them before. Default false: they are synced.
   */
  readonly isLogUnsynced?: boolean;
  /** Narrower bounds, for tests. */
  readonly limits?: Partial<RaftLimits>;
}

export class Raft {
  private readonly core: Core;
  private peersOf: ConfState | undefined = undefined;
  private peerIds: readonly ReplicaId[] = noPeers;

  /** Throws LOG_CORRUPT when log, hard state and applied index do not fit together. */
  constructor(config: RaftConfig) {
    const { hardState, log, appliedIndex, electionTicks, heartbeatTicks } = config;
    assert(electionTicks >= 2 && heartbeatTicks < electionTicks, 'electionTicks > heartbeatTicks');
    const tail = new LogTail(log, hardState.term, hardState.votedFor);
    const confStateIndex = config.confStateIndex ?? appliedIndex;
    // What was applied, and a configuration that was, had been committed, whatever the hard state knew.
    const commitIndex = Math.max(hardState.commitIndex, appliedIndex, confStateIndex);
    checkRecovered(tail, hardState, commitIndex, appliedIndex);
    const limits = config.limits === undefined ? defaultRaftLimits : narrowed(config.limits);
    const { replicaId, prng, confState } = config;
    const core = new Core({
      replicaId,
      electionTicks,
      heartbeatTicks,
      prng,
      limits,
      tail,
      confState,
    });
    core.term = hardState.term;
    core.votedFor = hardState.votedFor;
    core.commitIndex = commitIndex;
    core.handedCommitIndex = hardState.commitIndex;
    core.appliedIndex = appliedIndex;
    core.applyingIndex = appliedIndex;
    core.lastConfIndex = tail.lastIndex;
    core.confStateIndex = confStateIndex;
    if (config.isLogUnsynced === true) {
      tail.nothingSynced();
      core.isRestartUnsynced = true;
    }
    core.isFormerVoter = isRemoved(confState, replicaId);
    core.leaderElapsed = electionTicks;
    core.resetElectionTimer();
    this.core = core;
  }

  // ---- Events in.

  /**
   * A tick passed. Needed while `needsTick`; an attached follower, and with heartbeatTicks 0 a leader
   * that transfers nothing, lose nothing without.
   */
  tick(): void {
    const { core } = this;
    core.tail.checkHandover();
    const leader = core.leader;
    if (leader === undefined) {
      if (core.isAttached) return;
      tickForwarded(core);
      tickElection(core);
      return;
    }
    tickTransfer(core, leader);
    if (core.heartbeatTicks === 0) return;
    tickQuorum(core, leader);
    if (core.leader !== undefined) tickHeartbeat(core, leader);
  }

  /**
   * A message arrived. One for another replica id is dropped: this replica replaced it. Throws LOG_AMNESIA
   * when it shows that this replica lost what it had acknowledged: it must not go on.
   */
  step(message: Message): void {
    const { core } = this;
    core.tail.checkHandover();
    if (message.to === core.id && message.from !== core.id) stepMessage(core, message);
  }

  /** Puts `data` (1 … limits.entryBytesMax bytes, not changed afterwards) into the log as one entry. */
  propose(data: Uint8Array): ProposeResult {
    const { core } = this;
    core.tail.checkHandover();
    assert(data.length > 0, 'an empty entry is the no-op of a term');
    const leader = core.leader;
    if (leader === undefined) return { kind: 'notLeader', leaderId: core.leaderId };
    if (leader.transferee !== noReplica || !core.isSelfVoter()) return busy;
    const bytes = leader.uncommittedBytes + data.length;
    if (leader.uncommittedBytes > 0 && bytes > core.limits.uncommittedBytesMax) return busy;
    leader.uncommittedBytes = bytes;
    leader.isFlushDue = true;
    const index = core.tail.lastIndex + 1;
    core.tail.push({ term: core.term, index, kind: 'normal', data });
    return { kind: 'accepted', index, term: core.term };
  }

  /**
   * Puts a change of the configuration into the log. `busy` while another one, or the term's first
   * entry, is not applied. Throws INVALID_ARGUMENT when the present configuration does not allow it.
   */
  proposeConfChange(change: ConfChange): ProposeResult {
    this.core.tail.checkHandover();
    return proposeConfChange(this.core, change);
  }

  /**
   * Asks for a linearizable read point. Once accepted, `context` comes back exactly once, in readStates
   * or readsRefused. The leader gathers all reads between two Readies into one round.
   */
  readIndex(context: number): ReadIndexResult {
    this.core.tail.checkHandover();
    return askRead(this.core, context);
  }

  /**
   * Begins to hand leadership to another voter; proposals are `busy` until it took over or an election
   * timeout of ticks passed. False when this replica does not lead, or `to` is no other voter.
   */
  transferLeader(to: ReplicaId): boolean {
    this.core.tail.checkHandover();
    return beginTransfer(this.core, to);
  }

  /**
   * Starts a pre-vote now. Does nothing on a leader, an attached follower, a replica that is no voter, or
   * one that has yet to apply a committed change of the configuration.
   */
  campaign(): void {
    this.core.tail.checkHandover();
    if (mayCampaign(this.core)) startPreVote(this.core);
  }

  /** Whether `ready()` would carry anything. */
  hasReady(): boolean {
    return hasReady(this.core);
  }

  /** Takes what is due. Throws LOG_CORRUPT when the log cannot be read; nothing is lost then. */
  ready(): Ready {
    this.core.tail.checkHandover();
    return buildReady(this.core);
  }

  /** Everything handed out by Readies up to `readyNumber` is synced. */
  persisted(readyNumber: number): void {
    const { core } = this;
    core.tail.checkHandover();
    core.tail.persisted(readyNumber);
    ownVotePersisted(core);
    if (core.leader !== undefined) ownLogPersisted(core, core.leader);
  }

  /** Committed entries up to `index` are applied. */
  applied(index: number): void {
    const { core } = this;
    core.tail.checkHandover();
    assert(index >= core.appliedIndex && index <= core.applyingIndex, 'R3: applied in order');
    const wasBehindConf = core.appliedIndex < core.confStateIndex;
    core.appliedIndex = index;
    if (index === core.applyingIndex) core.applyingBytes = 0;
    if (wasBehindConf && core.leader !== undefined) resumeOffers(core.leader);
    followApplied(core);
  }

  /**
   * The entry at `index`, a confChange, is being applied; `applied` follows. Returns the configuration
   * that holds from now on, for the host to write to its log as of `index`; undefined when the log knew a
   * later one at the start already, which must not be replaced.
   */
  applyConfChange(change: ConfChange, index: number): ConfState | undefined {
    this.core.tail.checkHandover();
    return applyConfChange(this.core, change, index);
  }

  /** What RegionLog.entries answered 'fetching' to is in memory now. */
  logFetched(): void {
    const { core } = this;
    core.tail.checkHandover();
    core.isApplyFetching = false;
    const leader = core.leader;
    if (leader === undefined) return;
    const { progresses } = leader;
    for (let i = 0; i < progresses.length; i++) progresses[i]!.isFetching = false;
    leader.isFlushDue = true;
  }

  /**
   * A snapshot's content is installed and RegionLog was restarted behind it (already visible, not
   * necessarily synced). meta.index must be above commitIndex, and the log must not have held
   * (meta.index, meta.term), or what it acknowledged behind would be lost: see `holds`. `snapshotWanted` is
   * undefined once the log itself has caught up.
   */
  snapshotInstalled(meta: SnapshotMeta): void {
    snapshotInstalled(this.core, meta);
  }

  /**
   * A snapshot's content is installed, and the log got as far meanwhile (`holds`, or it is committed), so
   * that it is not restarted: what it stands for is committed here, too, and the leader told so.
   */
  snapshotReached(meta: SnapshotMeta): void {
    this.core.tail.checkHandover();
    snapshotReached(this.core, meta);
  }

  /** Leader: sending a snapshot to `to` ended. Without success it is tried again at the next probe. */
  reportSnapshot(to: ReplicaId, isOk: boolean): void {
    const { core } = this;
    core.tail.checkHandover();
    const progress = core.leader?.find(to);
    if (core.leader === undefined || progress?.state !== 'snapshot') return;
    progress.becomeProbe(isOk ? progress.snapshotIndex + 1 : progress.matchIndex + 1);
    progress.isProbeSent = !isOk;
    core.leader.isFlushDue = true;
  }

  // ---- Liveness by node, driven by the host (heartbeatTicks 0).

  /**
   * Follower: its leader's liveness is known from the link, or no longer. Attached, it holds no election
   * timer and refuses pre-votes; losing that starts the timer anew and ends its loyalty. Ignored unless
   * this replica follows a leader.
   */
  setAttached(isAttached: boolean): void {
    const { core } = this;
    if (core.role !== 'follower' || core.isAttached === isAttached) return;
    if (isAttached && core.leaderId === noReplica) return;
    core.isAttached = isAttached;
    if (isAttached) return;
    core.leaderElapsed = core.electionTicks;
    core.resetElectionTimer();
  }

  /**
   * The session to the replica's node was reset: what was under way is lost. A leader goes back to
   * probing it, at the next broadcast or `probe`; a follower's reads forwarded to it are refused.
   */
  peerReset(replicaId: ReplicaId): void {
    const { core } = this;
    core.tail.checkHandover();
    if (core.leader === undefined) {
      if (core.leaderId === replicaId) core.refuseForwarded();
      return;
    }
    const progress = core.leader.find(replicaId);
    if (progress === undefined || replicaId === core.id) return;
    progress.becomeProbe(progress.matchIndex + 1);
    progress.sentCommitIndex = 0;
  }

  /** Leader: the next Ready carries an append to the replica, even if it is paused, and an open read round. */
  probe(replicaId: ReplicaId): void {
    const { core } = this;
    const leader = core.leader;
    const progress = leader?.find(replicaId);
    if (leader === undefined || progress === undefined || replicaId === core.id) return;
    progress.isProbeDue = true;
    leader.isFlushDue = true;
    const round = leader.reads === undefined ? 0 : leader.reads.newestRound();
    if (round > 0) sendHeartbeat(core, progress, round);
  }

  /**
   * Leader: the replica's node is judged silent (the host already waited), or is heard again. Steps down
   * at once when no quorum is left. Not remembered beyond this leadership.
   */
  setPeerSilent(replicaId: ReplicaId, isSilent: boolean): void {
    const { core } = this;
    const progress = core.leader?.find(replicaId);
    if (core.leader === undefined || progress === undefined || replicaId === core.id) return;
    progress.isSilent = isSilent;
    if (isSilent) checkSilence(core, core.leader);
  }

  /** Ends a leadership or a campaign. */
  stepDown(): void {
    stepDown(this.core);
  }

  // ---- Views.

  get replicaId(): ReplicaId {
    return this.core.id;
  }

  get term(): number {
    return this.core.term;
  }

  /** 0: nobody in this term. */
  get votedFor(): ReplicaId {
    return this.core.votedFor;
  }

  get role(): Role {
    return this.core.role;
  }

  /** 0: not known. */
  get leaderId(): ReplicaId {
    return this.core.leaderId;
  }

  get commitIndex(): number {
    return this.core.commitIndex;
  }

  get appliedIndex(): number {
    return this.core.appliedIndex;
  }

  get lastIndex(): number {
    return this.core.tail.lastIndex;
  }

  get lastTerm(): number {
    return this.core.tail.lastTerm;
  }

  /** Whether the log, entries not handed out yet included, has the entry (index, term), or begins behind it. */
  holds(index: number, term: number): boolean {
    return this.core.tail.term(index) === term;
  }

  /** Entries up to here are synced. */
  get stableIndex(): number {
    return this.core.tail.stableIndex;
  }

  /** Leader: index of the no-op with which its term began; 0 on others. */
  get firstIndexOfTerm(): number {
    return this.core.leader === undefined ? 0 : this.core.leader.firstIndexOfTerm;
  }

  /** Leader: an entry of its term is committed, so that reads may be confirmed. */
  get hasCommittedOwnTerm(): boolean {
    const leader = this.core.leader;
    return leader !== undefined && this.core.commitIndex >= leader.firstIndexOfTerm;
  }

  /** Leader: entries of its term are not committed yet. */
  get hasUncommittedOwnTerm(): boolean {
    return this.core.leader !== undefined && this.core.commitIndex < this.core.tail.lastIndex;
  }

  get isTransferring(): boolean {
    return this.core.leader !== undefined && this.core.leader.transferee !== noReplica;
  }

  get isAttached(): boolean {
    return this.core.isAttached;
  }

  /** Whether `tick` would do anything. */
  get needsTick(): boolean {
    const { core } = this;
    if (core.leader === undefined) return !core.isAttached;
    return core.heartbeatTicks > 0 || core.leader.transferee !== noReplica;
  }

  get confState(): ConfState {
    return this.core.confState;
  }

  /** Index as of which confState holds. After a restart it may be above appliedIndex. */
  get confStateIndex(): number {
    return this.core.confStateIndex;
  }

  /** The snapshot that the leader offered last, until it is installed or no longer needed. */
  get snapshotWanted(): SnapshotMeta | undefined {
    return this.core.snapshotWanted;
  }

  /** Reads accepted here, or forwarded to here, and neither answered nor refused. */
  get pendingReads(): number {
    const { core } = this;
    if (core.leader !== undefined)
      return core.leader.reads === undefined ? 0 : core.leader.reads.count;
    return core.forwarded === undefined ? 0 : core.forwarded.count;
  }

  /** Leader: what it knows of a member, itself included; undefined on others. A live view. */
  progress(replicaId: ReplicaId): ProgressView | undefined {
    return this.core.leader?.find(replicaId);
  }

  /** Every other member of the configuration, ascending. */
  peers(): readonly ReplicaId[] {
    const { core } = this;
    if (this.peersOf !== core.confState) {
      this.peersOf = core.confState;
      this.peerIds = membersOf(core.confState).filter((id) => id !== core.id);
    }
    return this.peerIds;
  }
}

const noPeers: readonly ReplicaId[] = Object.freeze([]);
const busy: ProposeResult = Object.freeze({ kind: 'busy' });

/** A configuration that was told to this replica does not have it. */
function isRemoved(confState: ConfState, replicaId: ReplicaId): boolean {
  return confState.voters.length > 0 && !membersOf(confState).includes(replicaId);
}

function narrowed(limits: Partial<RaftLimits>): RaftLimits {
  return { ...defaultRaftLimits, ...limits };
}

function checkRecovered(
  tail: LogTail,
  hardState: HardState,
  commitIndex: number,
  appliedIndex: number,
): void {
  const { lastIndex, lastTerm } = tail;
  if (commitIndex > lastIndex) throw corrupt('commitIndex', commitIndex, lastIndex);
  if (lastTerm > hardState.term) throw corrupt('term', hardState.term, lastTerm);
  if (appliedIndex < tail.firstIndex() - 1) {
    throw corrupt('appliedIndex', appliedIndex, tail.firstIndex());
  }
}

function corrupt(field: string, value: number, bound: number): MokuError {
  return new MokuError('LOG_CORRUPT', { field, value, bound });
}
