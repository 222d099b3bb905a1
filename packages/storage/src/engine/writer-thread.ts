/**
 * The loop's end of the writer's thread: starts it, passes messages, and turns every way in which it
 * can end unasked into one ENGINE_IO.
 */
import { Worker } from 'node:worker_threads';
import { type ErrorDetails, MokuError, unreachable } from '@moku/base';
import type { FromWriter, ToWriter } from './messages.js';

/** Resolves to the compiled worker from src/engine and from dist/engine alike. */
const workerUrl = new URL('../../dist/engine/worker.js', import.meta.url);
/** The writer keeps nothing on its heap; small young generations keep the process small. */
const youngGenerationMiB = 8;

export type Ready = Extract<FromWriter, { type: 'ready' }>;
export type Flushed = Extract<FromWriter, { type: 'flushed' }>;

export interface WriterEvents {
  onFlushed(message: Flushed): void;
  /** Once; nothing follows. */
  onFailed(error: MokuError): void;
}

type Phase =
  | {
      readonly kind: 'opening';
      readonly resolve: (ready: Ready) => void;
      readonly reject: (error: MokuError) => void;
    }
  | { readonly kind: 'open'; readonly events: WriterEvents | undefined }
  | { readonly kind: 'closing'; readonly resolve: () => void }
  | { readonly kind: 'ended' };

/** The way to a thread in which a `WriterLoop` runs. Messages arrive in the order in which they were posted. */
export interface WriterLink {
  post(message: ToWriter): void;
  /** Ends the thread where it stands. */
  terminate(): Promise<unknown>;
}

export interface WriterLinkEvents {
  onMessage(message: FromWriter): void;
  /** The thread broke or has ended, by whatever cause. */
  onEnded(details: ErrorDetails, cause?: unknown): void;
}

/** Starts a writer on `directory`; events come after this has returned. */
export type StartWriterLink = (directory: string, events: WriterLinkEvents) => WriterLink;

export const startWriterWorker: StartWriterLink = (directory, events) => {
  const worker = new Worker(workerUrl, {
    workerData: { directory },
    execArgv: [],
    resourceLimits: { maxYoungGenerationSizeMb: youngGenerationMiB },
  });
  worker.on('message', (message: FromWriter) => events.onMessage(message));
  worker.on('error', (cause) => events.onEnded({ reason: 'thread' }, cause));
  worker.on('exit', (exitCode) => events.onEnded({ reason: 'thread ended', exitCode }));
  return {
    post: (message) => worker.postMessage(message),
    terminate: () => worker.terminate(),
  };
};

export class WriterThread {
  private readonly link: WriterLink;
  private phase: Phase;
  /** What the file held when it was opened. */
  readonly ready: Promise<Ready>;

  /** Starts a writer on `directory`; `ready` rejects with its coded reason when it cannot open it. */
  constructor(directory: string, start: StartWriterLink) {
    const { promise, resolve, reject } = withResolvers<Ready>();
    this.ready = promise;
    this.phase = { kind: 'opening', resolve, reject };
    this.link = start(directory, {
      onMessage: (message) => this.receive(message),
      onEnded: (details, cause) => this.fail(new MokuError('ENGINE_IO', details, { cause })),
    });
  }

  subscribe(events: WriterEvents): void {
    if (this.phase.kind === 'open') this.phase = { kind: 'open', events };
  }

  /** Dropped when the writer has ended. */
  post(message: ToWriter): void {
    this.link.post(message);
  }

  /** Closes the file and ends the thread. */
  async close(): Promise<void> {
    if (this.phase.kind === 'open') {
      const { promise, resolve } = withResolvers<void>();
      this.phase = { kind: 'closing', resolve };
      this.post({ type: 'close' });
      await promise;
    }
    await this.link.terminate();
  }

  private receive(message: FromWriter): void {
    const { phase } = this;
    switch (message.type) {
      case 'ready':
        if (phase.kind !== 'opening') return;
        this.phase = { kind: 'open', events: undefined };
        phase.resolve(message);
        return;
      case 'flushed':
        if (phase.kind === 'open') phase.events?.onFlushed(message);
        return;
      case 'failed':
        this.fail(new MokuError(message.code, message.details));
        return;
      case 'closed':
        if (phase.kind !== 'closing') return;
        this.phase = { kind: 'ended' };
        phase.resolve();
        return;
      default:
        unreachable(message);
    }
  }

  private fail(error: MokuError): void {
    const { phase } = this;
    this.phase = { kind: 'ended' };
    switch (phase.kind) {
      case 'opening':
        phase.reject(error);
        return;
      case 'open':
        phase.events?.onFailed(error);
        return;
      case 'closing':
        phase.resolve();
        return;
      case 'ended':
        return;
      default:
        unreachable(phase);
    }
  }
}

function withResolvers<T>(): {
  readonly promise: Promise<T>;
  readonly resolve: (value: T) => void;
  readonly reject: (error: Error) => void;
} {
  let resolve: (value: T) => void = () => {};
  let reject: (error: Error) => void = () => {};
  const promise = new Promise<T>((onResolve, onReject) => {
    resolve = onResolve;
    reject = onReject;
  });
  return { promise, resolve, reject };
}
