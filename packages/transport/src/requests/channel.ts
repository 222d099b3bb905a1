// @hot
/**
 * The client's end of a WebSocket that carries many requests at once. Requests made in the same turn
 * of the event loop share a message.
 *
 * Invariants:
 *  R1 Every request is settled exactly once: by its answer, its signal, or the channel's end.
 *  R2 UNAVAILABLE, BUSY and a definite ABORTED are only used for a request that was never sent (P5).
 *  R3 An id is not used again while an answer to it may still come.
 */
import { type Clock, limits, MokuError } from '@moku/base';
import { silentLogger, type TransportLogger } from '../logger.js';
import type { FrameSocket, SocketClose, SocketLayer } from '../sockets/frame-socket.js';
import { plainSockets } from '../sockets/plain-sockets.js';
import { SilenceWatch } from '../sockets/silence-watch.js';
import { Ticker } from '../sockets/ticker.js';
import { createSystemClock } from '../system-clock.js';
import { AbortWatch } from './abort-watch.js';
import { readAnswer } from './answer-codec.js';
import {
  answerTypes,
  BatchReader,
  BatchWriter,
  checkGreeting,
  encodeGreeting,
  encodeSignal,
  requestPath,
  requestTypes,
} from './batch.js';
import type { ClientAnswer, ClientRequest, RequestChannel } from './contract.js';
import { requestBytes, writeRequest } from './request-codec.js';
import { batchBytesTarget, requestMessageBytesMax, silenceMsDefault } from './sizes.js';

export interface DialChannelOptions {
  /** host:port of a node's client socket. */
  readonly address: string;
  /** Default: the system's. */
  readonly clock?: Clock;
  readonly logger?: TransportLogger;
  /** For the socket and the greeting together. Default 3,000. */
  readonly timeoutMs?: number;
  /** A node that sends nothing for this long is lost: the channel ends. Default 3,000. */
  readonly silenceMs?: number;
  /** Gives up dialing; later aborts have no effect. */
  readonly signal?: AbortSignal;
  /** How sockets are made. Default: plain, without encryption or authentication. */
  readonly sockets?: SocketLayer;
}

const timeoutMsDefault = 3_000;
const ticksPerSilence = 6;
/** Bytes of requests that may wait for the operating system. */
const bufferedBytesMax = 16 * limits.requestBytesMax;

/**
 * Opens a channel to a node. Rejects with UNAVAILABLE (nobody answers there), VERSION_MISMATCH (whoever
 * answers does not speak this protocol, or another version of it), ABORTED or INVALID_ARGUMENT.
 */
export function dialRequestChannel(options: DialChannelOptions): Promise<RequestChannel> {
  const { address, signal, sockets = plainSockets, clock = createSystemClock() } = options;
  return new Promise((resolve, reject) => {
    if (signal?.aborted === true) {
      reject(new MokuError('ABORTED').withOutcome('definite'));
      return;
    }
    const messageBytesMax = requestMessageBytesMax;
    const socket = sockets.dial({ address, path: requestPath, messageBytesMax });
    const leave = (): void => {
      timer.cancel();
      signal?.removeEventListener('abort', onAbort);
    };
    const fail = (error: MokuError): void => {
      leave();
      socket.destroy();
      reject(error);
    };
    const onAbort = (): void => fail(new MokuError('ABORTED').withOutcome('definite'));
    const timer = clock.after(options.timeoutMs ?? timeoutMsDefault, () => {
      fail(new MokuError('UNAVAILABLE', { address, reason: 'HANDSHAKE_TIMEOUT' }));
    });
    signal?.addEventListener('abort', onAbort, { once: true });
    socket.subscribe({
      onOpen: () => socket.send(encodeGreeting(requestTypes.hello)),
      onMessage: (message) => {
        try {
          checkGreeting(message, answerTypes.welcome);
        } catch (cause) {
          fail(new MokuError('VERSION_MISMATCH', { address, field: 'greeting' }, { cause }));
          return;
        }
        leave();
        resolve(new SocketChannel(socket, clock, options));
      },
      onClose: (close) => fail(dialError(address, close)),
    });
  });
}

function dialError(address: string, { reason, detail }: SocketClose): MokuError {
  const isForeign = reason === 'VERSION_MISMATCH' || reason.startsWith('FRAME_');
  if (isForeign) return new MokuError('VERSION_MISMATCH', { address, detail });
  if (reason === 'UNAUTHORIZED') return new MokuError('UNAUTHORIZED', { address, detail });
  return new MokuError('UNAVAILABLE', { address, reason, detail });
}

/** A request under way. */
interface Pending {
  readonly id: number;
  readonly request: ClientRequest;
  readonly resolve: (answer: ClientAnswer) => void;
  readonly reject: (error: MokuError) => void;
  readonly signal: AbortSignal | undefined;
  onAbort: (() => void) | undefined;
  isSent: boolean;
}

class SocketChannel implements RequestChannel {
  private readonly socket: FrameSocket;
  private readonly clock: Clock;
  private readonly logger: TransportLogger;
  private readonly address: string;
  private readonly ticker: Ticker;
  private readonly aborts = new AbortWatch();
  private readonly pendings = new Map<number, Pending>();
  /** Aborted after they were sent: their answers are still to come (R3). */
  private readonly cancelled = new Set<number>();
  /** Made in this turn, not yet sent, in order. */
  private queue: Pending[] = [];
  /** Ids to cancel at the turn's end. */
  private cancels: number[] = [];
  private readonly batch = new BatchWriter();
  private isFlushDue = false;
  private isOver = false;
  private lastId = 0;
  private messagesSent = 0;

  constructor(socket: FrameSocket, clock: Clock, options: DialChannelOptions) {
    const { silenceMs = silenceMsDefault } = options;
    this.socket = socket;
    this.clock = clock;
    this.logger = options.logger ?? silentLogger;
    this.address = options.address;
    const watch = new SilenceWatch({ aliveMs: silenceMs / 3, silenceMs }, clock.monotonicMs());
    this.ticker = new Ticker(clock, silenceMs / ticksPerSilence, (nowMs, lateMs) => {
      const verdict = watch.tick(nowMs, lateMs, socket.receivedBytes(), this.messagesSent);
      if (verdict === 'silent') this.end({ reason: 'PEER_SILENT', isByPeer: false, detail: '' });
      else if (verdict === 'sendAlive') this.send(encodeSignal(requestTypes.alive));
    });
    socket.subscribe({
      onOpen: () => {},
      onMessage: (message) => this.received(message),
      onClose: (close) => this.end(close),
    });
  }

  get isOpen(): boolean {
    return !this.isOver;
  }

  request(request: ClientRequest, signal?: AbortSignal): Promise<ClientAnswer> {
    const refusal = this.refusal(request, signal);
    if (refusal !== undefined) return Promise.reject(refusal);
    return new Promise((resolve, reject) => {
      const id = this.nextId();
      const pending: Pending = {
        id,
        request,
        resolve,
        reject,
        signal,
        onAbort: undefined,
        isSent: false,
      };
      if (signal !== undefined) {
        pending.onAbort = () => this.aborted(pending);
        this.aborts.add(signal, pending.onAbort);
      }
      this.pendings.set(id, pending);
      this.queue.push(pending);
      this.flushSoon();
    });
  }

  /** Why a request is not even queued; all of these are definite (R2). */
  private refusal(request: ClientRequest, signal: AbortSignal | undefined): MokuError | undefined {
    const { address } = this;
    if (this.isOver) return new MokuError('UNAVAILABLE', { address, reason: 'closed' });
    if (signal?.aborted === true) return new MokuError('ABORTED').withOutcome('definite');
    const bound = limits.requestsInFlightMax;
    if (this.pendings.size + this.cancelled.size >= bound) {
      return new MokuError('BUSY', { queue: 'requestsInFlight', bound });
    }
    if (this.socket.bufferedBytes() > bufferedBytesMax) {
      return new MokuError('BUSY', { queue: 'requestBytes', bound: bufferedBytesMax });
    }
    const bytes = requestBytes(request);
    if (bytes <= limits.requestBytesMax) return undefined;
    return new MokuError('FRAME_TOO_LARGE', {
      field: request.kind,
      bytes,
      bound: limits.requestBytesMax,
    });
  }

  private nextId(): number {
    do {
      this.lastId = (this.lastId + 1) >>> 0;
    } while (this.pendings.has(this.lastId) || this.cancelled.has(this.lastId));
    return this.lastId;
  }

  private flushSoon(): void {
    if (this.isFlushDue) return;
    this.isFlushDue = true;
    this.clock.soon(() => this.flush());
  }

  private flush(): void {
    this.isFlushDue = false;
    if (this.isOver) return;
    const { batch } = this;
    const queue = this.queue;
    this.queue = [];
    for (let i = 0; i < queue.length; i++) {
      const pending = queue[i]!;
      if (this.pendings.get(pending.id) !== pending) continue;
      const bytes = requestBytes(pending.request);
      if (!batch.isEmpty && batch.length + bytes > batchBytesTarget) this.send(batch.take());
      pending.isSent = true;
      writeRequest(batch, pending.id, pending.request);
    }
    const cancels = this.cancels;
    this.cancels = [];
    for (let i = 0; i < cancels.length; i++) {
      batch.begin(requestTypes.cancel, cancels[i]!);
      batch.end();
    }
    if (!batch.isEmpty) this.send(batch.take());
  }

  private send(message: Uint8Array): void {
    this.messagesSent += 1;
    this.socket.send(message);
  }

  private received(message: Uint8Array): void {
    try {
      const batch = new BatchReader(message);
      while (!this.isOver && batch.next()) this.answered(batch);
    } catch (error) {
      if (!(error instanceof MokuError)) throw error;
      this.end({
        reason: error.code,
        isByPeer: false,
        detail: String(error.details.field ?? ''),
      });
    }
  }

  private answered({ type, id, body }: BatchReader): void {
    if (type === answerTypes.alive) return;
    const pending = this.pendings.get(id);
    if (pending === undefined) {
      this.cancelled.delete(id);
      return;
    }
    const answer = readAnswer(type, body);
    this.settle(pending);
    pending.resolve(answer);
  }

  private aborted(pending: Pending): void {
    this.settle(pending);
    if (!pending.isSent) {
      pending.reject(new MokuError('ABORTED').withOutcome('definite'));
      return;
    }
    this.cancelled.add(pending.id);
    this.cancels.push(pending.id);
    this.flushSoon();
    pending.reject(new MokuError('ABORTED'));
  }

  private settle(pending: Pending): void {
    this.pendings.delete(pending.id);
    if (pending.signal !== undefined && pending.onAbort !== undefined) {
      this.aborts.remove(pending.signal, pending.onAbort);
    }
  }

  private end({ reason, isByPeer, detail }: SocketClose): void {
    if (this.isOver) return;
    this.isOver = true;
    this.ticker.stop();
    this.socket.close(reason, detail);
    const { address } = this;
    const lost = this.pendings.size;
    if (reason !== 'closed') {
      this.logger.warn({ address, reason, isByPeer, detail, lost }, 'channel lost');
    }
    for (const pending of [...this.pendings.values()]) {
      this.settle(pending);
      const details = { address, reason, detail };
      pending.reject(new MokuError(pending.isSent ? 'CONNECTION_LOST' : 'UNAVAILABLE', details));
    }
    this.cancelled.clear();
  }

  close(): Promise<void> {
    this.end({ reason: 'closed', isByPeer: false, detail: '' });
    return Promise.resolve();
  }
}
