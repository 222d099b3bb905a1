/**
 * SQLite as WebAssembly, with our own file system below it. One instance serves all disks of a process;
 * what it remembers from one run to the next is its random numbers, which `reseed` begins anew.
 *
 * wa-sqlite's own bridge to file systems knows no shared memory, which WAL with several connections needs,
 * and its function table does not grow. So the functions of SQLite's built-in "unix" file system, which
 * nobody uses here, give their places in the table to ours.
 */
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import create, { type WaSqlite } from '@journeyapps/wa-sqlite/dist/wa-sqlite.mjs';
import { assert, present } from '@moku/base';

/** A function that SQLite calls: one letter per type, result first: i int32 or address, j int64, v none. */
export interface Callback {
  readonly signature: string;
  readonly run: (...values: number[]) => number | undefined;
}

/** The methods of one file system, in the order of SQLite's structures. */
export interface FileSystem {
  readonly vfs: readonly (Callback | undefined)[];
  readonly io: readonly Callback[];
}

const vfsFields = 22;
const vfsFirstMethod = 6;
const ioMethods = 19;
/** Of our file handle: its methods' address and our own number. */
const fileBytes = 8;
const pathBytesMax = 512;
const openReadWriteCreate = 0x6;
const fileControlFilePointer = 7;

export class Sqlite {
  readonly module: WaSqlite;
  private readonly memory: WebAssembly.Memory;
  private ioAddress = 0;
  private view: DataView;

  constructor(module: WaSqlite, memory: WebAssembly.Memory) {
    this.module = module;
    this.memory = memory;
    this.view = new DataView(memory.buffer);
  }

  /** Where a file's methods stand, for whoever fills in a file handle. */
  get ioMethodsAddress(): number {
    return this.ioAddress;
  }

  bytes(address: number, length: number): Uint8Array {
    return new Uint8Array(this.memory.buffer, address, length);
  }

  getInt(address: number): number {
    return this.current().getInt32(address, true);
  }

  setInt(address: number, value: number): void {
    this.current().setInt32(address, value, true);
  }

  setInt64(address: number, value: number): void {
    this.current().setBigInt64(address, BigInt(value), true);
  }

  text(address: number): string {
    return this.module.UTF8ToString(address);
  }

  /** Memory that holds `bytes`; to be freed. */
  allocate(bytes: Uint8Array): number {
    const address = this.module._malloc(Math.max(1, bytes.length));
    assert(address !== 0, 'WebAssembly has memory left');
    this.bytes(address, bytes.length).set(bytes);
    return address;
  }

  /** A string with its zero byte; to be freed. */
  allocateText(text: string): number {
    return this.allocate(Buffer.from(`${text}\0`));
  }

  /** Begins SQLite's random numbers anew: they come from the file system's randomness. */
  reseed(): void {
    this.module._sqlite3_randomness(0, 0);
  }

  /** Makes `fileSystem` the only one that is used. */
  install(table: WebAssembly.Table, fileSystem: FileSystem): void {
    const { module } = this;
    const unix = module._sqlite3_vfs_find(0);
    const places = this.placesOf(unix);
    const place = (callback: Callback): number => {
      const at = present(places.pop(), 'the built-in file system has places enough');
      table.set(at, functionOf(callback));
      return at;
    };
    this.ioAddress = this.allocate(new Uint8Array(4 * ioMethods));
    this.setInt(this.ioAddress, 2);
    fileSystem.io.forEach((callback, i) => {
      this.setInt(this.ioAddress + 4 * (i + 1), place(callback));
    });
    const vfs = this.allocate(new Uint8Array(4 * vfsFields));
    const head = [2, fileBytes, pathBytesMax, 0, this.allocateText('moku')];
    head.forEach((value, i) => {
      this.setInt(vfs + 4 * i, value);
    });
    fileSystem.vfs.forEach((callback, i) => {
      if (callback !== undefined) this.setInt(vfs + 4 * (vfsFirstMethod + i), place(callback));
    });
    assert(module._sqlite3_vfs_register(vfs, 1) === 0, 'SQLite takes the file system');
  }

  /** Places in the table of the built-in file system's functions. */
  private placesOf(vfs: number): number[] {
    const { module } = this;
    const places: number[] = [];
    for (let i = vfsFirstMethod; i < vfsFields; i++) places.push(this.getInt(vfs + 4 * i));
    const out = this.allocate(new Uint8Array(4));
    const path = this.allocateText('/none');
    const name = this.allocateText('main');
    assert(
      module._sqlite3_open_v2(path, out, openReadWriteCreate, 0) === 0,
      'the built-in file system opens a file in memory',
    );
    const db = this.getInt(out);
    module._sqlite3_file_control(db, name, fileControlFilePointer, out);
    const io = this.getInt(this.getInt(out));
    for (let i = 1; i < ioMethods; i++) places.push(this.getInt(io + 4 * i));
    module._sqlite3_close_v2(db);
    for (const address of [out, path, name]) module._free(address);
    return places.filter((at) => at !== 0);
  }

  private current(): DataView {
    if (this.view.buffer !== this.memory.buffer) this.view = new DataView(this.memory.buffer);
    return this.view;
  }
}

/** Loads SQLite with the file system that `fileSystemOf` makes for it. Needs real files: to be awaited before a run. */
export async function instantiate(fileSystemOf: (sqlite: Sqlite) => FileSystem): Promise<Sqlite> {
  const require = createRequire(import.meta.url);
  const path = require.resolve('@journeyapps/wa-sqlite/dist/wa-sqlite.wasm');
  let exported: WebAssembly.Exports = {};
  const module = await create({
    instantiateWasm(imports, receive) {
      const compiled = new WebAssembly.Module(readFileSync(path));
      const instance = new WebAssembly.Instance(compiled, imports);
      exported = instance.exports;
      receive(instance, compiled);
      return exported;
    },
  });
  const parts = Object.values(exported);
  const table = present(
    parts.find((part) => part instanceof WebAssembly.Table),
    'SQLite has a table of functions',
  );
  const memory = present(
    parts.find((part) => part instanceof WebAssembly.Memory),
    'SQLite has a memory',
  );
  assert(module._sqlite3_initialize() === 0, 'SQLite begins');
  const sqlite = new Sqlite(module, memory);
  sqlite.install(table, fileSystemOf(sqlite));
  return sqlite;
}

const wasmTypes: Readonly<Record<string, number>> = { i: 0x7f, j: 0x7e };

/** `callback` as a function of WebAssembly: by a module that imports it and exports it again. */
function functionOf({ signature, run }: Callback): unknown {
  const parameters = [...signature.slice(1)].map((letter) => wasmTypes[letter]!);
  const results = signature[0] === 'v' ? [] : [wasmTypes[signature[0]!]!];
  const type = [1, 0x60, parameters.length, ...parameters, results.length, ...results];
  const module = new WebAssembly.Module(
    Uint8Array.from([
      ...[0, 0x61, 0x73, 0x6d, 1, 0, 0, 0],
      ...[1, type.length, ...type],
      ...[2, 7, 1, 1, 0x65, 1, 0x66, 0, 0],
      ...[7, 5, 1, 1, 0x66, 0, 0],
    ]),
  );
  const isWide = signature.includes('j');
  const plain = (...values: (number | bigint)[]): number | undefined =>
    run(...values.map((value) => Number(value)));
  const { exports } = new WebAssembly.Instance(module, { e: { f: isWide ? plain : run } });
  return present(exports['f'], 'the module exports its import');
}
