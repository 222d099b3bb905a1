/**
 * The disk under a simulated node's files: what programs read, what is durable, and what a power cut makes
 * of the difference. Knows nothing of SQLite.
 *
 * Owns: the files' bytes, the budget of operations until the power is cut, and space. Invariants:
 *  S1 What was synced survives a power cut unchanged. Of every other write any part may be there: whole
 *     atoms of `atomBytes`, in any subset, as disks reorder and tear; bytes nobody wrote stay as they are.
 *  S2 A file exists durably once it was synced; a removal may be undone until the directory is synced,
 *     which the first sync of a new file does, as SQLite's own file system for Unix does it.
 *  S3 After a cut nothing is read or changed until `restore`.
 */
import type { Prng } from '@moku/base';

/** What a disk writes whole or not at all. */
const atomBytes = 512;

/** What a cut keeps of what was not synced. */
export type Remains = 'nothing' | 'everything' | 'prefix' | 'subset';

interface Write {
  readonly at: number;
  readonly bytes: Uint8Array;
}

type Change = Write | { readonly truncatedTo: number };

/** The disk said no: `FULL` (no space), `IO` (a failed sync), `OFF` (the power is cut). */
export class SectorError extends Error {
  readonly reason: 'FULL' | 'IO' | 'OFF';

  constructor(reason: SectorError['reason']) {
    super(`the disk refuses: ${reason}`);
    this.reason = reason;
  }
}

export class SectorFile {
  readonly path: string;
  readonly current: Image = new Image();
  readonly durable: Image = new Image();
  /** Not synced yet, in order. */
  changes: Change[] = [];
  /** It would exist after a cut. */
  isDurable = false;

  constructor(path: string) {
    this.path = path;
  }
}

/** Bytes that grow; beyond `size` they are zero. */
class Image {
  bytes: Uint8Array = new Uint8Array(0);
  size = 0;

  resize(size: number): void {
    if (size < this.size) this.bytes.fill(0, size, this.size);
    if (size > this.bytes.length) {
      const grown = new Uint8Array(Math.max(size, 2 * this.bytes.length, 16 * 1024));
      grown.set(this.bytes.subarray(0, this.size));
      this.bytes = grown;
    }
    this.size = size;
  }

  write(at: number, bytes: Uint8Array): void {
    if (at + bytes.length > this.size) this.resize(at + bytes.length);
    this.bytes.set(bytes, at);
  }

  copyFrom(other: Image): void {
    this.resize(0);
    this.resize(other.size);
    this.bytes.set(other.bytes.subarray(0, other.size));
  }
}

export class SectorDisk {
  readonly files: Map<string, SectorFile> = new Map();
  /** Changing operations until the power is cut; Infinity: it stays on. */
  operationsLeft: number = Number.POSITIVE_INFINITY;
  /** Changing operations so far. */
  operations = 0;
  /** Bytes that all files may have together. */
  bytesMax: number = Number.POSITIVE_INFINITY;
  /** The next sync reports an error. */
  failsNextSync = false;
  /** For proof that tests can fail: syncs report success and do nothing. */
  liesAboutSyncs = false;
  isOff = false;
  /** Removed, and perhaps not for good (S2). */
  private removed: SectorFile[] = [];

  open(path: string, makes: boolean): SectorFile | undefined {
    this.assertOn();
    let file = this.files.get(path);
    if (file === undefined && makes) {
      file = new SectorFile(path);
      this.files.set(path, file);
    }
    return file;
  }

  write(file: SectorFile, at: number, bytes: Uint8Array): void {
    this.begin();
    const growth = at + bytes.length - file.current.size;
    if (growth > 0 && this.bytesUsed() + growth > this.bytesMax) throw new SectorError('FULL');
    file.current.write(at, bytes);
    file.changes.push({ at, bytes: bytes.slice() });
    this.end();
  }

  truncate(file: SectorFile, size: number): void {
    this.begin();
    file.current.resize(size);
    file.changes.push({ truncatedTo: size });
    this.end();
  }

  sync(file: SectorFile): void {
    this.begin();
    if (this.failsNextSync) {
      this.failsNextSync = false;
      throw new SectorError('IO');
    }
    // A cut comes before anything is synced; one right behind it is one at the next operation.
    this.end();
    if (this.liesAboutSyncs) return;
    for (const change of file.changes) apply(file.durable, change);
    file.changes = [];
    if (!file.isDurable) this.removed = [];
    file.isDurable = true;
  }

  remove(path: string, isSynced: boolean): void {
    this.begin();
    const file = this.files.get(path);
    this.files.delete(path);
    if (isSynced) this.removed = [];
    else if (file?.isDurable === true) this.removed.push(file);
    this.end();
  }

  /** Cuts the power: what is not synced is decided when it comes back. */
  cut(): void {
    this.isOff = true;
  }

  /** The power comes back: what files hold now is all there is, and durable. */
  restore(remains: Remains, prng: Prng): void {
    for (const file of this.removed) {
      const isBack = remains !== 'everything' && prng.below(2) === 0;
      if (isBack && this.files.get(file.path)?.isDurable !== true) this.files.set(file.path, file);
    }
    this.removed = [];
    for (const [path, file] of this.files) {
      const kept = keptOf(file.changes, remains, prng);
      for (const change of kept) apply(file.durable, change);
      file.changes = [];
      if (!file.isDurable && kept.length === 0) {
        this.files.delete(path);
        continue;
      }
      file.isDurable = true;
      file.current.copyFrom(file.durable);
    }
    this.isOff = false;
    this.operationsLeft = Number.POSITIVE_INFINITY;
    this.failsNextSync = false;
  }

  /** Takes over the durable files of `other` that lie in `from`, as files in `to`. */
  copyFrom(other: SectorDisk, from: string, to: string): void {
    this.files.clear();
    for (const file of other.files.values()) {
      const copy = new SectorFile(to + file.path.slice(from.length));
      copy.durable.copyFrom(file.durable);
      copy.current.copyFrom(file.durable);
      copy.isDurable = true;
      this.files.set(copy.path, copy);
    }
  }

  bytesUsed(): number {
    let bytes = 0;
    for (const file of this.files.values()) bytes += file.current.size;
    return bytes;
  }

  assertOn(): void {
    if (this.isOff) throw new SectorError('OFF');
  }

  /** S3. */
  private begin(): void {
    this.assertOn();
    this.operations += 1;
    this.operationsLeft -= 1;
  }

  private end(): void {
    if (this.operationsLeft > 0) return;
    this.isOff = true;
    throw new SectorError('OFF');
  }
}

function apply(image: Image, change: Change): void {
  if ('truncatedTo' in change) image.resize(change.truncatedTo);
  else image.write(change.at, change.bytes);
}

/** S1. */
function keptOf(changes: readonly Change[], remains: Remains, prng: Prng): Change[] {
  if (remains === 'everything') return [...changes];
  if (remains === 'nothing' || changes.length === 0) return [];
  const kept: Change[] = [];
  if (remains === 'prefix') {
    const whole = prng.below(changes.length + 1);
    kept.push(...changes.slice(0, whole));
    const torn = changes[whole];
    if (torn !== undefined) kept.push(...atomsOf(torn, 0.5, prng));
    return kept;
  }
  const chance = prng.unit();
  for (const change of changes) kept.push(...atomsOf(change, chance, prng));
  return kept;
}

/** Some atoms of a change, each with `chance`. */
function atomsOf(change: Change, chance: number, prng: Prng): Change[] {
  if ('truncatedTo' in change) return prng.unit() < chance ? [change] : [];
  const kept: Write[] = [];
  const end = change.at + change.bytes.length;
  for (let at = change.at; at < end; ) {
    const next = Math.min(end, at - (at % atomBytes) + atomBytes);
    if (prng.unit() < chance) {
      kept.push({ at, bytes: change.bytes.subarray(at - change.at, next - change.at) });
    }
    at = next;
  }
  return kept;
}
