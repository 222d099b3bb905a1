/**
 * A connection to SQLite in WebAssembly, with the manners of better-sqlite3: numbers are bound as REAL,
 * INTEGER columns come as numbers, BLOB columns as buffers of their own, NULL as null.
 */
import { assert, present } from '@moku/base';
import type { SqlConnection, SqlStatement, SqlValue } from '@moku/storage';
import type { Sqlite } from './wasm.js';

const rowReady = 100;
const done = 101;
const misuse = 21;
/** The value is copied before the call returns. */
const transient = -1;
const openReadOnly = 0x1;
const openReadWriteCreate = 0x6;

const codeNames: Readonly<Record<number, string>> = {
  1: 'SQLITE_ERROR',
  4: 'SQLITE_ABORT',
  5: 'SQLITE_BUSY',
  6: 'SQLITE_LOCKED',
  7: 'SQLITE_NOMEM',
  8: 'SQLITE_READONLY',
  10: 'SQLITE_IOERR',
  11: 'SQLITE_CORRUPT',
  12: 'SQLITE_NOTFOUND',
  13: 'SQLITE_FULL',
  14: 'SQLITE_CANTOPEN',
  15: 'SQLITE_PROTOCOL',
  19: 'SQLITE_CONSTRAINT',
  20: 'SQLITE_MISMATCH',
  21: 'SQLITE_MISUSE',
  26: 'SQLITE_NOTADB',
};

/** What SQLite reports; `code` is its name, with the number of the extended code behind it. */
class SqliteError extends Error {
  readonly code: string;

  constructor(message: string, extendedCode: number) {
    super(message);
    const name = codeNames[extendedCode & 0xff] ?? 'SQLITE_UNKNOWN';
    this.code = extendedCode > 0xff ? `${name}_${extendedCode >> 8}` : name;
  }
}

export class WasmConnection implements SqlConnection {
  private readonly sqlite: Sqlite;
  private readonly db: number;
  private readonly statements = new Set<WasmStatement>();
  private readonly onClose: (connection: WasmConnection) => void;
  private isOpen = true;

  constructor(
    sqlite: Sqlite,
    path: string,
    readonly: boolean,
    onClose: (connection: WasmConnection) => void,
  ) {
    const { module } = sqlite;
    this.sqlite = sqlite;
    this.onClose = onClose;
    const out = sqlite.allocate(new Uint8Array(4));
    const name = sqlite.allocateText(path);
    const flags = readonly ? openReadOnly : openReadWriteCreate;
    const code = module._sqlite3_open_v2(name, out, flags, 0);
    this.db = sqlite.getInt(out);
    module._free(out);
    module._free(name);
    if (code === 0) return;
    const error = this.error();
    module._sqlite3_close_v2(this.db);
    throw error;
  }

  get inTransaction(): boolean {
    return this.sqlite.module._sqlite3_get_autocommit(this.db) === 0;
  }

  prepare(sql: string): SqlStatement {
    assert(this.isOpen, 'a connection is used until it is closed');
    const { module } = this.sqlite;
    const out = this.sqlite.allocate(new Uint8Array(4));
    const text = this.sqlite.allocateText(sql);
    const code = module._sqlite3_prepare_v2(this.db, text, -1, out, 0);
    const address = this.sqlite.getInt(out);
    module._free(out);
    module._free(text);
    if (code !== 0) throw this.error();
    const statement = new WasmStatement(this.sqlite, address, () => this.error());
    this.statements.add(statement);
    return statement;
  }

  exec(sql: string): void {
    assert(this.isOpen, 'a connection is used until it is closed');
    const text = this.sqlite.allocateText(sql);
    const code = this.sqlite.module._sqlite3_exec(this.db, text, 0, 0, 0);
    this.sqlite.module._free(text);
    if (code !== 0) throw this.error();
  }

  pragma(source: string, { simple = false }: { readonly simple?: boolean } = {}): unknown {
    const statement = this.prepare(`PRAGMA ${source}`) as WasmStatement;
    try {
      return simple ? statement.pluck().get() : statement.all();
    } finally {
      this.statements.delete(statement);
      statement.finalize();
    }
  }

  close(): void {
    if (!this.isOpen) return;
    this.isOpen = false;
    for (const statement of this.statements) statement.finalize();
    this.statements.clear();
    this.sqlite.module._sqlite3_close_v2(this.db);
    this.onClose(this);
  }

  private error(): SqliteError {
    const { module } = this.sqlite;
    const message = this.sqlite.text(module._sqlite3_errmsg(this.db));
    return new SqliteError(message, module._sqlite3_extended_errcode(this.db));
  }
}

class WasmStatement implements SqlStatement {
  private readonly sqlite: Sqlite;
  /** 0: its connection is closed. */
  private address: number;
  private readonly error: () => SqliteError;
  private form: 'object' | 'pluck' | 'raw' = 'object';
  private names: readonly string[] | undefined;

  constructor(sqlite: Sqlite, address: number, error: () => SqliteError) {
    this.sqlite = sqlite;
    this.address = address;
    this.error = error;
  }

  pluck(): SqlStatement {
    this.form = 'pluck';
    return this;
  }

  raw(): SqlStatement {
    this.form = 'raw';
    return this;
  }

  run(...values: readonly SqlValue[]): void {
    this.bind(values);
    try {
      while (this.step()) {}
    } finally {
      this.reset();
    }
  }

  get(...values: readonly SqlValue[]): unknown {
    this.bind(values);
    try {
      return this.step() ? this.row() : undefined;
    } finally {
      this.reset();
    }
  }

  all(...values: readonly SqlValue[]): unknown[] {
    return [...this.iterate(...values)];
  }

  *iterate(...values: readonly SqlValue[]): IterableIterator<unknown> {
    this.bind(values);
    try {
      while (this.step()) yield this.row();
    } finally {
      this.reset();
    }
  }

  finalize(): void {
    this.sqlite.module._sqlite3_finalize(this.address);
    this.address = 0;
  }

  private bind(values: readonly SqlValue[]): void {
    if (this.address === 0) throw new SqliteError('the connection is closed', misuse);
    this.reset();
    for (let i = 0; i < values.length; i++) this.bindOne(i + 1, values[i]!);
  }

  private bindOne(at: number, value: SqlValue): void {
    const { sqlite, address } = this;
    const { module } = sqlite;
    let code: number;
    if (typeof value === 'number') code = module._sqlite3_bind_double(address, at, value);
    else {
      const bytes = typeof value === 'string' ? Buffer.from(value) : value;
      const copy = sqlite.allocate(bytes);
      const bind = typeof value === 'string' ? '_sqlite3_bind_text' : '_sqlite3_bind_blob';
      code = module[bind](address, at, copy, bytes.length, transient);
      module._free(copy);
    }
    if (code !== 0) throw this.error();
  }

  private step(): boolean {
    if (this.address === 0) throw new SqliteError('the connection is closed', misuse);
    const code = this.sqlite.module._sqlite3_step(this.address);
    if (code === rowReady) return true;
    if (code === done) return false;
    throw this.error();
  }

  private reset(): void {
    if (this.address !== 0) this.sqlite.module._sqlite3_reset(this.address);
  }

  private row(): unknown {
    if (this.form === 'pluck') return this.column(0);
    const { module } = this.sqlite;
    const count = module._sqlite3_column_count(this.address);
    const values: unknown[] = [];
    for (let i = 0; i < count; i++) values.push(this.column(i));
    if (this.form === 'raw') return values;
    this.names ??= values.map((_, i) =>
      this.sqlite.text(module._sqlite3_column_name(this.address, i)),
    );
    const { names } = this;
    return Object.fromEntries(values.map((value, i) => [present(names[i], 'a name'), value]));
  }

  private column(i: number): unknown {
    const { address, sqlite } = this;
    const { module } = sqlite;
    switch (module._sqlite3_column_type(address, i)) {
      case 1:
      case 2:
        return module._sqlite3_column_double(address, i);
      case 3:
        return sqlite.text(module._sqlite3_column_text(address, i));
      case 4: {
        const at = module._sqlite3_column_blob(address, i);
        const bytes = sqlite.bytes(at, module._sqlite3_column_bytes(address, i)).slice();
        return Buffer.from(bytes.buffer, 0, bytes.length);
      }
      default:
        return null;
    }
  }
}
