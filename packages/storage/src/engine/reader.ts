// @hot
/**
 * The reading side of data.db: a read-only connection of its own on the loop's thread, with prepared
 * statements. Every row's seal is checked. Errors: ENGINE_CORRUPT, ENGINE_IO.
 */
import { join } from 'node:path';
import type { ScanRange, StoreId, VersionedValue } from '@moku/kv';
import type { Medium, SqlConnection, SqlStatement } from '../medium.js';
import type { VersionCursor } from './cursors.js';
import { engineError } from './errors.js';
import { unseal } from './row.js';
import { dataFileName } from './schema.js';

type PointRow = readonly [timestamp: number, sealed: Buffer];
type KeyRow = readonly [key: Buffer, timestamp: number, sealed: Buffer];

const columns = 'SELECT key, max(ts), value FROM version WHERE store = ? AND key >= ?';
// max(ts) makes SQLite take `value` from the row of the newest version, the first of its group.
const forwardOrder = 'AND ts <= ? GROUP BY key ORDER BY key';
const reverseOrder = `${forwardOrder} DESC`;

export class Reader {
  private readonly db: SqlConnection;
  private readonly newest: SqlStatement;
  private readonly forward: SqlStatement;
  private readonly forwardBounded: SqlStatement;
  private readonly reverse: SqlStatement;
  private readonly reverseBounded: SqlStatement;
  private readonly versions: SqlStatement;

  /** Opens data.db in `directory`, which a writer has made; keeps at most `cacheKiB` of pages. */
  constructor(directory: string, cacheKiB: number, medium: Medium) {
    try {
      this.db = medium.connect(join(directory, dataFileName), { readonly: true });
      this.db.pragma(`cache_size = -${cacheKiB}`);
      this.newest = this.db
        .prepare(
          'SELECT ts, value FROM version WHERE store = ? AND key = ? AND ts <= ? ORDER BY ts DESC LIMIT 1',
        )
        .raw();
      this.forward = this.db.prepare(`${columns} ${forwardOrder}`).raw();
      this.forwardBounded = this.db.prepare(`${columns} AND key < ? ${forwardOrder}`).raw();
      this.reverse = this.db.prepare(`${columns} ${reverseOrder}`).raw();
      this.reverseBounded = this.db.prepare(`${columns} AND key < ? ${reverseOrder}`).raw();
      this.versions = this.db
        .prepare('SELECT key, ts, value FROM version WHERE store = ? ORDER BY key, ts DESC')
        .raw();
    } catch (cause) {
      throw engineError(cause, { file: dataFileName });
    }
  }

  /** The newest version of `key` at or before `at`, deletions included. */
  get(storeId: StoreId, key: Uint8Array, at: number): VersionedValue | undefined {
    let row: PointRow | undefined;
    try {
      row = this.newest.get(storeId, key, at) as PointRow | undefined;
    } catch (cause) {
      throw engineError(cause, { file: dataFileName });
    }
    return row === undefined ? undefined : unseal(row[1], storeId, key, row[0]);
  }

  /** The newest version at or before `range.at` of each key of the range, in order. */
  scan(storeId: StoreId, range: ScanRange): RowCursor {
    const { start, end, at, isReverse } = range;
    if (end === undefined) {
      const statement = isReverse ? this.reverse : this.forward;
      return new RowCursor(storeId, () => statement.iterate(storeId, start, at));
    }
    const statement = isReverse ? this.reverseBounded : this.forwardBounded;
    return new RowCursor(storeId, () => statement.iterate(storeId, start, end, at));
  }

  /** All versions of a store, by key, newest first. The connection must be in a transaction. */
  all(storeId: StoreId): RowCursor {
    return new RowCursor(storeId, () => this.versions.iterate(storeId));
  }

  /** Begins a read transaction: later reads see the file as it is now, until `release`. */
  hold(): void {
    try {
      this.db.exec('BEGIN; SELECT 1 FROM meta');
    } catch (cause) {
      throw engineError(cause, { file: dataFileName });
    }
  }

  release(): void {
    if (this.db.inTransaction) this.db.exec('COMMIT');
  }

  close(): void {
    this.db.close();
  }
}

/** Walks over rows of data.db. */
class RowCursor implements VersionCursor {
  private readonly storeId: StoreId;
  private readonly rows: Iterator<unknown>;
  private row: KeyRow | undefined = undefined;

  constructor(storeId: StoreId, open: () => IterableIterator<unknown>) {
    this.storeId = storeId;
    try {
      this.rows = open();
    } catch (cause) {
      throw engineError(cause, { file: dataFileName });
    }
    this.advance();
  }

  get isDone(): boolean {
    return this.row === undefined;
  }

  get key(): Uint8Array {
    return this.row![0];
  }

  get timestamp(): number {
    return this.row![1];
  }

  get isRemoval(): boolean {
    return false;
  }

  version(): VersionedValue {
    const [key, timestamp, sealed] = this.row!;
    // A plain Uint8Array: a Buffer's methods differ.
    const plainKey = new Uint8Array(key.buffer, key.byteOffset, key.length);
    return unseal(sealed, this.storeId, plainKey, timestamp);
  }

  advance(): void {
    try {
      this.row = this.rows.next().value as KeyRow | undefined;
    } catch (cause) {
      throw engineError(cause, { file: dataFileName });
    }
  }

  close(): void {
    this.row = undefined;
    this.rows.return?.();
  }
}
