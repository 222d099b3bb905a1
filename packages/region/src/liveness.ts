/**
 * Links and what they mean for replicas (design §6): sessions that open and close, claims that come and
 * go, nodes that fall silent or do not keep up. Elections themselves are the core's; this decides which
 * replicas hold an election timer at all.
 *
 * Invariants:
 *  V1 Events of the claims module are handled at once, before the next item of a frame.
 *  V2 A session's end, and its beginning, count everything under way to that peer as lost (D3 of claims).
 *  V3 Nobody is judged in a late turn, nor while received frames wait to be handled.
 *  V4 A node whose disk hangs leads nothing that a sound one could.
 */
import { type NodeId, unreachable } from '@moku/base';
import type { LogStore } from '@moku/raft';
import type { Claims } from './claims/claims.js';
import type { ClaimsEvent, ControlItem } from './claims/types.js';
import type { RegionHostConfig } from './config.js';
import type { LinkSession, Transport } from './contracts/transport.js';
import type { Leadership } from './leadership.js';
import { forgetInFlight, type Pairs } from './pairs.js';
import type { Peer, Peers } from './peers.js';
import type { Registry } from './registry.js';
import type { Replica } from './replica.js';
import type { Rest } from './rest.js';
import { transferAll } from './transfers.js';

export interface LivenessParts {
  readonly claims: Claims;
  readonly config: RegionHostConfig;
  readonly leadership: Leadership;
  readonly log: LogStore;
  readonly nodeId: NodeId;
  readonly pairs: Pairs;
  readonly peers: Peers;
  readonly registry: Registry;
  readonly rest: Rest;
  readonly transport: Transport;
}

/** This turn's time, as far as judging goes. */
export interface LivenessTurn {
  readonly nowMs: number;
  /** By how much the turn was late; 0 when in time. */
  readonly lateMs: number;
  /** Received frames wait to be handled. */
  readonly hasUnread: boolean;
  readonly tick: number;
}

export class Liveness {
  private readonly parts: LivenessParts;
  private readonly electionTimeoutMs: number;
  /** Ticks of this node, as of the present turn. */
  private tick = 0;
  /** When leaderships may be handed over again because the disk hangs. */
  private shedDueMs = 0;

  constructor(parts: LivenessParts) {
    this.parts = parts;
    this.electionTimeoutMs = parts.config.electionTicks * parts.config.tickMs;
  }

  beginTurn(tick: number): void {
    this.tick = tick;
  }

  sessionOpened(session: LinkSession, nowMs: number): void {
    const { claims, peers } = this.parts;
    const peer = peers.get(session.peer);
    if (peer.session !== undefined) this.endSession(peer, nowMs);
    peer.session = session;
    peer.goneSinceMs = 0;
    peer.isPaused = false;
    this.resetPeer(peer);
    claims.sessionOpened(session, nowMs);
    this.drainEvents();
    for (const replica of this.parts.registry.ledWith(session.peer).values()) {
      this.matchPair(replica, session.peer);
    }
  }

  sessionClosed(session: LinkSession, nowMs: number): void {
    const peer = this.parts.peers.find(session.peer);
    if (peer === undefined || !this.parts.peers.isCurrent(session)) return;
    this.endSession(peer, nowMs);
  }

  heard(session: LinkSession, nowMs: number): void {
    this.parts.claims.heard(session.peer, session.sessionId, nowMs);
    this.drainEvents();
  }

  control(session: LinkSession, item: ControlItem, nowMs: number): void {
    this.parts.claims.receive(session.peer, session.sessionId, item, nowMs);
    this.drainEvents();
  }

  /** Queues the heartbeats that are due, and judges who was silent (V3). */
  judge(turn: LivenessTurn): void {
    const { claims, log } = this.parts;
    const { nowMs, hasUnread } = turn;
    // A millisecond of grace is how the claims module is told to judge nobody this time.
    const lateMs = hasUnread && turn.lateMs < 1 ? 1 : turn.lateMs;
    const { oldestUnsyncedMs } = log.health();
    claims.tick({ nowMs, lateMs, oldestUnsyncedMs });
    this.drainEvents();
  }

  /** Once per tick: which nodes are silent (V3), which do not keep up. */
  judgeNodes(nowMs: number, hasUnread: boolean): void {
    const { claims, config, peers, transport } = this.parts;
    const slow = new Set<NodeId>();
    for (const stats of claims.peerStats()) {
      if (stats.oldestUnsyncedMs > config.slowDiskMs) slow.add(stats.peer);
    }
    for (const peer of peers.all()) {
      const heardMsAgo = claims.silentMs(peer.nodeId, nowMs);
      peer.unheardMs += config.tickMs;
      const silentMs = heardMsAgo < peer.unheardMs ? heardMsAgo : peer.unheardMs;
      if (!hasUnread) this.setSilent(peer, silentMs >= this.electionTimeoutMs);
      if (peer.session === undefined) continue;
      const queued = transport.bufferedBytes(peer.session, 'control');
      const isOver = slow.has(peer.nodeId) || queued > config.appendPauseBytes;
      if (isOver) peer.isPaused = true;
      else if (peer.isPaused && queued <= config.appendPauseBytes / 2) peer.isPaused = false;
    }
    this.shed(nowMs, slow);
  }

  /** When the next heartbeat is due; Infinity without a session. */
  nextDueMs(): number {
    return this.parts.claims.nextDueMs();
  }

  /**
   * A node whose own disk hangs acknowledges nothing, though its heartbeats go out: who keeps up leads
   * instead, as far as there is somebody (V4).
   */
  private shed(nowMs: number, slow: ReadonlySet<NodeId>): void {
    const { config, log } = this.parts;
    if (log.health().oldestUnsyncedMs <= config.hungDiskMs || nowMs < this.shedDueMs) return;
    this.shedDueMs = nowMs + config.housekeepingMs;
    transferAll(this.parts, (nodeId) => !slow.has(nodeId));
  }

  private setSilent(peer: Peer, isSilent: boolean): void {
    if (peer.isSilent === isSilent) return;
    peer.isSilent = isSilent;
    const { leadership, registry, rest } = this.parts;
    // Stepping down changes the map that is walked.
    for (const replica of [...registry.ledWith(peer.nodeId).values()]) {
      if (replica.state !== 'running') continue;
      replica.raft.setPeerSilent(replica.replicaOn(peer.nodeId), isSilent);
      leadership.observe(replica, this.tick);
      rest.consider(replica);
    }
  }

  /** What was under way to or from this peer is lost (V2). */
  private resetPeer(peer: Peer): void {
    const { registry, rest } = this.parts;
    for (const replica of registry.ledWith(peer.nodeId).values()) {
      if (replica.state === 'running') forgetInFlight(replica.raft, replica.replicaOn(peer.nodeId));
    }
    // Reads that a follower here forwarded; only awake replicas have any.
    rest.forEachAwake((replica) => {
      if (replica.reads === undefined || replica.isLeader()) return;
      if (replica.leaderNodeId() !== peer.nodeId) return;
      replica.raft.peerReset(replica.raft.leaderId);
      rest.markDirty(replica);
    });
  }

  private endSession(peer: Peer, nowMs: number): void {
    const { session } = peer;
    if (session === undefined) return;
    peer.session = undefined;
    peer.goneSinceMs = nowMs;
    peer.isPaused = false;
    this.parts.claims.sessionClosed(peer.nodeId, session.sessionId);
    this.drainEvents();
    this.resetPeer(peer);
  }

  /** After a session opened: a pair is claimed by the list, or it is to be probed at once. */
  private matchPair(replica: Replica, nodeId: NodeId): void {
    const { claims, pairs, rest } = this.parts;
    if (replica.state !== 'running' || !replica.isLeader()) return;
    const replicaId = replica.replicaOn(nodeId);
    if (claims.hasClaim(nodeId, replica.regionId)) {
      pairs.remove(replica, replicaId);
    } else if (replica.raft.peers().includes(replicaId)) {
      pairs.add(replica, replicaId, this.tick);
      pairs.resume(replica, nodeId, this.tick);
    }
    rest.consider(replica);
  }

  /** V1. */
  drainEvents(): void {
    const { claims } = this.parts;
    for (;;) {
      const events = claims.events();
      if (events.length === 0) return;
      for (let i = 0; i < events.length; i++) this.handle(events[i]!);
    }
  }

  private handle(event: ClaimsEvent): void {
    switch (event.type) {
      case 'attached':
        this.attached(event);
        return;
      case 'detached':
        this.detached(event);
        return;
      case 'released':
        // Whoever was attached has been detached just before, which ended its loyalty; a follower that
        // never was stays loyal for an election timeout at most.
        return;
      case 'unattached':
        this.unattached(event);
        return;
      case 'closeSession':
        this.closeSession(event);
        return;
      case 'peerHeard':
        this.peerHeard(event.peer);
        return;
      case 'peerRestarted':
        // Its session ended before, and with it every claim of the former process.
        return;
      default:
        unreachable(event);
    }
  }

  private attached(event: Extract<ClaimsEvent, { type: 'attached' }>): void {
    const replica = this.parts.registry.running(event.regionId);
    if (replica === undefined) return;
    const { raft } = replica;
    if (raft.term !== event.term || raft.role !== 'follower') return;
    raft.setAttached(true);
    if (event.commitIndex > raft.commitIndex) {
      raft.step({
        type: 'heartbeat',
        from: raft.leaderId,
        to: replica.replicaId,
        term: event.term,
        commitIndex: event.commitIndex,
        matchIndex: 0,
        readRound: 0,
      });
      this.parts.rest.markDirty(replica);
    }
    this.parts.rest.consider(replica);
  }

  private detached(event: Extract<ClaimsEvent, { type: 'detached' }>): void {
    const replica = this.parts.registry.running(event.regionId);
    if (replica === undefined) return;
    replica.raft.setAttached(false);
    this.parts.rest.consider(replica);
  }

  private unattached(event: Extract<ClaimsEvent, { type: 'unattached' }>): void {
    const { pairs, registry, rest } = this.parts;
    const replica = registry.running(event.regionId);
    if (replica === undefined || !replica.isLeader()) return;
    pairs.add(replica, event.replicaId, this.tick);
    rest.consider(replica);
  }

  private closeSession(event: Extract<ClaimsEvent, { type: 'closeSession' }>): void {
    const { peers, transport } = this.parts;
    const peer = peers.find(event.peer);
    const session = peer?.session;
    if (peer === undefined || session?.sessionId !== event.sessionId) return;
    peer.session = undefined;
    peer.goneSinceMs = peers.nowMs;
    peer.isPaused = false;
    transport.closeSession(session, event.reason);
    this.resetPeer(peer);
  }

  private peerHeard(nodeId: NodeId): void {
    const { pairs, registry, rest } = this.parts;
    for (const replica of registry.ledWith(nodeId).values()) {
      if (replica.state === 'running' && pairs.resume(replica, nodeId, this.tick)) {
        rest.consider(replica);
      }
    }
  }
}
