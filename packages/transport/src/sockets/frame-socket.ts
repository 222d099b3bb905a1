/**
 * Contract of one connection that carries whole binary messages in order, for links and for client
 * requests. Adapter: `web-socket.ts`. An adapter with TLS tells in `identity` who the peer is by its
 * certificate; the handshakes above hold what the peer says of itself against it (design §11).
 *
 * Invariants:
 *  K1 Messages arrive in the order sent, each at most once; after a gap there are no more.
 *  K2 `onClose` comes exactly once, unless this side closed the socket itself; nothing comes after either.
 *  K3 A message handed to `onMessage` is never written again by the socket. It is a plain
 *     Uint8Array, maybe a view of a larger buffer: its ArrayBuffer must not be transferred to another thread.
 */
import type { Clock, ErrorCode, NodeId } from '@moku/base';
import type { TransportLogger } from '../logger.js';
import type { ListenAddress } from './address.js';

/** Why a connection ended: a code of the table, or 'closed' when somebody ended it on purpose. */
export type CloseReason = ErrorCode | 'closed';

export interface SocketClose {
  readonly reason: CloseReason;
  /** True when the peer said so. */
  readonly isByPeer: boolean;
  /** The field that was refused, or what the host reported; for people. */
  readonly detail: string;
}

export interface FrameSocketEvents {
  /** The connection stands (dialing side only). */
  onOpen(): void;
  onMessage(bytes: Uint8Array): void;
  onClose(close: SocketClose): void;
}

export interface FrameSocket {
  /** Where events go from now on; replaces the former receiver. */
  subscribe(events: FrameSocketEvents): void;
  /**
   * Queues a message. It belongs to the socket from here on. Dropped when the socket is not open.
   * `onTaken` is called when the operating system has taken it, or the socket is over.
   */
  send(bytes: Uint8Array, onTaken?: () => void): void;
  /** Hands what was queued in this turn to the operating system now rather than at the turn's end. */
  flush(): void;
  /** Stops or resumes reading; what the peer sends meanwhile waits on its side. */
  setReading(isReading: boolean): void;
  /** Bytes queued and not yet taken by the operating system. */
  bufferedBytes(): number;
  /** Bytes received so far, whole messages or not. */
  receivedBytes(): number;
  /** Says why to the peer, behind everything queued, and ends; by force after a moment. */
  close(reason: CloseReason, detail?: string): void;
  /** Ends at once, without a word. */
  destroy(): void;
  /** The peer's node by its certificate; undefined on an unauthenticated connection. */
  readonly identity: NodeId | undefined;
  /** Who is at the other end, for people. */
  readonly remote: string;
}

export interface DialOptions {
  readonly address: string;
  /** URL path: which protocol is meant. */
  readonly path: string;
  readonly messageBytesMax: number;
}

export interface ListenOptions {
  readonly listen: ListenAddress;
  readonly path: string;
  readonly messageBytesMax: number;
  /** Connections at once, of any kind; more are refused by closing them. */
  readonly connectionsMax: number;
  /** Within this time a connection has to become a WebSocket. */
  readonly upgradeTimeoutMs: number;
  /** Name of the setting that a refusal names, e.g. 'peerPort'. */
  readonly field: string;
  readonly clock: Clock;
  readonly logger: TransportLogger;
}

export interface SocketListener {
  /** As bound: the port is never 0. */
  readonly address: ListenAddress;
  /** Accepts nobody any more, and ends by force whatever is still open. */
  close(): Promise<void>;
}

/** How sockets are made. Plain ones here; authenticated ones have the same form. */
export interface SocketLayer {
  /** A socket under way; `onOpen` or `onClose` follows. Throws INVALID_ARGUMENT for a bad address. */
  dial(options: DialOptions): FrameSocket;
  /** Rejects with PORT_IN_USE or CONFIG_INVALID, naming field, host and port. */
  listen(options: ListenOptions, onSocket: (socket: FrameSocket) => void): Promise<SocketListener>;
}
