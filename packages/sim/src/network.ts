/**
 * The links between simulated nodes: delays per ordered pair, directions that are clogged, resets, ends
 * that are gone without the other's knowledge. One Transport per process.
 *
 * Invariants: T1–T4 of the Transport contract, and
 *  N1 A clogged direction holds back frames and news; what it holds arrives once it is free, if its
 *     session still stands.
 *  N2 A frame is delivered at most once, in its session, after that session's opening there.
 */
import { limits, type NodeId } from '@moku/base';
import type { Lane, LinkSession, Transport, TransportEvents } from '@moku/region';
import type { Scheduler } from './scheduler.js';

/** How long things take on the way, in milliseconds. */
export interface NetworkTimes {
  readonly latencyMs: () => number;
  readonly redialMs: () => number;
}

/** A process as the network sees it. */
export interface NetworkProcess {
  readonly nodeId: NodeId;
  readonly incarnation: number;
  /** Runs a task in the process once it is not paused; never after its end. */
  run(task: () => void): void;
}

interface Held {
  readonly lane: Lane;
  readonly bytes: Uint8Array;
}

/** One end of a pair, and what travels from it. */
class End {
  readonly node: NodeId;
  readonly peer: NodeId;
  session: LinkSession | undefined;
  readonly queuedBytes: Record<Lane, number> = { control: 0, bulk: 0 };
  readonly arrivalMs: Record<Lane, number> = { control: 0, bulk: 0 };
  held: Held[] = [];

  constructor(node: NodeId, peer: NodeId) {
    this.node = node;
    this.peer = peer;
  }
}

interface Pair {
  readonly ends: readonly [End, End];
  isDialing: boolean;
}

interface Endpoint {
  readonly process: NetworkProcess;
  events: TransportEvents | undefined;
}

export interface SimNetworkOptions {
  readonly scheduler: Scheduler;
  readonly times: NetworkTimes;
  readonly onDeliver: (from: NodeId, to: NodeId, bytes: Uint8Array) => void;
}

export class SimNetwork {
  /** Set by a planted bug only: the first frame of a session is one of the session before. */
  replaysOldFrames = false;
  framesDelivered = 0;
  private readonly options: SimNetworkOptions;
  private readonly endpoints = new Map<NodeId, Endpoint>();
  private readonly pairs = new Map<string, Pair>();
  private readonly clogged = new Set<string>();
  private readonly lastFrames = new Map<string, Uint8Array>();
  private sessions = 0;

  constructor(options: SimNetworkOptions) {
    this.options = options;
  }

  /** The transport of a process that starts now; its links are dialed once it subscribed. */
  start(process: NetworkProcess): Transport {
    const { nodeId } = process;
    const endpoint: Endpoint = { process, events: undefined };
    this.endpoints.set(nodeId, endpoint);
    return {
      subscribe: (events) => {
        endpoint.events = events;
        for (const peer of this.endpoints.keys()) {
          if (peer !== nodeId) this.dial(this.pair(nodeId, peer));
        }
      },
      send: (session, lane, bytes) => this.send(nodeId, session, lane, bytes),
      bufferedBytes: (session, lane) => this.standing(nodeId, session)?.queuedBytes[lane] ?? 0,
      closeSession: (session, reason) => {
        const end = this.standing(nodeId, session);
        if (end !== undefined) this.close(end, reason);
      },
    };
  }

  /** The process is gone; its peers notice when the news gets through. */
  stop(nodeId: NodeId): void {
    this.endpoints.delete(nodeId);
    for (const pair of this.pairs.values()) {
      for (const end of pair.ends) {
        if (end.node !== nodeId || end.session === undefined) continue;
        const { session } = end;
        end.session = undefined;
        end.held = [];
        this.tellPeer(end, session, 'CONNECTION_LOST');
      }
    }
  }

  clog(from: NodeId, to: NodeId): void {
    this.clogged.add(`${from}>${to}`);
  }

  free(from: NodeId, to: NodeId): void {
    if (!this.clogged.delete(`${from}>${to}`)) return;
    const end = this.end(from, to);
    const { held, session } = end;
    end.held = [];
    if (session !== undefined) {
      for (const { lane, bytes } of held) this.travel(end, session, lane, bytes);
    }
    this.dial(this.pair(from, to));
  }

  freeAll(): void {
    for (const direction of [...this.clogged]) {
      const [from, to] = direction.split('>').map(Number) as [NodeId, NodeId];
      this.free(from, to);
    }
  }

  /** Both ends lose the session and what is under way in it. */
  reset(a: NodeId, b: NodeId): void {
    for (const end of this.pair(a, b).ends) this.drop(end, 'CONNECTION_LOST');
    this.dial(this.pair(a, b));
  }

  /** Only `node` loses the session; `peer` learns of it by the next session or by silence. */
  halfOpen(node: NodeId, peer: NodeId): void {
    this.drop(this.end(node, peer), 'CONNECTION_LOST');
    this.dial(this.pair(node, peer));
  }

  private pair(a: NodeId, b: NodeId): Pair {
    const low = a < b ? a : b;
    const high = a < b ? b : a;
    const key = `${low}-${high}`;
    let pair = this.pairs.get(key);
    if (pair === undefined) {
      pair = { ends: [new End(low, high), new End(high, low)], isDialing: false };
      this.pairs.set(key, pair);
    }
    return pair;
  }

  private end(node: NodeId, peer: NodeId): End {
    const [low, high] = this.pair(node, peer).ends;
    return low.node === node ? low : high;
  }

  private standing(node: NodeId, session: LinkSession): End | undefined {
    const end = this.end(node, session.peer);
    return end.session?.sessionId === session.sessionId ? end : undefined;
  }

  private isClogged(from: NodeId, to: NodeId): boolean {
    return this.clogged.has(`${from}>${to}`);
  }

  private dial(pair: Pair): void {
    if (pair.isDialing) return;
    pair.isDialing = true;
    const { scheduler, times } = this.options;
    scheduler.after(times.redialMs(), () => {
      pair.isDialing = false;
      this.open(pair);
    });
  }

  private open(pair: Pair): void {
    const [low, high] = pair.ends;
    const near = this.endpoints.get(low.node);
    const far = this.endpoints.get(high.node);
    if (near?.events === undefined || far?.events === undefined) return;
    const isStanding =
      low.session !== undefined && low.session.sessionId === high.session?.sessionId;
    if (isStanding) return;
    if (this.isClogged(low.node, high.node) || this.isClogged(high.node, low.node)) return;
    this.sessions += 1;
    const sessionId = `${low.node}.${near.process.incarnation}.${this.sessions}`;
    this.openEnd(low, sessionId, far.process.incarnation);
    this.openEnd(high, sessionId, near.process.incarnation);
  }

  private openEnd(end: End, sessionId: string, peerIncarnation: number): void {
    this.drop(end, 'LINK_REPLACED');
    const session: LinkSession = { peer: end.peer, sessionId, peerIncarnation };
    end.session = session;
    end.queuedBytes.control = 0;
    end.queuedBytes.bulk = 0;
    this.tell(end.node, (events) => events.onSessionOpen(session));
    const old = this.lastFrames.get(`${end.peer}>${end.node}`);
    if (this.replaysOldFrames && old !== undefined) {
      this.tell(end.node, (events) => events.onFrame(session, 'control', old.slice()));
    }
  }

  private tell(node: NodeId, task: (events: TransportEvents) => void): void {
    const endpoint = this.endpoints.get(node);
    endpoint?.process.run(() => {
      if (endpoint.events !== undefined) task(endpoint.events);
    });
  }

  private send(node: NodeId, session: LinkSession, lane: Lane, bytes: Uint8Array): boolean {
    const end = this.standing(node, session);
    if (end === undefined) return false;
    const queued = end.queuedBytes[lane];
    if (queued > 0 && queued + bytes.length > limits.linkBufferedBytesMax) {
      this.close(end, 'PEER_OVERRUN');
      return false;
    }
    end.queuedBytes[lane] += bytes.length;
    this.travel(end, session, lane, bytes.slice());
    return true;
  }

  private travel(end: End, session: LinkSession, lane: Lane, bytes: Uint8Array): void {
    const { scheduler, times } = this.options;
    const arrivalMs = Math.max(scheduler.nowMs + times.latencyMs(), end.arrivalMs[lane]);
    end.arrivalMs[lane] = arrivalMs;
    scheduler.at(arrivalMs, () => {
      if (end.session !== session) return;
      if (this.isClogged(end.node, end.peer) || end.held.length > 0) {
        end.held.push({ lane, bytes });
        return;
      }
      end.queuedBytes[lane] -= bytes.length;
      this.arrive(end, session, lane, bytes);
    });
  }

  private arrive(end: End, { sessionId }: LinkSession, lane: Lane, bytes: Uint8Array): void {
    const other = this.end(end.peer, end.node);
    const { session } = other;
    if (session?.sessionId !== sessionId) return;
    if (lane === 'control' && this.replaysOldFrames) {
      this.lastFrames.set(`${end.node}>${end.peer}`, bytes.slice());
    }
    this.tell(end.peer, (events) => {
      // The session may have ended while its process was paused.
      if (other.session !== session) return;
      this.framesDelivered += 1;
      this.options.onDeliver(end.node, end.peer, bytes);
      events.onFrame(session, lane, bytes);
    });
  }

  /** An end closes on purpose: the other is told when the news gets through. */
  private close(end: End, reason: string): void {
    const { session } = end;
    if (session === undefined) return;
    this.drop(end, reason);
    this.tellPeer(end, session, 'closed');
    this.dial(this.pair(end.node, end.peer));
  }

  private tellPeer(end: End, { sessionId }: LinkSession, reason: string): void {
    const { scheduler, times } = this.options;
    const other = this.end(end.peer, end.node);
    scheduler.after(times.latencyMs(), () => {
      if (other.session?.sessionId !== sessionId) return;
      if (this.isClogged(end.node, end.peer)) return; // Its own patience has to end.
      this.drop(other, reason);
      this.dial(this.pair(end.node, end.peer));
    });
  }

  private drop(end: End, reason: string): void {
    const { session } = end;
    end.held = [];
    if (session === undefined) return;
    end.session = undefined;
    this.tell(end.node, (events) => events.onSessionClose(session, reason));
  }
}
