// @hot
/**
 * One session of a link: two lanes, one life. Made when both sockets are up and shaken hands; whatever
 * ends one of them ends both.
 *
 * Invariants:
 *  X1 A frame is delivered only if it is the next one of its lane and of this session, and never after
 *     the session's end (T1, T2).
 *  X2 `onSessionEnd` comes exactly once.
 *  X3 A lane whose queue would pass its bound ends the session (PEER_OVERRUN); nothing is ever dropped
 *     inside a session.
 */
import { assert, limits, type NodeId } from '@moku/base';
import type { Lane, LinkSession } from '@moku/region';
import type { CloseReason, FrameSocket, SocketClose } from '../sockets/frame-socket.js';
import { type SilenceLimits, SilenceWatch } from '../sockets/silence-watch.js';
import { encodeFrame, faultOf, frameTypes, nextSequence, payloadOf, typeOf } from './frame.js';

/** Totals of one lane over all sessions of a link. */
export interface LaneCounters {
  framesIn: number;
  framesOut: number;
  bytesIn: number;
  bytesOut: number;
}

export interface SessionSink {
  onSessionFrame(session: Session, lane: Lane, payload: Uint8Array): void;
  onSessionEnd(session: Session, close: SocketClose): void;
}

export interface SessionOptions {
  readonly peer: NodeId;
  readonly sessionId: string;
  readonly peerIncarnation: number;
  /** The dialer's counter: every frame of the session carries its low half. */
  readonly counter: number;
  readonly sockets: Readonly<Record<Lane, FrameSocket>>;
  readonly counters: Readonly<Record<Lane, LaneCounters>>;
  readonly watchLimits: Readonly<Record<Lane, SilenceLimits>>;
  readonly bufferedBytesMax: number;
  readonly nowMs: number;
  readonly sink: SessionSink;
}

class SessionLane {
  readonly socket: FrameSocket;
  readonly counters: LaneCounters;
  readonly watch: SilenceWatch;
  sentSequence = 0;
  receivedSequence = 0;
  framesSent = 0;

  constructor(socket: FrameSocket, counters: LaneCounters, watch: SilenceWatch) {
    this.socket = socket;
    this.counters = counters;
    this.watch = watch;
  }
}

export class Session implements LinkSession {
  readonly peer: NodeId;
  readonly sessionId: string;
  readonly peerIncarnation: number;
  readonly openedMs: number;
  private readonly tag: number;
  private readonly bufferedBytesMax: number;
  private readonly control: SessionLane;
  private readonly bulk: SessionLane;
  private readonly sink: SessionSink;
  private isOver = false;

  constructor(options: SessionOptions) {
    this.peer = options.peer;
    this.sessionId = options.sessionId;
    this.peerIncarnation = options.peerIncarnation;
    this.openedMs = options.nowMs;
    this.tag = options.counter % 2 ** 32;
    this.bufferedBytesMax = options.bufferedBytesMax;
    this.sink = options.sink;
    this.control = this.openLane('control', options);
    this.bulk = this.openLane('bulk', options);
  }

  private openLane(lane: Lane, options: SessionOptions): SessionLane {
    const { sockets, counters, watchLimits, nowMs } = options;
    const socket = sockets[lane];
    socket.subscribe({
      onOpen: () => {},
      onMessage: (frame) => this.receive(lane, frame),
      onClose: (close) => this.finish(close),
    });
    return new SessionLane(socket, counters[lane], new SilenceWatch(watchLimits[lane], nowMs));
  }

  private lane(lane: Lane): SessionLane {
    return lane === 'control' ? this.control : this.bulk;
  }

  /** Queues a frame; false when the session is over, or ends by this (X3). */
  send(lane: Lane, payload: Uint8Array): boolean {
    if (this.isOver) return false;
    assert(payload.length <= limits.frameBytesMax, 'X4: a frame is at most frameBytesMax');
    const to = this.lane(lane);
    const queuedBytes = to.socket.bufferedBytes();
    if (queuedBytes > 0 && queuedBytes + payload.length > this.bufferedBytesMax) {
      this.end('PEER_OVERRUN', lane);
      return false;
    }
    this.write(to, frameTypes.data, payload);
    return true;
  }

  /** Tells the peer that the session stands; sent by the dialer before anything else. */
  announce(): void {
    this.write(this.control, frameTypes.alive);
  }

  private write(to: SessionLane, type: 3 | 4, payload?: Uint8Array): void {
    to.sentSequence = nextSequence(to.sentSequence);
    const frame = encodeFrame(type, to.sentSequence, this.tag, payload);
    to.framesSent += 1;
    to.counters.framesOut += 1;
    to.counters.bytesOut += frame.length;
    to.socket.send(frame);
  }

  /** Takes in the next frame of a lane. */
  receive(lane: Lane, frame: Uint8Array): void {
    if (this.isOver) return;
    const from = this.lane(lane);
    from.receivedSequence = nextSequence(from.receivedSequence);
    const fault = faultOf(frame, from.receivedSequence, this.tag);
    if (fault !== undefined) {
      this.end(fault.code, fault.field);
      return;
    }
    from.counters.framesIn += 1;
    from.counters.bytesIn += frame.length;
    const type = typeOf(frame);
    if (type === frameTypes.data) this.sink.onSessionFrame(this, lane, payloadOf(frame));
    else if (type !== frameTypes.alive) this.end('FRAME_MALFORMED', 'type');
  }

  bufferedBytes(lane: Lane): number {
    return this.isOver ? 0 : this.lane(lane).socket.bufferedBytes();
  }

  /** Milliseconds since the control lane was last seen to receive, as of the last tick. */
  heardMsAgo(nowMs: number): number {
    return this.control.watch.heardMsAgo(nowMs);
  }

  /** Looks after both lanes; see SilenceWatch. */
  tick(nowMs: number, lateMs: number): void {
    this.tickLane('control', nowMs, lateMs);
    this.tickLane('bulk', nowMs, lateMs);
  }

  private tickLane(lane: Lane, nowMs: number, lateMs: number): void {
    if (this.isOver) return;
    const { socket, watch, framesSent } = this.lane(lane);
    const verdict = watch.tick(nowMs, lateMs, socket.receivedBytes(), framesSent);
    if (verdict === 'silent') this.end('PEER_SILENT', lane);
    else if (verdict === 'sendAlive') this.write(this.lane(lane), frameTypes.alive);
  }

  /** Ends the session from this side and tells the peer why. Does nothing when it is over. */
  end(reason: CloseReason, detail: string): void {
    this.finish({ reason, isByPeer: false, detail });
  }

  private finish(close: SocketClose): void {
    if (this.isOver) return;
    this.isOver = true;
    this.control.socket.close(close.reason, close.detail);
    this.bulk.socket.close(close.reason, close.detail);
    this.sink.onSessionEnd(this, close);
  }
}
