// @hot
/**
 * The newest entries of all regions of a node, in memory: those of the last `bytesMax` bytes written,
 * whichever region they belong to. An entry leaves after as many bytes as that were written behind it,
 * also when others left early: its data may be a part of a received frame, which it keeps in memory whole.
 *
 * Invariants:
 *  C1 A window holds consecutive entries that end at the region's last index, or none.
 *  C2 `bytes` is the cost of all entries in all windows, and at most `bytesMax` but for the newest batch.
 */
import type { Entry } from '@moku/raft';

/** What an entry costs in memory beside its data. */
const entryObjectBytes = 112;
const noEntries: Entry[] = [];

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

  get(index: number): Entry | undefined {
    const first = this.entries[this.head];
    if (first === undefined || index < first.index) return undefined;
    return this.entries[this.head + index - first.index];
  }

  /** Adds entries behind the last one; `entries` is not empty. */
  append(entries: readonly Entry[]): void {
    if (this.entries === noEntries) this.entries = [];
    let bytes = 0;
    for (let i = 0; i < entries.length; i++) {
      const entry = entries[i]!;
      this.entries.push(entry);
      bytes += costOf(entry);
    }
    this.cache.added(this, entries[entries.length - 1]!.index, bytes);
  }

  /** Drops entries from `from` on. */
  cutSuffix(from: number): void {
    while (this.entries.length > this.head) {
      const last = this.entries[this.entries.length - 1]!;
      if (last.index < from) break;
      this.cache.bytes -= costOf(last);
      this.entries.pop();
    }
    this.releaseMemory();
  }

  /** Drops entries up to `upTo`. */
  cutPrefix(upTo: number): void {
    while (this.head < this.entries.length) {
      const first = this.entries[this.head]!;
      if (first.index > upTo) break;
      this.cache.bytes -= costOf(first);
      this.head += 1;
    }
    this.releaseMemory();
  }

  private releaseMemory(): void {
    if (this.head === this.entries.length) {
      this.entries = noEntries;
      this.head = 0;
    } else if (this.head >= 16 && this.head * 2 >= this.entries.length) {
      this.entries = this.entries.slice(this.head);
      this.head = 0;
    }
  }
}

export class EntryCache {
  bytes = 0;
  private readonly bytesMax: number;
  /** Bytes ever added. */
  private addedBytes = 0;
  /** Ring of what was added, oldest first: a window, the last index added to it then, and addedBytes before. */
  private windows: (EntryWindow | undefined)[] = [];
  private lastIndexes = new Float64Array(0);
  private addedBefore = new Float64Array(0);
  private head = 0;
  private size = 0;

  constructor(bytesMax: number) {
    this.bytesMax = bytesMax;
  }

  /** Called by a window that took in entries up to `lastIndex`; evicts what is too old. */
  added(window: EntryWindow, lastIndex: number, bytes: number): void {
    if (this.size === this.windows.length) this.grow();
    const at = (this.head + this.size) & (this.windows.length - 1);
    this.windows[at] = window;
    this.lastIndexes[at] = lastIndex;
    this.addedBefore[at] = this.addedBytes;
    this.size += 1;
    this.addedBytes += bytes;
    this.bytes += bytes;
    const oldest = this.addedBytes - this.bytesMax;
    while (this.size > 1 && this.addedBefore[this.head]! < oldest) this.evictOldest();
  }

  private evictOldest(): void {
    const window = this.windows[this.head]!;
    const lastIndex = this.lastIndexes[this.head]!;
    this.windows[this.head] = undefined;
    this.head = (this.head + 1) & (this.windows.length - 1);
    this.size -= 1;
    window.cutPrefix(lastIndex);
  }

  private grow(): void {
    const capacity = Math.max(16, this.windows.length * 2);
    const windows: (EntryWindow | undefined)[] = new Array(capacity);
    const lastIndexes = new Float64Array(capacity);
    const addedBefore = new Float64Array(capacity);
    for (let i = 0; i < this.size; i++) {
      const from = (this.head + i) & (this.windows.length - 1);
      windows[i] = this.windows[from];
      lastIndexes[i] = this.lastIndexes[from]!;
      addedBefore[i] = this.addedBefore[from]!;
    }
    this.windows = windows;
    this.lastIndexes = lastIndexes;
    this.addedBefore = addedBefore;
    this.head = 0;
  }
}
