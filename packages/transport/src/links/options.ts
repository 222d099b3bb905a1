/** What links are made of and what they tell: plain data and the context that all links of a node share. */
import { type Clock, limits, type NodeId, type Prng } from '@moku/base';
import type { Lane } from '@moku/region';
import type { TransportLogger } from '../logger.js';
import type { ListenAddress } from '../sockets/address.js';
import type { CloseReason, SocketClose, SocketLayer } from '../sockets/frame-socket.js';
import type { SilenceLimits } from '../sockets/silence-watch.js';
import { frameHeaderBytes } from './frame.js';
import type { NodeIdentity } from './handshake.js';
import type { LaneCounters, Session } from './session.js';

/** The largest message on a link's socket, either way. */
export const linkMessageBytesMax: number = limits.frameBytesMax + frameHeaderBytes;

export interface LinkPeer {
  readonly nodeId: NodeId;
  /** host:port of its peer socket. */
  readonly address: string;
}

export interface LinksOptions {
  readonly nodeId: NodeId;
  readonly clusterId: string;
  /** Identity of this node's directory. */
  readonly storeId: string;
  /** Raised at every start of this directory's process; at least 1. */
  readonly incarnation: number;
  readonly listen: ListenAddress;
  /** Name of the setting that a refused `listen` is blamed on. */
  readonly listenField?: string;
  /** This node itself may be among them. */
  readonly peers: readonly LinkPeer[];
  /** Store id under which a peer is known; undefined before the first session with it. */
  knownStoreId(nodeId: NodeId): string | undefined;
  /** Called once per peer, when the first session opens; should be durable before the peer's votes count. */
  rememberStoreId(nodeId: NodeId, storeId: string): void;
  readonly clock: Clock;
  readonly prng: Prng;
  readonly logger?: TransportLogger;
  /** Within this time a peer that sends nothing is noticed: its session ends with PEER_SILENT. Default 900. */
  readonly silenceMs?: number;
  /** For sockets, hellos and welcomes together. Default 1,500. */
  readonly handshakeTimeoutMs?: number;
  /** First wait before dialing again. Default 50. */
  readonly backoffMinMs?: number;
  /** Longest wait before dialing again. Default 2,000. */
  readonly backoffMaxMs?: number;
  /** Bytes that may wait in one lane. Default limits.linkBufferedBytesMax. */
  readonly bufferedBytesMax?: number;
  /** How sockets are made. Default: plain, without encryption or authentication. */
  readonly sockets?: SocketLayer;
}

/** State and totals of one lane. */
export interface LaneStatus extends Readonly<LaneCounters> {
  readonly bufferedBytes: number;
}

export interface LinkStatus {
  readonly nodeId: NodeId;
  readonly address: string;
  readonly isDialer: boolean;
  readonly phase: 'listening' | 'waiting' | 'dialing' | 'open' | 'closed';
  readonly sessionId: string | undefined;
  readonly peerIncarnation: number | undefined;
  readonly openMs: number;
  /** As of the last look at the link, about every tenth of silenceMs; undefined without a session. */
  readonly lastHeardMsAgo: number | undefined;
  readonly sessionsOpened: number;
  /** Why the last session ended. */
  readonly lastClose: SocketClose | undefined;
  /** Why there is no session: the last refusal or failure since one was open. */
  readonly lastRefusal: SocketClose | undefined;
  readonly control: LaneStatus;
  readonly bulk: LaneStatus;
}

/** What all links of a node share. */
export interface LinksContext {
  readonly self: NodeIdentity;
  readonly clock: Clock;
  readonly prng: Prng;
  readonly logger: TransportLogger;
  readonly sockets: SocketLayer;
  readonly handshakeTimeoutMs: number;
  readonly backoffMinMs: number;
  readonly backoffMaxMs: number;
  /** A session that stood this long was healthy: the next wait is short again. */
  readonly healthyMs: number;
  readonly bufferedBytesMax: number;
  readonly watchLimits: Readonly<Record<Lane, SilenceLimits>>;
  readonly events: LinkEvents;
  knownStoreId(nodeId: NodeId): string | undefined;
  rememberStoreId(nodeId: NodeId, storeId: string): void;
  /** 1, 2, … over all links of the process. */
  nextCounter(): number;
}

export interface LinkEvents {
  onOpen(session: Session): void;
  onFrame(session: Session, lane: Lane, payload: Uint8Array): void;
  onClose(session: Session, reason: CloseReason): void;
}
