/**
 * The file system that SQLite sees: handles, locks and shared memory over the sectors of several disks.
 * A path is `/<disk>/<file>`.
 *
 * Invariants:
 *  V1 A handle belongs to one life of its disk; in another life all it can do is to be closed.
 *  V2 Locks and shared memory are those of SQLite's rules (sqlite.org/c3ref/io_methods.html); nobody waits.
 *  V3 Randomness comes from the run, and time stands still.
 */
import { assert, type Prng } from '@moku/base';
import { type SectorDisk, SectorError, type SectorFile } from './sectors.js';
import type { Callback, FileSystem, Sqlite } from './wasm.js';

const ok = 0;
const busy = 5;
const ioError = 10;
const notFound = 12;
const full = 13;
const cantOpen = 14;
const shortRead = ioError | (2 << 8);

const lockLevel = { none: 0, shared: 1, reserved: 2, pending: 3, exclusive: 4 } as const;
const openCreate = 0x4;
const shmExclusive = 8;
const shmUnlock = 1;
const shmLocks = 8;
/** SQLite's own default: bytes beside those written are not harmed by a torn write. */
const powersafeOverwrite = 0x1000;
const sectorBytes = 4096;
/** The stores ask SQLite for no time. */
const wallMs = 1_700_000_000_000;
const unixEpochMs = 210_866_760_000_000;

/** A disk as SQLite reaches it. */
export class Volume {
  readonly name: string;
  readonly disk: SectorDisk;
  /** Raised by `end`. */
  life = 0;
  readonly shared: Map<SectorFile, Shared> = new Map();

  constructor(name: string, disk: SectorDisk) {
    this.name = name;
    this.disk = disk;
  }

  /** Ends a life: its handles are dead (V1). */
  end(): void {
    this.life += 1;
  }

  /** Gives back what handles of ended lives shared; all of them are closed by now. */
  release(sqlite: Sqlite): void {
    for (const { regions } of this.shared.values()) {
      for (const address of regions) sqlite.module._free(address);
    }
    this.shared.clear();
  }
}

/** What handles of one file share. */
class Shared {
  readonly holders: Map<Handle, number> = new Map();
  readonly regions: number[] = [];
  readonly mappers: Set<Handle> = new Set();
  readonly readers: Set<Handle>[] = Array.from({ length: shmLocks }, () => new Set());
  readonly writers: (Handle | undefined)[] = new Array(shmLocks).fill(undefined);
}

interface Handle {
  readonly volume: Volume;
  readonly life: number;
  readonly file: SectorFile;
  readonly deletesOnClose: boolean;
}

export class Vfs {
  readonly volumes: Map<string, Volume> = new Map();
  /** Chance of the run (V3). */
  prng: Prng | undefined;
  private sqlite: Sqlite | undefined;
  private readonly handles = new Map<number, Handle>();
  private nextHandle = 1;

  /** To be called once: what SQLite is given. */
  fileSystem(sqlite: Sqlite): FileSystem {
    this.sqlite = sqlite;
    const guard = this.guarded.bind(this);
    return {
      vfs: [
        guard('iiiiii', (_vfs, path, file, flags, out) => this.open({ path, file, flags, out })),
        guard('iiii', (_vfs, path, syncsDirectory) => this.remove(path, syncsDirectory !== 0)),
        guard('iiiii', (_vfs, path, _flags, out) => this.access(path, out)),
        guard('iiiii', (_vfs, path, bytes, out) => this.fullPath(path, bytes, out)),
        undefined,
        undefined,
        undefined,
        undefined,
        guard('iiii', (_vfs, bytes, out) => this.randomness(bytes, out)),
        guard('iii', (_vfs, microseconds) => microseconds),
        undefined,
        guard('iiii', () => ok),
        guard('iii', (_vfs, out) => this.currentTime(out)),
      ],
      io: [
        { signature: 'ii', run: (file) => this.close(file) },
        guard('iiiij', (file, into, bytes, at) => this.read(file, into, bytes, at)),
        guard('iiiij', (file, from, bytes, at) => this.write(file, from, bytes, at)),
        guard('iij', (file, size) => this.truncate(file, size)),
        guard('iii', (file) => this.sync(file)),
        guard('iii', (file, out) => this.fileSize(file, out)),
        guard('iii', (file, level) => this.lock(this.handle(file), level)),
        { signature: 'iii', run: (file, level) => this.unlock(file, level) },
        guard('iii', (file, out) => this.checkReserved(file, out)),
        guard('iiii', () => notFound),
        guard('ii', () => sectorBytes),
        guard('ii', () => powersafeOverwrite),
        guard('iiiiii', (file, region, bytes, extend, out) =>
          this.shmMap(this.handle(file), { region, bytes, extends: extend !== 0, out }),
        ),
        guard('iiiii', (file, from, count, flags) => this.shmLock(file, { from, count, flags })),
        { signature: 'vi', run: () => undefined },
        { signature: 'iii', run: (file, removes) => this.shmUnmap(file, removes !== 0) },
      ],
    };
  }

  private get wasm(): Sqlite {
    assert(this.sqlite !== undefined, 'SQLite is loaded before it is used');
    return this.sqlite;
  }

  private guarded(signature: string, run: (...values: number[]) => number): Callback {
    return {
      signature,
      run: (...values) => {
        try {
          return run(...values);
        } catch (error) {
          if (!(error instanceof SectorError)) throw error;
          return error.reason === 'FULL' ? full : ioError;
        }
      },
    };
  }

  // ---- The file system.

  private open(request: { path: number; file: number; flags: number; out: number }): number {
    const { wasm } = this;
    const { path, file, flags, out } = request;
    wasm.setInt(file, 0);
    const name = wasm.text(path);
    const volume = this.volumeOf(name);
    if (volume === undefined) return cantOpen;
    const found = volume.disk.open(name, (flags & openCreate) !== 0);
    if (found === undefined) return cantOpen;
    const handle = this.nextHandle;
    this.nextHandle += 1;
    const { life } = volume;
    this.handles.set(handle, { volume, life, file: found, deletesOnClose: (flags & 8) !== 0 });
    wasm.setInt(file, wasm.ioMethodsAddress);
    wasm.setInt(file + 4, handle);
    if (out !== 0) wasm.setInt(out, flags);
    return ok;
  }

  private remove(path: number, isSynced: boolean): number {
    const name = this.wasm.text(path);
    this.volumeOf(name)?.disk.remove(name, isSynced);
    return ok;
  }

  private access(path: number, out: number): number {
    const name = this.wasm.text(path);
    const volume = this.volumeOf(name);
    volume?.disk.assertOn();
    this.wasm.setInt(out, volume?.disk.files.has(name) === true ? 1 : 0);
    return ok;
  }

  private fullPath(path: number, bytes: number, out: number): number {
    const name = Buffer.from(`${this.wasm.text(path)}\0`);
    if (name.length > bytes) return cantOpen;
    this.wasm.bytes(out, name.length).set(name);
    return ok;
  }

  private randomness(count: number, out: number): number {
    assert(this.prng !== undefined, 'V3: a run gives its randomness');
    const bytes = this.wasm.bytes(out, count);
    for (let i = 0; i < count; i++) bytes[i] = this.prng.below(256);
    return count;
  }

  private currentTime(out: number): number {
    this.wasm.setInt64(out, wallMs + unixEpochMs);
    return ok;
  }

  private volumeOf(path: string): Volume | undefined {
    return this.volumes.get(path.slice(1, path.indexOf('/', 1)));
  }

  // ---- Files.

  private handle(file: number): Handle {
    const handle = this.handles.get(this.wasm.getInt(file + 4));
    assert(handle !== undefined, 'V1: a handle is open until it is closed');
    if (handle.life !== handle.volume.life) throw new SectorError('OFF');
    handle.volume.disk.assertOn();
    return handle;
  }

  private close(file: number): number {
    const number = this.wasm.getInt(file + 4);
    const handle = this.handles.get(number);
    this.handles.delete(number);
    if (handle === undefined || handle.life !== handle.volume.life) return ok;
    const shared = handle.volume.shared.get(handle.file);
    shared?.holders.delete(handle);
    if (handle.deletesOnClose && !handle.volume.disk.isOff) {
      handle.volume.disk.remove(handle.file.path, false);
    }
    return ok;
  }

  private read(file: number, into: number, count: number, at: number): number {
    const { current } = this.handle(file).file;
    const bytes = this.wasm.bytes(into, count);
    const there = Math.max(0, Math.min(count, current.size - at));
    bytes.set(current.bytes.subarray(at, at + there));
    if (there === count) return ok;
    bytes.fill(0, there);
    return shortRead;
  }

  private write(file: number, from: number, count: number, at: number): number {
    const { volume, file: sectors } = this.handle(file);
    volume.disk.write(sectors, at, this.wasm.bytes(from, count));
    return ok;
  }

  private truncate(file: number, size: number): number {
    const { volume, file: sectors } = this.handle(file);
    volume.disk.truncate(sectors, size);
    return ok;
  }

  private sync(file: number): number {
    const { volume, file: sectors } = this.handle(file);
    volume.disk.sync(sectors);
    return ok;
  }

  private fileSize(file: number, out: number): number {
    this.wasm.setInt64(out, this.handle(file).file.current.size);
    return ok;
  }

  // ---- Locks (V2).

  private lock(handle: Handle, level: number): number {
    const { holders } = sharedOf(handle);
    const own = holders.get(handle) ?? lockLevel.none;
    if (own >= level) return ok;
    let othersMax: number = lockLevel.none;
    for (const [other, held] of holders) {
      if (other !== handle) othersMax = Math.max(othersMax, held);
    }
    if (level === lockLevel.shared) {
      if (othersMax >= lockLevel.pending) return busy;
    } else if (level === lockLevel.exclusive) {
      if (othersMax >= lockLevel.reserved) return busy;
      if (othersMax >= lockLevel.shared) {
        holders.set(handle, lockLevel.pending);
        return busy;
      }
    } else if (othersMax >= lockLevel.reserved) {
      return busy;
    }
    holders.set(handle, level);
    return ok;
  }

  private unlock(file: number, level: number): number {
    const handle = this.handles.get(this.wasm.getInt(file + 4));
    if (handle === undefined || handle.life !== handle.volume.life) return ok;
    const { holders } = sharedOf(handle);
    if (level === lockLevel.none) holders.delete(handle);
    else holders.set(handle, level);
    return ok;
  }

  private checkReserved(file: number, out: number): number {
    const handle = this.handle(file);
    let isReserved = false;
    for (const held of sharedOf(handle).holders.values()) {
      if (held >= lockLevel.reserved) isReserved = true;
    }
    this.wasm.setInt(out, isReserved ? 1 : 0);
    return ok;
  }

  // ---- Shared memory (V2).

  private shmMap(
    handle: Handle,
    request: { region: number; bytes: number; extends: boolean; out: number },
  ): number {
    const { wasm } = this;
    const { region, bytes, out } = request;
    const shared = sharedOf(handle);
    shared.mappers.add(handle);
    wasm.setInt(out, 0);
    while (shared.regions.length <= region) {
      if (!request.extends) return ok;
      shared.regions.push(wasm.allocate(new Uint8Array(bytes)));
    }
    wasm.setInt(out, shared.regions[region]!);
    return ok;
  }

  private shmLock(
    file: number,
    { from, count, flags }: { from: number; count: number; flags: number },
  ): number {
    const handle = this.handle(file);
    const { readers, writers } = sharedOf(handle);
    for (let i = from; i < from + count; i++) {
      if ((flags & shmUnlock) !== 0) continue;
      const writer = writers[i];
      if (writer !== undefined && writer !== handle) return busy;
      const others = readers[i]!.size - (readers[i]!.has(handle) ? 1 : 0);
      if ((flags & shmExclusive) !== 0 && others > 0) return busy;
    }
    for (let i = from; i < from + count; i++) {
      if ((flags & shmUnlock) !== 0) {
        if (writers[i] === handle) writers[i] = undefined;
        readers[i]!.delete(handle);
      } else if ((flags & shmExclusive) !== 0) writers[i] = handle;
      else readers[i]!.add(handle);
    }
    return ok;
  }

  private shmUnmap(file: number, _removes: boolean): number {
    const handle = this.handles.get(this.wasm.getInt(file + 4));
    if (handle === undefined || handle.life !== handle.volume.life) return ok;
    const shared = sharedOf(handle);
    shared.mappers.delete(handle);
    for (let i = 0; i < shmLocks; i++) {
      shared.readers[i]!.delete(handle);
      if (shared.writers[i] === handle) shared.writers[i] = undefined;
    }
    if (shared.mappers.size === 0) this.freeShared(shared);
    return ok;
  }

  private freeShared(shared: Shared): void {
    for (const address of shared.regions) this.wasm.module._free(address);
    shared.regions.length = 0;
  }
}

function sharedOf(handle: Handle): Shared {
  const { shared } = handle.volume;
  let found = shared.get(handle.file);
  if (found === undefined) {
    found = new Shared();
    shared.set(handle.file, found);
  }
  return found;
}
