/**
 * The log's thread: recovers the rows at the start, then takes all commits that wait as one transaction,
 * syncs it, answers, and only then reads rows and copies the write-ahead log into the file.
 *
 * Invariants:
 *  K1 'durable' is said after the sync, in the order of the serials.
 *  K2 After an error of the disk the thread commits and answers nothing more (P7).
 *  K3 A row is read after every commit that was asked for before.
 */
import { isMokuError, MokuError } from '@moku/base';
import type { Medium } from '../medium.js';
import { isDamage, LogDatabase, sqliteCode } from './database.js';
import type {
  CommitMessage,
  ErrorForm,
  FetchedRow,
  FileStats,
  FromThread,
  ThreadOptions,
  ToThread,
} from './protocol.js';
import { readToc, tocStride } from './row-codec.js';

/** Numbers per message of recovered records. */
const recoveryChunk = 1 << 16;

/** The thread's end of its link to the store. */
export interface LogPort {
  post(message: FromThread, transfer: ArrayBuffer[]): void;
  /** The next message that waits already; undefined when there is none. */
  next(): ToThread | undefined;
  /** The thread ends. */
  close(): void;
}

/** Opens the files and recovers; then `handle` is to be called with each message. Undefined: it was refused, and said so. */
export function startLogThread(
  port: LogPort,
  options: ThreadOptions,
  medium: Medium,
): LogThread | undefined {
  try {
    const thread = new LogThread(port, options, medium);
    thread.recover();
    return thread;
  } catch (error) {
    port.post({ type: 'refused', error: refusalForm(error) }, []);
    return undefined;
  }
}

export class LogThread {
  private readonly port: LogPort;
  private readonly options: ThreadOptions;
  private readonly database: LogDatabase;
  private commits = 0;
  private commitsJoined = 0;
  private rowsRead = 0;
  private hasFailed = false;

  constructor(port: LogPort, options: ThreadOptions, medium: Medium) {
    this.port = port;
    this.options = options;
    this.database = new LogDatabase(options, medium);
  }

  /** Tells everything that the file holds. */
  recover(): void {
    const { incarnation, storeId, amnesia } = this.database;
    const states = this.database.states();
    const metas = this.database.metas();
    this.post({ type: 'states', states, metas, incarnation, storeId, amnesia });
    let chunk = newChunk();
    for (const row of this.database.rows()) {
      const toc = readToc(row.bytes, row.seq);
      if (!toc.isComplete) this.database.noteAmnesia(`row ${row.seq} of the log is damaged`);
      chunk.seqs.push(row.seq);
      chunk.rowBytes.push(row.bytes.length);
      chunk.recordCounts.push(toc.count);
      chunk.isComplete.push(toc.isComplete);
      chunk.items.push(toc.items.subarray(0, toc.count * tocStride));
      chunk.numbers += toc.items.length;
      if (chunk.numbers < recoveryChunk && chunk.seqs.length < recoveryChunk) continue;
      this.postChunk(chunk);
      chunk = newChunk();
    }
    this.postChunk(chunk);
    this.post({ type: 'opened' });
  }

  /** Handles `first` and all messages that wait behind it. */
  handle(first: ToThread): void {
    if (this.hasFailed) return;
    try {
      this.handleAll(first);
    } catch (error) {
      // The thread ends, and with it every hold on the files.
      this.hasFailed = true;
      this.post({ type: 'failed', error: failureForm(error) });
      this.port.close();
    }
  }

  private handleAll(first: ToThread): void {
    const commits: CommitMessage[] = [];
    const others: ToThread[] = [];
    let bytes = 0;
    let next: ToThread | undefined = first;
    while (next !== undefined) {
      if (next.type === 'commit') {
        commits.push(next);
        bytes += next.bytes;
      } else {
        others.push(next);
      }
      if (bytes >= this.options.commitBytesMax) break;
      next = this.port.next();
    }
    this.commit(commits);
    for (const message of others) this.answer(message);
  }

  private commit(messages: readonly CommitMessage[]): void {
    const last = messages.at(-1);
    if (last === undefined) return;
    this.database.commit(messages);
    this.post({ type: 'durable', serial: last.serial });
    this.commits += 1;
    this.commitsJoined += messages.length - 1;
    this.database.noteSynced();
    if (this.database.walBytes() >= this.options.checkpointBytes) this.database.checkpoint();
  }

  private answer(message: ToThread): void {
    switch (message.type) {
      case 'commit':
        return;
      case 'fetch':
        this.fetch(message.requestId, message.seqs);
        return;
      case 'noteAmnesia':
        this.database.noteAmnesia(message.loss);
        this.post({ type: 'amnesia' });
        return;
      case 'clearAmnesia':
        this.database.clearAmnesia();
        this.post({ type: 'amnesia' });
        return;
      case 'stats':
        this.post({ type: 'stats', stats: this.stats() });
        return;
      case 'close':
        this.close();
        return;
    }
  }

  private fetch(requestId: number, seqs: readonly number[]): void {
    const rows: FetchedRow[] = [];
    const buffers: ArrayBuffer[] = [];
    for (const seq of seqs) {
      const row = this.database.readRow(seq);
      this.rowsRead += 1;
      rows.push(row);
      if (row.bytes !== undefined) buffers.push(row.bytes.buffer);
    }
    this.post({ type: 'fetched', requestId, rows }, buffers);
  }

  private stats(): FileStats {
    const { commits, commitsJoined, rowsRead } = this;
    return { ...this.database.sizes(), commits, commitsJoined, rowsRead };
  }

  private close(): void {
    this.database.close();
    this.post({ type: 'closed' });
    this.port.close();
  }

  private postChunk(chunk: Chunk): void {
    if (chunk.seqs.length === 0) return;
    const items = new Float64Array(chunk.numbers);
    let at = 0;
    for (const part of chunk.items) {
      items.set(part, at);
      at += part.length;
    }
    const { seqs, rowBytes, recordCounts, isComplete } = chunk;
    this.post({ type: 'rows', seqs, rowBytes, recordCounts, isComplete, items }, [items.buffer]);
  }

  private post(message: FromThread, transfer: ArrayBuffer[] = []): void {
    this.port.post(message, transfer);
  }
}

interface Chunk {
  readonly seqs: number[];
  readonly rowBytes: number[];
  readonly recordCounts: number[];
  readonly isComplete: boolean[];
  readonly items: Float64Array[];
  numbers: number;
}

function newChunk(): Chunk {
  return { seqs: [], rowBytes: [], recordCounts: [], isComplete: [], items: [], numbers: 0 };
}

function failureForm(error: unknown): ErrorForm {
  if (isMokuError(error)) return errorForm(error);
  const found = sqliteCode(error) || String(error);
  return errorForm(new MokuError('LOG_IO', { found }, { cause: error }));
}

function errorForm(error: MokuError): ErrorForm {
  const cause = error.cause === undefined ? '' : String(error.cause);
  return { code: error.code, details: error.details, cause };
}

function refusalForm(error: unknown): ErrorForm {
  const code = sqliteCode(error);
  if (!isDamage(code)) return failureForm(error);
  return errorForm(
    new MokuError('LOG_CORRUPT', { field: 'log.db', found: code }, { cause: error }),
  );
}
