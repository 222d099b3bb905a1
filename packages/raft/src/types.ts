/**
 * The words of the Raft papers as plain data: entries, hard state, configuration, messages.
 * Index and term are safe non-negative integers; index 0, term 0 is the empty log's start.
 * Source: Ongaro, Ousterhout 2014; Ongaro's thesis 2014; names as in etcd-io/raft.
 */
import type { ReplicaId } from '@moku/base';

/** `normal`: a batch of commands (empty: the no-op at the start of a term). `confChange`: an encoded ConfChange. */
export type EntryKind = 'normal' | 'confChange';

export interface Entry {
  readonly term: number;
  readonly index: number;
  readonly kind: EntryKind;
  readonly data: Uint8Array;
}

export interface HardState {
  readonly term: number;
  /** 0 when no vote was given in `term`. */
  readonly votedFor: ReplicaId;
  /** Advisory: may be older than what was committed; never newer. */
  readonly commitIndex: number;
}

/** A configuration; joint while `votersOutgoing` is not empty (thesis §4.3). Ids ascend. */
export interface ConfState {
  readonly voters: readonly ReplicaId[];
  readonly votersOutgoing: readonly ReplicaId[];
  readonly learners: readonly ReplicaId[];
  /** Outgoing voters that become learners when the joint configuration is left. */
  readonly learnersNext: readonly ReplicaId[];
  readonly autoLeave: boolean;
}

export type ConfChangeStep =
  | { readonly type: 'addVoter'; readonly replicaId: ReplicaId }
  | { readonly type: 'addLearner'; readonly replicaId: ReplicaId }
  | { readonly type: 'remove'; readonly replicaId: ReplicaId };

/**
 * How a change passes through the joint configuration. `auto` (the default): one step that moves at most
 * one voter is made at once, anything larger is joint and left by itself. `jointAutoLeave`: always joint,
 * left by itself. `jointExplicit`: always joint, left by a change without steps.
 */
export type ConfTransition = 'auto' | 'jointAutoLeave' | 'jointExplicit';

/** No steps: leave the joint configuration. `context` is the host's own (e.g. the replicas' nodes). */
export interface ConfChange {
  readonly steps: readonly ConfChangeStep[];
  readonly context: Uint8Array;
  readonly transition?: ConfTransition;
}

/**
 * What a snapshot stands for; its content travels outside the core. In a `snapshot` message it is an
 * offer: the content that arrives may stand for a later index.
 */
export interface SnapshotMeta {
  readonly index: number;
  readonly term: number;
  readonly confState: ConfState;
}

interface Envelope {
  readonly from: ReplicaId;
  readonly to: ReplicaId;
  /** The sender's term; for a pre-vote and its grant the future term. */
  readonly term: number;
}

export type Message =
  | (Envelope & {
      readonly type: 'append';
      readonly prevLogIndex: number;
      readonly prevLogTerm: number;
      readonly entries: readonly Entry[];
      readonly commitIndex: number;
    })
  | (Envelope & {
      readonly type: 'appendResponse';
      /** Granted: the last index known to match. Rejected: the refused prevLogIndex. */
      readonly index: number;
      readonly isRejected: boolean;
      /** On rejection: where the follower's log may agree (index, and the term there), for backtracking by term. */
      readonly hintIndex: number;
      readonly hintTerm: number;
    })
  | (Envelope & {
      readonly type: 'vote' | 'preVote';
      readonly lastLogIndex: number;
      readonly lastLogTerm: number;
    })
  | (Envelope & {
      readonly type: 'voteResponse' | 'preVoteResponse';
      readonly isGranted: boolean;
    })
  | (Envelope & {
      readonly type: 'heartbeat';
      readonly commitIndex: number;
      /** What this replica acknowledged in this term: a log that ends before it lost synced entries. */
      readonly matchIndex: number;
      /** Id of the ReadIndex round that this heartbeat confirms; 0: none. */
      readonly readRound: number;
    })
  | (Envelope & { readonly type: 'heartbeatResponse'; readonly readRound: number })
  | (Envelope & { readonly type: 'snapshot'; readonly snapshot: SnapshotMeta })
  | (Envelope & { readonly type: 'timeoutNow' })
  | (Envelope & { readonly type: 'readIndex'; readonly context: number })
  | (Envelope & {
      readonly type: 'readIndexResponse';
      readonly context: number;
      /** -1: refused (no leader here, or not ready); ask again. */
      readonly index: number;
    });

export type MessageType = Message['type'];

export type Role = 'follower' | 'preCandidate' | 'candidate' | 'leader';

export type ProposeResult =
  | { readonly kind: 'accepted'; readonly index: number; readonly term: number }
  | { readonly kind: 'notLeader'; readonly leaderId: ReplicaId }
  | { readonly kind: 'busy' };

/** A linearizable read of `context` may be served once appliedIndex >= index. */
export interface ReadState {
  readonly context: number;
  readonly index: number;
}

/**
 * What the core wants done, taken once per turn. Order: hand `hardState`, `entries`, `snapshot` to the
 * log; send `messages` at once (a leader's appends leave while its own disk writes); send
 * `messagesAfterPersist` (votes, acknowledgements) once everything handed to the log so far is durable:
 * this Ready and every earlier one. It is empty when nothing is under way to the disk.
 */
export interface Ready {
  /**
   * Present when term or vote changed, or beside entries when commitIndex did. `mustSync` says whether
   * anything in this Ready has to be durable: then, and only then, `persisted(number)` is owed.
   */
  readonly hardState: HardState | undefined;
  readonly mustSync: boolean;
  /** To append at entries[0].index, replacing any suffix from there on. */
  readonly entries: readonly Entry[];
  /** A snapshot accepted from the leader: the host installs its content, then the log restarts behind it. */
  readonly snapshot: SnapshotMeta | undefined;
  readonly messages: readonly Message[];
  readonly messagesAfterPersist: readonly Message[];
  /** Committed, to be applied strictly in this order. Bounded in bytes per Ready. */
  readonly committedEntries: readonly Entry[];
  readonly readStates: readonly ReadState[];
  /** Contexts of reads that can no longer be confirmed here (leadership lost); ask again. */
  readonly readsRefused: readonly number[];
  /** Identifies this Ready for `persisted`; ascending. */
  readonly number: number;
}
