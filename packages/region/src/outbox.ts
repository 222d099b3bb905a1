// @hot
/**
 * Messages of one turn, by node: one frame per peer, or more when it grows beyond frameBytesTarget.
 *
 * Invariants:
 *  O1 In a turn's frames everything that the claims module queued comes first, in its order (D2 of claims).
 *  O2 Messages to a node without a session are dropped: the core counts them as lost (D3 of claims).
 *  O3 To a peer that does not keep up, appends with entries are put aside: the pair is remembered, and once
 *     the peer keeps up again it is asked where it stands. Everything else goes on.
 */
import { type NodeId, noNode, type RegionId, type ReplicaId } from '@moku/base';
import type { Message } from '@moku/raft';
import type { Claims } from './claims/claims.js';
import type { LinkSession, Transport } from './contracts/transport.js';
import { forgetInFlight } from './pairs.js';
import type { Peers } from './peers.js';
import type { Replica } from './replica.js';
import type { Rest } from './rest.js';
import type { SnapshotsOut } from './snapshots-out.js';
import { FrameWriter } from './wire/frame-writer.js';

interface NodeBox {
  readonly nodeId: NodeId;
  regionIds: RegionId[];
  messages: Message[];
}

/** Pairs resumed per tick and peer. */
const resumesPerTickMax = 256;

export interface OutboxParts {
  readonly claims: Claims;
  readonly peers: Peers;
  readonly rest: Rest;
  readonly snapshotsOut: SnapshotsOut;
  readonly transport: Transport;
}

export class Outbox {
  private readonly parts: OutboxParts;
  private readonly boxes = new Map<NodeId, NodeBox>();
  private filled: NodeBox[] = [];
  private readonly writer = new FrameWriter();
  /** O3: leaders here whose append to the node was put aside. */
  private readonly held = new Map<NodeId, Map<Replica, ReplicaId>>();
  framesSent = 0;
  bytesSent = 0;
  messagesSent = 0;
  messagesDropped = 0;
  appendsHeld = 0;

  constructor(parts: OutboxParts) {
    this.parts = parts;
  }

  addAll(replica: Replica, messages: readonly Message[]): void {
    for (let i = 0; i < messages.length; i++) this.add(replica, messages[i]!);
  }

  private add(replica: Replica, message: Message): void {
    if (message.type === 'snapshot') {
      this.parts.snapshotsOut.offer(replica, message.to);
      return;
    }
    const nodeId = replica.nodeOf(message.to);
    const peer = nodeId === noNode ? undefined : this.parts.peers.find(nodeId);
    if (peer?.session === undefined) {
      this.messagesDropped++;
      return;
    }
    if (message.type === 'append' && message.entries.length > 0) {
      if (peer.isPaused || this.isHeld(replica, nodeId)) {
        this.hold(replica, message.to, nodeId);
        return;
      }
    }
    let box = this.boxes.get(nodeId);
    if (box === undefined) {
      box = { nodeId, regionIds: [], messages: [] };
      this.boxes.set(nodeId, box);
    }
    if (box.messages.length === 0) this.filled.push(box);
    box.regionIds.push(replica.regionId);
    box.messages.push(message);
  }

  /** Sends everything. Once per turn, at its end. */
  flush(): void {
    const { claims, peers } = this.parts;
    const peersToSend = claims.peersToSend();
    for (let i = 0; i < peersToSend.length; i++) {
      const nodeId = peersToSend[i]!;
      const box = this.boxes.get(nodeId);
      if (box !== undefined && box.messages.length > 0) continue;
      const session = peers.session(nodeId);
      if (session !== undefined) this.sendTo(session, undefined);
    }
    const { filled } = this;
    if (filled.length === 0) return;
    this.filled = [];
    for (let i = 0; i < filled.length; i++) {
      const box = filled[i]!;
      const session = peers.session(box.nodeId);
      if (session !== undefined) this.sendTo(session, box);
      box.regionIds = [];
      box.messages = [];
    }
  }

  /** Peers that keep up again are sent what was put aside (O3). Once per tick. */
  resume(): void {
    const { peers, rest } = this.parts;
    for (const [nodeId, pairs] of this.held) {
      const peer = peers.find(nodeId);
      if (peer?.session === undefined) {
        this.held.delete(nodeId);
        continue;
      }
      if (peer.isPaused) continue;
      let count = 0;
      for (const [replica, replicaId] of pairs) {
        if (count++ >= resumesPerTickMax) break;
        pairs.delete(replica);
        if (replica.state !== 'running' || !replica.isLeader()) continue;
        forgetInFlight(replica.raft, replicaId);
        replica.raft.probe(replicaId);
        rest.markDirty(replica);
      }
      if (pairs.size === 0) this.held.delete(nodeId);
    }
  }

  /** A session ended or began: what was put aside for its peer is lost like everything under way. */
  forget(nodeId: NodeId): void {
    this.held.delete(nodeId);
  }

  private isHeld(replica: Replica, nodeId: NodeId): boolean {
    return this.held.size > 0 && this.held.get(nodeId)?.has(replica) === true;
  }

  private hold(replica: Replica, to: ReplicaId, nodeId: NodeId): void {
    this.appendsHeld++;
    let pairs = this.held.get(nodeId);
    if (pairs === undefined) {
      pairs = new Map();
      this.held.set(nodeId, pairs);
    }
    pairs.set(replica, to);
  }

  /** O1. */
  private sendTo(session: LinkSession, box: NodeBox | undefined): void {
    const { writer } = this;
    writer.begin();
    const items = this.parts.claims.outgoing(session.peer);
    for (let i = 0; i < items.length; i++) writer.control(items[i]!);
    if (box !== undefined) {
      const { regionIds, messages } = box;
      for (let i = 0; i < messages.length; i++) writer.raft(regionIds[i]!, messages[i]!);
      this.messagesSent += messages.length;
    }
    const frames = writer.finish();
    for (let i = 0; i < frames.length; i++) {
      const bytes = frames[i]!;
      this.framesSent++;
      this.bytesSent += bytes.length;
      this.parts.transport.send(session, 'control', bytes);
    }
  }
}
