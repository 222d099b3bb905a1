/**
 * The other nodes as this one sees them: the session of the link, and what was judged of the node. Which
 * claims stand is the claims module's; this is what the rest of the host asks about a node.
 *
 * Invariant P1: at most one session per peer; frames of any other are dropped.
 */
import type { NodeId } from '@moku/base';
import type { LinkSession } from './contracts/transport.js';

export class Peer {
  readonly nodeId: NodeId;
  session: LinkSession | undefined = undefined;
  /** Not heard for an election timeout in which this node was awake. */
  isSilent = false;
  /** Appends with entries wait: its socket or its disk does not keep up. */
  isPaused = false;
  /** Awake milliseconds since the node became known, for one that was never heard. */
  unheardMs = 0;
  /** When its last session ended, or the node became known; 0 with a session. */
  goneSinceMs: number;

  constructor(nodeId: NodeId, nowMs: number) {
    this.nodeId = nodeId;
    this.goneSinceMs = nowMs;
  }
}

export class Peers {
  private readonly peers = new Map<NodeId, Peer>();
  nowMs = 0;

  get(nodeId: NodeId): Peer {
    let peer = this.peers.get(nodeId);
    if (peer === undefined) {
      peer = new Peer(nodeId, this.nowMs);
      this.peers.set(nodeId, peer);
    }
    return peer;
  }

  find(nodeId: NodeId): Peer | undefined {
    return this.peers.get(nodeId);
  }

  session(nodeId: NodeId): LinkSession | undefined {
    return this.peers.get(nodeId)?.session;
  }

  isCurrent(session: LinkSession): boolean {
    return this.peers.get(session.peer)?.session?.sessionId === session.sessionId;
  }

  get size(): number {
    return this.peers.size;
  }

  all(): IterableIterator<Peer> {
    return this.peers.values();
  }
}
