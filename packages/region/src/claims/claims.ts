/**
 * Liveness is a matter of nodes (design §6): per peer one control stream, and the claims that leaders at
 * one end hold on followers at the other. This class is the module's whole interface; it is synchronous,
 * takes the time as an argument and does nothing by itself. What it needs of its caller is in `types.ts`
 * (D1–D4). It owns: sessions as far as claims go, lists, heartbeats and their answers, silence, digests
 * and their repair. It does not own: elections, probes, campaigns, check-quorum, the wire.
 *
 * Invariants: C1–C5 (`state.ts`), V1–V4 (`receive.ts`), R1–R2 (`repair.ts`), and
 *  K1 A claim that stood when a heartbeat was queued, and stands unbroken (same number, same session)
 *     when its answer is processed, was held by its follower, in that term, when it answered.
 *  K2 A follower is attached only while its leader holds the claim, or is going to hear of its end, or
 *     the end is on its way here: by a detach in the stream, or by the end of the session.
 *  K3 With all streams drained both ends hold equal sets, and no digest ever differed.
 *  K4 A turn costs nothing per claim; only a session's opening and end, and a repair, do.
 *
 * Where the design leaves a choice:
 *  - Claims bear a number within their session and direction, and a detach names it. By (region, term,
 *    replica) alone a detach that crosses a renewed claim would end the new one at one end only.
 *  - A detach says which end of the claim its sender is, for two nodes may each have led the region.
 *  - Each end lists what it leads. What a follower holds ended with the session before, so what the list
 *    lacks is detached already, and keeps its election timer and its loyalty, whose time runs on.
 *  - The digest rides in the answer: there it is as of the heartbeat's sequence at both ends. The
 *    leader's end compares, one heartbeat at a time, allowing for detaches under way either way.
 *  - An attach carries what its follower acknowledged, and the commit index up to there; a notice of it
 *    may have been lost with a former session.
 *  - Silence is time without a frame while this node was awake: by how much a turn was late does not
 *    count, and a late turn judges nobody. A peer that stayed silent for three heartbeats is quiet:
 *    no probes until it is heard, but its session and claims stand until the election timeout.
 *  - A detach by a leader that ceased to lead releases (`isRelease`): its follower may vote at once. One
 *    that comes from a single pair's end does not.
 *  - Reads confirmed by node (a later issue) need: the sequence of the next heartbeat (`sentSequence`),
 *    its answer, and `lastNumber` when it was queued; K1 is what they rest on.
 */
import { assert, type NodeId, type RegionId, type ReplicaId } from '@moku/base';
import type { LinkSession } from '../contracts/transport.js';
import { type Receiver, receiveItem } from './receive.js';
import {
  addLed,
  beginCheck,
  type ClaimsState,
  closeSession,
  createSession,
  createState,
  endSession,
  leaveLedClaim,
  type PeerState,
  peerOf,
  pushDetach,
  queueItemsMax,
  removeFollowed,
  type SessionState,
} from './state.js';
import {
  type ClaimStart,
  type ClaimsCounters,
  type ClaimsEvent,
  type ClaimsOptions,
  type ClaimsPeerStats,
  type ClaimsReplicas,
  type ClaimsTurn,
  type ControlItem,
  type ListItem,
  listItemsMax,
} from './types.js';

/** Heartbeats missed after which a peer is quiet. */
const quietHeartbeats = 3;
const nothing: readonly never[] = Object.freeze([]);

export class Claims {
  /** Plain data; for checkers and tests to clone, compare and hash. Others use the methods. */
  readonly state: ClaimsState;
  private readonly options: ClaimsOptions;
  private readonly replicas: ClaimsReplicas;
  private readonly receiver: Receiver;

  constructor(
    options: ClaimsOptions,
    replicas: ClaimsReplicas,
    state: ClaimsState = createState(),
  ) {
    assert(options.heartbeatMs > 0, 'heartbeatMs is positive');
    assert(
      options.electionTimeoutMs > quietHeartbeats * options.heartbeatMs,
      'the election timeout is longer than the heartbeats after which a peer is quiet',
    );
    this.options = options;
    this.replicas = replicas;
    this.state = state;
    this.receiver = { state, replicas, options };
  }

  /** A session began: queues this end's list, before anything else. A former session ends first. */
  sessionOpened(session: LinkSession, nowMs: number): void {
    const peer = peerOf(this.state, session.peer);
    if (peer.session !== undefined) endSession(this.state, peer, 'sessionClosed');
    if (peer.incarnation !== 0 && peer.incarnation !== session.peerIncarnation) {
      this.state.events.push({ type: 'peerRestarted', peer: peer.peer });
    }
    peer.incarnation = session.peerIncarnation;
    peer.oldestUnsyncedMs = 0;
    peer.session = createSession(session.sessionId, nowMs);
    this.state.counters.sessionsOpened += 1;
    this.queueList(peer, peer.session);
    this.noteHeard(peer, nowMs);
  }

  /** A session ended. Does nothing when it is not the present one. */
  sessionClosed(peerId: NodeId, sessionId: string): void {
    const peer = peerOf(this.state, peerId);
    if (peer.session?.sessionId !== sessionId) return;
    endSession(this.state, peer, 'sessionClosed');
  }

  /** A frame came, on whichever lane. */
  heard(peerId: NodeId, sessionId: string, nowMs: number): void {
    const peer = peerOf(this.state, peerId);
    if (peer.session?.sessionId === sessionId) this.noteHeard(peer, nowMs);
  }

  /** A control item came, in its order. One of a session that is over is dropped. */
  receive(peerId: NodeId, sessionId: string, item: ControlItem, nowMs: number): void {
    const peer = peerOf(this.state, peerId);
    const session = peer.session;
    if (session?.sessionId !== sessionId) {
      this.state.counters.staleItems += 1;
      return;
    }
    this.noteHeard(peer, nowMs);
    const fault = receiveItem(this.receiver, peer, session, item, nowMs);
    if (fault !== undefined) closeSession(this.state, peer, 'FRAME_MALFORMED', fault);
    else this.boundQueue(peer, session);
  }

  /**
   * A leader here claims a follower on `peer` (D4). A claim of another term or replica that still
   * stands is left first. False when no session is open.
   */
  claim(peerId: NodeId, start: ClaimStart): boolean {
    assert(start.commitIndex <= start.lastIndex, 'a claim tells only what was acknowledged');
    const peer = peerOf(this.state, peerId);
    const session = peer.session;
    if (session === undefined) return false;
    const former = session.led.get(start.regionId);
    if (former !== undefined) {
      if (former.term === start.term && former.replicaId === start.replicaId) return true;
      leaveLedClaim(this.state, session, start.regionId, former.term !== start.term);
    }
    const { regionId, term, replicaId, lastIndex, commitIndex } = start;
    const claimNumber = addLed(session, start);
    this.state.counters.attachesSent += 1;
    session.queue.push({
      type: 'attach',
      regionId,
      term,
      replicaId,
      claimNumber,
      lastIndex,
      commitIndex,
    });
    this.boundQueue(peer, session);
    return true;
  }

  /** A leader here leaves one pair and leads on, e.g. because the replica was removed. False: no claim stood. */
  leaveLed(peerId: NodeId, regionId: RegionId): boolean {
    const peer = peerOf(this.state, peerId);
    const session = peer.session;
    if (!session?.led.has(regionId)) return false;
    leaveLedClaim(this.state, session, regionId, false);
    this.boundQueue(peer, session);
    return true;
  }

  /**
   * The leader of `term` here leads no more, for whatever reason: tells every peer of the region, also
   * where no claim stands, for that follower may still be loyal. `pairs`: all its other replicas.
   */
  leadershipEnded(
    regionId: RegionId,
    term: number,
    pairs: Iterable<{ readonly peer: NodeId; readonly replicaId: ReplicaId }>,
  ): void {
    for (const { peer: peerId, replicaId } of pairs) {
      const peer = peerOf(this.state, peerId);
      const session = peer.session;
      if (session === undefined) continue;
      if (session.led.has(regionId)) {
        leaveLedClaim(this.state, session, regionId, true);
      } else {
        pushDetach(this.state, session, {
          type: 'detach',
          by: 'leader',
          regionId,
          term,
          replicaId,
          claimNumber: 0,
          isRelease: true,
        });
      }
      this.boundQueue(peer, session);
    }
  }

  /** A follower here leaves the claim on it, for whatever reason (D1). False: none stood. */
  leaveFollowed(regionId: RegionId): boolean {
    const claim = this.state.followed.get(regionId);
    if (claim === undefined) return false;
    const peer = peerOf(this.state, claim.peer);
    const session = peer.session;
    assert(session !== undefined, 'C2: the session of an attached follower is open');
    removeFollowed(this.state, session, regionId);
    pushDetach(this.state, session, {
      type: 'detach',
      by: 'follower',
      regionId,
      term: claim.term,
      replicaId: claim.replicaId,
      claimNumber: claim.claimNumber,
      isRelease: false,
    });
    this.boundQueue(peer, session);
    return true;
  }

  /** Judges silence and queues the heartbeats that are due. At most once per turn; may come first in it. */
  tick(turn: ClaimsTurn): void {
    const { nowMs, lateMs } = turn;
    for (const peer of this.state.peers.values()) {
      if (lateMs > 0) {
        if (peer.heardMs >= 0) peer.heardMs = Math.min(nowMs, peer.heardMs + lateMs);
      } else if (peer.session !== undefined) {
        this.judge(peer, nowMs);
      }
      const session = peer.session;
      if (session === undefined || nowMs < session.heartbeatDueMs) continue;
      session.heartbeatDueMs = nowMs + this.options.heartbeatMs;
      this.queueHeartbeat(session, turn.oldestUnsyncedMs);
      this.boundQueue(peer, session);
    }
  }

  /** Monotonic time of the next heartbeat; Infinity without a session. Silence is judged with them. */
  nextDueMs(): number {
    let dueMs = Number.POSITIVE_INFINITY;
    for (const { session } of this.state.peers.values()) {
      if (session !== undefined && session.heartbeatDueMs < dueMs) dueMs = session.heartbeatDueMs;
    }
    return dueMs;
  }

  /** Takes what is queued for `peer`'s session, to be sent in this order (D2). */
  outgoing(peerId: NodeId): readonly ControlItem[] {
    const session = this.state.peers.get(peerId)?.session;
    if (session === undefined || session.queue.length === 0) return nothing;
    const items = session.queue;
    session.queue = [];
    return items;
  }

  /** Peers for whom something is queued. */
  peersToSend(): NodeId[] {
    const peers: NodeId[] = [];
    for (const { peer, session } of this.state.peers.values()) {
      if (session !== undefined && session.queue.length > 0) peers.push(peer);
    }
    return peers;
  }

  /** Takes what happened since the last call, in order. */
  events(): readonly ClaimsEvent[] {
    const events = this.state.events;
    if (events.length === 0) return nothing;
    this.state.events = [];
    return events;
  }

  /** Whether the follower of `regionId` here is attached. */
  isAttached(regionId: RegionId): boolean {
    return this.state.followed.has(regionId);
  }

  /** Whether the leader of `regionId` here holds a claim on its follower on `peer`. */
  hasClaim(peer: NodeId, regionId: RegionId): boolean {
    return this.state.peers.get(peer)?.session?.led.has(regionId) ?? false;
  }

  /** Whether probes may go to `peer`: its session is open and it is not quiet. */
  isReachable(peer: NodeId): boolean {
    return this.state.peers.get(peer)?.isQuiet === false;
  }

  /** How long `peer` has been silent, in time that this node was awake; Infinity: never heard. */
  silentMs(peerId: NodeId, nowMs: number): number {
    const heardMs = this.state.peers.get(peerId)?.heardMs ?? -1;
    return heardMs < 0 ? Number.POSITIVE_INFINITY : nowMs - heardMs;
  }

  peerStats(): ClaimsPeerStats[] {
    const stats: ClaimsPeerStats[] = [];
    for (const peer of this.state.peers.values()) {
      stats.push({
        peer: peer.peer,
        isOpen: peer.session !== undefined,
        lastHeardMs: peer.heardMs,
        claimsLed: peer.session?.ledDigest.count ?? 0,
        claimsFollowed: peer.session?.followedDigest.count ?? 0,
        oldestUnsyncedMs: peer.oldestUnsyncedMs,
      });
    }
    return stats;
  }

  get counters(): Readonly<ClaimsCounters> {
    return this.state.counters;
  }

  private queueList(peer: PeerState, session: SessionState): void {
    let firstNumber = 1;
    let items: ListItem[] = [];
    for (const pair of this.replicas.ledPairs(peer.peer)) {
      assert(pair.commitIndex <= pair.lastIndex, 'a list tells only what was acknowledged');
      if (items.length === listItemsMax) {
        session.queue.push({ type: 'list', firstNumber, items, isLast: false });
        firstNumber += items.length;
        items = [];
      }
      addLed(session, pair);
      items.push(pair);
    }
    session.queue.push({ type: 'list', firstNumber, items, isLast: true });
    this.state.counters.listItemsSent += session.lastNumber;
  }

  private queueHeartbeat(session: SessionState, oldestUnsyncedMs: number): void {
    session.sentSequence += 1;
    beginCheck(session);
    this.state.counters.heartbeatsSent += 1;
    session.queue.push({
      type: 'heartbeat',
      sequence: session.sentSequence,
      oldestUnsyncedMs: Math.max(0, Math.floor(oldestUnsyncedMs)),
    });
  }

  private judge(peer: PeerState, nowMs: number): void {
    const silentMs = nowMs - peer.heardMs;
    if (silentMs >= this.options.electionTimeoutMs) {
      this.state.counters.sessionsSilent += 1;
      closeSession(this.state, peer, 'PEER_SILENT', '');
    } else if (silentMs >= quietHeartbeats * this.options.heartbeatMs) {
      peer.isQuiet = true;
    }
  }

  private noteHeard(peer: PeerState, nowMs: number): void {
    peer.heardMs = nowMs;
    if (!peer.isQuiet) return;
    peer.isQuiet = false;
    this.state.events.push({ type: 'peerHeard', peer: peer.peer });
  }

  private boundQueue(peer: PeerState, session: SessionState): void {
    if (peer.session !== session || session.queue.length <= queueItemsMax) return;
    closeSession(this.state, peer, 'PEER_OVERRUN', 'control queue');
  }
}
