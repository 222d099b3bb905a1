/**
 * Contract of the links to other nodes, as the region manager sees them. A link to a peer is, at any
 * time, in at most one session; a session carries ordered, checksummed frames on two lanes. Bytes of a
 * frame are opaque here. Adapters: WebSockets (production), memory and simulated networks (tests).
 *
 * Invariants:
 *  T1 Within a session and lane, frames arrive in the order sent, each exactly once, or the session ends.
 *  T2 No frame of a former session is delivered after the session's end, on either side.
 *  T3 Session ids are unique over restarts: (incarnation, counter) of the opening side.
 *  T4 `frame` bytes belong to the receiver: the transport does not reuse them.
 */
import type { NodeId } from '@moku/base';

/** `control`: heartbeats, raft messages, appends. `bulk`: snapshot chunks; never delays control. */
export type Lane = 'control' | 'bulk';

export interface LinkSession {
  readonly peer: NodeId;
  /** Unique among all sessions that this process ever sees, also across restarts of the peer. */
  readonly sessionId: string;
  /** Of the peer's process: raised at each of its starts. */
  readonly peerIncarnation: number;
}

export interface TransportEvents {
  onSessionOpen(session: LinkSession): void;
  onFrame(session: LinkSession, lane: Lane, bytes: Uint8Array): void;
  /** `reason` is an error code of the table or 'closed' when it was ended on purpose. */
  onSessionClose(session: LinkSession, reason: string): void;
}

export interface Transport {
  subscribe(events: TransportEvents): void;
  /**
   * Queues a frame. False when the session is over; the frame is dropped then, and onSessionClose
   * comes or came. The transport may close a session whose queue exceeds limits.linkBufferedBytesMax
   * with PEER_OVERRUN, but never drops a frame inside a session.
   */
  send(session: LinkSession, lane: Lane, bytes: Uint8Array): boolean;
  /** Bytes queued and not yet taken by the operating system. */
  bufferedBytes(session: LinkSession, lane: Lane): number;
  /** Ends the session, e.g. because the peer was judged silent; the link dials again by itself. */
  closeSession(session: LinkSession, reason: string): void;
}
