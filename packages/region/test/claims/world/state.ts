/**
 * The plain data of a world: nodes with one replica each of one region, and links with ordered streams.
 */
import type { RegionId } from '@moku/base';
import type { Claims } from '../../../src/claims/claims.js';
import type { ControlItem } from '../../../src/claims/types.js';

export const regionId = 7 as RegionId;

export type RaftMessage =
  | {
      readonly type: 'append';
      readonly to: number;
      readonly term: number;
      readonly lastIndex: number;
      readonly lastTerm: number;
      readonly commitIndex: number;
    }
  | {
      readonly type: 'ack';
      readonly from: number;
      readonly term: number;
      readonly index: number;
      readonly isRejected: boolean;
    };

/** What the follower was when it answered: what a read would rest on. */
export interface AnswerGhost {
  readonly term: number;
  readonly replicaId: number;
  readonly claimNumber: number;
}

export type StreamItem =
  | { readonly kind: 'control'; readonly item: ControlItem; readonly ghost: AnswerGhost }
  | { readonly kind: 'raft'; readonly message: RaftMessage };

export interface Leadership {
  /** Index of the no-op of its term. */
  readonly ownIndex: number;
  /** Per node: what its replica acknowledged, and which replica the leader takes it for. */
  readonly matchIndex: number[];
  readonly replicaId: number[];
  /** Per node: up to where entries were sent, in the belief that they arrive. */
  readonly sentIndex: number[];
}

export interface Replica {
  replicaId: number;
  term: number;
  leader: number;
  lastIndex: number;
  lastTerm: number;
  commitIndex: number;
  canAttach: boolean;
  /** False for a new, empty replica until it has a log: membership changes see to that in the real one. */
  mayVote: boolean;
  leadership: Leadership | undefined;
  /** An acknowledgement that waits for the disk. */
  unsynced: { readonly to: number; readonly ack: RaftMessage } | undefined;
}

export interface WorldNode {
  readonly id: number;
  claims: Claims;
  incarnation: number;
  replica: Replica;
  /** Per node: the session that this end takes for open; 0: none. */
  readonly seen: number[];
  /** Per node: the claim that stood when the heartbeat of each sequence was queued. */
  readonly rounds: number[][];
}

export interface Link {
  readonly ends: readonly [number, number];
  /** 0: not connected. */
  session: number;
  sessionsMade: number;
  /** [0]: to ends[1]; [1]: to ends[0]. */
  readonly queues: [StreamItem[], StreamItem[]];
}

export function newReplica(replicaId: number): Replica {
  return {
    replicaId,
    term: 0,
    leader: 0,
    lastIndex: 0,
    lastTerm: 0,
    commitIndex: 0,
    canAttach: true,
    mayVote: true,
    leadership: undefined,
    unsynced: undefined,
  };
}

export function cloneReplica(replica: Replica): Replica {
  const { leadership } = replica;
  return {
    ...replica,
    leadership: leadership && {
      ownIndex: leadership.ownIndex,
      matchIndex: [...leadership.matchIndex],
      replicaId: [...leadership.replicaId],
      sentIndex: [...leadership.sentIndex],
    },
  };
}

/** Whether a's log is at least as fresh as b's (Raft §5.4.1). */
export function isFresh(a: Replica, b: Replica): boolean {
  return a.lastTerm > b.lastTerm || (a.lastTerm === b.lastTerm && a.lastIndex >= b.lastIndex);
}
