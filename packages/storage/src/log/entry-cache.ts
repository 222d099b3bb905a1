// @hot
/**
 * The newest entries of all regions of a node, in memory, up to a number of bytes. What was written
 * first leaves first, whichever region it belongs to.
 *
 * Invariants:
 *  C1 A window holds consecutive entries that end at the region's last index, or none.
 *  C2 `bytes` is the cost of all entries in all windows and, but for the newest entry, at most `bytesMax`.
 *  C3 The queue holds at most a constant factor more items than there are entries.
 */
import { assert } from '@moku/base';
import type { Entry } from '@moku/raft';

/** What an entry costs in memory beside its data. */
const entryObjectBytes = 112;
const noEntries: Entry[] = [];
const queueSlack = 1024;

function costOf(entry: Entry): number {
  return entry.data.length + entryObjectBytes;
}

/** One region's newest entries. */
export class EntryWindow {
  private readonly cache: EntryCache;
  private entries: Entry[] = noEntries;
  private head = 0;

  constructor(cache: EntryCache) {
    this.cache = cache;
  }

  get length(): number {
    return this.entries.length - this.head;
  }

  /** First index held; undefined when there is none. */
  firstIndex(): number | undefined {
    return this.entries[this.head]?.index;
  }

  get(index: number): Entry | undefined {
    const first = this.entries[this.head];
    if (first === undefined || index < first.index) return undefined;
    return this.entries[this.head + index - first.index];
  }

  /** Adds entries behind the last one. */
  append(entries: readonly Entry[]): void {
    if (this.entries === noEntries) this.entries = [];
    let bytes = 0;
    for (let i = 0; i < entries.length; i++) {
      const entry = entries[i]!;
      this.entries.push(entry);
      bytes += costOf(entry);
    }
    this.cache.added(this, entries[entries.length - 1]!.index, entries.length, bytes);
  }

  /** Drops entries from `from` on. */
  cutSuffix(from: number): void {
    let bytes = 0;
    let count = 0;
    while (this.length > 0 && this.entries[this.entries.length - 1]!.index >= from) {
      bytes += costOf(this.entries.pop()!);
      count += 1;
    }
    this.cache.removed(count, bytes);
    this.releaseMemory();
  }

  /** Drops entries up to `upTo`. */
  cutPrefix(upTo: number): void {
    let bytes = 0;
    let count = 0;
    while (this.length > 0 && this.entries[this.head]!.index <= upTo) {
      bytes += costOf(this.entries[this.head]!);
      this.head += 1;
      count += 1;
    }
    this.cache.removed(count, bytes);
    this.releaseMemory();
  }

  private releaseMemory(): void {
    if (this.length === 0) {
      this.entries = noEntries;
      this.head = 0;
    } else if (this.head >= 32 && this.head * 2 >= this.entries.length) {
      this.entries = this.entries.slice(this.head);
      this.head = 0;
    }
  }
}

export class EntryCache {
  bytes = 0;
  private count = 0;
  private readonly bytesMax: number;
  /** Ring of what was added, oldest first: a window and the last index added to it then. */
  private windows: (EntryWindow | undefined)[] = new Array(16);
  private lastIndexes = new Float64Array(16);
  private head = 0;
  private size = 0;

  constructor(bytesMax: number) {
    this.bytesMax = bytesMax;
  }

  /** Called by a window that took in `count` entries up to `lastIndex`; evicts what is too much. */
  added(window: EntryWindow, lastIndex: number, count: number, bytes: number): void {
    this.bytes += bytes;
    this.count += count;
    if (this.size > queueSlack && this.size > 2 * this.count) this.compact();
    if (this.size === this.windows.length) this.grow();
    const at = (this.head + this.size) & (this.windows.length - 1);
    this.windows[at] = window;
    this.lastIndexes[at] = lastIndex;
    this.size += 1;
    while (this.bytes > this.bytesMax && this.size > 1) this.evictOldest();
  }

  /** Called by a window that dropped entries. */
  removed(count: number, bytes: number): void {
    this.count -= count;
    this.bytes -= bytes;
    assert(this.bytes >= 0 && this.count >= 0, 'C2: the cache counts what it holds');
  }

  private evictOldest(): void {
    const at = this.head;
    const window = this.windows[at]!;
    this.windows[at] = undefined;
    this.head = (at + 1) & (this.windows.length - 1);
    this.size -= 1;
    window.cutPrefix(this.lastIndexes[at]!);
  }

  /** C3: forgets items whose entries are gone. */
  private compact(): void {
    const mask = this.windows.length - 1;
    let kept = 0;
    for (let i = 0; i < this.size; i++) {
      const from = (this.head + i) & mask;
      const window = this.windows[from]!;
      const lastIndex = this.lastIndexes[from]!;
      const first = window.firstIndex();
      this.windows[from] = undefined;
      if (first === undefined || first > lastIndex) continue;
      const to = (this.head + kept) & mask;
      this.windows[to] = window;
      this.lastIndexes[to] = lastIndex;
      kept += 1;
    }
    this.size = kept;
  }

  private grow(): void {
    const capacity = this.windows.length * 2;
    const windows: (EntryWindow | undefined)[] = new Array(capacity);
    const lastIndexes = new Float64Array(capacity);
    for (let i = 0; i < this.size; i++) {
      const from = (this.head + i) & (this.windows.length - 1);
      windows[i] = this.windows[from];
      lastIndexes[i] = this.lastIndexes[from]!;
    }
    this.windows = windows;
    this.lastIndexes = lastIndexes;
    this.head = 0;
  }
}
