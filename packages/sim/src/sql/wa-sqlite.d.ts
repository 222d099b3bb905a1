/** What is used of WebAssembly, which the compiler's library for servers does not know. */
declare namespace WebAssembly {
  type Exports = Record<string, unknown>;
  type Imports = Record<string, Record<string, unknown>>;
  class Module {
    constructor(bytes: Uint8Array);
  }
  class Instance {
    constructor(module: Module, imports: Imports);
    readonly exports: Exports;
  }
  class Memory {
    private constructor();
    readonly buffer: ArrayBuffer;
  }
  class Table {
    private constructor();
    set(at: number, value: unknown): void;
  }
}

declare module '@journeyapps/wa-sqlite/dist/wa-sqlite.mjs' {
  /** What is used of the Emscripten module. Addresses are numbers; int64 parameters are two of them. */
  export interface WaSqlite {
    readonly HEAPU8: Uint8Array;
    _malloc(bytes: number): number;
    _free(address: number): void;
    UTF8ToString(address: number): string;
    _sqlite3_initialize(): number;
    _sqlite3_vfs_find(name: number): number;
    _sqlite3_vfs_register(vfs: number, isDefault: number): number;
    _sqlite3_randomness(bytes: number, into: number): void;
    _sqlite3_open_v2(path: number, out: number, flags: number, vfs: number): number;
    _sqlite3_close_v2(db: number): number;
    _sqlite3_file_control(db: number, name: number, operation: number, argument: number): number;
    _sqlite3_extended_errcode(db: number): number;
    _sqlite3_errmsg(db: number): number;
    _sqlite3_get_autocommit(db: number): number;
    _sqlite3_exec(db: number, sql: number, callback: number, data: number, out: number): number;
    _sqlite3_prepare_v2(db: number, sql: number, bytes: number, out: number, tail: number): number;
    _sqlite3_finalize(statement: number): number;
    _sqlite3_reset(statement: number): number;
    _sqlite3_step(statement: number): number;
    _sqlite3_bind_double(statement: number, at: number, value: number): number;
    _sqlite3_bind_text(s: number, at: number, text: number, bytes: number, free: number): number;
    _sqlite3_bind_blob(s: number, at: number, blob: number, bytes: number, free: number): number;
    _sqlite3_column_count(statement: number): number;
    _sqlite3_column_name(statement: number, column: number): number;
    _sqlite3_column_type(statement: number, column: number): number;
    _sqlite3_column_double(statement: number, column: number): number;
    _sqlite3_column_text(statement: number, column: number): number;
    _sqlite3_column_blob(statement: number, column: number): number;
    _sqlite3_column_bytes(statement: number, column: number): number;
  }

  // biome-ignore lint/style/noDefaultExport: that is what the package exports
  export default function create(options: {
    instantiateWasm(
      imports: WebAssembly.Imports,
      receive: (instance: WebAssembly.Instance, module: WebAssembly.Module) => void,
    ): WebAssembly.Exports;
  }): Promise<WaSqlite>;
}
