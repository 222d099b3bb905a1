/**
 * One step of one node: the claims module as shipped on a copy of the node's state, and what the step
 * sends and closes. A step depends on the node and its input alone, so that its outcome can be kept.
 * Rules of the module are dropped here, from outside: what it asks is falsified, what it says unsaid.
 *
 * The judgements that need this end only are made here:
 *  K1 An answer whose claim stands unbroken was given by the follower that holds it, in its term; and a
 *     read that begun after a later term's leader had committed is confirmed by none.
 *  K3 No digest ever differs. Nothing is ever out of order. An item of a former session does nothing.
 */
import type { NodeId, ReplicaId } from '@moku/base';
import {
  Claims,
  type ClaimsOptions,
  type ClaimsReplicas,
  type ControlItem,
  type FollowerView,
  type ListItem,
} from '@moku/region';
import { forgetSent } from './raft.js';
import type { DroppedRule } from './rules.js';
import {
  type AnswerGhost,
  encodeNode,
  type NodeState,
  nodeNumbers,
  type RaftMessage,
  regionId,
  type StreamItem,
  sessionOf,
} from './state.js';

const options: ClaimsOptions = {
  heartbeatMs: 100,
  electionTimeoutMs: 1_000,
  repairIntervalMs: 1_000,
};
const nowMs = 1_000_000;
const sessionId = 'present';

export class NodeRun {
  readonly node: NodeState;
  readonly drop: DroppedRule;
  readonly isDiskSlow: boolean;
  claims: Claims;
  /** What leaves, in order. */
  readonly sent: { readonly to: number; readonly item: StreamItem }[] = [];
  /** Peers whose session this end has closed. */
  readonly closed: number[] = [];
  readonly violations: string[] = [];
  /** The term in which this step committed by counting; 0: it did not. */
  committedTerm = 0;
  /** The claim under judgement, while a variant falsifies the replica's view. */
  private judged: { from: number; item: ListItem; isListed: boolean } | undefined;

  /** `node` is changed: hand over a copy. */
  constructor(node: NodeState, drop: DroppedRule, isDiskSlow: boolean) {
    this.node = node;
    this.drop = drop;
    this.isDiskSlow = isDiskSlow;
    this.claims = new Claims(options, this.replicas(), node.claims);
  }

  /** The process is another one: nothing volatile is left. */
  beginAnew(): void {
    this.claims = new Claims(options, this.replicas());
    this.node.claims = this.claims.state;
    for (const round of this.node.rounds) round.length = 0;
  }

  sessionOpened(other: number, peerIncarnation: number): void {
    this.node.rounds[other]!.length = 0;
    this.claims.sessionOpened({ peer: other as NodeId, sessionId, peerIncarnation }, nowMs);
    this.flush();
  }

  sessionClosed(other: number): void {
    const former = this.node.claims.followed.get(regionId);
    this.claims.sessionClosed(other as NodeId, sessionId);
    this.afterSession(other);
    if (this.drop === 'a claim ends with its session' && former?.peer === other) {
      this.node.claims.followed.set(regionId, former);
    }
    this.flush();
  }

  /** This end judges the other silent. */
  silence(other: number): void {
    this.onlyDue(0);
    this.node.claims.peers.get(other as NodeId)!.heardMs = nowMs - options.electionTimeoutMs;
    this.claims.tick({ nowMs, lateMs: 0, oldestUnsyncedMs: 0 });
    this.flush();
  }

  /** Sends a heartbeat. `committedTerm`: the last one in which anybody has committed. */
  beat(other: number, committedTerm: number): void {
    this.onlyDue(other);
    this.claims.tick({ nowMs, lateMs: 0, oldestUnsyncedMs: 0 });
    const claimNumber = sessionOf(this.node, other)!.led.get(regionId)?.claimNumber ?? 0;
    const term = claimNumber === 0 ? 0 : this.node.replica.term;
    const isLate = claimNumber > 0 && committedTerm > term;
    this.node.rounds[other]!.push({ claimNumber, term, isLate });
    this.flush();
  }

  receive(from: number, sent: ControlItem, ghost: AnswerGhost | undefined): void {
    this.receiveOfFormer(from, sent);
    const session = sessionOf(this.node, from)!;
    const item = this.drop === 'a detach names one claim' ? this.renamed(from, sent) : sent;
    if (item.type === 'heartbeatAnswer' && ghost !== undefined) this.checkAnswer(from, ghost);
    const listed = item.type === 'list' ? item.items[0] : undefined;
    if (item.type === 'attach') this.judged = { from, item, isListed: false };
    if (listed !== undefined) this.judged = { from, item: listed, isListed: true };
    const queued = session.queue.length;
    this.claims.receive(from as NodeId, sessionId, item, nowMs);
    const isUnsaid = this.drop === 'a refused claim is answered by a detach';
    if (isUnsaid && this.judged !== undefined) session.queue.length = queued;
    this.flush();
    this.judged = undefined;
    if (this.claims.counters.digestMismatches > 0) this.broken('K3: a digest differs');
  }

  send(other: number, message: RaftMessage): void {
    if (sessionOf(this.node, other) === undefined) return;
    this.sent.push({ to: other, item: { kind: 'raft', message } });
  }

  /** Handles the module's events and sends what it has queued. */
  flush(): void {
    this.takeEvents();
    const { claims, node } = this;
    for (const peer of claims.peersToSend()) {
      for (const item of claims.outgoing(peer)) {
        if (item.type === 'list' && item.items.length === 0) {
          if (this.drop === 'an empty list is sent too') continue;
        }
        const ghost = item.type === 'heartbeatAnswer' ? this.ghostFor(peer) : undefined;
        this.sent.push({ to: peer, item: { kind: 'control', item, ghost } });
      }
    }
    for (const peer of node.claims.peers.values()) {
      peer.heardMs = nowMs;
      if (peer.session !== undefined) peer.session.heartbeatDueMs = nowMs + 1;
    }
  }

  /** Takes detaches back out of the queues: a variant. */
  unsay(by: 'leader' | 'follower'): void {
    for (const { session } of this.node.claims.peers.values()) {
      if (session === undefined) continue;
      session.queue = session.queue.filter((item) => item.type !== 'detach' || item.by !== by);
    }
  }

  broken(what: string): void {
    this.violations.push(`${what} (node ${this.node.id})`);
  }

  private takeEvents(): void {
    const { replica } = this.node;
    for (const event of this.claims.events()) {
      if (event.type === 'attached' && event.term === replica.term && this.adoptsCommitIndex()) {
        const known = Math.min(event.commitIndex, replica.lastIndex);
        replica.commitIndex = Math.max(replica.commitIndex, known);
      }
      if (event.type !== 'closeSession') continue;
      if (event.reason !== 'PEER_SILENT') this.broken(`V1: closed for: ${event.detail}`);
      this.closed.push(event.peer);
      this.afterSession(event.peer);
    }
  }

  private afterSession(other: number): void {
    this.node.rounds[other]!.length = 0;
    forgetSent(this, other);
  }

  private ghostFor(peer: number): AnswerGhost {
    const { claims, replica } = this.node;
    const followed = claims.followed.get(regionId);
    const claimNumber = followed?.peer === peer ? followed.claimNumber : 0;
    return { term: replica.term, replicaId: replica.replicaId, claimNumber };
  }

  /** The session id alone tells that an item is of a former session. */
  private receiveOfFormer(from: number, item: ControlItem): void {
    const before = encodeNode(this.node);
    this.claims.receive(from as NodeId, 'former', item, nowMs);
    if (this.claims.events().length > 0 || encodeNode(this.node) !== before) {
      this.broken('an item of a former session was not dropped');
    }
  }

  /** A detach that names its claim by (region, term, replica) alone: a variant. */
  private renamed(from: number, item: ControlItem): ControlItem {
    if (item.type !== 'detach') return item;
    const standing =
      item.by === 'leader'
        ? this.node.claims.followed.get(regionId)
        : sessionOf(this.node, from)!.led.get(regionId);
    const isMeant = standing?.term === item.term && standing.replicaId === item.replicaId;
    return isMeant ? { ...item, claimNumber: standing.claimNumber } : item;
  }

  /** K1. */
  private checkAnswer(from: number, ghost: AnswerGhost): void {
    const round = this.node.rounds[from]!.shift();
    const claim = sessionOf(this.node, from)!.led.get(regionId);
    if (round === undefined || claim === undefined || round.claimNumber === 0) return;
    const isUnbroken =
      this.drop === 'a claim renewed in between confirms no read'
        ? claim.term === round.term
        : claim.claimNumber === round.claimNumber;
    if (!isUnbroken) return;
    // An answer of one of three nodes is a quorum with this one.
    if (round.isLate) this.broken('K1: a stale read is confirmed');
    if (this.drop === 'a claim renewed in between confirms no read') return;
    const isTrue =
      ghost.claimNumber === claim.claimNumber &&
      ghost.term === claim.term &&
      ghost.replicaId === claim.replicaId;
    if (!isTrue) this.broken(`K1: node ${from} answered for a claim that it had left`);
  }

  /** Makes the next tick beat for `other` only, and judge nobody. */
  private onlyDue(other: number): void {
    for (const peer of this.node.claims.peers.values()) {
      peer.heardMs = nowMs;
      if (peer.session === undefined) continue;
      peer.session.heartbeatDueMs = peer.peer === other ? nowMs : nowMs + 1;
    }
  }

  private adoptsCommitIndex(): boolean {
    const isIgnored = this.drop === 'a listed pair of other content is refused';
    return !isIgnored || this.judged?.isListed !== true;
  }

  // What the module asks.

  private replicas(): ClaimsReplicas {
    return {
      follower: (region) => (region === regionId ? this.viewOfReplica() : undefined),
      ledPairs: (peer) => this.ledPairs(peer),
    };
  }

  private viewOfReplica(): FollowerView {
    const { replica } = this.node;
    const view = {
      replicaId: replica.replicaId as ReplicaId,
      term: replica.term,
      leaderNodeId: replica.leader as NodeId,
      lastIndex: replica.lastIndex,
      commitIndex: replica.commitIndex,
      canAttach: replica.canAttach,
    };
    if (this.judged === undefined) return view;
    const { lastIndex, commitIndex, term, replicaId } = this.judged.item;
    const leaderNodeId = this.judged.from as NodeId;
    switch (this.drop) {
      case 'a listed pair of other content is refused':
        return { ...view, lastIndex, commitIndex };
      case 'a claim of another term is refused':
        return { ...view, term, leaderNodeId };
      case 'a claim on another replica is refused':
        return { ...view, replicaId, leaderNodeId, lastIndex, commitIndex };
      default:
        return view;
    }
  }

  private *ledPairs(peer: number): Iterable<ListItem> {
    const { term, lastIndex, commitIndex, leadership } = this.node.replica;
    if (leadership === undefined) return;
    const isEqual = leadership.matchIndex[peer] === lastIndex;
    if (!isEqual && this.drop !== 'only pairs known to be equal are listed') return;
    const replicaId = leadership.replicaId[peer] as ReplicaId;
    yield { regionId, term, replicaId, lastIndex, commitIndex };
  }
}

/** A node at its first start: nothing in its log, nobody known. */
export function newNode(id: number, replica: NodeState['replica']): NodeState {
  const rounds = [0, ...nodeNumbers].map(() => []);
  const claims: NodeState['claims'] = new Claims(options, {
    follower: () => undefined,
    ledPairs: () => [],
  }).state;
  return { id, incarnation: 1, replica, claims, rounds };
}
