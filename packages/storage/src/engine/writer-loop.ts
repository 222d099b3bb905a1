/**
 * What the writer's thread does: pumps messages into a `Writer`, reports back, and reclaims space whenever
 * no flush is under way. After a failure it says so once and does nothing more.
 */
import { unreachable } from '@moku/base';
import type { Medium } from '../medium.js';
import { engineError } from './errors.js';
import type { FromWriter, ToWriter } from './messages.js';
import { Writer } from './writer.js';

/** The thread's end of its link to the engine. */
export interface WriterPort {
  post(message: FromWriter): void;
  /** Runs `task` after the messages that wait already. */
  soon(task: () => void): void;
  /** The thread ends. */
  close(): void;
}

export class WriterLoop {
  private readonly directory: string;
  private readonly port: WriterPort;
  private writer: Writer | undefined = undefined;
  private isFlushing = false;
  private isReclaimScheduled = false;

  /** Opens the files in `directory` and says what they hold, or why they cannot be used. */
  constructor(directory: string, port: WriterPort, medium: Medium) {
    this.directory = directory;
    this.port = port;
    try {
      this.writer = new Writer(directory, medium);
      const { replicas, nextStoreId } = this.writer.recover();
      port.post({ type: 'ready', replicas, nextStoreId });
      this.reclaimSoon();
    } catch (cause) {
      this.fail(cause);
    }
  }

  handle(message: ToWriter): void {
    this.guarded((open) => this.receive(open, message));
  }

  private receive(open: Writer, message: ToWriter): void {
    switch (message.type) {
      case 'chunk':
        open.adoptChunk(message.slot, message.memory);
        return;
      case 'begin':
        this.isFlushing = true;
        open.begin(message);
        return;
      case 'rows':
        open.rows(message);
        return;
      case 'end': {
        const { appliedIndexes, stats } = open.end();
        this.isFlushing = false;
        this.port.post({ type: 'flushed', appliedIndexes, stats });
        this.reclaimSoon();
        return;
      }
      case 'close':
        this.writer = undefined;
        open.close();
        this.port.post({ type: 'closed' });
        this.port.close();
        return;
      default:
        unreachable(message);
    }
  }

  private reclaimSoon(): void {
    if (this.isReclaimScheduled) return;
    this.isReclaimScheduled = true;
    this.port.soon(() => {
      this.isReclaimScheduled = false;
      if (this.isFlushing) return;
      this.guarded((open) => {
        if (open.reclaimStep()) this.reclaimSoon();
      });
    });
  }

  private guarded(task: (writer: Writer) => void): void {
    if (this.writer === undefined) return;
    try {
      task(this.writer);
    } catch (cause) {
      this.fail(cause);
    }
  }

  private fail(cause: unknown): void {
    const { code, details } = engineError(cause, { dir: this.directory });
    const failed = this.writer;
    this.writer = undefined;
    this.port.post({ type: 'failed', code, details: printable(details) });
    try {
      failed?.close();
    } catch {
      // The failure was reported; closing what failed can only fail again.
    }
  }
}

/** Details as plain values, which any thread can receive. */
function printable(details: Readonly<Record<string, unknown>>): Record<string, string | number> {
  const plain: Record<string, string | number> = {};
  for (const [name, value] of Object.entries(details)) {
    plain[name] = typeof value === 'number' ? value : String(value);
  }
  return plain;
}
