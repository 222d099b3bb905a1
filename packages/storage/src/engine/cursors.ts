// @hot
/**
 * Walks over the versions of one layer (an overlay's here, the file's in `reader.ts`), and the choice
 * between layers. A cursor stands on a version or is done; it must be closed in either case.
 */
import { compareBytes, type Timestamp } from '@moku/base';
import type { ScanRange, VersionedValue } from '@moku/kv';
import { type ChunkTable, removalLength } from './chunks.js';
import type { LocationTree } from './overlay.js';

export interface VersionCursor {
  readonly isDone: boolean;
  /** Aliases the layer's memory; valid until `advance`. */
  readonly key: Uint8Array;
  readonly timestamp: number;
  /** The version is to be forgotten, and hides that of this key and timestamp in lower layers. */
  readonly isRemoval: boolean;
  /** The current version, copied. Not for removals. */
  version(): VersionedValue;
  advance(): void;
  close(): void;
}

/** An overlay's records: of each key in a range the newest <= `at`; or, without a range, all. */
export class OverlayCursor implements VersionCursor {
  private readonly table: ChunkTable;
  private readonly range: ScanRange | undefined;
  private readonly locations: Iterator<readonly [number, undefined]>;
  /** The record to look at next, and the one stood on; -1: none. */
  private ahead = -1;
  private location = -1;
  private currentKey: Uint8Array | undefined = undefined;

  constructor(table: ChunkTable, tree: LocationTree, range: ScanRange | undefined) {
    this.table = table;
    this.range = range;
    this.locations = open(table, tree, range);
    this.ahead = this.next();
    this.advance();
  }

  get isDone(): boolean {
    return this.location < 0;
  }

  get key(): Uint8Array {
    this.currentKey ??= this.table.key(this.location);
    return this.currentKey;
  }

  get timestamp(): number {
    return this.table.timestamp(this.location);
  }

  get isRemoval(): boolean {
    return this.table.valueLength(this.location) === removalLength;
  }

  version(): VersionedValue {
    return {
      key: this.table.keyCopy(this.location),
      timestamp: this.table.timestamp(this.location) as Timestamp,
      value: this.table.value(this.location),
    };
  }

  advance(): void {
    this.currentKey = undefined;
    if (this.range === undefined) {
      this.location = this.ahead;
      if (this.ahead >= 0) this.ahead = this.next();
      return;
    }
    this.location = this.newestAhead(this.range);
  }

  close(): void {
    this.location = -1;
    this.ahead = -1;
  }

  /** The newest record <= at of the next key that has one; -1 at the end of the range. */
  private newestAhead(range: ScanRange): number {
    const { table } = this;
    while (this.ahead >= 0) {
      const key = table.key(this.ahead);
      if (isBeyond(range, key)) return -1;
      // Forwards a key's first fitting record is its newest; in reverse its last one is.
      let newest = -1;
      do {
        const fits = table.timestamp(this.ahead) <= range.at;
        if (fits && (newest < 0 || range.isReverse)) newest = this.ahead;
        this.ahead = this.next();
      } while (this.ahead >= 0 && table.hasKey(this.ahead, key));
      if (newest >= 0) return newest;
    }
    return -1;
  }

  private next(): number {
    const { done, value } = this.locations.next();
    return done === true ? -1 : value[0];
  }
}

function open(
  table: ChunkTable,
  tree: LocationTree,
  range: ScanRange | undefined,
): Iterator<readonly [number, undefined]> {
  const reused: [number, undefined] = [0, undefined];
  if (range === undefined) return tree.entries(undefined, reused);
  if (!range.isReverse) return tree.entries(table.position(range.start, Infinity), reused);
  const { end } = range;
  return tree.entriesReversed(
    end === undefined ? undefined : table.position(end, Infinity),
    reused,
  );
}

function isBeyond(range: ScanRange, key: Uint8Array): boolean {
  if (range.isReverse) return compareBytes(key, range.start) < 0;
  return range.end !== undefined && compareBytes(key, range.end) >= 0;
}

/**
 * Of `cursors`, upper layers first, the one that stands first: by key in the given direction, then by
 * timestamp descending, then by layer (O1). Undefined when all are done.
 */
export function firstCursor(
  cursors: readonly VersionCursor[],
  isReverse: boolean,
): VersionCursor | undefined {
  let first: VersionCursor | undefined;
  for (let i = 0; i < cursors.length; i++) {
    const cursor = cursors[i]!;
    if (cursor.isDone) continue;
    if (first === undefined) {
      first = cursor;
      continue;
    }
    const order = compareBytes(cursor.key, first.key);
    const isBefore =
      order === 0 ? cursor.timestamp > first.timestamp : isReverse ? order > 0 : order < 0;
    if (isBefore) first = cursor;
  }
  return first;
}

/** Moves all cursors past `key`; of cursors that stand on one version per key. */
export function passKey(cursors: readonly VersionCursor[], key: Uint8Array): void {
  for (let i = 0; i < cursors.length; i++) {
    const cursor = cursors[i]!;
    if (!cursor.isDone && compareBytes(cursor.key, key) === 0) cursor.advance();
  }
}

export function closeCursors(cursors: readonly VersionCursor[]): void {
  for (let i = 0; i < cursors.length; i++) cursors[i]!.close();
}
