/**
 * The accepting end of handshakes: takes sockets of unknown origin, wants a hello in bounded time,
 * pairs the two lanes of one session and hands the pair over with the first frame of the session.
 *
 * Invariants:
 *  A1 A socket that is not handed over is closed within the handshake's time, with a coded reason.
 *  A2 Per dialer at most one session is being accepted: the newest.
 *  A3 A frame before both lanes were welcomed is refused: the dialer has to wait for both.
 */
import type { Clock, NodeId, TimerHandle } from '@moku/base';
import { MokuError } from '@moku/base';
import type { Lane } from '@moku/region';
import type { CloseReason, FrameSocket, SocketClose } from '../sockets/frame-socket.js';
import {
  decodeHello,
  encodeWelcome,
  type Hello,
  type NodeIdentity,
  type Refusal,
} from './handshake.js';

export interface AcceptorOwner {
  /** Whether a hello may go on; see `judgeIdentity`. */
  judge(hello: Hello, certifiedNodeId: NodeId | undefined): Refusal | undefined;
  /** The session begins: `firstFrame` came on `firstLane`. The sockets are the owner's. */
  onSockets(accepted: AcceptedSockets): void;
  /** Somebody was refused, or went away before the session began. */
  onRefused(from: NodeId | undefined, remote: string, close: SocketClose): void;
}

export interface AcceptedSockets {
  readonly hello: Hello;
  readonly sockets: Readonly<Record<Lane, FrameSocket>>;
  readonly firstLane: Lane;
  readonly firstFrame: Uint8Array;
}

/** A session under way: one or both lanes said hello. */
interface Pending {
  readonly hello: Hello;
  readonly lanes: Partial<Record<Lane, FrameSocket>>;
  readonly timer: TimerHandle;
}

export interface AcceptorOptions {
  readonly self: NodeIdentity;
  readonly timeoutMs: number;
  readonly clock: Clock;
  readonly owner: AcceptorOwner;
}

export class Acceptor {
  private readonly options: AcceptorOptions;
  /** Sockets that have not said hello, with their timers. */
  private readonly strangers = new Map<FrameSocket, TimerHandle>();
  private readonly pendings = new Map<NodeId, Pending>();

  constructor(options: AcceptorOptions) {
    this.options = options;
  }

  /** Takes a socket that was just accepted. */
  accept(socket: FrameSocket): void {
    const { clock, timeoutMs } = this.options;
    const refuse = (close: SocketClose): void => this.refuseStranger(socket, undefined, close);
    const timer = clock.after(timeoutMs, () => {
      refuse({ reason: 'HANDSHAKE_TIMEOUT', isByPeer: false, detail: 'hello' });
    });
    this.strangers.set(socket, timer);
    socket.subscribe({
      onOpen: () => {},
      onMessage: (frame) => this.greeted(socket, frame),
      onClose: refuse,
    });
  }

  /** Refuses what is under way with `nodeId`, or with everybody. */
  dismiss(nodeId: NodeId | undefined, reason: CloseReason): void {
    for (const pending of [...this.pendings.values()]) {
      if (nodeId === undefined || pending.hello.nodeId === nodeId) this.drop(pending, reason, '');
    }
    if (nodeId !== undefined) return;
    for (const socket of [...this.strangers.keys()]) {
      this.refuseStranger(socket, undefined, { reason, isByPeer: false, detail: '' });
    }
  }

  private refuseStranger(socket: FrameSocket, from: NodeId | undefined, close: SocketClose): void {
    this.strangers.get(socket)?.cancel();
    this.strangers.delete(socket);
    socket.close(close.reason, close.detail);
    this.options.owner.onRefused(from, socket.remote, close);
  }

  private greeted(socket: FrameSocket, frame: Uint8Array): void {
    let hello: Hello | undefined;
    try {
      hello = decodeHello(frame);
      this.admit(socket, hello);
    } catch (error) {
      if (!(error instanceof MokuError)) throw error;
      const detail = String(error.details.field ?? '');
      const close: SocketClose = { reason: error.code, isByPeer: false, detail };
      this.refuseStranger(socket, hello?.nodeId, close);
    }
  }

  /** Throws a MokuError when the hello is refused. */
  private admit(socket: FrameSocket, hello: Hello): void {
    const { self, owner } = this.options;
    const refusal = owner.judge(hello, socket.identity);
    if (refusal !== undefined) throw new MokuError(refusal.code, { field: refusal.field });
    const pending = this.pendingFor(hello);
    if (pending.lanes[hello.lane] !== undefined) {
      throw new MokuError('FRAME_MALFORMED', { field: 'lane' });
    }
    this.strangers.get(socket)?.cancel();
    this.strangers.delete(socket);
    pending.lanes[hello.lane] = socket;
    socket.subscribe({
      onOpen: () => {},
      onMessage: (frame) => this.begin(pending, hello.lane, frame),
      onClose: ({ reason, detail }) => this.drop(pending, reason, detail, true),
    });
    socket.send(encodeWelcome({ ...self, lane: hello.lane, counter: hello.counter }));
  }

  /** The session that `hello` belongs to. An older one of the same dialer is dropped (A2). */
  private pendingFor(hello: Hello): Pending {
    const { clock, timeoutMs } = this.options;
    const former = this.pendings.get(hello.nodeId);
    if (former !== undefined) {
      const age = compareSessions(hello, former.hello);
      if (age < 0) throw new MokuError('LINK_REPLACED', { field: 'counter' });
      if (age === 0) {
        if (former.hello.storeId === hello.storeId) return former;
        throw new MokuError('FRAME_MALFORMED', { field: 'lanes' });
      }
      this.drop(former, 'LINK_REPLACED', 'counter');
    }
    const timer = clock.after(timeoutMs, () => {
      this.drop(pending, 'HANDSHAKE_TIMEOUT', 'lanes');
    });
    const pending: Pending = { hello, lanes: {}, timer };
    this.pendings.set(hello.nodeId, pending);
    return pending;
  }

  private begin(pending: Pending, firstLane: Lane, firstFrame: Uint8Array): void {
    const { control, bulk } = pending.lanes;
    if (control === undefined || bulk === undefined) {
      this.drop(pending, 'FRAME_MALFORMED', 'order');
      return;
    }
    this.forget(pending);
    const sockets = { control, bulk };
    this.options.owner.onSockets({ hello: pending.hello, sockets, firstLane, firstFrame });
  }

  private drop(pending: Pending, reason: CloseReason, detail: string, isByPeer = false): void {
    if (this.pendings.get(pending.hello.nodeId) !== pending) return;
    this.forget(pending);
    const { control, bulk } = pending.lanes;
    control?.close(reason, detail);
    bulk?.close(reason, detail);
    const remote = control?.remote ?? bulk?.remote ?? 'unknown';
    const close: SocketClose = { reason, isByPeer, detail };
    this.options.owner.onRefused(pending.hello.nodeId, remote, close);
  }

  private forget(pending: Pending): void {
    pending.timer.cancel();
    if (this.pendings.get(pending.hello.nodeId) === pending) {
      this.pendings.delete(pending.hello.nodeId);
    }
  }
}

/** Negative when `a` was begun before `b` by the same dialer. */
export function compareSessions(
  a: { readonly incarnation: number; readonly counter: number },
  b: { readonly incarnation: number; readonly counter: number },
): number {
  return a.incarnation - b.incarnation || a.counter - b.counter;
}
