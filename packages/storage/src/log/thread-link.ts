/**
 * The store's end of its thread: starts it, carries messages, and says once that it has ended.
 */
import { Worker } from 'node:worker_threads';
import { MokuError } from '@moku/base';
import type { ErrorForm, FromThread, ThreadOptions, ToThread } from './protocol.js';

export interface ThreadListener {
  onMessage(message: FromThread): void;
  /** The thread broke, by an error of its own or because it could not be started. */
  onBroken(error: MokuError): void;
}

/** The store's way to its thread. Messages arrive in the order in which they were posted. */
export interface LogLink {
  /** Resolves when the thread has ended and holds no file any more. */
  readonly ended: Promise<void>;
  /** From now on messages go to `listener`. */
  listen(listener: ThreadListener): void;
  post(message: ToThread, transfer?: ArrayBuffer[]): void;
  /** Ends the thread where it stands; what was not synced is lost. */
  terminate(): Promise<void>;
}

/** Starts a thread that opens the files, and tells `listener` what it finds. */
export type StartLogLink = (options: ThreadOptions, listener: ThreadListener) => LogLink;

export class ThreadLink implements LogLink {
  readonly ended: Promise<void>;
  private readonly worker: Worker;
  private listener: ThreadListener;

  constructor(options: ThreadOptions, listener: ThreadListener) {
    this.listener = listener;
    // From src/ as well as from dist/ this is the built file.
    const url = new URL('../../dist/log/worker.js', import.meta.url);
    this.worker = new Worker(url, { workerData: options, execArgv: [], name: 'moku-log' });
    this.worker.on('message', (message: FromThread) => this.listener.onMessage(message));
    this.worker.on('error', (cause) => {
      this.listener.onBroken(new MokuError('LOG_IO', { operation: 'thread' }, { cause }));
    });
    this.ended = new Promise((resolve) => {
      this.worker.once('exit', (exitCode) => {
        resolve();
        this.listener.onBroken(new MokuError('LOG_IO', { operation: 'thread', exitCode }));
      });
    });
  }

  listen(listener: ThreadListener): void {
    this.listener = listener;
  }

  post(message: ToThread, transfer: ArrayBuffer[] = []): void {
    this.worker.postMessage(message, transfer);
  }

  async terminate(): Promise<void> {
    await this.worker.terminate();
    await this.ended;
  }
}

export function errorOf(form: ErrorForm): MokuError {
  const options = form.cause === '' ? undefined : { cause: form.cause };
  return new MokuError(form.code, form.details, options);
}
