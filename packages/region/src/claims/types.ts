/**
 * Liveness by nodes (design §6): the words of the control stream between two nodes, and what the
 * claims module asks of the replicas and tells them. `Claims` in `claims.ts` is the one class;
 * everything here is plain data.
 *
 * Duties of the caller (the region manager), on which the invariants of `claims.ts` rest:
 *  D1 Before anything else of a turn is handled, a step that changed a replica's term, leader or role,
 *     or made it fail, calls `leaveFollowed` (was follower) or `leadershipEnded` (was leader).
 *  D2 Everything of `outgoing(peer)` goes into the session's frames in order, before the Raft messages
 *     gathered in the same turn, and items of a received frame are handed over in order.
 *  D3 When a session closes, everything under way to that peer counts as lost: Raft progress goes back
 *     to probing (nothing is resent otherwise, for an attached pair has no heartbeats of its own).
 *  D4 `claim` is called by a leader for a voter or learner of the current configuration, when an
 *     acknowledged append covered an entry of its own term and `hasClaim` is false.
 */
import type { NodeId, RegionId, ReplicaId } from '@moku/base';

/** What both ends of a link hold of each claim: a leader's on a follower replica at the other end. */
export interface ClaimKey {
  readonly regionId: RegionId;
  /** The leader's. */
  readonly term: number;
  /** The follower's. */
  readonly replicaId: ReplicaId;
}

/** A pair as its leader opens a session with it. */
export interface ListItem extends ClaimKey {
  /** The leader's lastIndex, which the follower has acknowledged (matchIndex === lastIndex). */
  readonly lastIndex: number;
  /** The leader's commitIndex; <= lastIndex. */
  readonly commitIndex: number;
}

/** A claim as its leader makes it on an acknowledged append. */
export interface ClaimStart extends ClaimKey {
  /** What the follower has acknowledged: its matchIndex. */
  readonly lastIndex: number;
  /** The leader's commitIndex, at most `lastIndex`. */
  readonly commitIndex: number;
}

/** A claim with the number that its leader gave it: 1, 2, … within one direction of one session. */
export interface NumberedClaim extends ClaimKey {
  readonly claimNumber: number;
}

/** Of a set of claims: how many, and the sum (mod 2^64, as two unsigned halves) of their hashes. */
export interface Digest {
  readonly count: number;
  readonly sumHigh: number;
  readonly sumLow: number;
}

/** Everything that travels in one order on a link's control lane beside Raft messages. */
export type ControlItem =
  /**
   * Opens a direction of a session, before anything else: what the sender leads. Item i bears the
   * number firstNumber + i. Cut at `listItemsMax`; also sent when empty.
   */
  | {
      readonly type: 'list';
      readonly firstNumber: number;
      readonly items: readonly ListItem[];
      readonly isLast: boolean;
    }
  /** The sender, a leader, claims the follower `replicaId` at the receiver. */
  | {
      readonly type: 'attach';
      readonly regionId: RegionId;
      readonly term: number;
      readonly replicaId: ReplicaId;
      readonly claimNumber: number;
      readonly lastIndex: number;
      readonly commitIndex: number;
    }
  /** A claim is over at the sender. */
  | {
      readonly type: 'detach';
      /** Which end of the claim the sender is. */
      readonly by: 'leader' | 'follower';
      readonly regionId: RegionId;
      readonly term: number;
      readonly replicaId: ReplicaId;
      /** 0: no claim stood (only by a leader that ceased to lead). */
      readonly claimNumber: number;
      /** By a leader: it leads `term` no more, so that its followers owe it nothing. */
      readonly isRelease: boolean;
    }
  | {
      readonly type: 'heartbeat';
      /** 1, 2, … within the session. */
      readonly sequence: number;
      /** How long the sender's oldest unsynced log batch has waited. */
      readonly oldestUnsyncedMs: number;
    }
  /** Sent in the heartbeat's place: behind everything that the sender queued before it saw it. */
  | {
      readonly type: 'heartbeatAnswer';
      readonly sequence: number;
      /** Of the claims that the answering end follows for the asking end, at the heartbeat's place. */
      readonly digest: Digest;
    }
  /** After a mismatch, leader to follower: digests of its claims by bucket, `repairBuckets` of them. */
  | {
      readonly type: 'repairDigests';
      readonly repairId: number;
      readonly digests: readonly Digest[];
    }
  /** The answer: the follower's claims of one bucket that differs. */
  | {
      readonly type: 'repairClaims';
      readonly repairId: number;
      readonly bucket: number;
      readonly claims: readonly NumberedClaim[];
    };

/** Items of one `list`: at most 37 bytes each, so that a list item fits a frame of 256 KiB. */
export const listItemsMax = 4_096;
/** Claims of one `repairClaims`. */
export const repairClaimsMax = 32_768;
/** Into how many buckets a repair divides the claims. */
export const repairBuckets = 64;

/** A local replica as a follower, at this moment. */
export interface FollowerView {
  readonly replicaId: ReplicaId;
  readonly term: number;
  /** Node of the leader it follows in `term`; 0: none, or it leads itself. */
  readonly leaderNodeId: NodeId;
  readonly lastIndex: number;
  readonly commitIndex: number;
  /** False for a replica that failed, cannot apply or is being removed. */
  readonly canAttach: boolean;
}

/** What the module asks of the replicas of this node. Answers must be of this moment. */
export interface ClaimsReplicas {
  /** undefined: no replica of the region runs here. */
  follower(regionId: RegionId): FollowerView | undefined;
  /**
   * Pairs that a leader here has with replicas on `peer` and whose matchIndex equals its lastIndex, in
   * its own term. All others stay unattached and are to be probed.
   */
  ledPairs(peer: NodeId): Iterable<ListItem>;
}

export type ClaimsCloseReason = 'PEER_SILENT' | 'PEER_OVERRUN' | 'FRAME_MALFORMED';

export type DetachReason =
  /** The leader left the claim: its detach came, or its list or repair lacks the claim. */
  | 'leaderLeft'
  /** The session ended; its successor's list may attach the replica again. */
  | 'sessionClosed'
  /** The leader's node has been silent for an election timeout already. */
  | 'peerSilent';

/** What the replicas have to be told; taken with `events()`, in order. */
export type ClaimsEvent =
  /**
   * A follower here is attached: no election timer, pre-votes refused. `commitIndex` is the leader's and
   * covers only what the follower has acknowledged, so it may be adopted as from a Raft heartbeat.
   */
  | {
      readonly type: 'attached';
      readonly regionId: RegionId;
      readonly peer: NodeId;
      readonly term: number;
      readonly commitIndex: number;
    }
  /** A follower here is attached no more: its election timer starts. Not told to who called `leaveFollowed`. */
  | {
      readonly type: 'detached';
      readonly regionId: RegionId;
      readonly peer: NodeId;
      readonly reason: DetachReason;
    }
  /** The leader that a replica here follows (attached until now or not) leads no more: loyalty to it ends. */
  | {
      readonly type: 'released';
      readonly regionId: RegionId;
      readonly peer: NodeId;
      readonly term: number;
    }
  /** A leader here lost its claim: the pair is to be probed. Not told to who called `leaveLed` or `leadershipEnded`. */
  | {
      readonly type: 'unattached';
      readonly regionId: RegionId;
      readonly peer: NodeId;
      readonly replicaId: ReplicaId;
    }
  /** The session is over as far as claims go; the transport must end it. */
  | {
      readonly type: 'closeSession';
      readonly peer: NodeId;
      readonly sessionId: string;
      readonly reason: ClaimsCloseReason;
      /** What was out of order, for the log; empty when `reason` says it all. */
      readonly detail: string;
    }
  /** A peer that was quiet or without a session is heard again: probes to it resume. */
  | { readonly type: 'peerHeard'; readonly peer: NodeId }
  /** The peer's process is another one than before: it certainly leads nothing that it led before. */
  | { readonly type: 'peerRestarted'; readonly peer: NodeId };

export interface ClaimsOptions {
  /** Milliseconds between heartbeats to one peer. */
  readonly heartbeatMs: number;
  /** Silence after which a session is closed; a multiple of heartbeatMs. */
  readonly electionTimeoutMs: number;
  /** Least time between two repairs of one link. */
  readonly repairIntervalMs: number;
}

/** One turn's view of the node itself. */
export interface ClaimsTurn {
  /** Monotonic. */
  readonly nowMs: number;
  /** By how much this turn began after it was due; 0 when in time. */
  readonly lateMs: number;
  /** Of this node's log, for its heartbeats. */
  readonly oldestUnsyncedMs: number;
}

export interface ClaimsPeerStats {
  readonly peer: NodeId;
  readonly isOpen: boolean;
  /** -1: never heard. */
  readonly lastHeardMs: number;
  readonly claimsLed: number;
  readonly claimsFollowed: number;
  /** As its last heartbeat said. */
  readonly oldestUnsyncedMs: number;
}

/** Totals since the start. */
export interface ClaimsCounters {
  attachesSent: number;
  attachesAccepted: number;
  attachesRefused: number;
  listItemsSent: number;
  listItemsAccepted: number;
  listItemsRefused: number;
  detachesSent: number;
  detachesReceived: number;
  heartbeatsSent: number;
  heartbeatsAnswered: number;
  digestsCompared: number;
  digestMismatches: number;
  repairs: number;
  claimsRepaired: number;
  sessionsOpened: number;
  sessionsSilent: number;
  /** Items of a session that is over, dropped. */
  staleItems: number;
}
