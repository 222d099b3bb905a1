/**
 * The links between simulated nodes, as the model of a session: what the real links do with dials, sockets
 * and frames, without them. One Transport per process. The real links over simulated sockets are in
 * `socket-network.ts`; both have the same wires.
 *
 * Of each pair the lower node dials. The other end opens when the first word of the dialer arrives.
 *
 * Invariants: T1–T4 of the Transport contract, and
 *  N1 A clogged wire holds back frames and news, in order; what it holds arrives once it is free.
 *  N2 A frame is delivered at most once, in its session, after that session's opening there.
 *  N3 A frame that is not the next one sent, or not as it was sent, ends the session where it arrives.
 */
import { type Clock, type ErrorCode, limits, type NodeId, type Prng } from '@moku/base';
import type { Lane, LinkSession, Transport, TransportEvents } from '@moku/region';
import type { Scheduler } from './scheduler.js';
import type { Wire, Wires } from './wires.js';

/** A process as the network sees it. */
export interface NetworkProcess {
  readonly nodeId: NodeId;
  readonly incarnation: number;
  /** Of its directory. */
  readonly storeId: string;
  /** What it knows of its peers' directories (P6): whoever comes with another one is refused. */
  readonly storeIds: {
    known(peer: NodeId): string | undefined;
    remember(peer: NodeId, storeId: string): void;
  };
  /** Runs a task in the process once it is not paused; never after its end. */
  run(task: () => void): void;
}

/** What faults, stories and nodes may do with a network, whatever it is made of. */
export interface Network {
  framesDelivered: number;
  /** The transport of a process that starts now; its links are dialed once it subscribed. */
  start(process: NetworkProcess, clock: Clock): Transport;
  /** The process is gone; its peers notice when, and if, the news gets through. */
  stop(nodeId: NodeId): void;
  wire(from: NodeId, to: NodeId): Wire;
  /** Holds back what travels in this direction, until `free`. */
  clog(from: NodeId, to: NodeId): void;
  free(from: NodeId, to: NodeId): void;
  /** Like `clog` and `free`, but counted: as many releases as holds. */
  hold(from: NodeId, to: NodeId): void;
  release(from: NodeId, to: NodeId): void;
  /** All wires are as at the beginning. */
  freeAll(): void;
  /** Both ends lose the session and what is under way in it. */
  reset(a: NodeId, b: NodeId): void;
  /** Only `node` loses the session; `peer` learns of it by the next session or by silence. */
  halfOpen(node: NodeId, peer: NodeId): void;
}

export interface NetworkOptions {
  readonly scheduler: Scheduler;
  readonly wires: Wires;
  readonly prng: Prng;
  readonly redialMs: () => number;
  readonly onDeliver: (from: NodeId, to: NodeId, bytes: Uint8Array) => void;
}

/** One end's half of a session: what it sent and received in it. */
class Half {
  readonly session: LinkSession;
  readonly queuedBytes: Record<Lane, number> = { control: 0, bulk: 0 };
  readonly sent: Record<Lane, number> = { control: 0, bulk: 0 };
  readonly received: Record<Lane, number> = { control: 0, bulk: 0 };
  /** What is under way from here never arrives. */
  isLost = false;

  constructor(session: LinkSession) {
    this.session = session;
  }
}

interface Frame {
  readonly kind: 'frame';
  readonly lane: Lane;
  readonly bytes: Uint8Array;
  readonly sequence: number;
  readonly isCorrupt: boolean;
}

/** What travels on a wire, in order. */
type Item =
  | Frame
  | { readonly kind: 'open'; readonly to: Endpoint }
  | { readonly kind: 'end'; readonly reason: string };

/** One end of a pair, and what travels from it. */
class End {
  readonly node: NodeId;
  readonly peer: NodeId;
  readonly wire: Wire;
  half: Half | undefined;
  readonly arrivalMs: Record<Lane, number> = { control: 0, bulk: 0 };
  held: { readonly half: Half; readonly item: Item }[] = [];

  constructor(wire: Wire) {
    this.node = wire.from;
    this.peer = wire.to;
    this.wire = wire;
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

export class SimNetwork implements Network {
  framesDelivered = 0;
  private readonly options: NetworkOptions;
  private readonly endpoints = new Map<NodeId, Endpoint>();
  private readonly pairs = new Map<number, Pair>();
  private sessions = 0;

  constructor(options: NetworkOptions) {
    this.options = options;
  }

  start(process: NetworkProcess): Transport {
    const { nodeId } = process;
    const endpoint: Endpoint = { process, events: undefined };
    this.endpoints.set(nodeId, endpoint);
    const isOver = (): boolean => this.endpoints.get(nodeId) !== endpoint;
    return {
      subscribe: (events) => {
        endpoint.events = events;
        for (const peer of this.endpoints.keys()) {
          if (peer !== nodeId) this.dial(this.pair(nodeId, peer));
        }
      },
      send: (session, lane, bytes) => !isOver() && this.send(nodeId, session, lane, bytes),
      bufferedBytes: (session, lane) =>
        this.standing(nodeId, session)?.half?.queuedBytes[lane] ?? 0,
      closeSession: (session, reason) => {
        const end = isOver() ? undefined : this.standing(nodeId, session);
        if (end !== undefined) this.close(end, reason);
      },
    };
  }

  stop(nodeId: NodeId): void {
    this.endpoints.delete(nodeId);
    for (const pair of this.pairs.values()) {
      for (const end of pair.ends) {
        const { half } = end;
        if (end.node !== nodeId || half === undefined) continue;
        end.half = undefined;
        // The machine is gone without a word, or what it sent arrives, or a reset tells.
        const kind = this.options.prng.below(3);
        half.isLost = kind === 0;
        if (kind === 1) this.travel(end, half, { kind: 'end', reason: 'CONNECTION_LOST' });
        else if (kind === 2) this.resetByEnd(end, half);
      }
    }
  }

  wire(from: NodeId, to: NodeId): Wire {
    return this.options.wires.wire(from, to);
  }

  clog(from: NodeId, to: NodeId): void {
    this.wire(from, to).isCut = true;
  }

  free(from: NodeId, to: NodeId): void {
    this.wire(from, to).isCut = false;
    this.freed(from, to);
  }

  hold(from: NodeId, to: NodeId): void {
    this.wire(from, to).hold();
  }

  release(from: NodeId, to: NodeId): void {
    this.wire(from, to).release();
    this.freed(from, to);
  }

  freeAll(): void {
    for (const wire of this.options.wires.all()) {
      wire.mend();
      this.freed(wire.from, wire.to);
    }
  }

  reset(a: NodeId, b: NodeId): void {
    for (const end of this.pair(a, b).ends) this.drop(end, 'CONNECTION_LOST', true);
    this.dial(this.pair(a, b));
  }

  halfOpen(node: NodeId, peer: NodeId): void {
    this.drop(this.end(node, peer), 'CONNECTION_LOST', true);
    this.dial(this.pair(node, peer));
  }

  private pair(a: NodeId, b: NodeId): Pair {
    const low = a < b ? a : b;
    const high = a < b ? b : a;
    const key = low * 65_536 + high;
    let pair = this.pairs.get(key);
    if (pair === undefined) {
      const ends = [new End(this.wire(low, high)), new End(this.wire(high, low))] as const;
      pair = { ends, isDialing: false };
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
    return end.half?.session.sessionId === session.sessionId ? end : undefined;
  }

  private freed(from: NodeId, to: NodeId): void {
    const end = this.end(from, to);
    if (end.wire.isClogged) return;
    this.dial(this.pair(from, to));
    if (end.held.length === 0) return;
    const { scheduler, wires } = this.options;
    // What arrives until then waits behind it (N1).
    scheduler.after(wires.latencyMs(end.wire), () => {
      if (end.wire.isClogged) return;
      const { held } = end;
      end.held = [];
      for (const { half, item } of held) this.arrive(end, half, item);
    });
  }

  private dial(pair: Pair): void {
    if (pair.isDialing) return;
    pair.isDialing = true;
    const { scheduler, redialMs } = this.options;
    scheduler.after(redialMs(), () => {
      pair.isDialing = false;
      this.open(pair);
    });
  }

  /** The lower node dials, if it has no session and the handshake gets through. */
  private open({ ends: [low, high] }: Pair): void {
    const near = this.endpoints.get(low.node);
    const far = this.endpoints.get(high.node);
    if (near?.events === undefined || far?.events === undefined) return;
    if (low.half !== undefined || low.wire.isClogged || high.wire.isClogged) return;
    if (!admits(near.process, far.process) || !admits(far.process, near.process)) return;
    this.sessions += 1;
    const sessionId = `${low.node}.${near.process.incarnation}.${this.sessions}`;
    const half = this.openEnd(low, sessionId, far.process.incarnation);
    this.travel(low, half, { kind: 'open', to: far });
  }

  private openEnd(end: End, sessionId: string, peerIncarnation: number): Half {
    this.drop(end, 'LINK_REPLACED', true);
    const session: LinkSession = { peer: end.peer, sessionId, peerIncarnation };
    const half = new Half(session);
    end.half = half;
    this.tell(end.node, (events) => events.onSessionOpen(session));
    return half;
  }

  private tell(node: NodeId, task: (events: TransportEvents) => void): void {
    const endpoint = this.endpoints.get(node);
    endpoint?.process.run(() => {
      if (endpoint.events !== undefined) task(endpoint.events);
    });
  }

  private send(node: NodeId, session: LinkSession, lane: Lane, bytes: Uint8Array): boolean {
    const end = this.standing(node, session);
    const half = end?.half;
    if (end === undefined || half === undefined) return false;
    const queued = half.queuedBytes[lane];
    if (queued > 0 && queued + bytes.length > limits.linkBufferedBytesMax) {
      this.close(end, 'PEER_OVERRUN');
      return false;
    }
    half.queuedBytes[lane] += bytes.length;
    half.sent[lane] += 1;
    this.sendFrame(end, half, {
      kind: 'frame',
      lane,
      bytes: bytes.slice(),
      sequence: half.sent[lane],
      isCorrupt: false,
    });
    return true;
  }

  private sendFrame(end: End, half: Half, frame: Frame): void {
    const { wires, scheduler } = this.options;
    const fate = wires.fate(end.wire);
    switch (fate) {
      case 'arrives':
      case 'stalled':
        this.travel(end, half, frame, fate === 'stalled' ? wires.delayMs() : 0);
        return;
      case 'lost':
        half.queuedBytes[frame.lane] -= frame.bytes.length;
        return;
      case 'twice':
        this.travel(end, half, frame);
        this.travel(end, half, { ...frame, bytes: frame.bytes.slice() });
        return;
      case 'late':
        // What is behind it passes.
        scheduler.after(wires.latencyMs(end.wire) + wires.delayMs() / 10, () =>
          this.arrive(end, half, frame),
        );
        return;
      case 'corrupt':
        this.travel(end, half, { ...frame, isCorrupt: true });
    }
  }

  private travel(end: End, half: Half, item: Item, stallMs = 0): void {
    const { scheduler, wires } = this.options;
    const { arrivalMs } = end;
    let atMs = scheduler.nowMs + wires.latencyMs(end.wire) + stallMs;
    if (item.kind === 'frame') {
      atMs = Math.max(atMs, arrivalMs[item.lane]);
      arrivalMs[item.lane] = atMs;
    } else {
      atMs = Math.max(atMs, arrivalMs.control, arrivalMs.bulk);
      arrivalMs.control = atMs;
      arrivalMs.bulk = atMs;
    }
    scheduler.at(atMs, () => this.arrive(end, half, item));
  }

  private arrive(end: End, half: Half, item: Item): void {
    if (half.isLost) return;
    if (end.wire.isClogged || end.held.length > 0) {
      end.held.push({ half, item });
      return;
    }
    switch (item.kind) {
      case 'frame':
        half.queuedBytes[item.lane] -= item.bytes.length;
        this.arriveFrame(end, half, item);
        return;
      case 'open':
        this.arriveOpen(end, half, item.to);
        return;
      case 'end':
        this.arriveEnd(end, half, item.reason);
    }
  }

  private arriveFrame(end: End, sent: Half, frame: Frame): void {
    const { lane, bytes } = frame;
    const other = this.end(end.peer, end.node);
    const { half } = other;
    if (half?.session.sessionId !== sent.session.sessionId) {
      // A machine that lives says so; one that is gone says nothing.
      if (this.endpoints.has(end.peer)) this.resetByEnd(other, sent);
      return;
    }
    this.tell(end.peer, (events) => {
      // The session may have ended while its process was paused.
      if (other.half !== half) return;
      half.received[lane] += 1;
      const fault = faultOf(frame, half.received[lane]);
      if (fault !== undefined) {
        this.close(other, fault);
        return;
      }
      this.framesDelivered += 1;
      this.options.onDeliver(end.node, end.peer, bytes);
      events.onFrame(half.session, lane, bytes);
    });
  }

  private arriveOpen(end: End, half: Half, to: Endpoint): void {
    const { session } = half;
    if (this.endpoints.get(end.peer) !== to) {
      this.resetByEnd(this.end(end.peer, end.node), half);
      return;
    }
    const incarnation = this.endpoints.get(end.node)?.process.incarnation;
    const dialerIncarnation = Number(session.sessionId.split('.')[1]);
    // Only the session of the process that dials now, or whose last words these are.
    if (incarnation !== undefined && incarnation !== dialerIncarnation) return;
    this.openEnd(this.end(end.peer, end.node), session.sessionId, dialerIncarnation);
  }

  private arriveEnd(end: End, { session }: Half, reason: string): void {
    const other = this.end(end.peer, end.node);
    if (other.half?.session.sessionId !== session.sessionId) return;
    this.drop(other, reason, true);
    this.dial(this.pair(end.node, end.peer));
  }

  /** An end closes on purpose: the other is told behind what was sent, or cut off. */
  private close(end: End, reason: string): void {
    const { half } = end;
    if (half === undefined) return;
    const isForced = this.options.prng.below(4) === 0;
    this.drop(end, reason, isForced);
    if (isForced) this.resetByEnd(end, half);
    else this.travel(end, half, { kind: 'end', reason });
    this.dial(this.pair(end.node, end.peer));
  }

  /** What `end` sent in the session of `half` is lost; the other end learns of that, if the wire is free. */
  private resetByEnd(end: End, { session }: Half): void {
    const { scheduler, wires } = this.options;
    const told = new Half(session);
    scheduler.after(wires.latencyMs(end.wire), () => {
      if (end.wire.isClogged) return; // Its own patience has to end.
      this.arriveEnd(end, told, 'CONNECTION_LOST');
    });
  }

  private drop(end: End, reason: string, isLost: boolean): void {
    const { half } = end;
    if (half === undefined) return;
    end.half = undefined;
    half.isLost ||= isLost;
    this.tell(end.node, (events) => events.onSessionClose(half.session, reason));
  }
}

/** A peer without its former directory may have forgotten votes: it gets no session. */
function admits(process: NetworkProcess, peer: NetworkProcess): boolean {
  const known = process.storeIds.known(peer.nodeId);
  if (known === undefined) process.storeIds.remember(peer.nodeId, peer.storeId);
  return known === undefined || known === peer.storeId;
}

/** What the receiving session finds wrong with a frame, as the real one does. */
function faultOf(frame: Frame, expected: number): ErrorCode | undefined {
  if (frame.isCorrupt) return 'FRAME_CORRUPT';
  return frame.sequence === expected ? undefined : 'FRAME_MALFORMED';
}
