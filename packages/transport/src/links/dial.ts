/**
 * One attempt of a dialer to open a session: both sockets, both hellos, both welcomes, in bounded time.
 *
 * Invariant D1: `onSockets` or `onFailure` comes exactly once, unless the attempt is abandoned; after
 * anything but `onSockets` both sockets are closed.
 */
import type { Clock, NodeId, TimerHandle } from '@moku/base';
import { MokuError } from '@moku/base';
import type { Lane } from '@moku/region';
import type { FrameSocket, SocketClose, SocketLayer } from '../sockets/frame-socket.js';
import {
  decodeWelcome,
  encodeHello,
  judgeIdentity,
  type NodeIdentity,
  type PeerKnowledge,
  type Welcome,
} from './handshake.js';

export interface DialOwner {
  /** Both ends have accepted each other; the sockets are the owner's. */
  onSockets(sockets: Readonly<Record<Lane, FrameSocket>>, welcome: Welcome): void;
  onFailure(close: SocketClose): void;
}

export interface DialPlan {
  readonly self: NodeIdentity;
  readonly to: NodeId;
  readonly address: string;
  readonly path: string;
  readonly messageBytesMax: number;
  readonly counter: number;
  readonly known: Omit<PeerKnowledge, 'certifiedNodeId'>;
  readonly timeoutMs: number;
  readonly sockets: SocketLayer;
  readonly clock: Clock;
  readonly owner: DialOwner;
}

interface DialLane {
  readonly lane: Lane;
  readonly socket: FrameSocket;
  welcome: Welcome | undefined;
}

export class Dial {
  private readonly plan: DialPlan;
  private readonly control: DialLane;
  private readonly bulk: DialLane;
  private readonly timer: TimerHandle;
  private isOver = false;

  constructor(plan: DialPlan) {
    this.plan = plan;
    this.control = this.open('control');
    this.bulk = this.open('bulk');
    this.timer = plan.clock.after(plan.timeoutMs, () => {
      this.fail({ reason: 'HANDSHAKE_TIMEOUT', isByPeer: false, detail: plan.address });
    });
  }

  /** Gives up without a report. */
  abandon(): void {
    this.finish('closed', '');
  }

  private open(lane: Lane): DialLane {
    const { sockets, address, path, messageBytesMax } = this.plan;
    const socket = sockets.dial({ address, path, messageBytesMax });
    const dialLane: DialLane = { lane, socket, welcome: undefined };
    socket.subscribe({
      onOpen: () => {
        const { self, to, counter } = this.plan;
        socket.send(encodeHello({ ...self, to, lane, counter }));
      },
      onMessage: (frame) => this.welcomed(dialLane, frame),
      onClose: (close) => this.fail(close),
    });
    return dialLane;
  }

  private welcomed(dialLane: DialLane, frame: Uint8Array): void {
    if (this.isOver) return;
    try {
      if (dialLane.welcome !== undefined)
        throw new MokuError('FRAME_MALFORMED', { field: 'order' });
      dialLane.welcome = this.judge(dialLane, decodeWelcome(frame));
    } catch (error) {
      if (!(error instanceof MokuError)) throw error;
      const detail = String(error.details.field ?? '');
      this.fail({ reason: error.code, isByPeer: false, detail });
      return;
    }
    const welcome = this.control.welcome;
    if (welcome === undefined || this.bulk.welcome === undefined) return;
    this.isOver = true;
    this.timer.cancel();
    const sockets = { control: this.control.socket, bulk: this.bulk.socket };
    this.plan.owner.onSockets(sockets, welcome);
  }

  private judge({ lane, socket }: DialLane, welcome: Welcome): Welcome {
    const { self, to, known, counter } = this.plan;
    const expected = { clusterId: self.clusterId, nodeId: to };
    const knowledge = { ...known, certifiedNodeId: socket.identity };
    const refusal = judgeIdentity(welcome, expected, knowledge);
    if (refusal !== undefined) throw new MokuError(refusal.code, { field: refusal.field });
    if (welcome.lane !== lane) throw new MokuError('FRAME_MALFORMED', { field: 'lane' });
    if (welcome.counter !== counter) throw new MokuError('FRAME_MALFORMED', { field: 'counter' });
    const other = lane === 'control' ? this.bulk.welcome : this.control.welcome;
    const isSameProcess =
      other === undefined ||
      (other.incarnation === welcome.incarnation && other.storeId === welcome.storeId);
    if (!isSameProcess) throw new MokuError('FRAME_MALFORMED', { field: 'lanes' });
    return welcome;
  }

  private fail(close: SocketClose): void {
    if (this.isOver) return;
    this.finish(close.reason, close.detail);
    this.plan.owner.onFailure(close);
  }

  private finish(reason: SocketClose['reason'], detail: string): void {
    this.isOver = true;
    this.timer.cancel();
    this.control.socket.close(reason, detail);
    this.bulk.socket.close(reason, detail);
  }
}
