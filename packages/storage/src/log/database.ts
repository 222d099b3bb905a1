/**
 * The log's SQLite file: opening with its checks, transactions, reads of rows. Used by one thread only.
 *
 * Invariants:
 *  D1 One process at a time: an exclusive lock on `log.lock`, held by the operating system for as long as
 *     the process lives, is taken before anything else is looked at.
 *  D2 synchronous=FULL in WAL mode, read back: every commit is synced before it returns.
 *  D3 A sign of amnesia (lost synced data) is written to `log.amnesia` and synced before SQLite forgets it.
 */
import { join } from 'node:path';
import { ByteReader, ByteWriter, isMokuError, MokuError, text, utf8 } from '@moku/base';
import type { Medium, SqlConnection, SqlStatement } from '../medium.js';
import type { CommitMessage, FetchedRow, ThreadOptions } from './protocol.js';
import { SyncMark } from './sync-mark.js';
import { scanWal } from './wal-scan.js';

const logFormatVersion = 1;
const pageBytes = 4096;
const cacheKiB = 8 * 1024;
const synchronousFull = 2;
const hostMetaPrefix = 'host.';

const schema = `
CREATE TABLE batch  (seq INTEGER PRIMARY KEY, bytes BLOB NOT NULL) STRICT;
CREATE TABLE region (id INTEGER PRIMARY KEY, state BLOB NOT NULL) STRICT;
CREATE TABLE meta   (key TEXT PRIMARY KEY, value BLOB NOT NULL) STRICT, WITHOUT ROWID;
`;

export interface RowRead {
  readonly seq: number;
  readonly bytes: Buffer;
}

export class LogDatabase {
  readonly incarnation: number;
  readonly storeId: string;
  readonly amnesia: string;
  private readonly dir: string;
  private readonly medium: Medium;
  private readonly lock: SqlConnection;
  private readonly database: SqlConnection;
  private readonly statements: Statements;
  private readonly mark: SyncMark;
  private walFrames = 0;

  constructor(options: ThreadOptions, medium: Medium) {
    this.dir = options.dir;
    this.medium = medium;
    prepareDirectory(options.dir, medium);
    this.lock = takeLock(options.dir, medium);
    let amnesia: string;
    try {
      amnesia = findAmnesia(options.dir, medium);
      this.database = openFile(options, medium);
    } catch (error) {
      this.lock.close();
      throw error;
    }
    try {
      this.mark = new SyncMark(options.dir, medium, this.database);
      const { loss } = this.mark;
      // The note stands until this is written (D3).
      if (amnesia === '' && loss !== '') this.noteAmnesia(loss);
      this.amnesia = amnesia || loss;
      this.statements = prepareStatements(this.database);
      this.storeId = text(readMeta(this.database, 'storeId') ?? utf8(''));
      this.incarnation = this.raiseIncarnation();
    } catch (error) {
      this.database.close();
      this.lock.close();
      throw error;
    }
  }

  /** All regions' states in the form of `appendState`. */
  states(): Uint8Array {
    const writer = new ByteWriter(64 * 1024);
    const rows = this.database
      .prepare('SELECT id AS id, state AS state FROM region ORDER BY id')
      .iterate();
    for (const row of rows as IterableIterator<{ id: number; state: unknown }>) {
      const state = bytesIn(row.state, 'region.state');
      writer.f64(row.id);
      writer.u32(state.length);
      writer.raw(state);
    }
    return writer.take();
  }

  /** Small values of the host, by key. */
  metas(): { key: string; value: Uint8Array }[] {
    const rows = this.database
      .prepare("SELECT key AS key, value AS value FROM meta WHERE key >= 'host.' AND key < 'host/'")
      .all() as { key: string; value: unknown }[];
    return rows.map(({ key, value }) => ({
      key: key.slice(hostMetaPrefix.length),
      value: bytesIn(value, `meta.${key}`),
    }));
  }

  /** All rows, newest first; one that holds no bytes is empty, which no row is. */
  *rows(): IterableIterator<RowRead> {
    const rows = this.database
      .prepare('SELECT seq AS seq, bytes AS bytes FROM batch ORDER BY seq DESC')
      .iterate() as IterableIterator<{ seq: number; bytes: unknown }>;
    for (const { seq, bytes } of rows) {
      yield { seq, bytes: Buffer.isBuffer(bytes) ? bytes : Buffer.alloc(0) };
    }
  }

  /** Applies the messages in order, in one transaction, synced when this returns (D2). */
  commit(messages: readonly CommitMessage[]): void {
    this.transact(() => {
      for (const message of messages) this.apply(message);
    });
  }

  private transact(change: () => void): void {
    const { begin, commit } = this.statements;
    begin.run();
    try {
      change();
      this.mark.number();
      commit.run();
    } catch (error) {
      if (this.database.inTransaction) this.statements.rollback.run();
      throw error;
    }
  }

  private apply(message: CommitMessage): void {
    const { putState, putMeta, insertRow, replaceRow, dropRow } = this.statements;
    if (message.states !== undefined) {
      const reader = new ByteReader(message.states);
      while (reader.remaining > 0) putState.run(reader.f64(), asBuffer(reader.raw(reader.u32())));
    }
    for (const meta of message.metas) putMeta.run(hostMetaPrefix + meta.key, asBuffer(meta.value));
    for (const row of message.inserts) insertRow.run(row.seq, asBuffer(row.bytes));
    for (const row of message.replaces) replaceRow.run(asBuffer(row.bytes), row.seq);
    for (const seq of message.drops) dropRow.run(seq);
  }

  /** A row, or why it cannot be read. Throws when the disk fails. */
  readRow(seq: number): FetchedRow {
    try {
      const row = this.statements.readRow.get(seq) as { bytes: unknown } | undefined;
      if (row === undefined) return { seq, bytes: undefined, problem: 'the row is missing' };
      if (!Buffer.isBuffer(row.bytes)) {
        return { seq, bytes: undefined, problem: 'the row holds no bytes' };
      }
      return { seq, bytes: ownBytes(row.bytes), problem: '' };
    } catch (error) {
      if (sqliteCode(error).startsWith('SQLITE_CORRUPT')) {
        return { seq, bytes: undefined, problem: String(error) };
      }
      throw error;
    }
  }

  /** Notes how far the write-ahead log is synced; after a commit, when its answer is on its way. */
  noteSynced(): void {
    const { log } = this.statements.walFrames.get() as { log: number };
    this.walFrames = log;
    this.mark.synced();
  }

  /** Bytes of the write-ahead log in use, as of `noteSynced`. */
  walBytes(): number {
    return this.walFrames * pageBytes;
  }

  /** Copies the write-ahead log into the file; the next commit begins it anew. */
  checkpoint(): void {
    this.database.pragma('wal_checkpoint(PASSIVE)');
  }

  sizes(): { fileBytes: number; freeBytes: number; walBytes: number } {
    const pages = Number(this.database.pragma('page_count', { simple: true }));
    const freePages = Number(this.database.pragma('freelist_count', { simple: true }));
    const walBytes = this.medium.sizeOf(join(this.dir, 'log.db-wal'));
    return { fileBytes: pages * pageBytes, freeBytes: freePages * pageBytes, walBytes };
  }

  /** Writes down, durably, that synced data was lost, until `clearAmnesia` (D3). */
  noteAmnesia(loss: string): void {
    this.medium.writeText(join(this.dir, 'log.amnesia'), loss);
  }

  /** Peers have made the node safe: it is no longer amnesiac. */
  clearAmnesia(): void {
    const path = join(this.dir, 'log.amnesia');
    if (this.medium.exists(path)) this.medium.remove(path);
  }

  close(): void {
    this.mark.close();
    this.database.close();
    this.lock.close();
  }

  private raiseIncarnation(): number {
    const incarnation = Number(text(readMeta(this.database, 'incarnation') ?? utf8('0'))) + 1;
    this.transact(() => {
      this.statements.putMeta.run('incarnation', asBuffer(utf8(String(incarnation))));
    });
    this.mark.synced();
    return incarnation;
  }
}

type Statements = Readonly<
  Record<
    | 'begin'
    | 'commit'
    | 'rollback'
    | 'putState'
    | 'putMeta'
    | 'insertRow'
    | 'replaceRow'
    | 'dropRow'
    | 'readRow'
    | 'walFrames',
    SqlStatement
  >
>;

function prepareStatements(database: SqlConnection): Statements {
  const upsert = 'DO UPDATE SET';
  return {
    begin: database.prepare('BEGIN IMMEDIATE'),
    commit: database.prepare('COMMIT'),
    rollback: database.prepare('ROLLBACK'),
    putState: database.prepare(
      `INSERT INTO region VALUES (?, ?) ON CONFLICT (id) ${upsert} state = excluded.state`,
    ),
    putMeta: database.prepare(
      `INSERT INTO meta VALUES (?, ?) ON CONFLICT (key) ${upsert} value = excluded.value`,
    ),
    insertRow: database.prepare('INSERT INTO batch VALUES (?, ?)'),
    replaceRow: database.prepare('UPDATE batch SET bytes = ? WHERE seq = ?'),
    dropRow: database.prepare('DELETE FROM batch WHERE seq = ?'),
    readRow: database.prepare('SELECT bytes AS bytes FROM batch WHERE seq = ?'),
    walFrames: database.prepare('PRAGMA wal_checkpoint(NOOP)'),
  };
}

function prepareDirectory(dir: string, medium: Medium): void {
  try {
    medium.makeDirectory(dir);
  } catch (cause) {
    throw unusable(dir, cause);
  }
}

/** D1. The lock is SQLite's, on a file of its own, and never given back before the end. */
function takeLock(dir: string, medium: Medium): SqlConnection {
  let lock: SqlConnection | undefined;
  try {
    lock = medium.connect(join(dir, 'log.lock'), { timeoutMs: 0 });
    lock.pragma('journal_mode = MEMORY');
    lock.exec('BEGIN EXCLUSIVE');
    return lock;
  } catch (cause) {
    lock?.close();
    if (sqliteCode(cause).startsWith('SQLITE_BUSY')) throw locked(dir, cause);
    throw unusable(dir, cause);
  }
}

/** D3. */
function findAmnesia(dir: string, medium: Medium): string {
  const path = join(dir, 'log.amnesia');
  // That the file is there is the sign: its text may be missing after a crash or on a full disk.
  if (medium.exists(path)) return medium.readText(path) || 'why is no longer known';
  const { loss } = scanWal(join(dir, 'log.db-wal'), medium);
  if (loss !== '') medium.writeText(path, loss);
  return loss;
}

function openFile(options: ThreadOptions, medium: Medium): SqlConnection {
  const { dir } = options;
  let database: SqlConnection | undefined;
  try {
    database = medium.connect(join(dir, 'log.db'), { timeoutMs: 0 });
    configure(database, options);
    checkOwner(database, options, medium);
    return database;
  } catch (cause) {
    database?.close();
    if (isMokuError(cause)) throw cause;
    throw openError(dir, cause);
  }
}

function configure(database: SqlConnection, options: ThreadOptions): void {
  database.pragma(`page_size = ${pageBytes}`);
  database.pragma('locking_mode = EXCLUSIVE');
  const mode = database.pragma('journal_mode = WAL', { simple: true });
  if (mode !== 'wal') {
    throw new MokuError('SYNC_DISABLED', { field: 'journal_mode', found: mode, expected: 'wal' });
  }
  database.pragma('synchronous = FULL');
  database.pragma('fullfsync = ON');
  database.pragma('checkpoint_fullfsync = ON');
  database.pragma(`cache_size = -${cacheKiB}`);
  // The thread checkpoints by itself, after it has answered.
  database.pragma('wal_autocheckpoint = 0');
  if (options.fileBytesMax > 0) {
    database.pragma(`max_page_count = ${Math.ceil(options.fileBytesMax / pageBytes)}`);
  }
  // Empties the log, so that the next opening's scan meets frames of one lifetime only.
  database.pragma('wal_checkpoint(TRUNCATE)');
  checkSynchronous(database);
}

/** D2: read back after the first access, because that is when a file in WAL mode resets it. */
function checkSynchronous(database: SqlConnection): void {
  database.prepare('SELECT count(*) FROM sqlite_schema').get();
  const found = database.pragma('synchronous', { simple: true });
  if (found !== synchronousFull) {
    throw new MokuError('SYNC_DISABLED', {
      field: 'synchronous',
      found,
      expected: synchronousFull,
    });
  }
}

/** Makes the tables of a new file; refuses a file of another node, cluster or of a newer format. */
function checkOwner(database: SqlConnection, options: ThreadOptions, medium: Medium): void {
  const tables = database.prepare('SELECT name FROM sqlite_schema').pluck().all() as string[];
  if (tables.length === 0) {
    // A new file has its header only; one with more has lost its tables.
    const pages = Number(database.pragma('page_count', { simple: true }));
    if (pages > 1) throw new MokuError('LOG_CORRUPT', { field: 'tables', pages, dir: options.dir });
    createTables(database, options, medium);
    return;
  }
  if (!tables.includes('meta')) {
    const found = tables.join(',');
    throw new MokuError('DIR_FOREIGN', { field: 'tables', found, expected: 'batch,region,meta' });
  }
  for (const key of ['format', 'clusterId', 'nodeId', 'storeId']) {
    if (readMeta(database, key) !== undefined) continue;
    throw new MokuError('LOG_CORRUPT', { field: `meta.${key}`, dir: options.dir });
  }
  const format = Number(text(readMeta(database, 'format') ?? utf8('0')));
  if (!(format <= logFormatVersion)) {
    const details = { field: 'format', found: format, expected: logFormatVersion };
    throw new MokuError('DIR_FORMAT_NEWER', { ...details, dir: options.dir });
  }
  const expected = { clusterId: options.clusterId, nodeId: String(options.nodeId) };
  for (const field of ['clusterId', 'nodeId'] as const) {
    const found = text(readMeta(database, field) ?? utf8(''));
    if (found === expected[field]) continue;
    const details = { field, found, expected: expected[field], dir: options.dir };
    throw new MokuError('DIR_FOREIGN', details);
  }
}

/** In one transaction: a file that an error left half made is closed, which undoes it. */
function createTables(database: SqlConnection, options: ThreadOptions, medium: Medium): void {
  database.exec(`BEGIN; ${schema}`);
  const put = database.prepare('INSERT INTO meta VALUES (?, ?)');
  put.run('format', asBuffer(utf8(String(logFormatVersion))));
  put.run('clusterId', asBuffer(utf8(options.clusterId)));
  put.run('nodeId', asBuffer(utf8(String(options.nodeId))));
  put.run('storeId', asBuffer(utf8(asBuffer(medium.randomBytes(8)).toString('hex'))));
  database.exec('COMMIT');
}

function readMeta(database: SqlConnection, key: string): Uint8Array | undefined {
  const value = database.prepare('SELECT value FROM meta WHERE key = ?').pluck().get(key);
  return value === undefined ? undefined : bytesIn(value, `meta.${key}`);
}

/** A BLOB column's value; damage can make it something else, against the schema. */
function bytesIn(value: unknown, field: string): Uint8Array {
  if (value instanceof Uint8Array) return value;
  throw new MokuError('LOG_CORRUPT', { field, found: typeof value });
}

function asBuffer(bytes: Uint8Array): Buffer {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

/** Bytes whose buffer holds nothing else and can be transferred. */
function ownBytes(bytes: Buffer): Uint8Array<ArrayBuffer> {
  const { buffer } = bytes;
  if (buffer instanceof ArrayBuffer && buffer.byteLength === bytes.length) {
    return new Uint8Array(buffer);
  }
  return new Uint8Array(bytes);
}

/** SQLite's name of what went wrong, e.g. SQLITE_FULL; empty for other errors. */
export function sqliteCode(error: unknown): string {
  const code = (error as { code?: unknown } | null)?.code;
  return typeof code === 'string' ? code : '';
}

/** Whether an opening that met it met a damaged file; SQLITE_ERROR: our own statements do not fit its schema. */
export function isDamage(code: string): boolean {
  return code.startsWith('SQLITE_CORRUPT') || code === 'SQLITE_NOTADB' || code === 'SQLITE_ERROR';
}

function openError(dir: string, cause: unknown): MokuError {
  const code = sqliteCode(cause);
  if (code.startsWith('SQLITE_BUSY')) return locked(dir, cause);
  if (isDamage(code)) {
    return new MokuError('LOG_CORRUPT', { field: 'log.db', found: code, dir }, { cause });
  }
  if (code.startsWith('SQLITE_IOERR') || code === 'SQLITE_FULL') {
    return new MokuError('LOG_IO', { operation: 'open', found: code, dir }, { cause });
  }
  return unusable(dir, cause);
}

function locked(dir: string, cause: unknown): MokuError {
  const details = { field: 'dir', dir, found: 'in use by another process', expected: 'unused' };
  return new MokuError('DIR_LOCKED', details, { cause });
}

function unusable(dir: string, cause: unknown): MokuError {
  const found = cause instanceof Error ? cause.message : String(cause);
  return new MokuError(
    'DIR_UNUSABLE',
    { field: 'dir', dir, found, expected: 'a directory that can be written' },
    { cause },
  );
}
