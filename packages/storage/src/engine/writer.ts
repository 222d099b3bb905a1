/**
 * The writing side of data.db, run in a worker thread: opens and checks the file, takes in flushes,
 * makes them durable and reclaims the space of stores that nobody points to.
 *
 * Invariants:
 *  W1 A store's versions and the applied indexes of its replicas are committed in one transaction (G1).
 *  W2 Applied indexes are read back, and reported, only after a sync that covers their transaction (G2).
 *  W3 A store is reclaimed only after the transaction in which its last replica left it (G3).
 */
import { join } from 'node:path';
import { assert, MokuError, present } from '@moku/base';
import type { Medium, SqlConnection, SqlStatement } from '../medium.js';
import { Chunk, ChunkTable, deletionLength, removalLength } from './chunks.js';
import { isDamage, sqliteCodeOf } from './errors.js';
import { type FlushStats, replicaField, replicaFields, type ToWriter } from './messages.js';
import { replicaChecksum, seal } from './row.js';
import { dataFileName, formatVersion, lockFileName, schema } from './schema.js';

/** Rows after which a transaction ends at the next place where it may (W1). */
const transactionRowsTarget = 32_768;
const transactionBytesTarget: number = 16 * 1024 * 1024;
/** Bounds of one step of reclaiming. */
const reclaimRowsMax = 512;
const reclaimBytesMax: number = 1024 * 1024;
/** Steps of reclaiming after which the write-ahead log is checkpointed, so that it stays small. */
const reclaimStepsPerSync = 32;
const synchronousNormal = 1;
const cacheKiB = 16_384;
const walKeptBytes: number = 64 * 1024 * 1024;

const replicaRows =
  'SELECT region, replica_id, store, applied_index, applied_term, ts_max, checksum FROM replica';

type Begin = Extract<ToWriter, { type: 'begin' }>;
type Rows = Extract<ToWriter, { type: 'rows' }>;

interface Flush {
  readonly begin: Begin;
  /** Offsets into begin.replicas by store, for those not yet written. */
  readonly replicasByStore: Map<number, number[]>;
  storeId: number;
  rows: number;
  transactions: number;
  transactionRows: number;
  transactionBytes: number;
}

export class Writer {
  private readonly lock: SqlConnection;
  private readonly db: SqlConnection;
  private readonly table = new ChunkTable();
  private readonly putVersion: SqlStatement;
  private readonly removeVersion: SqlStatement;
  private readonly putReplica: SqlStatement;
  private readonly dropReplica: SqlStatement;
  private readonly getApplied: SqlStatement;
  private readonly oldestRows: SqlStatement;
  private readonly nextStore: SqlStatement;
  private readonly putMeta: SqlStatement;
  private flush: Flush | undefined = undefined;
  private flushes = 0;
  /** Stores to reclaim; then those from `orphanCursor` up to `orphanEnd` that had no replica at opening. */
  private readonly orphans: number[] = [];
  private readonly referenced = new Set<number>();
  private orphanCursor = 0;
  private orphanEnd = 0;
  private reclaimSteps = 0;

  /** Opens or creates the files in `directory`. Throws DIR_UNUSABLE, DIR_LOCKED, DIR_FORMAT_NEWER, ENGINE_CORRUPT, SYNC_DISABLED. */
  constructor(directory: string, medium: Medium) {
    this.lock = lockDirectory(directory, medium);
    try {
      this.db = openData(directory, medium);
    } catch (cause) {
      this.lock.close();
      throw cause;
    }
    this.putVersion = this.db.prepare('INSERT OR REPLACE INTO version VALUES (?, ?, ?, ?)');
    this.removeVersion = this.db.prepare(
      'DELETE FROM version WHERE store = ? AND key = ? AND ts = ?',
    );
    this.putReplica = this.db.prepare(
      'INSERT OR REPLACE INTO replica VALUES (?, ?, ?, ?, ?, ?, ?)',
    );
    this.dropReplica = this.db.prepare('DELETE FROM replica WHERE region = ?');
    this.getApplied = this.db.prepare('SELECT applied_index FROM replica WHERE region = ?').pluck();
    this.oldestRows = this.db
      .prepare('SELECT key, ts, length(value) FROM version WHERE store = ? LIMIT ?')
      .raw();
    this.nextStore = this.db
      .prepare('SELECT store FROM version WHERE store > ? ORDER BY store LIMIT 1')
      .pluck();
    this.putMeta = this.db.prepare('INSERT OR REPLACE INTO meta VALUES (?, ?)');
  }

  /** What the file holds, synced. To be called once, first. */
  recover(): { readonly replicas: Float64Array; readonly nextStoreId: number } {
    // What a killed process left in the write-ahead log may not be on disk yet.
    this.sync();
    const rows = this.db.prepare(replicaRows).raw().all() as number[][];
    const replicas = new Float64Array(rows.length * replicaFields);
    let storeIdMax = this.db
      .prepare('SELECT coalesce(max(store), 0) FROM version')
      .pluck()
      .get() as number;
    rows.forEach((row, i) => {
      const fields = replicas.subarray(i * replicaFields, (i + 1) * replicaFields);
      fields.set(row.slice(0, replicaFields));
      if (replicaChecksum(fields) !== row[replicaFields]) {
        const regionId = row[replicaField.regionId];
        throw new MokuError('ENGINE_CORRUPT', { file: dataFileName, table: 'replica', regionId });
      }
      const storeId = present(row[replicaField.storeId], 'W1: store of a replica');
      this.referenced.add(storeId);
      storeIdMax = Math.max(storeIdMax, storeId);
    });
    this.orphanEnd = storeIdMax;
    return { replicas, nextStoreId: storeIdMax + 1 };
  }

  adoptChunk(slot: number, memory: SharedArrayBuffer): void {
    this.table.adopt(new Chunk(slot, memory));
  }

  begin(begin: Begin): void {
    assert(this.flush === undefined, 'W1: one flush at a time');
    const replicasByStore = new Map<number, number[]>();
    for (let at = 0; at < begin.replicas.length; at += replicaFields) {
      const storeId = begin.replicas[at + replicaField.storeId]!;
      const others = replicasByStore.get(storeId);
      if (others === undefined) replicasByStore.set(storeId, [at]);
      else others.push(at);
    }
    this.flush = {
      begin,
      replicasByStore,
      storeId: 0,
      rows: 0,
      transactions: 0,
      transactionRows: 0,
      transactionBytes: 0,
    };
    this.db.exec('BEGIN IMMEDIATE');
  }

  rows(message: Rows): void {
    const flush = present(this.flush, 'W1: rows belong to a flush');
    const { storeIds, counts, locations } = message;
    let at = 0;
    for (let run = 0; run < storeIds.length; run++) {
      const storeId = storeIds[run]!;
      if (storeId !== flush.storeId) {
        assert(storeId > flush.storeId, 'W1: stores come in order');
        this.finishStore(flush);
        flush.storeId = storeId;
      }
      const end = at + counts[run]!;
      for (; at < end; at++) flush.transactionBytes += this.writeRow(storeId, locations[at]!);
      flush.rows += counts[run]!;
      flush.transactionRows += counts[run]!;
      // A store without replicas in this flush is being installed: nobody sees it in parts.
      if (!flush.replicasByStore.has(storeId)) this.cut(flush);
    }
  }

  /** Ends the flush: commits, syncs, reads back. */
  end(): { readonly appliedIndexes: Float64Array; readonly stats: FlushStats } {
    const flush = present(this.flush, 'W1: an end belongs to a flush');
    const { begin } = flush;
    this.finishStore(flush);
    for (const offsets of flush.replicasByStore.values()) this.writeReplicas(begin, offsets);
    for (const regionId of begin.dropped) this.dropReplica.run(regionId);
    this.db.exec('COMMIT');
    flush.transactions += 1;
    this.flush = undefined;
    this.flushes += 1;
    const { syncedBy, walFrames } = this.sync();
    for (const storeId of begin.orphans) this.orphans.push(storeId); // W3
    const appliedIndexes = new Float64Array(begin.replicas.length / replicaFields);
    for (let i = 0; i < appliedIndexes.length; i++) {
      const regionId = begin.replicas[i * replicaFields + replicaField.regionId]!;
      appliedIndexes[i] = (this.getApplied.get(regionId) as number | undefined) ?? -1;
    }
    const { rows, transactions } = flush;
    return { appliedIndexes, stats: { rows, transactions, walFrames, syncedBy } };
  }

  /** One small step of reclaiming; false when nothing is left. Does nothing while a flush is under way. */
  reclaimStep(): boolean {
    assert(this.flush === undefined, 'W3: reclaiming waits for the flush');
    const storeId = this.orphans[0] ?? this.findOrphan();
    if (storeId === undefined) return false;
    const rows = this.oldestRows.all(storeId, reclaimRowsMax) as [Uint8Array, number, number][];
    this.db.exec('BEGIN IMMEDIATE');
    let bytes = 0;
    for (const [key, timestamp, valueBytes] of rows) {
      this.removeVersion.run(storeId, key, timestamp);
      bytes += valueBytes;
      if (bytes > reclaimBytesMax) break;
    }
    this.db.exec('COMMIT');
    if (rows.length === 0 && this.orphans[0] === storeId) this.orphans.shift();
    this.reclaimSteps += 1;
    if (this.reclaimSteps % reclaimStepsPerSync === 0) this.sync();
    return true;
  }

  close(): void {
    this.db.close();
    this.lock.close();
  }

  private writeRow(storeId: number, location: number): number {
    const key = this.table.key(location);
    const timestamp = this.table.timestamp(location);
    const valueLength = this.table.valueLength(location);
    if (valueLength === removalLength) {
      this.removeVersion.run(storeId, key, timestamp);
      return key.length;
    }
    const sealed = this.table.sealedValue(location);
    seal(sealed, storeId, key, timestamp, valueLength === deletionLength);
    this.putVersion.run(storeId, key, timestamp, sealed);
    return key.length + sealed.length;
  }

  /** All versions of the current store are in: its replicas follow in the same transaction (W1). */
  private finishStore(flush: Flush): void {
    const offsets = flush.replicasByStore.get(flush.storeId);
    if (offsets !== undefined) {
      this.writeReplicas(flush.begin, offsets);
      flush.replicasByStore.delete(flush.storeId);
    }
    this.cut(flush);
  }

  private cut(flush: Flush): void {
    const isLarge =
      flush.transactionRows >= transactionRowsTarget ||
      flush.transactionBytes >= transactionBytesTarget;
    if (!isLarge) return;
    this.db.exec('COMMIT; BEGIN IMMEDIATE');
    flush.transactions += 1;
    flush.transactionRows = 0;
    flush.transactionBytes = 0;
  }

  private writeReplicas(begin: Begin, offsets: readonly number[]): void {
    for (const at of offsets) {
      const fields = begin.replicas.subarray(at, at + replicaFields);
      this.putReplica.run(...fields, replicaChecksum(fields));
    }
  }

  /**
   * Makes everything committed durable. Usually by a checkpoint, which syncs both files. When a reader
   * (a picture) holds the checkpoint up, by a commit under synchronous=FULL, which syncs the
   * write-ahead log: otherwise a slow snapshot would keep the log from being truncated.
   */
  private sync(): { readonly syncedBy: 'checkpoint' | 'wal'; readonly walFrames: number } {
    const [result] = this.db.pragma('wal_checkpoint(PASSIVE)') as [
      { readonly busy: number; readonly log: number; readonly checkpointed: number },
    ];
    if (result.busy === 0 && result.log === result.checkpointed) {
      return { syncedBy: 'checkpoint', walFrames: result.log };
    }
    this.db.pragma('synchronous = FULL');
    this.putMeta.run('flushes', this.flushes);
    this.db.pragma('synchronous = NORMAL');
    return { syncedBy: 'wal', walFrames: result.log };
  }

  /** The next store that had no replica when the file was opened; looked for store by store. */
  private findOrphan(): number | undefined {
    while (this.orphanCursor < this.orphanEnd) {
      const storeId = this.nextStore.get(this.orphanCursor) as number | undefined;
      if (storeId === undefined || storeId > this.orphanEnd) break;
      this.orphanCursor = storeId;
      if (this.referenced.has(storeId)) continue;
      this.orphans.push(storeId);
      return storeId;
    }
    this.orphanCursor = this.orphanEnd;
    this.referenced.clear();
    return undefined;
  }
}

/** Makes the directory and holds its lock file; throws DIR_UNUSABLE or DIR_LOCKED. */
function lockDirectory(directory: string, medium: Medium): SqlConnection {
  let lock: SqlConnection | undefined;
  try {
    medium.makeDirectory(directory);
    lock = medium.connect(join(directory, lockFileName), { timeoutMs: 0 });
    lock.pragma('journal_mode = MEMORY');
    lock.exec('BEGIN EXCLUSIVE');
    return lock;
  } catch (cause) {
    lock?.close();
    const code = sqliteCodeOf(cause);
    const isLocked = code.startsWith('SQLITE_BUSY') || code.startsWith('SQLITE_LOCKED');
    throw new MokuError(
      isLocked ? 'DIR_LOCKED' : 'DIR_UNUSABLE',
      { dir: directory, reason: code },
      { cause },
    );
  }
}

function openData(directory: string, medium: Medium): SqlConnection {
  let db: SqlConnection | undefined;
  try {
    db = medium.connect(join(directory, dataFileName));
    const mode = db.pragma('journal_mode = WAL', { simple: true });
    db.pragma('synchronous = NORMAL');
    db.pragma('wal_autocheckpoint = 0');
    db.pragma(`journal_size_limit = ${walKeptBytes}`);
    db.pragma(`cache_size = -${cacheKiB}`);
    const synchronous = db.pragma('synchronous', { simple: true });
    if (mode !== 'wal' || synchronous !== synchronousNormal) {
      throw new MokuError('SYNC_DISABLED', { file: dataFileName, mode, synchronous });
    }
    checkFormat(db);
    return db;
  } catch (cause) {
    db?.close();
    if (cause instanceof MokuError) throw cause;
    const sqliteCode = sqliteCodeOf(cause);
    throw new MokuError(
      isDamage(sqliteCode) ? 'ENGINE_CORRUPT' : 'DIR_UNUSABLE',
      { dir: directory, file: dataFileName, reason: sqliteCode },
      { cause },
    );
  }
}

/** Makes the tables of a new file; refuses a file of a newer format. */
function checkFormat(db: SqlConnection): void {
  const hasMeta = db.prepare("SELECT 1 FROM sqlite_schema WHERE name = 'meta'").get() !== undefined;
  if (!hasMeta) {
    db.exec(
      `BEGIN IMMEDIATE; ${schema} INSERT INTO meta VALUES ('format', ${formatVersion}); COMMIT`,
    );
  }
  const found = db.prepare("SELECT value FROM meta WHERE key = 'format'").pluck().get();
  if (typeof found !== 'number') {
    throw new MokuError('ENGINE_CORRUPT', { file: dataFileName, field: 'format' });
  }
  if (found > formatVersion) {
    throw new MokuError('DIR_FORMAT_NEWER', {
      file: dataFileName,
      found,
      supported: formatVersion,
    });
  }
}
