// @hot
/**
 * One client's connection on the node's side. Requests go to the handler as they come; answers that
 * are ready in the same turn of the event loop share a message.
 *
 * Invariants:
 *  C1 Every request is answered exactly once, unless it was cancelled or the connection ended.
 *  C2 Requests and their bytes under way are bounded: beyond, the answer is BUSY.
 *  C3 A client that does not take its answers is not read from, and in the end cut off; so what waits
 *     for it is bounded.
 */
import { type Clock, InvariantError, limits, MokuError, type TimerHandle } from '@moku/base';
import type { TransportLogger } from '../logger.js';
import type { CloseReason, FrameSocket, SocketClose } from '../sockets/frame-socket.js';
import { type SilenceLimits, SilenceWatch } from '../sockets/silence-watch.js';
import { writeAnswer } from './answer-codec.js';
import {
  answerTypes,
  BatchReader,
  BatchWriter,
  checkGreeting,
  encodeGreeting,
  encodeSignal,
  requestTypes,
} from './batch.js';
import type { ClientAnswer, ClientRequest, RequestHandler } from './contract.js';
import { readRequest, requestBytes } from './request-codec.js';
import { batchBytesTarget } from './sizes.js';

/** What all connections of a server use together. */
export interface ServerLoad {
  requestsInFlight: number;
  requestBytesInFlight: number;
  /** Since the start. */
  requests: number;
  /** Requests and connections refused for a bound, since the start. */
  refusals: number;
}

export interface ConnectionContext {
  readonly handler: RequestHandler;
  readonly clock: Clock;
  readonly logger: TransportLogger;
  readonly load: ServerLoad;
  readonly requestsInFlightMax: number;
  readonly requestBytesInFlightMax: number;
  readonly greetingTimeoutMs: number;
  readonly silence: SilenceLimits;
  /** A client that takes nothing for this long while much waits for it is cut off. */
  readonly stalledMsMax: number;
  onEnd(connection: ClientConnection): void;
}

/** Above this a client is not read from until it has taken half of it. */
const pausedBytesMin = limits.requestBytesMax;
/** Above this a client is cut off. */
const answerBytesMax = 16 * limits.requestBytesMax;

/** A request under way. */
interface InFlight {
  readonly controller: AbortController;
  readonly bytes: number;
  isCancelled: boolean;
}

interface Ready {
  readonly id: number;
  readonly answer: ClientAnswer;
}

type Phase =
  | { kind: 'greeting'; timer: TimerHandle }
  | { kind: 'open' }
  /** Answers what is under way, then ends. */
  | { kind: 'draining' }
  | { kind: 'over' };

export class ClientConnection {
  private readonly socket: FrameSocket;
  private readonly context: ConnectionContext;
  private readonly watch: SilenceWatch;
  private readonly inFlight = new Map<number, InFlight>();
  private readonly batch = new BatchWriter();
  private ready: Ready[] = [];
  private phase: Phase;
  private isFlushDue = false;
  private messagesSent = 0;
  /** Reading is paused (C3): bytes that waited at the last tick, and since when they have not shrunk. */
  private stalled: { bytes: number; sinceMs: number } | undefined;

  constructor(socket: FrameSocket, context: ConnectionContext) {
    const { clock, greetingTimeoutMs, silence } = context;
    this.socket = socket;
    this.context = context;
    this.watch = new SilenceWatch(silence, clock.monotonicMs());
    const timer = clock.after(greetingTimeoutMs, () => this.end('HANDSHAKE_TIMEOUT', 'greeting'));
    this.phase = { kind: 'greeting', timer };
    socket.subscribe({
      onOpen: () => {},
      onMessage: (message) => this.received(message),
      onClose: (close) => this.finish(close),
    });
  }

  /** Looks after a client that is silent or takes nothing. */
  tick(nowMs: number, lateMs: number): void {
    if (this.phase.kind === 'greeting' || this.phase.kind === 'over') return;
    if (this.stalled !== undefined) {
      this.tickStalled(this.stalled, nowMs, lateMs);
      return;
    }
    const receivedBytes = this.socket.receivedBytes();
    const verdict = this.watch.tick(nowMs, lateMs, receivedBytes, this.messagesSent);
    if (verdict === 'silent') this.end('PEER_SILENT', '');
    else if (verdict === 'sendAlive') this.send(encodeSignal(answerTypes.alive));
  }

  private tickStalled(
    stalled: { bytes: number; sinceMs: number },
    nowMs: number,
    lateMs: number,
  ): void {
    const bytes = this.socket.bufferedBytes();
    const sinceMs = bytes < stalled.bytes ? nowMs : stalled.sinceMs + lateMs;
    if (nowMs - sinceMs >= this.context.stalledMsMax) this.end('PEER_OVERRUN', 'answers');
    else this.stalled = { bytes, sinceMs };
  }

  /** Takes no more requests, answers those under way, and ends. */
  drain(): void {
    if (this.phase.kind === 'greeting') this.end('UNAVAILABLE', 'closing');
    if (this.phase.kind !== 'open') return;
    this.phase = { kind: 'draining' };
    this.endWhenDrained();
  }

  private received(message: Uint8Array): void {
    try {
      if (this.phase.kind === 'greeting') this.greeted(message, this.phase.timer);
      else this.items(new BatchReader(message));
    } catch (error) {
      if (!(error instanceof MokuError)) throw error;
      this.end(error.code, String(error.details.field ?? ''));
    }
  }

  private greeted(message: Uint8Array, timer: TimerHandle): void {
    checkGreeting(message, requestTypes.hello);
    timer.cancel();
    this.phase = { kind: 'open' };
    this.send(encodeGreeting(answerTypes.welcome));
  }

  private items(batch: BatchReader): void {
    while (this.phase.kind !== 'over' && batch.next()) {
      const { type, id } = batch;
      if (type === requestTypes.cancel) this.cancel(id);
      else if (type !== requestTypes.alive) this.take(batch);
    }
  }

  private cancel(id: number): void {
    const request = this.inFlight.get(id);
    if (request === undefined || request.isCancelled) return;
    request.isCancelled = true;
    request.controller.abort();
  }

  private take({ type, id, body }: BatchReader): void {
    if (this.inFlight.has(id)) throw new MokuError('FRAME_MALFORMED', { field: 'id', id });
    let request: ClientRequest;
    try {
      request = readRequest(type, body);
    } catch (error) {
      if (!(error instanceof MokuError)) throw error;
      this.answer(id, malformed(error));
      return;
    }
    const bytes = requestBytes(request);
    const refusal = this.refusal(bytes);
    if (refusal !== undefined) {
      this.context.load.refusals += 1;
      this.answer(id, errorAnswer(refusal));
      return;
    }
    this.start(id, request, bytes);
  }

  /** Why a request is not begun. All of these are definite. */
  private refusal(bytes: number): MokuError | undefined {
    const { load, requestsInFlightMax, requestBytesInFlightMax } = this.context;
    if (this.phase.kind !== 'open') return new MokuError('UNAVAILABLE', { reason: 'closing' });
    if (this.inFlight.size >= requestsInFlightMax) {
      return new MokuError('BUSY', { queue: 'requestsInFlight', bound: requestsInFlightMax });
    }
    if (load.requestBytesInFlight + bytes <= requestBytesInFlightMax) return undefined;
    return new MokuError('BUSY', { queue: 'requestBytes', bound: requestBytesInFlightMax });
  }

  private start(id: number, request: ClientRequest, bytes: number): void {
    const { handler, load } = this.context;
    const entry: InFlight = { controller: new AbortController(), bytes, isCancelled: false };
    this.inFlight.set(id, entry);
    load.requests += 1;
    load.requestsInFlight += 1;
    load.requestBytesInFlight += bytes;
    handler.handle(request, entry.controller.signal).then(
      (answer) => this.handled(id, entry, answer),
      (error: unknown) => this.handled(id, entry, failure(error)),
    );
  }

  private handled(id: number, entry: InFlight, answer: ClientAnswer): void {
    const { load } = this.context;
    load.requestsInFlight -= 1;
    load.requestBytesInFlight -= entry.bytes;
    if (this.phase.kind === 'over') return;
    this.inFlight.delete(id);
    // The answer to a cancelled request still goes out: only it makes the id free again (R3).
    this.answer(id, answer);
  }

  private answer(id: number, answer: ClientAnswer): void {
    this.ready.push({ id, answer });
    if (this.isFlushDue) return;
    this.isFlushDue = true;
    this.context.clock.soon(() => this.flush());
  }

  private flush(): void {
    this.isFlushDue = false;
    if (this.phase.kind === 'over') return;
    const { batch } = this;
    const ready = this.ready;
    this.ready = [];
    for (let i = 0; i < ready.length; i++) {
      const { id, answer } = ready[i]!;
      if (answer.kind === 'bytes') this.writeBytes(id, answer);
      else if (answer.kind === 'error') writeAnswer(batch, id, answer);
      else this.sendRare(id, answer);
      if (batch.length > batchBytesTarget) this.send(batch.take());
    }
    if (!batch.isEmpty) this.send(batch.take());
    this.boundBuffer();
    this.endWhenDrained();
  }

  private writeBytes(id: number, answer: ClientAnswer & { kind: 'bytes' }): void {
    const { batch } = this;
    const bytes = answer.bytes.length;
    if (bytes > limits.requestBytesMax) {
      writeAnswer(batch, id, tooLarge(bytes));
      return;
    }
    if (!batch.isEmpty && batch.length + bytes > batchBytesTarget) this.send(batch.take());
    writeAnswer(batch, id, answer);
  }

  /** How large these get is known only when they are written: each has a message of its own. */
  private sendRare(id: number, answer: ClientAnswer): void {
    const own = new BatchWriter();
    writeAnswer(own, id, answer);
    if (own.length <= limits.requestBytesMax) this.send(own.take());
    else writeAnswer(this.batch, id, tooLarge(own.length));
  }

  private send(message: Uint8Array): void {
    this.messagesSent += 1;
    this.socket.send(message);
  }

  /** C3. */
  private boundBuffer(): void {
    const bytes = this.socket.bufferedBytes();
    if (bytes > answerBytesMax) {
      this.end('PEER_OVERRUN', 'answers');
      return;
    }
    if (bytes <= pausedBytesMin || this.stalled !== undefined) return;
    this.stalled = { bytes, sinceMs: this.context.clock.monotonicMs() };
    this.socket.setReading(false);
    this.socket.send(encodeSignal(answerTypes.alive), () => this.resume());
  }

  private resume(): void {
    if (this.stalled === undefined || this.phase.kind === 'over') return;
    if (this.socket.bufferedBytes() > pausedBytesMin / 2) {
      this.socket.send(encodeSignal(answerTypes.alive), () => this.resume());
      return;
    }
    this.stalled = undefined;
    this.socket.setReading(true);
  }

  private endWhenDrained(): void {
    if (this.phase.kind !== 'draining') return;
    if (this.inFlight.size === 0 && this.ready.length === 0) this.end('closed', 'drained');
  }

  end(reason: CloseReason, detail: string): void {
    this.finish({ reason, isByPeer: false, detail });
  }

  private finish({ reason, isByPeer, detail }: SocketClose): void {
    if (this.phase.kind === 'over') return;
    if (this.phase.kind === 'greeting') this.phase.timer.cancel();
    this.phase = { kind: 'over' };
    this.socket.close(reason, detail);
    const isQuiet = reason === 'closed' || reason === 'CONNECTION_LOST';
    if (!isQuiet) {
      const { remote } = this.socket;
      this.context.logger.warn({ remote, reason, isByPeer, detail }, 'client connection ended');
    }
    for (const { controller } of this.inFlight.values()) controller.abort();
    this.inFlight.clear();
    this.context.onEnd(this);
  }
}

function errorAnswer(error: MokuError): ClientAnswer {
  const { code, outcome, message, details } = error;
  return { kind: 'error', code, outcome, message, details };
}

/** An answer that no message may carry. */
function tooLarge(bytes: number): ClientAnswer {
  const bound = limits.requestBytesMax;
  return errorAnswer(new MokuError('INTERNAL', { field: 'answer', bytes, bound }));
}

function malformed(error: MokuError): ClientAnswer {
  const details = { ...error.details, reason: error.code };
  return errorAnswer(new MokuError('MALFORMED_REQUEST', details));
}

/** A handler resolves always; a broken invariant ends the process, by way of its uncaught exceptions. */
function failure(error: unknown): ClientAnswer {
  if (error instanceof MokuError) return errorAnswer(error);
  if (error instanceof InvariantError) {
    queueMicrotask(() => {
      throw error;
    });
  }
  return errorAnswer(new MokuError('INTERNAL', { reason: String(error) }));
}
