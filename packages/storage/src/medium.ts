/**
 * What the stores need of the place where their files are: SQLite connections and a few plain files.
 * Adapters: the machine's own disk (`disk-medium.ts`), and the simulator's, which loses power.
 *
 * Paths are those that the caller of a store chose as `dir`, with a file's name behind it.
 */

/** A value that is bound to a statement. Numbers are bound as SQLite's REAL, as better-sqlite3 does. */
export type SqlValue = number | string | Uint8Array;

export interface SqlStatement {
  run(...values: readonly SqlValue[]): unknown;
  /** The first row; undefined when there is none. */
  get(...values: readonly SqlValue[]): unknown;
  all(...values: readonly SqlValue[]): unknown[];
  /** Rows as they are stepped to; the statement is reset when the iterator ends or returns. */
  iterate(...values: readonly SqlValue[]): IterableIterator<unknown>;
  /** From now on a row is its first column. */
  pluck(): SqlStatement;
  /** From now on a row is an array of its columns. */
  raw(): SqlStatement;
}

/** Errors of SQLite carry its extended name in `code`, such as SQLITE_IOERR_FSYNC. */
export interface SqlConnection {
  prepare(sql: string): SqlStatement;
  /** Runs statements without values and without rows. */
  exec(sql: string): unknown;
  /** The rows of `PRAGMA <source>`, or the first column of the first one. */
  pragma(source: string, options?: { readonly simple?: boolean }): unknown;
  readonly inTransaction: boolean;
  close(): unknown;
}

export interface ConnectOptions {
  /** The file must exist, and is not changed. */
  readonly readonly?: boolean;
  /** How long to wait for a lock; default 5,000. */
  readonly timeoutMs?: number;
}

export interface FileReading {
  readonly size: number;
  /** Fills `into` from byte `at` on; throws when the file ends before. */
  read(into: Uint8Array, at: number): void;
  close(): void;
}

/** A small file that is written again and again, and never synced. */
export interface FileWriting {
  /** Replaces its first bytes. */
  write(bytes: Uint8Array): void;
  close(): void;
}

/** Every method throws what the system throws. */
export interface Medium {
  connect(path: string, options?: ConnectOptions): SqlConnection;
  /** Makes a directory with its parents, durably; in order when it exists. */
  makeDirectory(path: string): void;
  exists(path: string): boolean;
  /** Bytes of the file; 0 when there is none. */
  sizeOf(path: string): number;
  readText(path: string): string;
  /** Makes or replaces a file, durably. */
  writeText(path: string, text: string): void;
  /** Removes a file, durably. */
  remove(path: string): void;
  /** Opens a file to read its bytes; undefined when there is none. */
  openReading(path: string): FileReading | undefined;
  /** Makes a file, or empties it, to write it. Absent: the medium keeps no notes that are not synced. */
  openWriting?(path: string): FileWriting;
  /** Bytes that never come twice. */
  randomBytes(count: number): Uint8Array;
}
