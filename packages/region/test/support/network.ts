/**
 * Links between nodes in one process, on a virtual clock: sessions with an opening and an end, ordered
 * lanes with latency, resets that lose what is under way, cuts of one direction (what is sent meanwhile
 * arrives once it heals, if the session lives that long), nodes that go away.
 */
import type { NodeId } from '@moku/base';
import type { Lane, LinkSession, Transport, TransportEvents } from '../../src/index.js';
import type { VirtualClock } from './clock.js';

interface Frame {
  readonly session: LinkSession;
  readonly lane: Lane;
  readonly bytes: Uint8Array;
}

/** One end of a link, and what travels from it. */
interface End {
  readonly node: NodeId;
  readonly peer: NodeId;
  session: LinkSession | undefined;
  queuedBytes: Record<Lane, number>;
  lastArrivalMs: Record<Lane, number>;
  /** Sent while the direction was cut. */
  held: Frame[];
}

interface Link {
  readonly ends: readonly [End, End];
  /** Raised by whatever makes a dial under way pointless. */
  dials: number;
  sessions: number;
}

export interface NetworkOptions {
  readonly clock: VirtualClock;
  /** One way, drawn per frame. */
  readonly latencyMs: () => number;
  readonly redialMs: () => number;
}

export class Network {
  private readonly options: NetworkOptions;
  private readonly events = new Map<NodeId, TransportEvents>();
  private readonly incarnations = new Map<NodeId, number>();
  private readonly links = new Map<string, Link>();
  private readonly cuts = new Set<string>();
  framesSent = 0;
  bytesSent = 0;
  /** Sees every frame that is delivered. */
  onFrame: ((from: NodeId, to: NodeId, bytes: Uint8Array) => void) | undefined;

  constructor(options: NetworkOptions) {
    this.options = options;
  }

  /** The transport of a process of `node` that starts now. Links are dialed once it subscribed. */
  start(node: NodeId): Transport {
    this.incarnations.set(node, (this.incarnations.get(node) ?? 0) + 1);
    return {
      subscribe: (events) => {
        this.events.set(node, events);
        for (const other of this.events.keys())
          if (other !== node) this.dial(this.link(node, other));
      },
      send: (session, lane, bytes) => this.send(node, { session, lane, bytes: bytes.slice() }),
      bufferedBytes: (session, lane) => this.end(node, session.peer).queuedBytes[lane],
      closeSession: (session, reason) => this.closeByOwner(node, session, reason),
    };
  }

  /** The node's process is gone: its sockets break. */
  stop(node: NodeId): void {
    this.events.delete(node);
    for (const link of this.links.values()) {
      if (link.ends.some((end) => end.node === node)) this.breakLink(link, 'closed');
    }
  }

  /** Breaks the link between two nodes; it is dialed again by itself. */
  reset(a: NodeId, b: NodeId): void {
    const link = this.link(a, b);
    this.breakLink(link, 'CONNECTION_LOST');
    this.dial(link);
  }

  /** Nothing passes from `from` to `to` any more; neither end is told. */
  cut(from: NodeId, to: NodeId): void {
    this.cuts.add(`${from}>${to}`);
  }

  heal(from: NodeId, to: NodeId): void {
    this.cuts.delete(`${from}>${to}`);
    const end = this.end(from, to);
    const { held } = end;
    end.held = [];
    for (const frame of held) this.deliver(end, frame);
    this.dial(this.link(from, to));
  }

  healAll(): void {
    for (const cut of [...this.cuts]) {
      const [from, to] = cut.split('>').map(Number) as [NodeId, NodeId];
      this.heal(from, to);
    }
  }

  /** Delivers a bulk frame in the present session, as if `from` had sent it. */
  inject(from: NodeId, to: NodeId, bytes: Uint8Array): void {
    const { session } = this.end(from, to);
    if (session !== undefined) this.send(from, { session, lane: 'bulk', bytes });
  }

  /** Bytes of appends and the like that `from` has on their way to `to`. */
  queuedBytes(from: NodeId, to: NodeId): number {
    return this.end(from, to).queuedBytes.control;
  }

  private link(a: NodeId, b: NodeId): Link {
    const low = a < b ? a : b;
    const high = a < b ? b : a;
    let link = this.links.get(`${low}-${high}`);
    if (link === undefined) {
      link = { ends: [newEnd(low, high), newEnd(high, low)], dials: 0, sessions: 0 };
      this.links.set(`${low}-${high}`, link);
    }
    return link;
  }

  private end(node: NodeId, peer: NodeId): End {
    return this.link(node, peer).ends.find((end) => end.node === node)!;
  }

  private isCut(link: Link): boolean {
    return link.ends.some(({ node, peer }) => this.cuts.has(`${node}>${peer}`));
  }

  private dial(link: Link): void {
    const dial = ++link.dials;
    this.options.clock.after(this.options.redialMs(), () => {
      if (link.dials !== dial || this.isCut(link)) return;
      const [low, high] = link.ends;
      if (low.session !== undefined && low.session.sessionId === high.session?.sessionId) return;
      if (!this.events.has(low.node) || !this.events.has(high.node)) return;
      const sessionId = `${low.node}-${high.node}#${++link.sessions}`;
      for (const end of link.ends) {
        this.closeEnd(end, 'LINK_REPLACED');
        const peerIncarnation = this.incarnations.get(end.peer)!;
        end.session = { peer: end.peer, sessionId, peerIncarnation };
        end.queuedBytes = { control: 0, bulk: 0 };
        this.events.get(end.node)?.onSessionOpen(end.session);
      }
    });
  }

  private send(from: NodeId, frame: Frame): boolean {
    const end = this.end(from, frame.session.peer);
    if (end.session?.sessionId !== frame.session.sessionId) return false;
    this.framesSent++;
    this.bytesSent += frame.bytes.length;
    end.queuedBytes[frame.lane] += frame.bytes.length;
    const { clock, latencyMs } = this.options;
    const arrivalMs = Math.max(clock.nowMs + latencyMs(), end.lastArrivalMs[frame.lane]);
    end.lastArrivalMs[frame.lane] = arrivalMs;
    clock.at(arrivalMs, () => {
      // What comes behind a frame that is held back waits with it.
      const isHeld = this.cuts.has(`${end.node}>${end.peer}`) || end.held.length > 0;
      if (isHeld) end.held.push(frame);
      else this.deliver(end, frame);
    });
    return true;
  }

  private deliver(end: End, frame: Frame): void {
    const { sessionId } = frame.session;
    if (end.session?.sessionId === sessionId) end.queuedBytes[frame.lane] -= frame.bytes.length;
    const { session } = this.end(end.peer, end.node);
    if (session?.sessionId !== sessionId) return;
    this.onFrame?.(end.node, end.peer, frame.bytes);
    this.events.get(end.peer)?.onFrame(session, frame.lane, frame.bytes);
  }

  private closeByOwner(node: NodeId, session: LinkSession, reason: string): void {
    const end = this.end(node, session.peer);
    if (end.session?.sessionId !== session.sessionId) return;
    this.closeEnd(end, reason);
    const link = this.link(node, session.peer);
    const other = this.end(session.peer, node);
    this.options.clock.after(this.options.latencyMs(), () => {
      // A cut keeps the news away: the other end's own patience has to end.
      if (this.cuts.has(`${node}>${session.peer}`)) return;
      if (other.session?.sessionId === session.sessionId) this.closeEnd(other, 'closed');
      this.dial(link);
    });
  }

  private breakLink(link: Link, reason: string): void {
    link.dials++;
    for (const end of link.ends) this.closeEnd(end, reason);
  }

  private closeEnd(end: End, reason: string): void {
    const { session } = end;
    end.held = [];
    if (session === undefined) return;
    end.session = undefined;
    this.events.get(end.node)?.onSessionClose(session, reason);
  }
}

function newEnd(node: NodeId, peer: NodeId): End {
  return {
    node,
    peer,
    session: undefined,
    queuedBytes: { control: 0, bulk: 0 },
    lastArrivalMs: { control: 0, bulk: 0 },
    held: [],
  };
}
