/**
 * The loop's end of the writer's thread: starts it, passes messages, and turns every way in which it
 * can end unasked into one ENGINE_IO.
 */
import { Worker } from 'node:worker_threads';
import { MokuError, unreachable } from '@moku/base';
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

export class WriterThread {
  private readonly worker: Worker;
  private phase: Phase;
  /** What the file held when it was opened. */
  readonly ready: Promise<Ready>;

  /** Starts a writer on `directory`; `ready` rejects with its coded reason when it cannot open it. */
  constructor(directory: string) {
    this.worker = new Worker(workerUrl, {
      workerData: { directory },
      execArgv: [],
      resourceLimits: { maxYoungGenerationSizeMb: youngGenerationMiB },
    });
    const { promise, resolve, reject } = withResolvers<Ready>();
    this.ready = promise;
    this.phase = { kind: 'opening', resolve, reject };
    this.worker.on('message', (message: FromWriter) => this.receive(message));
    this.worker.on('error', (cause) =>
      this.fail(new MokuError('ENGINE_IO', { reason: 'thread' }, { cause })),
    );
    this.worker.on('exit', (exitCode) => this.onExit(exitCode));
  }

  subscribe(events: WriterEvents): void {
    if (this.phase.kind === 'open') this.phase = { kind: 'open', events };
  }

  /** Dropped when the writer has ended. */
  post(message: ToWriter): void {
    this.worker.postMessage(message);
  }

  /** Closes the file and ends the thread. */
  async close(): Promise<void> {
    if (this.phase.kind === 'open') {
      const { promise, resolve } = withResolvers<void>();
      this.phase = { kind: 'closing', resolve };
      this.post({ type: 'close' });
      await promise;
    }
    await this.worker.terminate();
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

  private onExit(exitCode: number): void {
    this.fail(new MokuError('ENGINE_IO', { reason: 'thread ended', exitCode }));
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
