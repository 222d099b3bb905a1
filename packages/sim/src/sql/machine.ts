/**
 * The disks of simulated machines and the one SQLite that reads them: gives each a `Medium`, cuts its power
 * and brings it back.
 */
import { MokuError, type Prng } from '@moku/base';
import type {
  ConnectOptions,
  FileReading,
  FileWriting,
  Medium,
  SqlConnection,
} from '@moku/storage';
import { WasmConnection } from './connection.js';
import { type Remains, SectorDisk, type SectorFile } from './sectors.js';
import { Vfs, Volume } from './vfs.js';
import { instantiate, type Sqlite } from './wasm.js';

interface Loaded {
  readonly vfs: Vfs;
  readonly sqlite: Sqlite;
  /** Of the present run. */
  readonly machines: Set<Machine>;
}

let loading: Promise<Loaded> | undefined;

/** Resolves to the process's SQLite; reads real files at the first call, so it comes before a run. */
async function load(): Promise<Loaded> {
  loading ??= (async () => {
    const vfs = new Vfs();
    const sqlite = await instantiate((loaded) => vfs.fileSystem(loaded));
    return { vfs, sqlite, machines: new Set<Machine>() };
  })();
  return await loading;
}

/** All machines of a run. One run at a time: `begin` makes those of the former one useless. */
export class MachineRoom {
  private readonly loaded: Loaded;

  private constructor(loaded: Loaded) {
    this.loaded = loaded;
  }

  /** Loads SQLite at the first call; to be awaited before real files are out of reach. */
  static async open(): Promise<MachineRoom> {
    return new MachineRoom(await load());
  }

  /** A run begins: all of SQLite's chance comes from `prng`; its time stands still. */
  begin(prng: Prng): void {
    const { vfs, sqlite, machines } = this.loaded;
    for (const machine of machines) machine.discard();
    machines.clear();
    vfs.volumes.clear();
    vfs.prng = prng;
    sqlite.reseed();
  }

  /** A machine with an empty disk; `name` without slashes, once per run. */
  machine(name: string, prng: Prng): Machine {
    const volume = new Volume(name, new SectorDisk());
    this.loaded.vfs.volumes.set(name, volume);
    const machine = new Machine(volume, this.loaded.sqlite, prng);
    this.loaded.machines.add(machine);
    return machine;
  }
}

export class Machine implements Medium {
  /** Where files lie. */
  readonly dir: string;
  private readonly volume: Volume;
  private readonly sqlite: Sqlite;
  private readonly prng: Prng;
  private readonly connections = new Set<WasmConnection>();

  constructor(volume: Volume, sqlite: Sqlite, prng: Prng) {
    this.volume = volume;
    this.sqlite = sqlite;
    this.prng = prng;
    this.dir = `/${volume.name}`;
  }

  get disk(): SectorDisk {
    return this.volume.disk;
  }

  /** Holds from now on what `other` holds; nothing may run on either. */
  copyFrom(other: Machine): void {
    this.disk.copyFrom(other.disk, other.dir, this.dir);
  }

  /** The power goes, whatever is under way, and comes back: what is durable then is all there is. */
  crash(remains: Remains): void {
    this.discard();
    this.disk.restore(remains, this.prng);
  }

  /** The power goes and nobody wants it back; SQLite's memory is free again. */
  discard(): void {
    this.disk.cut();
    this.volume.end();
    for (const connection of [...this.connections]) connection.close();
    this.volume.release(this.sqlite);
  }

  // ---- Medium.

  connect(path: string, { readonly = false }: ConnectOptions = {}): SqlConnection {
    const connection = new WasmConnection(this.sqlite, path, readonly, (closed) => {
      this.connections.delete(closed);
    });
    this.connections.add(connection);
    return connection;
  }

  makeDirectory(): void {
    this.disk.assertOn();
  }

  exists(path: string): boolean {
    return this.disk.open(path, false) !== undefined;
  }

  sizeOf(path: string): number {
    return this.disk.open(path, false)?.current.size ?? 0;
  }

  readText(path: string): string {
    const { current } = this.found(path);
    return Buffer.from(current.bytes.subarray(0, current.size)).toString();
  }

  writeText(path: string, text: string): void {
    const file = this.disk.open(path, true);
    if (file === undefined) throw new MokuError('INTERNAL', { operation: 'open', path });
    this.disk.truncate(file, 0);
    this.disk.write(file, 0, Buffer.from(text));
    this.disk.sync(file);
  }

  remove(path: string): void {
    this.disk.remove(path, true);
  }

  openReading(path: string): FileReading | undefined {
    const file = this.disk.open(path, false);
    if (file === undefined) return undefined;
    return {
      size: file.current.size,
      read: (into, at) => {
        this.disk.assertOn();
        if (at + into.length > file.current.size) throw new Error('the file ends before');
        into.set(file.current.bytes.subarray(at, at + into.length));
      },
      close: () => {},
    };
  }

  openWriting(path: string): FileWriting {
    const file = this.disk.open(path, true);
    if (file === undefined) throw new MokuError('INTERNAL', { operation: 'open', path });
    this.disk.truncate(file, 0);
    return {
      write: (bytes) => this.disk.write(file, 0, bytes),
      close: () => {},
    };
  }

  randomBytes(count: number): Uint8Array {
    return Uint8Array.from({ length: count }, () => this.prng.below(256));
  }

  private found(path: string): SectorFile {
    const file = this.disk.open(path, false);
    if (file === undefined) throw new MokuError('INTERNAL', { operation: 'read', path });
    return file;
  }
}
