/**
 * The plain data of the explored world: a node with one replica of the one region, and what travels
 * between nodes. A node's state is never changed once it is known to `parts.ts`; steps change a copy.
 */
import type { NodeId, RegionId } from '@moku/base';
import type { ClaimsState, ControlItem, PeerState, SessionState } from '@moku/region';

export const regionId = 7 as RegionId;
export const nodeNumbers: readonly number[] = [1, 2, 3];

export type RaftMessage =
  | {
      readonly type: 'append';
      /** Replica id. */
      readonly to: number;
      readonly term: number;
      readonly lastIndex: number;
      readonly lastTerm: number;
      readonly commitIndex: number;
    }
  | {
      readonly type: 'ack';
      /** Replica id. */
      readonly from: number;
      readonly term: number;
      readonly index: number;
      readonly isRejected: boolean;
    };

/** What the follower was when it answered a heartbeat: what a read would rest on. */
export interface AnswerGhost {
  readonly term: number;
  readonly replicaId: number;
  /** 0: it was not attached to whom it answers. */
  readonly claimNumber: number;
}

export type StreamItem =
  | {
      readonly kind: 'control';
      readonly item: ControlItem;
      readonly ghost: AnswerGhost | undefined;
    }
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
  /** 1, 2, …: the first, second, … copy on its node. Only compared with what others hold of this node. */
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

/** A heartbeat that is not answered yet, taken as the round of a read that arrived just before. */
export interface Round {
  /** The claim that stood on the peer when it was queued; 0: none. */
  readonly claimNumber: number;
  readonly term: number;
  /** A leader of a later term had committed by then: this read must never be confirmed. */
  readonly isLate: boolean;
}

export interface NodeState {
  readonly id: number;
  incarnation: number;
  replica: Replica;
  claims: ClaimsState;
  /** Per node. */
  readonly rounds: Round[][];
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

export function sessionOf(node: NodeState, peer: number): SessionState | undefined {
  return node.claims.peers.get(peer as NodeId)?.session;
}

/** Whether a's log is at least as fresh as b's (Raft §5.4.1). */
export function isFresh(a: Replica, b: Replica): boolean {
  return a.lastTerm > b.lastTerm || (a.lastTerm === b.lastTerm && a.lastIndex >= b.lastIndex);
}

/** A deep copy under other numbers: node n becomes node names[n]. Immutable parts are shared. */
export function copyNode(node: NodeState, names: readonly number[]): NodeState {
  const { claims, replica, rounds } = node;
  const peers = new Map<NodeId, PeerState>();
  const sorted = [...claims.peers.values()].sort((a, b) => names[a.peer]! - names[b.peer]!);
  for (const peer of sorted) {
    const name = names[peer.peer] as NodeId;
    peers.set(name, { ...peer, peer: name, session: peer.session && copySession(peer.session) });
  }
  const followed: ClaimsState['followed'] = new Map();
  for (const [region, claim] of claims.followed) {
    followed.set(region, { ...claim, peer: names[claim.peer] as NodeId });
  }
  return {
    id: names[node.id]!,
    incarnation: node.incarnation,
    replica: copyReplica(replica, names),
    claims: { peers, followed, counters: { ...claims.counters }, events: [...claims.events] },
    rounds: renumbered(rounds, names).map((round) => [...round]),
  };
}

/** A text that is equal for nodes that behave equally: no clocks, no counters, no known incarnations. */
export function encodeNode(node: NodeState): string {
  const { claims, replica, rounds } = node;
  const parts: unknown[] = [Object.values(replica), rounds];
  for (const claim of claims.followed.values()) {
    parts.push([claim.peer, claim.term, claim.replicaId, claim.claimNumber]);
  }
  const sorted = [...claims.peers.values()].sort((a, b) => a.peer - b.peer);
  for (const { peer, session } of sorted) {
    if (session === undefined) continue;
    const { check } = session;
    parts.push(peer, session.hasPeerList, session.lastNumber, session.peerNumber);
    parts.push(session.sentSequence, session.answeredSequence, session.peerSequence);
    parts.push([...session.led.values()], session.ledDigest, session.followedDigest);
    parts.push(check && [check.sequence, check.lastNumber, check.digest, [...check.left]]);
    parts.push(session.repairId, session.repairLastNumber, session.queue);
  }
  return JSON.stringify(parts);
}

function copySession(session: SessionState): SessionState {
  const { check } = session;
  return {
    ...session,
    led: new Map(session.led),
    ledDigest: { ...session.ledDigest },
    followedDigest: { ...session.followedDigest },
    check: check && { ...check, digest: { ...check.digest }, left: new Map(check.left) },
    queue: [...session.queue],
  };
}

function copyReplica(replica: Replica, names: readonly number[]): Replica {
  const { leadership, unsynced } = replica;
  return {
    ...replica,
    leader: names[replica.leader]!,
    unsynced: unsynced && { to: names[unsynced.to]!, ack: unsynced.ack },
    leadership: leadership && {
      ownIndex: leadership.ownIndex,
      matchIndex: renumbered(leadership.matchIndex, names),
      replicaId: renumbered(leadership.replicaId, names),
      sentIndex: renumbered(leadership.sentIndex, names),
    },
  };
}

function renumbered<T>(values: readonly T[], names: readonly number[]): T[] {
  const result = [...values];
  for (let id = 1; id < values.length; id++) result[names[id]!] = values[id]!;
  return result;
}
