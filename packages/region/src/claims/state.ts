/**
 * The claims module's state as plain data (it can be cloned and hashed), and the few functions that
 * change its sets, so that set, digest, digest check and queue always change together. No timers, no
 * clock. What the changes mean is decided in `receive.ts`, `repair.ts` and `claims.ts`.
 *
 * Invariants:
 *  C1 A claim belongs to one session: with the session it ends, on either side.
 *  C2 A follower here is attached to at most one peer, whose session is open.
 *  C3 `ledDigest` and `followedDigest` are the digests of the sets, after every function here.
 *  C4 Every removal of a claim by this end queues a detach that names the claim's number, except for
 *     the removal by which a session ends.
 *  C5 `queue` is sent in order, whole; what does not fit its bound closes the session.
 */
import { assert, type NodeId, present, type RegionId, type ReplicaId } from '@moku/base';
import {
  addToDigest,
  copyDigest,
  emptyDigest,
  type MutableDigest,
  subtractFromDigest,
} from './digest.js';
import type {
  ClaimKey,
  ClaimsCloseReason,
  ClaimsCounters,
  ClaimsEvent,
  ControlItem,
  DetachReason,
} from './types.js';

/** Items that may wait for the end of a turn in one link's queue. */
export const queueItemsMax = 262_144;

/** A claim of a leader here; its region is its key. */
export interface LedClaim {
  readonly term: number;
  readonly replicaId: ReplicaId;
  readonly claimNumber: number;
}

/** A claim on a follower here; its region is its key. */
export interface FollowedClaim {
  readonly peer: NodeId;
  readonly term: number;
  readonly replicaId: ReplicaId;
  readonly claimNumber: number;
}

/**
 * What the answer to heartbeat `sequence` should say: the claims led when it was queued, less those
 * that the follower is known to have left by the time it answered.
 */
export interface DigestCheck {
  readonly sequence: number;
  /** The last claim number given when the heartbeat was queued. */
  readonly lastNumber: number;
  readonly digest: MutableDigest;
  /** Claims that stood then and that this end has left since, by number. */
  readonly left: Map<number, ClaimKey>;
}

export interface SessionState {
  readonly sessionId: string;
  /** The peer's whole list has arrived. */
  hasPeerList: boolean;
  /** The last number given to a claim led here, and the last one seen of the peer's. */
  lastNumber: number;
  peerNumber: number;
  sentSequence: number;
  answeredSequence: number;
  peerSequence: number;
  heartbeatDueMs: number;
  readonly led: Map<RegionId, LedClaim>;
  readonly ledDigest: MutableDigest;
  readonly followedDigest: MutableDigest;
  check: DigestCheck | undefined;
  /** The last repair begun: answers to it concern claims up to `lastNumber`. */
  repairId: number;
  repairLastNumber: number;
  repairDueMs: number;
  queue: ControlItem[];
}

export interface PeerState {
  readonly peer: NodeId;
  session: SessionState | undefined;
  /** 0: never seen. */
  incarnation: number;
  /** When it was last heard, moved on by as much as this node itself was late; -1: never. */
  heardMs: number;
  /** No session, or nothing heard for a few heartbeats: no probes. */
  isQuiet: boolean;
  oldestUnsyncedMs: number;
}

export interface ClaimsState {
  readonly peers: Map<NodeId, PeerState>;
  readonly followed: Map<RegionId, FollowedClaim>;
  readonly counters: ClaimsCounters;
  events: ClaimsEvent[];
}

export function createState(): ClaimsState {
  return {
    peers: new Map(),
    followed: new Map(),
    counters: {
      attachesSent: 0,
      attachesAccepted: 0,
      attachesRefused: 0,
      listItemsSent: 0,
      listItemsAccepted: 0,
      listItemsRefused: 0,
      detachesSent: 0,
      detachesReceived: 0,
      heartbeatsSent: 0,
      heartbeatsAnswered: 0,
      digestsCompared: 0,
      digestMismatches: 0,
      repairs: 0,
      claimsRepaired: 0,
      sessionsOpened: 0,
      sessionsSilent: 0,
      staleItems: 0,
    },
    events: [],
  };
}

/** A session at its start: no claims, nothing queued, the first heartbeat due at once. */
export function createSession(sessionId: string, nowMs: number): SessionState {
  return {
    sessionId,
    hasPeerList: false,
    lastNumber: 0,
    peerNumber: 0,
    sentSequence: 0,
    answeredSequence: 0,
    peerSequence: 0,
    heartbeatDueMs: nowMs,
    led: new Map(),
    ledDigest: emptyDigest(),
    followedDigest: emptyDigest(),
    check: undefined,
    repairId: 0,
    repairLastNumber: 0,
    repairDueMs: nowMs,
    queue: [],
  };
}

/** The state of `peer`, made when it is first spoken of. */
export function peerOf(state: ClaimsState, peer: NodeId): PeerState {
  let found = state.peers.get(peer);
  if (found === undefined) {
    found = {
      peer,
      session: undefined,
      incarnation: 0,
      heardMs: -1,
      isQuiet: true,
      oldestUnsyncedMs: 0,
    };
    state.peers.set(peer, found);
  }
  return found;
}

/** Gives a claim led here its number and adds it. The region must have none in this session. */
export function addLed(session: SessionState, key: ClaimKey): number {
  assert(!session.led.has(key.regionId), 'C3: one claim per region and peer');
  session.lastNumber += 1;
  const claimNumber = session.lastNumber;
  session.led.set(key.regionId, { term: key.term, replicaId: key.replicaId, claimNumber });
  addToDigest(session.ledDigest, key);
  return claimNumber;
}

/** Removes a claim led here because this end wants it; the follower is told in order (C4). */
export function leaveLedClaim(
  state: ClaimsState,
  session: SessionState,
  regionId: RegionId,
  isRelease: boolean,
): void {
  const claim = present(session.led.get(regionId), 'C4: the claim that is left stands');
  const { term, replicaId, claimNumber } = claim;
  session.led.delete(regionId);
  subtractFromDigest(session.ledDigest, { regionId, term, replicaId });
  const check = session.check;
  if (check !== undefined && claimNumber <= check.lastNumber) {
    check.left.set(claimNumber, { regionId, term, replicaId });
  }
  pushDetach(state, session, {
    type: 'detach',
    by: 'leader',
    regionId,
    term,
    replicaId,
    claimNumber,
    isRelease,
  });
}

/**
 * Notes that the follower left claim `claimNumber` before its next answer. Returns the claim when it
 * stood until now, which it does no more; undefined when this end had left it already.
 */
export function dropLedClaim(
  session: SessionState,
  regionId: RegionId,
  claimNumber: number,
): LedClaim | undefined {
  const check = session.check;
  const claim = session.led.get(regionId);
  if (claim === undefined || claim.claimNumber !== claimNumber) {
    const left = check?.left.get(claimNumber);
    if (check !== undefined && left !== undefined) {
      check.left.delete(claimNumber);
      subtractFromDigest(check.digest, left);
    }
    return undefined;
  }
  const key = { regionId, term: claim.term, replicaId: claim.replicaId };
  session.led.delete(regionId);
  subtractFromDigest(session.ledDigest, key);
  if (check !== undefined && claimNumber <= check.lastNumber) {
    subtractFromDigest(check.digest, key);
  }
  return claim;
}

/** Adds a claim on a follower here. The region must not be attached. */
export function addFollowed(
  state: ClaimsState,
  peer: PeerState,
  key: ClaimKey,
  claimNumber: number,
): void {
  assert(!state.followed.has(key.regionId), 'C2: a follower is attached to one peer at most');
  const { regionId, term, replicaId } = key;
  state.followed.set(regionId, { peer: peer.peer, term, replicaId, claimNumber });
  addToDigest(present(peer.session, 'C1: the session is open').followedDigest, key);
}

/** Removes a claim on a follower here, without a word to its leader: the leader knows, or is told by the caller. */
export function removeFollowed(
  state: ClaimsState,
  session: SessionState,
  regionId: RegionId,
): FollowedClaim {
  const claim = present(state.followed.get(regionId), 'C4: the claim that is left stands');
  state.followed.delete(regionId);
  subtractFromDigest(session.followedDigest, {
    regionId,
    term: claim.term,
    replicaId: claim.replicaId,
  });
  return claim;
}

/** What a heartbeat that is queued now has to find in its answer, when nothing is being compared yet. */
export function beginCheck(session: SessionState): void {
  if (session.check !== undefined) return;
  session.check = {
    sequence: session.sentSequence,
    lastNumber: session.lastNumber,
    digest: copyDigest(session.ledDigest),
    left: new Map(),
  };
}

export function pushDetach(
  state: ClaimsState,
  session: SessionState,
  item: Extract<ControlItem, { type: 'detach' }>,
): void {
  state.counters.detachesSent += 1;
  session.queue.push(item);
}

/** Ends a session on this side: every claim on it, led and followed, is over at once (C1). */
export function endSession(state: ClaimsState, peer: PeerState, reason: DetachReason): void {
  const session = present(peer.session, 'C1: the session that ends was open');
  peer.session = undefined;
  peer.isQuiet = true;
  for (const [regionId, claim] of session.led) {
    const { replicaId } = claim;
    state.events.push({ type: 'unattached', regionId, peer: peer.peer, replicaId });
  }
  if (session.followedDigest.count === 0) return;
  for (const [regionId, claim] of state.followed) {
    if (claim.peer !== peer.peer) continue;
    state.followed.delete(regionId);
    state.events.push({ type: 'detached', regionId, peer: peer.peer, reason });
  }
}

/** Ends a session on this side and asks the transport to end it on the wire. */
export function closeSession(
  state: ClaimsState,
  peer: PeerState,
  reason: ClaimsCloseReason,
  detail: string,
): void {
  const { sessionId } = present(peer.session, 'C1: the session that is closed was open');
  state.events.push({ type: 'closeSession', peer: peer.peer, sessionId, reason, detail });
  endSession(state, peer, reason === 'PEER_SILENT' ? 'peerSilent' : 'sessionClosed');
}
