/**
 * A small world around the claims module: up to three nodes with one replica each of one region, and
 * ordered streams that resets empty. This file: the links, sessions and streams, and the module at
 * their ends. Raft, cut down to what claims rest on, is in `raft.ts`; what may happen in `actions.ts`;
 * what must hold in `checks.ts`.
 */
import type { NodeId, ReplicaId } from '@moku/base';
import { Claims } from '../../../src/claims/claims.js';
import type { SessionState } from '../../../src/claims/state.js';
import type {
  ClaimsOptions,
  ClaimsReplicas,
  ControlItem,
  FollowerView,
  ListItem,
} from '../../../src/claims/types.js';
import { cloneState } from './clone-state.js';
import type { DroppedRule, WorldBounds } from './rules.js';
import {
  type AnswerGhost,
  cloneReplica,
  type Link,
  newReplica,
  type RaftMessage,
  regionId,
  type StreamItem,
  type WorldNode,
} from './state.js';

const options: ClaimsOptions = {
  heartbeatMs: 100,
  electionTimeoutMs: 1_000,
  repairIntervalMs: 1_000,
};
const nowMs = 1_000_000;

export class World {
  readonly nodes: WorldNode[] = [];
  readonly links: Link[] = [];
  readonly violations: string[] = [];
  readonly drop: DroppedRule;
  readonly bounds: WorldBounds;
  restarts = 0;
  replacements = 0;
  failures = 0;
  /** The claim under judgement, while a variant falsifies the replica's view. */
  private judged: { from: number; item: ListItem; isListed: boolean } | undefined;

  constructor(nodeCount: number, bounds: WorldBounds, drop: DroppedRule = 'none') {
    this.bounds = bounds;
    this.drop = drop;
    for (let id = 1; id <= nodeCount; id++) {
      this.nodes.push({
        id,
        claims: this.newClaims(id),
        incarnation: 1,
        replica: newReplica(id),
        seen: new Array(nodeCount + 1).fill(0),
        rounds: Array.from({ length: nodeCount + 1 }, () => []),
      });
    }
    for (let a = 1; a < nodeCount; a++) {
      for (let b = a + 1; b <= nodeCount; b++) {
        this.links.push({ ends: [a, b], session: 0, sessionsMade: 0, queues: [[], []] });
      }
    }
  }

  clone(): World {
    const copy = new World(0, this.bounds, this.drop);
    for (const node of this.nodes) {
      const { id, claims, replica, incarnation, seen, rounds } = node;
      copy.nodes.push({
        id,
        claims: new Claims(options, copy.replicasOf(id), cloneState(claims.state)),
        incarnation,
        replica: cloneReplica(replica),
        seen: [...seen],
        rounds: rounds.map((round) => [...round]),
      });
    }
    for (const link of this.links) {
      copy.links.push({ ...link, queues: [[...link.queues[0]], [...link.queues[1]]] });
    }
    copy.restarts = this.restarts;
    copy.replacements = this.replacements;
    copy.failures = this.failures;
    return copy;
  }

  /** A text that is equal for states that behave equally. */
  fingerprint(): string {
    const parts: unknown[] = [this.restarts, this.replacements, this.failures];
    for (const { claims, replica, seen, rounds, incarnation } of this.nodes) {
      parts.push(incarnation, Object.values(replica), seen, rounds, [...claims.state.followed]);
      for (const { peer, session, incarnation: known, isQuiet } of claims.state.peers.values()) {
        parts.push(peer, known, isQuiet);
        if (session === undefined) continue;
        parts.push(Object.values(session), [...session.led], [...(session.check?.left ?? [])]);
      }
    }
    for (const link of this.links) parts.push(link.session, link.sessionsMade, link.queues);
    return JSON.stringify(parts);
  }

  node(id: number): WorldNode {
    return this.nodes[id - 1]!;
  }

  others(id: number): WorldNode[] {
    return this.nodes.filter((node) => node.id !== id);
  }

  sessionOf(id: number, other: number): SessionState | undefined {
    return this.node(id).claims.state.peers.get(other as NodeId)?.session;
  }

  link(a: number, b: number): Link {
    return this.links.find(({ ends }) => ends.includes(a) && ends.includes(b))!;
  }

  queue(from: number, to: number): StreamItem[] {
    const link = this.link(from, to);
    return link.queues[link.ends[0] === from ? 0 : 1];
  }

  broken(what: string): void {
    if (!this.violations.includes(what)) this.violations.push(what);
  }

  newClaims(id: number): Claims {
    return new Claims(options, this.replicasOf(id));
  }

  // Links and sessions.

  connect(link: Link): void {
    link.sessionsMade += 1;
    link.session = link.sessionsMade;
  }

  reset(link: Link): void {
    link.session = 0;
    if (this.drop === 'frames of a former session are dropped') return;
    link.queues[0] = [];
    link.queues[1] = [];
  }

  /** One end learns that its session is over or, when it has none, that there is one. */
  notice(id: number, other: number): void {
    const node = this.node(id);
    if (node.seen[other] !== 0) {
      this.sessionClosed(id, other);
      return;
    }
    const { session } = this.link(id, other);
    const peerIncarnation = this.node(other).incarnation;
    node.seen[other] = session;
    node.rounds[other] = [];
    const peer = other as NodeId;
    node.claims.sessionOpened({ peer, sessionId: `s${session}`, peerIncarnation }, nowMs);
    this.takeEvents(id);
    this.flush(id);
  }

  /** One end judges the other silent. */
  silence(id: number, other: number): void {
    const { claims } = this.node(id);
    this.onlyDue(id, 0);
    claims.state.peers.get(other as NodeId)!.heardMs = nowMs - options.electionTimeoutMs;
    claims.tick({ nowMs, lateMs: 0, oldestUnsyncedMs: 0 });
    this.takeEvents(id);
    this.flush(id);
  }

  beat(id: number, other: number): void {
    this.onlyDue(id, other);
    const { claims, rounds } = this.node(id);
    claims.tick({ nowMs, lateMs: 0, oldestUnsyncedMs: 0 });
    rounds[other]!.push(this.sessionOf(id, other)!.led.get(regionId)?.claimNumber ?? 0);
    this.takeEvents(id);
    this.flush(id);
  }

  // Streams.

  /** Queues a Raft message, in the belief that the session is open; into the void when it is not. */
  send(id: number, other: number, message: RaftMessage): void {
    const { session } = this.link(id, other);
    if (this.node(id).seen[other] !== session || session === 0) return;
    this.queue(id, other).push({ kind: 'raft', message });
  }

  /** Takes the next item of one direction; a Raft message is given back, the module has taken the rest. */
  deliver(from: number, to: number): RaftMessage | undefined {
    const streamItem = this.queue(from, to).shift()!;
    if (streamItem.kind === 'raft') return streamItem.message;
    this.receive(to, from, streamItem.item, streamItem.ghost);
    this.flush(to);
    return undefined;
  }

  /** Sends what the module has queued. */
  flush(id: number): void {
    const { claims, replica, seen } = this.node(id);
    const claimNumber = claims.state.followed.get(regionId)?.claimNumber ?? 0;
    const ghost = { term: replica.term, replicaId: replica.replicaId, claimNumber };
    for (const peer of claims.peersToSend()) {
      const items = claims.outgoing(peer);
      if (seen[peer] !== this.link(id, peer).session) continue;
      const queue = this.queue(id, peer);
      for (const item of items) {
        const overtakes =
          item.type === 'heartbeatAnswer' && this.drop === 'an answer stays behind queued detaches';
        const place = overtakes ? queue.findLastIndex(keepsPlace) + 1 : queue.length;
        queue.splice(place, 0, { kind: 'control', item, ghost });
      }
    }
  }

  takeEvents(id: number): void {
    const { claims, replica, seen } = this.node(id);
    for (const event of claims.events()) {
      if (event.type === 'attached' && event.term === replica.term && this.adoptsCommitIndex()) {
        const known = Math.min(event.commitIndex, replica.lastIndex);
        replica.commitIndex = Math.max(replica.commitIndex, known);
      }
      if (event.type !== 'closeSession') continue;
      if (event.reason !== 'PEER_SILENT') this.broken(`node ${id} closed for: ${event.detail}`);
      const link = this.link(id, event.peer);
      if (link.session === seen[event.peer]) this.reset(link);
      seen[event.peer] = 0;
      this.forgetSent(id, event.peer);
    }
  }

  /** Takes detaches back out of the queues: a variant. */
  unsay(id: number, by: 'leader' | 'follower'): void {
    for (const { session } of this.node(id).claims.state.peers.values()) {
      if (session === undefined) continue;
      session.queue = session.queue.filter((item) => item.type !== 'detach' || item.by !== by);
    }
  }

  private receive(to: number, from: number, sent: ControlItem, ghost: AnswerGhost): void {
    const { claims, seen } = this.node(to);
    const session = this.sessionOf(to, from)!;
    const item = this.drop === 'a detach names one claim' ? this.renamed(to, from, sent) : sent;
    if (item.type === 'heartbeatAnswer') this.checkAnswer(to, from, item.sequence, ghost);
    const listed = item.type === 'list' ? item.items[0] : undefined;
    if (item.type === 'attach') this.judged = { from, item, isListed: false };
    if (listed !== undefined) this.judged = { from, item: listed, isListed: true };
    const queued = session.queue.length;
    claims.receive(from as NodeId, `s${seen[from]}`, item, nowMs);
    const isUnsaid = this.drop === 'a refused claim is answered by a detach';
    if (isUnsaid && this.judged !== undefined) session.queue.length = queued;
    this.takeEvents(to);
    this.judged = undefined;
  }

  /** A detach that names its claim by (region, term, replica) alone: a variant. */
  private renamed(to: number, from: number, item: ControlItem): ControlItem {
    if (item.type !== 'detach') return item;
    const standing =
      item.by === 'leader'
        ? this.node(to).claims.state.followed.get(regionId)
        : this.sessionOf(to, from)!.led.get(regionId);
    const isMeant = standing?.term === item.term && standing.replicaId === item.replicaId;
    return isMeant ? { ...item, claimNumber: standing.claimNumber } : item;
  }

  /** K1: what an answer confirms was so when it was given. */
  private checkAnswer(id: number, from: number, sequence: number, ghost: AnswerGhost): void {
    const claim = this.sessionOf(id, from)?.led.get(regionId);
    const standing = this.node(id).rounds[from]![sequence - 1];
    if (claim === undefined || claim.claimNumber !== standing) return;
    const isTrue =
      ghost.claimNumber === claim.claimNumber &&
      ghost.term === claim.term &&
      ghost.replicaId === claim.replicaId;
    if (!isTrue) this.broken(`K1: node ${from} answered node ${id} for a claim that it had left`);
  }

  private sessionClosed(id: number, other: number): void {
    const { claims, seen } = this.node(id);
    const former = claims.state.followed.get(regionId);
    claims.sessionClosed(other as NodeId, `s${seen[other]}`);
    seen[other] = 0;
    this.takeEvents(id);
    this.forgetSent(id, other);
    if (this.drop === 'a claim ends with its session' && former?.peer === other) {
      claims.state.followed.set(regionId, former);
    }
  }

  /** D3. */
  private forgetSent(id: number, other: number): void {
    if (this.drop === 'what was under way when a session ended counts as lost') return;
    const { leadership } = this.node(id).replica;
    if (leadership !== undefined) leadership.sentIndex[other] = leadership.matchIndex[other]!;
  }

  /** Makes the next tick beat for `other` only, and judge nobody. */
  private onlyDue(id: number, other: number): void {
    for (const peer of this.node(id).claims.state.peers.values()) {
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

  private replicasOf(id: number): ClaimsReplicas {
    return {
      follower: (region) => (region === regionId ? this.viewOf(id) : undefined),
      ledPairs: (peer) => this.ledPairsOf(id, peer),
    };
  }

  private viewOf(id: number): FollowerView {
    const { replica } = this.node(id);
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

  private *ledPairsOf(id: number, peer: number): Iterable<ListItem> {
    const { term, lastIndex, commitIndex, leadership } = this.node(id).replica;
    if (leadership === undefined) return;
    const isEqual = leadership.matchIndex[peer] === lastIndex;
    if (!isEqual && this.drop !== 'only pairs known to be equal are listed') return;
    const replicaId = leadership.replicaId[peer] as ReplicaId;
    yield { regionId, term, replicaId, lastIndex, commitIndex };
  }
}

/** Behind what an answer stays even when it overtakes detaches. */
function keepsPlace(streamItem: StreamItem): boolean {
  if (streamItem.kind !== 'control') return false;
  return streamItem.item.type === 'list' || streamItem.item.type === 'heartbeatAnswer';
}
