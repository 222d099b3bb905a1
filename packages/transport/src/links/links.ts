/**
 * All links of one node: the listener, the acceptor, one link per peer, and one timer that looks after
 * them all. Implements the contract of region/src/contracts/transport.ts over WebSockets.
 *
 * Invariants (with T1–T4 of the contract):
 *  W1 Nobody is dialed and nobody is accepted before `subscribe`.
 *  W2 `onSessionClose` is never called from within `send` or `closeSession`, and always before the
 *     `onSessionOpen` of the peer's next session.
 *  W3 Peers are judged silent only by ticks that came in time: after a pause of its own, a node first
 *     takes in what waits in its sockets.
 *
 * Frames handed to `send` are copied before it returns. Frames handed to `onFrame` are views of larger
 * buffers that nobody writes to any more; their ArrayBuffer must not be transferred.
 */
import { assert, isErrorCode, limits, MokuError, type NodeId, present } from '@moku/base';
import type { Lane, LinkSession, Transport, TransportEvents } from '@moku/region';
import { BoundedLogger, silentLogger } from '../logger.js';
import { type ListenAddress, parseAddress } from '../sockets/address.js';
import type { CloseReason, FrameSocket, SocketListener } from '../sockets/frame-socket.js';
import { plainSockets } from '../sockets/plain-sockets.js';
import { Ticker } from '../sockets/ticker.js';
import { Acceptor } from './acceptor.js';
import { type Hello, linkPath, type Refusal } from './handshake.js';
import { Link } from './link.js';
import type { LinkStatus } from './options.js';
import {
  type LinkPeer,
  type LinksContext,
  type LinksOptions,
  linkMessageBytesMax,
} from './options.js';
import type { Session } from './session.js';
import { tickMsFor, watchLimitsFor } from './silence.js';

const silenceMsDefault = 900;
const handshakeTimeoutMsDefault = 1_500;
const backoffMinMsDefault = 50;
const backoffMaxMsDefault = 2_000;
const healthyMs = 1_000;
/** Connections of strangers and peers at once. */
const connectionsMax = 4_096;

/** Links that are subscribed to, or not yet; `close` ends them. */
export interface Links extends Transport {
  /** As bound: the port is never 0. */
  readonly address: ListenAddress;
  /** Sets who the peers are: links to others end, new ones begin. Throws INVALID_ARGUMENT for a bad address. */
  setPeers(peers: readonly LinkPeer[]): void;
  status(): readonly LinkStatus[];
  /** Ends all sessions with 'closed' and frees the port. */
  close(): Promise<void>;
}

/** Binds the listener. Rejects with PORT_IN_USE, CONFIG_INVALID or INVALID_ARGUMENT, naming the field. */
export async function createLinks(options: LinksOptions): Promise<Links> {
  checkOptions(options);
  const links = new WebSocketLinks(options);
  await links.listen(options);
  return links;
}

function checkOptions({ nodeId, incarnation, peers }: LinksOptions): void {
  if (!Number.isSafeInteger(incarnation) || incarnation < 1) {
    throw new MokuError('INVALID_ARGUMENT', { field: 'incarnation', value: incarnation, min: 1 });
  }
  for (const peer of peers) if (peer.nodeId !== nodeId) parseAddress(peer.address, 'peers');
}

class WebSocketLinks implements Links {
  private readonly context: LinksContext;
  private readonly acceptor: Acceptor;
  private readonly links = new Map<NodeId, Link>();
  private readonly tickMs: number;
  private peers: readonly LinkPeer[];
  private listener: SocketListener | undefined;
  private subscriber: TransportEvents | undefined;
  private isClosed = false;
  private counter = 0;
  private ticker: Ticker | undefined;
  /** Ended sessions that the subscriber has not been told of (W2). */
  private readonly ended: { session: Session; reason: CloseReason }[] = [];

  constructor(options: LinksOptions) {
    const { nodeId, clusterId, storeId, incarnation, clock, prng } = options;
    const silenceMs = options.silenceMs ?? silenceMsDefault;
    this.tickMs = tickMsFor(silenceMs);
    this.peers = options.peers;
    this.context = {
      self: { nodeId, clusterId, storeId, incarnation },
      clock,
      prng,
      logger: new BoundedLogger(options.logger ?? silentLogger, clock),
      sockets: options.sockets ?? plainSockets,
      handshakeTimeoutMs: options.handshakeTimeoutMs ?? handshakeTimeoutMsDefault,
      backoffMinMs: options.backoffMinMs ?? backoffMinMsDefault,
      backoffMaxMs: options.backoffMaxMs ?? backoffMaxMsDefault,
      healthyMs,
      bufferedBytesMax: options.bufferedBytesMax ?? limits.linkBufferedBytesMax,
      watchLimits: watchLimitsFor(silenceMs),
      events: {
        onOpen: (session) => this.opened(session),
        onFrame: (session, lane, payload) => this.subscriber?.onFrame(session, lane, payload),
        onClose: (session, reason) => this.closed(session, reason),
      },
      knownStoreId: (peer) => options.knownStoreId(peer),
      rememberStoreId: (peer, peerStoreId) => options.rememberStoreId(peer, peerStoreId),
      nextCounter: () => {
        this.counter += 1;
        return this.counter;
      },
    };
    this.acceptor = new Acceptor({
      self: this.context.self,
      timeoutMs: this.context.handshakeTimeoutMs,
      clock,
      owner: {
        judge: (hello, certified) => this.judge(hello, certified),
        onSockets: (accepted) => {
          const link = this.links.get(accepted.hello.nodeId);
          present(link, 'W6: a handshake ends with the link that it is for').accepted(accepted);
        },
        onRefused: (from, remote, { reason, detail, isByPeer }) => {
          if (from !== undefined) this.links.get(from)?.refused({ reason, detail, isByPeer });
          this.context.logger.warn({ from, remote, reason, detail, isByPeer }, 'link refused');
        },
      },
    });
  }

  async listen({ listen, listenField = 'peerPort' }: LinksOptions): Promise<void> {
    const { sockets, clock, logger, handshakeTimeoutMs } = this.context;
    this.listener = await sockets.listen(
      {
        listen,
        path: linkPath,
        messageBytesMax: linkMessageBytesMax,
        connectionsMax,
        upgradeTimeoutMs: handshakeTimeoutMs,
        field: listenField,
        clock,
        logger,
      },
      (socket) => this.connected(socket),
    );
  }

  get address(): ListenAddress {
    assert(this.listener !== undefined, 'W4: links are handed out when they listen');
    return this.listener.address;
  }

  subscribe(events: TransportEvents): void {
    assert(this.subscriber === undefined, 'W5: links have one subscriber');
    this.subscriber = events;
    this.setPeers(this.peers);
    this.ticker = new Ticker(this.context.clock, this.tickMs, (nowMs, lateMs) => {
      for (const link of this.links.values()) link.session?.tick(nowMs, lateMs);
    });
  }

  setPeers(peers: readonly LinkPeer[]): void {
    const { self } = this.context;
    const others = peers.filter((peer) => peer.nodeId !== self.nodeId);
    for (const peer of others) parseAddress(peer.address, 'peers');
    this.peers = peers;
    if (this.subscriber === undefined || this.isClosed) return;
    const wanted = new Map(others.map((peer) => [peer.nodeId, peer]));
    for (const [nodeId, link] of this.links) {
      if (wanted.has(nodeId)) continue;
      this.links.delete(nodeId);
      this.acceptor.dismiss(nodeId, 'NODE_MISMATCH');
      link.close('closed');
    }
    for (const [nodeId, peer] of wanted) {
      const link = this.links.get(nodeId);
      if (link === undefined) this.links.set(nodeId, new Link(peer, this.context));
      else link.setAddress(peer.address);
    }
  }

  send(session: LinkSession, lane: Lane, bytes: Uint8Array): boolean {
    const open = this.openSession(session);
    return open === undefined ? false : open.send(lane, bytes);
  }

  bufferedBytes(session: LinkSession, lane: Lane): number {
    return this.openSession(session)?.bufferedBytes(lane) ?? 0;
  }

  closeSession(session: LinkSession, reason: string): void {
    this.openSession(session)?.end(toReason(reason), reason);
  }

  /** The session meant, if it is the open one of its link. */
  private openSession({ peer, sessionId }: LinkSession): Session | undefined {
    const open = this.links.get(peer)?.session;
    return open !== undefined && open.sessionId === sessionId ? open : undefined;
  }

  status(): readonly LinkStatus[] {
    return [...this.links.values()].map((link) => link.status());
  }

  async close(): Promise<void> {
    if (!this.isClosed) {
      this.isClosed = true;
      this.ticker?.stop();
      this.acceptor.dismiss(undefined, 'closed');
      for (const link of this.links.values()) link.close('closed');
      this.tellEnded();
    }
    await this.listener?.close();
  }

  private connected(socket: FrameSocket): void {
    if (this.subscriber === undefined || this.isClosed) socket.close('UNAVAILABLE', 'starting');
    else this.acceptor.accept(socket);
  }

  private judge(hello: Hello, certified: NodeId | undefined): Refusal | undefined {
    const { self } = this.context;
    if (hello.clusterId !== self.clusterId) return { code: 'CLUSTER_MISMATCH', field: 'clusterId' };
    if (hello.to !== self.nodeId) return { code: 'NODE_MISMATCH', field: 'to' };
    const link = this.links.get(hello.nodeId);
    if (link === undefined) return { code: 'NODE_MISMATCH', field: 'unknownPeer' };
    return link.judge(hello, certified);
  }

  private opened(session: Session): void {
    this.tellEnded();
    this.subscriber?.onSessionOpen(session);
  }

  private closed(session: Session, reason: CloseReason): void {
    this.ended.push({ session, reason });
    if (this.ended.length === 1) queueMicrotask(() => this.tellEnded());
  }

  private tellEnded(): void {
    for (let next = this.ended.shift(); next !== undefined; next = this.ended.shift()) {
      this.subscriber?.onSessionClose(next.session, next.reason);
    }
  }
}

/** The subscriber's reason as a code: one of the table, else 'closed'. */
function toReason(reason: string): CloseReason {
  return isErrorCode(reason) ? reason : 'closed';
}
