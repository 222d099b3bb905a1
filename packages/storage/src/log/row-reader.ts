/**
 * Rows read back from disk for entries that are no longer in memory: one read of a row serves every
 * region that waits for it, and the last rows read stay for those that come a little later.
 *
 * Invariants:
 *  F1 A row is asked for at most once at a time, however many regions want it.
 *  F2 A row stays until every region that waited for it has read from it, or `pinMs` have passed; rows that
 *     nobody waits for leave when the cache is over `bytesMax`. No row is asked for while pins fill the cache.
 *  F3 What cannot be read is a problem of its own (`corrupt`), never the end of a log (L4).
 */
import type { RegionId, ReplicaId } from '@moku/base';
import type { Entry } from '@moku/raft';
import type { FetchedRow } from './protocol.js';
import { decodeEntries, isRecordWhole, readToc, type Toc, tocStride } from './row-codec.js';
import type { RowTable } from './row-table.js';

const rowsPerRequestMax = 16;
const bytesPerRequestMax = 4 << 20;
const pinMs = 1_000;

/** Entries of one region in one row. */
export interface EntryPlace {
  readonly regionId: RegionId;
  readonly replicaId: ReplicaId;
  readonly seq: number;
  /** Indexes from … to - 1, all in one record. */
  readonly from: number;
  readonly to: number;
}

export type ReadOutcome =
  | { readonly kind: 'read'; readonly dataBytes: number }
  | { readonly kind: 'absent' }
  | { readonly kind: 'corrupt'; readonly reason: string };

interface CachedRow {
  readonly row: FetchedRow;
  readonly toc: Toc | undefined;
  /** Offsets of records whose hash was found right. */
  readonly whole: Set<number>;
  readonly waiting: Set<RegionId>;
  readonly loadedAtMs: number;
}

export interface RowSource {
  /** Reads rows in the background and gives them to `onRows`, all together. */
  request(seqs: readonly number[]): void;
  monotonicMs(): number;
  after(delayMs: number, task: () => void): void;
}

const absent: ReadOutcome = { kind: 'absent' };

export class RowReader {
  private readonly source: RowSource;
  private readonly table: RowTable;
  private readonly bytesMax: number;
  private readonly cached = new Map<number, CachedRow>();
  private readonly wanted = new Map<number, Set<RegionId>>();
  private asked = new Map<number, Set<RegionId>>();
  private cachedBytes = 0;
  private hasTimer = false;

  constructor(source: RowSource, table: RowTable, bytesMax: number) {
    this.source = source;
    this.table = table;
    this.bytesMax = bytesMax;
  }

  /** Appends the entries of `place` to `out`, as `decodeEntries` does. */
  read(place: EntryPlace, bytesMax: number, out: Entry[]): ReadOutcome {
    const cached = this.cached.get(place.seq);
    if (cached === undefined) return absent;
    // A row just read moves to the end of the line of those to leave.
    this.cached.delete(place.seq);
    this.cached.set(place.seq, cached);
    if (cached.waiting.delete(place.regionId) && cached.waiting.size === 0) this.dispatch();
    const { bytes, problem } = cached.row;
    if (bytes === undefined || cached.toc === undefined)
      return { kind: 'corrupt', reason: problem };
    const item = findItem(cached.toc, place);
    if (item < 0) return { kind: 'corrupt', reason: 'the record is missing in its row' };
    const at = cached.toc.items[item + 5]!;
    if (!cached.whole.has(at)) {
      if (!isRecordWhole(bytes, at, cached.toc.items[item + 6]!)) {
        return { kind: 'corrupt', reason: 'the record is damaged' };
      }
      cached.whole.add(at);
    }
    return { kind: 'read', dataBytes: decodeEntries(bytes, at, place, bytesMax, out) };
  }

  /** The region waits for these rows; `onRows` will name it. */
  want(regionId: RegionId, seqs: readonly number[]): void {
    for (const seq of seqs) {
      if (this.cached.has(seq)) continue;
      const waiting = this.asked.get(seq) ?? this.wanted.get(seq);
      if (waiting !== undefined) waiting.add(regionId);
      else this.wanted.set(seq, new Set([regionId]));
    }
    this.dispatch();
  }

  /** Takes in what was requested; returns the regions that waited for it. */
  onRows(rows: readonly FetchedRow[]): Set<RegionId> {
    const regions = new Set<RegionId>();
    const loadedAtMs = this.source.monotonicMs();
    for (const row of rows) {
      const waiting = this.asked.get(row.seq) ?? new Set<RegionId>();
      for (const regionId of waiting) regions.add(regionId);
      const toc = row.bytes === undefined ? undefined : readToc(row.bytes, row.seq);
      this.cached.set(row.seq, { row, toc, whole: new Set(), waiting, loadedAtMs });
      this.cachedBytes += row.bytes?.length ?? 0;
    }
    this.asked = new Map();
    this.evict();
    this.dispatch();
    return regions;
  }

  private dispatch(): void {
    if (this.asked.size > 0 || this.wanted.size === 0) return;
    this.evict();
    const pinnedBytes = this.pinnedBytes();
    if (pinnedBytes > 0 && pinnedBytes >= this.bytesMax) {
      this.dispatchLater();
      return;
    }
    const budget = Math.min(bytesPerRequestMax, this.bytesMax - pinnedBytes);
    const seqs: number[] = [];
    let bytes = 0;
    for (const [seq, waiting] of this.wanted) {
      const rowBytes = this.table.bytesOf(seq);
      if (seqs.length > 0 && (seqs.length >= rowsPerRequestMax || bytes + rowBytes > budget)) break;
      seqs.push(seq);
      bytes += rowBytes;
      this.asked.set(seq, waiting);
    }
    for (const seq of seqs) this.wanted.delete(seq);
    this.source.request(seqs);
  }

  private dispatchLater(): void {
    if (this.hasTimer) return;
    this.hasTimer = true;
    this.source.after(pinMs, () => {
      this.hasTimer = false;
      this.dispatch();
    });
  }

  private evict(): void {
    const pinnedSinceMs = this.source.monotonicMs() - pinMs;
    for (const [seq, cached] of this.cached) {
      if (this.cachedBytes <= this.bytesMax) return;
      if (cached.waiting.size > 0 && cached.loadedAtMs > pinnedSinceMs) continue;
      this.cached.delete(seq);
      this.cachedBytes -= cached.row.bytes?.length ?? 0;
    }
  }

  private pinnedBytes(): number {
    const pinnedSinceMs = this.source.monotonicMs() - pinMs;
    let bytes = 0;
    for (const cached of this.cached.values()) {
      const isPinned = cached.waiting.size > 0 && cached.loadedAtMs > pinnedSinceMs;
      if (isPinned) bytes += cached.row.bytes?.length ?? 0;
    }
    return bytes;
  }
}

/** Position in `toc.items` of the newest record that holds index `place.from`; -1 when there is none. */
function findItem(toc: Toc, place: EntryPlace): number {
  const { items } = toc;
  for (let at = items.length - tocStride; at >= 0; at -= tocStride) {
    if (items[at] !== place.regionId || items[at + 1] !== place.replicaId) continue;
    const first = items[at + 2]!;
    if (place.from >= first && place.to <= first + items[at + 4]!) return at;
  }
  return -1;
}
