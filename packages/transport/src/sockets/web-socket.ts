// @hot
/**
 * FrameSocket over `ws`. No compression, no real mask, one WebSocket message per frame and never a
 * fragment, `maxPayload` on both ends. Messages queued in one turn of the event loop leave in one
 * system call (corked until the turn's end, or until enough has gathered).
 *
 * A peer learns the reason of a close from the text of the WebSocket's close frame: `CODE detail`.
 */
import type { Socket } from 'node:net';
import { isErrorCode, type NodeId } from '@moku/base';
import type { ClientOptions, ServerOptions, WebSocket } from 'ws';
import type { CloseReason, FrameSocket, FrameSocketEvents, SocketClose } from './frame-socket.js';

/** Above this a turn's messages leave before the turn's end, so that the system can begin. */
const corkedBytesMax = 64 * 1024;
/** A peer that does not answer a close frame is cut off after this. */
const closeTimeoutMs = 200;
/** The private range of close codes begins here (RFC 6455 §7.4.2). */
const codedClose = 4000;
const closeTextBytesMax = 120;
/** Chunks of one message that may wait for its end: 2 MiB in packets of a slow network. */
const bufferedChunksMax = 16 * 1024;

const sendOptions = { binary: true, compress: false, fin: true };

type SharedOptions = Pick<
  ServerOptions & ClientOptions,
  'perMessageDeflate' | 'maxPayload' | 'maxBufferedChunks' | 'maxFragments' | 'skipUTF8Validation'
> & { readonly closeTimeout: number };

/** Options of both ends. */
export function sharedOptions(messageBytesMax: number): SharedOptions {
  return {
    perMessageDeflate: false,
    maxPayload: messageBytesMax,
    maxBufferedChunks: bufferedChunksMax,
    maxFragments: 1,
    skipUTF8Validation: false,
    closeTimeout: closeTimeoutMs,
  };
}

const noEvents: FrameSocketEvents = { onOpen: () => {}, onMessage: () => {}, onClose: () => {} };

type Phase =
  | { kind: 'connecting' }
  | { kind: 'open'; socket: Socket }
  /** Ended by the peer, by an error or by us: nothing is reported any more. */
  | { kind: 'over' };

/** One WebSocket, dialed or accepted. */
export class WebSocketFrames implements FrameSocket {
  readonly identity: NodeId | undefined = undefined;
  readonly remote: string;
  private readonly ws: WebSocket;
  private events = noEvents;
  private phase: Phase = { kind: 'connecting' };
  /** Of this socket, also after it is over. */
  private socket: Socket | undefined;
  private corkedBytes = 0;
  private isCorked = false;
  private readonly flushLater = (): void => this.flush();
  /** What went wrong first, until the close event reports it. */
  private failure: SocketClose | undefined;

  constructor(ws: WebSocket, remote: string, socket: Socket | undefined) {
    this.ws = ws;
    this.remote = remote;
    if (socket !== undefined) this.opened(socket);
    ws.on('upgrade', (response) => {
      this.socket = response.socket;
    });
    ws.on('open', () => {
      if (this.phase.kind !== 'connecting' || this.socket === undefined) return;
      this.opened(this.socket);
      this.events.onOpen();
    });
    ws.on('message', (data: Uint8Array, isBinary: boolean) => this.received(data, isBinary));
    ws.on('error', (error: NodeJS.ErrnoException) => {
      this.failure ??= failureOf(error, this.phase.kind === 'connecting');
    });
    ws.on('unexpected-response', (_request, response) => {
      const detail = `HTTP status ${response.statusCode}`;
      this.failure ??= { reason: 'VERSION_MISMATCH', isByPeer: false, detail };
      response.destroy();
      ws.terminate();
    });
    ws.on('close', (code, reason) => this.ended(code, reason));
  }

  private opened(socket: Socket): void {
    socket.setNoDelay(true);
    this.socket = socket;
    this.phase = { kind: 'open', socket };
  }

  subscribe(events: FrameSocketEvents): void {
    this.events = events;
  }

  private received(data: Uint8Array, isBinary: boolean): void {
    if (this.phase.kind !== 'open') return;
    if (isBinary) {
      // A plain view: the `slice` of a Buffer does not copy, and receivers rely on that of bytes.
      this.events.onMessage(new Uint8Array(data.buffer, data.byteOffset, data.byteLength));
      return;
    }
    const close: SocketClose = { reason: 'FRAME_MALFORMED', isByPeer: false, detail: 'text frame' };
    this.close(close.reason, close.detail);
    this.events.onClose(close);
  }

  private ended(code: number, reason: Uint8Array): void {
    if (this.phase.kind === 'over') return;
    this.phase = { kind: 'over' };
    this.events.onClose(this.failure ?? closeOf(code, reason));
  }

  send(bytes: Uint8Array, onTaken?: () => void): void {
    if (this.phase.kind !== 'open') return;
    if (!this.isCorked) {
      this.isCorked = true;
      this.phase.socket.cork();
      process.nextTick(this.flushLater);
    }
    this.corkedBytes += bytes.length;
    this.ws.send(bytes, sendOptions, onTaken);
    if (this.corkedBytes >= corkedBytesMax) this.flush();
  }

  flush(): void {
    if (!this.isCorked) return;
    this.isCorked = false;
    this.corkedBytes = 0;
    this.socket?.uncork();
  }

  setReading(isReading: boolean): void {
    if (isReading) this.ws.resume();
    else this.ws.pause();
  }

  bufferedBytes(): number {
    return this.ws.bufferedAmount;
  }

  receivedBytes(): number {
    return this.socket?.bytesRead ?? 0;
  }

  close(reason: CloseReason, detail = ''): void {
    if (this.phase.kind === 'over') return;
    const wasOpen = this.phase.kind === 'open';
    this.phase = { kind: 'over' };
    this.flush();
    if (wasOpen) this.ws.close(codedClose, closeText(reason, detail));
    else this.ws.terminate();
  }

  destroy(): void {
    this.phase = { kind: 'over' };
    this.ws.terminate();
  }
}

function closeText(reason: CloseReason, detail: string): string {
  const ascii = detail.replace(/[^\x20-\x7e]/g, '?');
  return `${reason} ${ascii}`.trim().slice(0, closeTextBytesMax);
}

/** What a close frame, or its absence (1006), says. */
function closeOf(code: number, reason: Uint8Array): SocketClose {
  if (code === codedClose) {
    const text = Buffer.from(reason).toString('latin1');
    const space = text.indexOf(' ');
    const word = space === -1 ? text : text.slice(0, space);
    const detail = space === -1 ? '' : text.slice(space + 1);
    if (word === 'closed' || isErrorCode(word)) return { reason: word, isByPeer: true, detail };
  }
  const detail = `close code ${code}`;
  // What `ws` tells a peer whose frames it cannot take.
  if (code === 1009) return { reason: 'FRAME_TOO_LARGE', isByPeer: true, detail };
  if (code === 1002 || code === 1003 || code === 1007 || code === 1008) {
    return { reason: 'FRAME_MALFORMED', isByPeer: true, detail };
  }
  return { reason: 'CONNECTION_LOST', isByPeer: code !== 1006, detail };
}

function failureOf(error: NodeJS.ErrnoException, isConnecting: boolean): SocketClose {
  const code = error.code ?? '';
  const detail = code === '' ? error.message : code;
  const reason = failureReason(code, isConnecting);
  return { reason, isByPeer: false, detail };
}

function failureReason(code: string, isConnecting: boolean): CloseReason {
  if (code === 'WS_ERR_UNSUPPORTED_MESSAGE_LENGTH') return 'FRAME_TOO_LARGE';
  if (code === 'WS_ERR_UNSUPPORTED_DATA_PAYLOAD_LENGTH') return 'FRAME_TOO_LARGE';
  if (code.startsWith('WS_ERR_')) return 'FRAME_MALFORMED';
  // Not HTTP at all: whatever answers there is no server of ours.
  if (code.startsWith('HPE_')) return 'VERSION_MISMATCH';
  return isConnecting ? 'UNAVAILABLE' : 'CONNECTION_LOST';
}
