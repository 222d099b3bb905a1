/**
 * A network in memory: a Transport per node, where nothing happens until `deliver` is called. Equal
 * calls give equal runs. For tests of what lives above the links.
 *
 * Steps wait in one queue: a frame on its way, or the notice that a session opened or ended. Per
 * direction and lane frames stay in order; lanes, directions and pairs overtake each other when a prng
 * draws the next step. A cut direction holds its frames and notices back; whoever ends a session loses
 * what is under way in it, both ways.
 *
 * Invariants:
 *  Y1 T1–T4 of region/src/contracts/transport.ts.
 *  Y2 Subscribers are called from within `deliver` only.
 */
import { assert, limits, type NodeId, type Prng, present } from '@moku/base';
import type { Lane, LinkSession, Transport, TransportEvents } from '@moku/region';
import { sessionIdOf } from '../links/handshake.js';

const lanes: readonly Lane[] = ['control', 'bulk'];

export interface MemoryNetworkOptions {
  /** Draws which of the possible steps comes next; without it, the oldest. */
  readonly prng?: Prng;
  /** Default limits.linkBufferedBytesMax. */
  readonly bufferedBytesMax?: number;
}

export interface MemoryNetwork {
  /** A transport for a node that starts, or starts again; it is linked with every other node. */
  join(nodeId: NodeId, incarnation: number): Transport;
  /** The node is gone: it hears nothing more, and its peers lose their sessions with it. */
  crash(nodeId: NodeId): void;
  /** Holds back what travels from one node to the other. */
  cut(from: NodeId, to: NodeId): void;
  heal(from: NodeId, to: NodeId): void;
  /** The pair's session is lost, as by a reset. */
  reset(a: NodeId, b: NodeId): void;
  /** Does one step; false when there is none that can be done. */
  deliver(): boolean;
  /** Does steps until there are none; returns how many. Breaks off by assertion after `stepsMax`. */
  deliverAll(stepsMax?: number): number;
}

/** A network without nodes. */
export function createMemoryNetwork(options: MemoryNetworkOptions = {}): MemoryNetwork {
  return new Network(options);
}

/** One node's view of a session, with what is on its way to it. */
interface End extends LinkSession {
  readonly owner: Endpoint;
  readonly other: () => End;
  /** `ending`: over at the other end, and this one has not heard yet. */
  state: 'opening' | 'open' | 'ending' | 'over';
  /** What this end sent and the other has not got. */
  readonly queuedBytes: Record<Lane, number>;
  notices: Notice[];
  frames: Record<Lane, Frame[]>;
}

interface Frame {
  readonly order: number;
  readonly bytes: Uint8Array;
}

type Notice =
  | { readonly kind: 'opened'; readonly order: number }
  | {
      readonly kind: 'ended';
      readonly order: number;
      readonly reason: string;
      readonly isByPeer: boolean;
    };

/** The next of one stream. */
interface Step {
  readonly to: End;
  readonly stream: 'notice' | Lane;
  readonly order: number;
}

class Endpoint implements Transport {
  readonly nodeId: NodeId;
  readonly incarnation: number;
  readonly ends = new Map<NodeId, End>();
  events: TransportEvents | undefined;
  isGone = false;
  private readonly network: Network;

  constructor(network: Network, nodeId: NodeId, incarnation: number) {
    this.network = network;
    this.nodeId = nodeId;
    this.incarnation = incarnation;
  }

  subscribe(events: TransportEvents): void {
    assert(this.events === undefined, 'Y3: a transport has one subscriber');
    this.events = events;
  }

  send(session: LinkSession, lane: Lane, bytes: Uint8Array): boolean {
    assert(bytes.length <= limits.frameBytesMax, 'Y4: a frame is at most frameBytesMax');
    const end = this.end(session);
    return end === undefined ? false : this.network.send(end, lane, bytes);
  }

  bufferedBytes(session: LinkSession, lane: Lane): number {
    return this.end(session)?.queuedBytes[lane] ?? 0;
  }

  closeSession(session: LinkSession, reason: string): void {
    const end = this.end(session);
    if (end !== undefined) this.network.end(end, reason);
  }

  private end({ peer, sessionId }: LinkSession): End | undefined {
    const end = this.ends.get(peer);
    const stands = end?.state === 'open' || end?.state === 'ending';
    return stands && end.sessionId === sessionId ? end : undefined;
  }
}

class Network implements MemoryNetwork {
  private readonly prng: Prng | undefined;
  private readonly bufferedBytesMax: number;
  private readonly endpoints = new Map<NodeId, Endpoint>();
  private readonly cuts = new Set<string>();
  private order = 0;
  private counter = 0;

  constructor({ prng, bufferedBytesMax = limits.linkBufferedBytesMax }: MemoryNetworkOptions) {
    this.prng = prng;
    this.bufferedBytesMax = bufferedBytesMax;
  }

  join(nodeId: NodeId, incarnation: number): Transport {
    this.crash(nodeId);
    const endpoint = new Endpoint(this, nodeId, incarnation);
    this.endpoints.set(nodeId, endpoint);
    return endpoint;
  }

  crash(nodeId: NodeId): void {
    const endpoint = this.endpoints.get(nodeId);
    if (endpoint === undefined) return;
    endpoint.isGone = true;
    this.endpoints.delete(nodeId);
    for (const end of endpoint.ends.values()) {
      end.state = 'over';
      this.lose(end.other(), 'CONNECTION_LOST', true);
    }
  }

  cut(from: NodeId, to: NodeId): void {
    this.cuts.add(`${from}>${to}`);
  }

  heal(from: NodeId, to: NodeId): void {
    this.cuts.delete(`${from}>${to}`);
  }

  reset(a: NodeId, b: NodeId): void {
    const end = this.endpoints.get(a)?.ends.get(b);
    if (end === undefined || end.state === 'over') return;
    this.lose(end, 'CONNECTION_LOST', false);
    this.lose(end.other(), 'CONNECTION_LOST', false);
  }

  send(end: End, lane: Lane, bytes: Uint8Array): boolean {
    if (end.state === 'ending') return true;
    if (end.queuedBytes[lane] > 0 && end.queuedBytes[lane] + bytes.length > this.bufferedBytesMax) {
      this.end(end, 'PEER_OVERRUN');
      return false;
    }
    end.queuedBytes[lane] += bytes.length;
    end.other().frames[lane].push({ order: this.nextOrder(), bytes: bytes.slice() });
    return true;
  }

  end(end: End, reason: string): void {
    this.lose(end, reason, false);
    this.lose(end.other(), reason, true);
  }

  /** One end of a session is over: drops the frames that travel to it, and has it told. */
  private lose(end: End, reason: string, isByPeer: boolean): void {
    const former = end.state;
    if (former === 'over' || (former === 'ending' && isByPeer) || end.owner.isGone) return;
    end.state = isByPeer ? 'ending' : 'over';
    end.frames = { control: [], bulk: [] };
    if (former === 'opening') this.forget(end);
    else end.notices = [{ kind: 'ended', order: this.nextOrder(), reason, isByPeer }];
  }

  private nextOrder(): number {
    this.order += 1;
    return this.order;
  }

  private forget(end: End): void {
    end.state = 'over';
    if (end.owner.ends.get(end.peer) === end) end.owner.ends.delete(end.peer);
  }

  deliver(): boolean {
    const heads = this.heads();
    const pair = this.openable();
    const isPairDrawn = this.prng === undefined || this.prng.below(heads.length + 1) === 0;
    if (pair !== undefined && (isPairDrawn || heads.length === 0)) {
      this.open(pair.dialer, pair.acceptor);
      return true;
    }
    if (heads.length === 0) return false;
    this.perform(this.prng === undefined ? oldest(heads) : heads[this.prng.below(heads.length)]!);
    return true;
  }

  deliverAll(stepsMax = 1_000_000): number {
    let steps = 0;
    while (this.deliver()) {
      steps += 1;
      assert(steps <= stepsMax, 'Y6: the network comes to rest');
    }
    return steps;
  }

  /** The next step of each stream that is not held back. */
  private heads(): Step[] {
    const heads: Step[] = [];
    for (const endpoint of this.endpoints.values()) {
      if (endpoint.events === undefined) continue;
      for (const end of endpoint.ends.values()) this.addHeads(heads, end);
    }
    return heads;
  }

  private addHeads(heads: Step[], to: End): void {
    const isCut = this.cuts.has(`${to.peer}>${to.owner.nodeId}`);
    const [notice] = to.notices;
    // What a node itself brought about it learns behind a cut, too.
    const isOwn = notice?.kind === 'ended' && !notice.isByPeer;
    if (notice !== undefined && (isOwn || !isCut)) {
      heads.push({ to, stream: 'notice', order: notice.order });
    }
    if (isCut || to.state !== 'open') return;
    for (const stream of lanes) {
      const [frame] = to.frames[stream];
      if (frame !== undefined) heads.push({ to, stream, order: frame.order });
    }
  }

  private perform({ to, stream }: Step): void {
    const { events } = to.owner;
    if (stream !== 'notice') {
      const { bytes } = present(to.frames[stream].shift(), 'Y5: a step is the head of its stream');
      to.other().queuedBytes[stream] -= bytes.length;
      events?.onFrame(to, stream, bytes);
      return;
    }
    const notice = present(to.notices.shift(), 'Y5: a step is the head of its stream');
    if (notice.kind === 'opened') {
      to.state = 'open';
      events?.onSessionOpen(to);
      return;
    }
    this.forget(to);
    events?.onSessionClose(to, notice.reason);
  }

  /** The first pair that has no session and can have one. */
  private openable(): { dialer: Endpoint; acceptor: Endpoint } | undefined {
    const endpoints = [...this.endpoints.values()].sort((a, b) => a.nodeId - b.nodeId);
    for (const dialer of endpoints) {
      for (const acceptor of endpoints) {
        if (dialer.nodeId < acceptor.nodeId && this.canOpen(dialer, acceptor)) {
          return { dialer, acceptor };
        }
      }
    }
    return undefined;
  }

  private canOpen(a: Endpoint, b: Endpoint): boolean {
    const isFree = !a.ends.has(b.nodeId) && !b.ends.has(a.nodeId);
    const isCut =
      this.cuts.has(`${a.nodeId}>${b.nodeId}`) || this.cuts.has(`${b.nodeId}>${a.nodeId}`);
    return isFree && !isCut && a.events !== undefined && b.events !== undefined;
  }

  private open(dialer: Endpoint, acceptor: Endpoint): void {
    this.counter += 1;
    const sessionId = sessionIdOf(dialer.nodeId, dialer.incarnation, this.counter);
    const near: End = newEnd(dialer, acceptor, sessionId, () => far);
    const far: End = newEnd(acceptor, dialer, sessionId, () => near);
    for (const end of [near, far]) {
      end.owner.ends.set(end.peer, end);
      end.notices.push({ kind: 'opened', order: this.nextOrder() });
    }
  }
}

function newEnd(owner: Endpoint, peer: Endpoint, sessionId: string, other: () => End): End {
  return {
    owner,
    other,
    peer: peer.nodeId,
    sessionId,
    peerIncarnation: peer.incarnation,
    state: 'opening',
    queuedBytes: { control: 0, bulk: 0 },
    notices: [],
    frames: { control: [], bulk: [] },
  };
}

function oldest(steps: readonly Step[]): Step {
  return steps.reduce((first, step) => (step.order < first.order ? step : first));
}
