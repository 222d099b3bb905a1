/**
 * The real links (packages/transport/src/links) over simulated sockets: handshakes, sequence numbers,
 * checksums, silence and dialing are the product's own; here are only streams of whole messages that
 * wires delay, hold, break and change.
 *
 * Invariants:
 *  K1 Messages of a socket arrive in order, unless the wire is at fault; then the session has to notice.
 *  K2 Whoever ends a socket hears no more of it; the other hears of the end behind what was sent, if at all.
 *  K3 To what is gone on a machine that lives, the answer is a reset.
 */
import type { Clock, NodeId, Prng } from '@moku/base';
import type { Transport, TransportEvents } from '@moku/region';
import { createLinks, type Links, type SocketClose, type SocketLayer } from '@moku/transport';
import type { Network, NetworkOptions, NetworkProcess } from './network.js';
import { corrupted, type Wire } from './wires.js';

type FrameSocket = ReturnType<SocketLayer['dial']>;
type FrameSocketEvents = Parameters<FrameSocket['subscribe']>[0];
type OnSocket = Parameters<SocketLayer['listen']>[1];

const peerPort = 7000;
/** A socket that says goodbye is cut off after this. */
const closeGraceMs = 200;
const lost: SocketClose = { reason: 'CONNECTION_LOST', isByPeer: true, detail: 'simulated' };
const refused: SocketClose = { reason: 'UNAVAILABLE', isByPeer: false, detail: 'simulated' };
const noEvents: FrameSocketEvents = { onOpen: () => {}, onMessage: () => {}, onClose: () => {} };

/** A process with its sockets. */
interface Host {
  readonly process: NetworkProcess;
  readonly sockets: Set<SimSocket>;
  onSocket: OnSocket | undefined;
  isGone: boolean;
}

/** What one end of a socket sends, in order. */
type Item =
  | { readonly kind: 'syn' }
  | { readonly kind: 'ack' }
  | { readonly kind: 'message'; readonly bytes: Uint8Array }
  | { readonly kind: 'end'; readonly close: SocketClose }
  | { readonly kind: 'reset' };

/** One end of a connection. */
class SimSocket implements FrameSocket {
  readonly identity = undefined;
  readonly remote: string;
  readonly host: Host;
  readonly wire: Wire;
  other: SimSocket | undefined;
  phase: 'connecting' | 'open' | 'over' = 'connecting';
  /** Nothing that it sent arrives any more. */
  isLost = false;
  arrivalMs = 0;
  queuedBytes = 0;
  readBytes = 0;
  events: FrameSocketEvents = noEvents;
  private readonly network: SocketNetwork;

  constructor(network: SocketNetwork, host: Host, wire: Wire) {
    this.network = network;
    this.host = host;
    this.wire = wire;
    this.remote = addressOf(wire.to);
    host.sockets.add(this);
  }

  subscribe(events: FrameSocketEvents): void {
    this.events = events;
  }

  send(bytes: Uint8Array, onTaken?: () => void): void {
    if (this.phase === 'open') this.network.sendMessage(this, bytes);
    onTaken?.();
  }

  flush(): void {}

  setReading(): void {}

  bufferedBytes(): number {
    return this.queuedBytes;
  }

  receivedBytes(): number {
    return this.readBytes;
  }

  close(reason: SocketClose['reason'], detail = ''): void {
    this.network.close(this, { reason, isByPeer: true, detail });
  }

  destroy(): void {
    this.network.close(this, undefined);
  }
}

export class SocketNetwork implements Network {
  framesDelivered = 0;
  private readonly options: NetworkOptions;
  private readonly nodeIds: readonly NodeId[];
  private readonly hosts = new Map<NodeId, Host>();
  private readonly held = new Map<Wire, { readonly from: SimSocket; readonly item: Item }[]>();
  private readonly prng: Prng;

  constructor(options: NetworkOptions, nodeIds: readonly NodeId[]) {
    this.options = options;
    this.nodeIds = nodeIds;
    this.prng = options.prng;
  }

  start(process: NetworkProcess, clock: Clock): Transport {
    const host: Host = { process, sockets: new Set(), onSocket: undefined, isGone: false };
    this.hosts.set(process.nodeId, host);
    const { nodeId, storeId, incarnation, storeIds } = process;
    let links: Links | undefined;
    let subscriber: TransportEvents | undefined;
    const opening = createLinks({
      nodeId,
      clusterId: 'simulated',
      storeId,
      incarnation,
      listen: { host: hostNameOf(nodeId), port: peerPort },
      peers: this.nodeIds.map((each) => ({ nodeId: each, address: addressOf(each) })),
      knownStoreId: (peer) => storeIds.known(peer),
      rememberStoreId: (peer, id) => storeIds.remember(peer, id),
      clock,
      prng: this.prng.split(),
      sockets: this.layerOf(host),
    });
    this.options.scheduler.needsDrain = true;
    // A simulated listener is never refused; a bug is an unhandled rejection, which is reported.
    void opening.then((opened) => {
      links = opened;
      if (subscriber !== undefined && !host.isGone) opened.subscribe(subscriber);
    });
    return {
      subscribe: (events) => {
        subscriber = events;
        links?.subscribe(events);
      },
      send: (session, lane, bytes) => !host.isGone && links?.send(session, lane, bytes) === true,
      bufferedBytes: (session, lane) => links?.bufferedBytes(session, lane) ?? 0,
      closeSession: (session, reason) => {
        if (!host.isGone) links?.closeSession(session, reason);
      },
    };
  }

  stop(nodeId: NodeId): void {
    const host = this.hosts.get(nodeId);
    if (host === undefined) return;
    host.isGone = true;
    this.hosts.delete(nodeId);
    // The machine is gone without a word, or what was sent arrives, or a reset tells.
    const kind = this.prng.below(3);
    for (const socket of host.sockets) {
      socket.phase = 'over';
      socket.isLost = kind === 0;
      if (kind === 1) this.travel(socket, { kind: 'end', close: lost });
      else if (kind === 2) this.tellReset(socket);
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
    this.freed(this.wire(from, to));
  }

  hold(from: NodeId, to: NodeId): void {
    this.wire(from, to).hold();
  }

  release(from: NodeId, to: NodeId): void {
    this.wire(from, to).release();
    this.freed(this.wire(from, to));
  }

  freeAll(): void {
    for (const wire of this.options.wires.all()) {
      wire.mend();
      this.freed(wire);
    }
  }

  reset(a: NodeId, b: NodeId): void {
    for (const socket of this.socketsBetween(a, b)) this.breakDown(socket);
    for (const socket of this.socketsBetween(b, a)) this.breakDown(socket);
  }

  halfOpen(node: NodeId, peer: NodeId): void {
    for (const socket of this.socketsBetween(node, peer)) this.breakDown(socket);
  }

  private socketsBetween(from: NodeId, to: NodeId): readonly SimSocket[] {
    const sockets = [...(this.hosts.get(from)?.sockets ?? [])];
    return sockets.filter((socket) => socket.wire.to === to);
  }

  private layerOf(host: Host): SocketLayer {
    const { nodeId } = host.process;
    return {
      dial: ({ address }) => {
        const to = this.nodeIds.find((each) => addressOf(each) === address)!;
        const socket = new SimSocket(this, host, this.wire(nodeId, to));
        this.travel(socket, { kind: 'syn' });
        return socket;
      },
      listen: ({ listen }, onSocket) => {
        host.onSocket = onSocket;
        return Promise.resolve({ address: listen, close: () => Promise.resolve() });
      },
    };
  }

  /** For its owner alone, without a word to the other end, which may still send to it (K3). */
  private breakDown(socket: SimSocket): void {
    socket.isLost = true;
    this.closed(socket, { ...lost, isByPeer: false });
  }

  sendMessage(socket: SimSocket, bytes: Uint8Array): void {
    const { wires, scheduler } = this.options;
    const item: Item = { kind: 'message', bytes: bytes.slice() };
    socket.queuedBytes += bytes.length;
    const fate = wires.fate(socket.wire);
    switch (fate) {
      case 'arrives':
      case 'stalled':
        this.travel(socket, item, fate === 'stalled' ? wires.delayMs() : 0);
        return;
      case 'lost':
        socket.queuedBytes -= bytes.length;
        return;
      case 'twice':
        this.travel(socket, item);
        socket.queuedBytes += bytes.length;
        this.travel(socket, { kind: 'message', bytes: bytes.slice() });
        return;
      case 'late':
        scheduler.after(wires.latencyMs(socket.wire) + wires.delayMs() / 10, () =>
          this.arrive(socket, item),
        );
        return;
      case 'corrupt':
        this.travel(socket, { kind: 'message', bytes: corrupted(bytes, this.prng) });
    }
  }

  /** `close` undefined: without a word. */
  close(socket: SimSocket, close: SocketClose | undefined): void {
    if (socket.phase === 'over') return;
    const wasOpen = socket.phase === 'open';
    this.over(socket);
    if (!wasOpen || close === undefined) {
      this.tellReset(socket);
      return;
    }
    this.travel(socket, { kind: 'end', close });
    this.options.scheduler.after(closeGraceMs, () => {
      socket.isLost = true;
    });
  }

  private over(socket: SimSocket): void {
    socket.phase = 'over';
    socket.host.sockets.delete(socket);
    this.options.scheduler.needsDrain = true;
  }

  private closed(socket: SimSocket, close: SocketClose): void {
    if (socket.phase === 'over') return;
    this.over(socket);
    this.run(socket, () => socket.events.onClose(close));
  }

  private run({ host }: SimSocket, task: () => void): void {
    if (host.isGone) return;
    host.process.run(() => {
      this.options.scheduler.needsDrain = true;
      task();
    });
  }

  private freed(wire: Wire): void {
    if (wire.isClogged || (this.held.get(wire)?.length ?? 0) === 0) return;
    const { scheduler, wires } = this.options;
    // What arrives until then waits behind it (K1).
    scheduler.after(wires.latencyMs(wire), () => {
      if (wire.isClogged) return;
      const items = this.held.get(wire) ?? [];
      this.held.delete(wire);
      for (const { from, item } of items) this.arrive(from, item);
    });
  }

  private travel(socket: SimSocket, item: Item, stallMs = 0): void {
    const { scheduler, wires } = this.options;
    const atMs = scheduler.nowMs + wires.latencyMs(socket.wire) + stallMs;
    socket.arrivalMs = Math.max(atMs, socket.arrivalMs);
    scheduler.at(socket.arrivalMs, () => this.arrive(socket, item));
  }

  /** A reset overtakes what is under way, which is lost. */
  private tellReset(socket: SimSocket): void {
    socket.isLost = true;
    const { scheduler, wires } = this.options;
    scheduler.after(wires.latencyMs(socket.wire), () => {
      if (!socket.wire.isClogged) this.arrived(socket, { kind: 'reset' });
    });
  }

  private arrive(from: SimSocket, item: Item): void {
    if (from.isLost) return;
    const held = this.held.get(from.wire);
    if (from.wire.isClogged || (held !== undefined && held.length > 0)) {
      if (held === undefined) this.held.set(from.wire, [{ from, item }]);
      else held.push({ from, item });
      return;
    }
    this.arrived(from, item);
  }

  private arrived(from: SimSocket, item: Item): void {
    const { other } = from;
    if (item.kind === 'syn') {
      this.accept(from);
      return;
    }
    if (item.kind === 'message') from.queuedBytes -= item.bytes.length;
    if (other === undefined || other.phase === 'over') {
      // A machine that is down says nothing.
      const isUp = this.hosts.has(from.wire.to);
      if (isUp && item.kind !== 'reset' && item.kind !== 'end') this.resetBack(from);
      return;
    }
    switch (item.kind) {
      case 'ack':
        other.phase = 'open';
        this.run(other, () => {
          if (other.phase === 'open') other.events.onOpen();
        });
        return;
      case 'message':
        this.deliver(other, item.bytes);
        return;
      case 'end':
        this.run(other, () => this.closed(other, item.close));
        return;
      case 'reset':
        this.run(other, () => this.closed(other, lost));
    }
  }

  private accept(from: SimSocket): void {
    const { wire } = from;
    const host = this.hosts.get(wire.to);
    if (host === undefined) return; // Its dialer's patience has to end.
    const { onSocket } = host;
    if (onSocket === undefined || from.phase === 'over') {
      this.resetBack(from);
      return;
    }
    const socket = new SimSocket(this, host, this.wire(wire.to, wire.from));
    socket.phase = 'open';
    socket.other = from;
    from.other = socket;
    this.run(socket, () => {
      if (socket.phase !== 'over') onSocket(socket);
    });
    this.travel(socket, { kind: 'ack' });
  }

  private deliver(to: SimSocket, bytes: Uint8Array): void {
    this.run(to, () => {
      if (to.phase !== 'open') return;
      to.readBytes += bytes.length;
      this.framesDelivered += 1;
      this.options.onDeliver(to.wire.to, to.wire.from, bytes);
      to.events.onMessage(bytes);
    });
  }

  /** What `from` sent met nobody (K3). */
  private resetBack(from: SimSocket): void {
    const { scheduler, wires } = this.options;
    const back = this.wire(from.wire.to, from.wire.from);
    scheduler.after(wires.latencyMs(back), () => {
      if (back.isClogged || from.phase === 'over') return;
      const close = from.phase === 'connecting' ? refused : lost;
      this.run(from, () => this.closed(from, close));
    });
  }
}

function hostNameOf(nodeId: NodeId): string {
  return `node-${nodeId}`;
}

function addressOf(nodeId: NodeId): string {
  return `${hostNameOf(nodeId)}:${peerPort}`;
}
