/**
 * The link to one peer: at most one session at a time, and the way to the next one. Of each pair the
 * node with the lower id dials and the other accepts, so that two links never cross.
 *
 * Invariants:
 *  N1 Exactly one side of a pair dials.
 *  N2 At most one session is open; a newer one ends the older first (LINK_REPLACED).
 *  N3 What a phase owns (timer, attempt, session) ends when the phase is left.
 */
import { assert, type NodeId, type TimerHandle } from '@moku/base';
import type { Lane } from '@moku/region';
import type { CloseReason, FrameSocket, SocketClose } from '../sockets/frame-socket.js';
import { type AcceptedSockets, compareSessions } from './acceptor.js';
import { Backoff } from './backoff.js';
import { Dial } from './dial.js';
import {
  type Hello,
  judgeIdentity,
  linkPath,
  type Refusal,
  sessionIdOf,
  type Welcome,
} from './handshake.js';
import type { LinkPeer, LinkStatus, LinksContext } from './options.js';
import { linkMessageBytesMax } from './options.js';
import { type LaneCounters, Session, type SessionOptions } from './session.js';

type Phase =
  /** Accepting side: the peer will dial. */
  | { kind: 'listening' }
  | { kind: 'waiting'; timer: TimerHandle }
  | { kind: 'dialing'; dial: Dial }
  | { kind: 'open'; session: Session }
  | { kind: 'closed' };

/** What peers do not change their minds about: dialing again soon is of no use. */
const lastingRefusals: ReadonlySet<CloseReason> = new Set([
  'CLUSTER_MISMATCH',
  'VERSION_MISMATCH',
  'NODE_REPLACED',
]);

export class Link {
  readonly nodeId: NodeId;
  private readonly context: LinksContext;
  private readonly isDialer: boolean;
  private readonly backoff: Backoff;
  private readonly counters: Readonly<Record<Lane, LaneCounters>> = {
    control: { framesIn: 0, framesOut: 0, bytesIn: 0, bytesOut: 0 },
    bulk: { framesIn: 0, framesOut: 0, bytesIn: 0, bytesOut: 0 },
  };
  private address: string;
  private phase: Phase;
  private sessionsOpened = 0;
  private lastClose: SocketClose | undefined;
  private lastRefusal: SocketClose | undefined;
  /** The newest session that this process opened with the peer as dialer (H3). */
  private newest = { incarnation: 0, counter: 0 };
  /** The peer's greatest incarnation that a session was opened with. */
  private peerIncarnation = 0;

  constructor(peer: LinkPeer, context: LinksContext) {
    const { self, backoffMinMs, backoffMaxMs, prng } = context;
    this.nodeId = peer.nodeId;
    this.address = peer.address;
    this.context = context;
    this.isDialer = self.nodeId < peer.nodeId;
    this.backoff = new Backoff({ minMs: backoffMinMs, maxMs: backoffMaxMs, prng: prng.split() });
    this.phase = { kind: 'listening' };
    if (this.isDialer) this.dial();
  }

  get session(): Session | undefined {
    return this.phase.kind === 'open' ? this.phase.session : undefined;
  }

  /** The peer moved: used from the next attempt on, which is made at once when there is no session. */
  setAddress(address: string): void {
    if (address === this.address) return;
    this.address = address;
    if (this.phase.kind !== 'waiting' && this.phase.kind !== 'dialing') return;
    this.backoff.reset();
    this.leave();
    this.dial();
  }

  /** Ends everything; the link is not used afterwards. */
  close(reason: CloseReason): void {
    const session = this.session;
    if (session === undefined) this.leave();
    this.phase = { kind: 'closed' };
    session?.end(reason, '');
  }

  /** Judges a hello that claims to be this link's peer. */
  judge(hello: Hello, certifiedNodeId: NodeId | undefined): Refusal | undefined {
    const { self, knownStoreId } = this.context;
    const expected = { clusterId: self.clusterId, nodeId: this.nodeId };
    const storeId = knownStoreId(this.nodeId);
    const known = { certifiedNodeId, storeId, incarnation: this.peerIncarnation };
    const refusal = judgeIdentity(hello, expected, known);
    if (refusal !== undefined) return refusal;
    if (this.isDialer) return { code: 'NODE_MISMATCH', field: 'dialer' };
    if (compareSessions(hello, this.newest) <= 0)
      return { code: 'LINK_REPLACED', field: 'counter' };
    return undefined;
  }

  /** The peer's dialing led to a session. */
  accepted({ hello, sockets, firstLane, firstFrame }: AcceptedSockets): void {
    assert(!this.isDialer && this.phase.kind !== 'closed', 'N1: only the higher id accepts');
    this.session?.end('LINK_REPLACED', 'session');
    this.newest = { incarnation: hello.incarnation, counter: hello.counter };
    const sessionId = sessionIdOf(hello.nodeId, hello.incarnation, hello.counter);
    const session = this.open(hello, { sessionId, counter: hello.counter, sockets });
    session.receive(firstLane, firstFrame);
  }

  /** The acceptor refused the peer, or the peer went away before its session began. */
  refused(close: SocketClose): void {
    this.lastRefusal = close;
  }

  private dial(): void {
    const { self, clock, sockets, handshakeTimeoutMs, knownStoreId } = this.context;
    const counter = this.context.nextCounter();
    const dial = new Dial({
      self,
      to: this.nodeId,
      address: this.address,
      path: linkPath,
      messageBytesMax: linkMessageBytesMax,
      counter,
      known: { storeId: knownStoreId(this.nodeId), incarnation: this.peerIncarnation },
      timeoutMs: handshakeTimeoutMs,
      sockets,
      clock,
      owner: {
        onSockets: (pair, welcome) => this.dialed(pair, welcome),
        onFailure: (close) => this.dialFailed(close),
      },
    });
    this.phase = { kind: 'dialing', dial };
  }

  private dialed(sockets: Readonly<Record<Lane, FrameSocket>>, welcome: Welcome): void {
    const { self } = this.context;
    const sessionId = sessionIdOf(self.nodeId, self.incarnation, welcome.counter);
    this.open(welcome, { sessionId, counter: welcome.counter, sockets });
  }

  private dialFailed(close: SocketClose): void {
    const { logger } = this.context;
    const isNews = close.reason !== this.lastRefusal?.reason;
    this.lastRefusal = close;
    if (isNews) {
      const { reason, detail, isByPeer } = close;
      logger.warn(
        { peer: this.nodeId, address: this.address, reason, detail, isByPeer },
        'no link',
      );
    }
    if (lastingRefusals.has(close.reason)) this.backoff.despair();
    this.dialLater();
  }

  private dialLater(): void {
    const timer = this.context.clock.after(this.backoff.next(), () => this.dial());
    this.phase = { kind: 'waiting', timer };
  }

  private open(
    peer: { readonly storeId: string; readonly incarnation: number },
    made: Pick<SessionOptions, 'sessionId' | 'counter' | 'sockets'>,
  ): Session {
    const { context, counters } = this;
    if (context.knownStoreId(this.nodeId) === undefined) {
      context.rememberStoreId(this.nodeId, peer.storeId);
    }
    this.peerIncarnation = peer.incarnation;
    const session = new Session({
      peer: this.nodeId,
      sessionId: made.sessionId,
      peerIncarnation: peer.incarnation,
      counter: made.counter,
      sockets: made.sockets,
      counters,
      watchLimits: context.watchLimits,
      bufferedBytesMax: context.bufferedBytesMax,
      nowMs: context.clock.monotonicMs(),
      sink: {
        onSessionFrame: (of, lane, payload) => context.events.onFrame(of, lane, payload),
        onSessionEnd: (of, close) => this.ended(of, close),
      },
    });
    this.sessionsOpened += 1;
    this.lastRefusal = undefined;
    this.phase = { kind: 'open', session };
    if (this.isDialer) session.announce();
    const { sessionId, peerIncarnation } = session;
    context.logger.info({ peer: this.nodeId, sessionId, peerIncarnation }, 'link open');
    context.events.onOpen(session);
    return session;
  }

  private ended(session: Session, close: SocketClose): void {
    const { context } = this;
    const { reason, detail, isByPeer } = close;
    this.lastClose = close;
    context.logger.info(
      { peer: this.nodeId, sessionId: session.sessionId, reason, detail, isByPeer },
      'link closed',
    );
    context.events.onClose(session, reason);
    if (this.phase.kind !== 'open' || this.phase.session !== session) return;
    if (!this.isDialer) {
      this.phase = { kind: 'listening' };
      return;
    }
    const openMs = context.clock.monotonicMs() - session.openedMs;
    if (openMs >= context.healthyMs) this.backoff.reset();
    this.dialLater();
  }

  private leave(): void {
    if (this.phase.kind === 'waiting') this.phase.timer.cancel();
    if (this.phase.kind === 'dialing') this.phase.dial.abandon();
  }

  status(): LinkStatus {
    const { session, counters, lastClose, lastRefusal } = this;
    const nowMs = this.context.clock.monotonicMs();
    return {
      nodeId: this.nodeId,
      address: this.address,
      isDialer: this.isDialer,
      phase: this.phase.kind,
      sessionId: session?.sessionId,
      peerIncarnation: session?.peerIncarnation,
      openMs: session === undefined ? 0 : nowMs - session.openedMs,
      lastHeardMsAgo: session?.heardMsAgo(nowMs),
      sessionsOpened: this.sessionsOpened,
      lastClose,
      lastRefusal,
      control: { ...counters.control, bufferedBytes: session?.bufferedBytes('control') ?? 0 },
      bulk: { ...counters.bulk, bufferedBytes: session?.bufferedBytes('bulk') ?? 0 },
    };
  }
}
