// @hot
/**
 * The bytes of a log row: what one group commit wrote for all regions. Little-endian.
 *
 *   row    = header (24) · table of contents (40 per record) · records
 *   header = magic u32 · records u32 · hash64 of everything up to the first record, seq included · seq f64
 *   item   = regionId f64 · firstIndex f64 · term f64 · replicaId u32 · count u32 · offset u32 · length u32
 *   record = hash64 of the rest · magic u32 · replicaId u32 · regionId f64 · firstIndex f64 · term f64
 *            · count u32 · payloadBytes u32 · payload
 *   payload = count × (length × 2 + isConfChange, u32) · the entries' data, joined
 *
 * A record is a run of consecutive entries of one region with one term.
 *
 * Invariants:
 *  W1 A record says itself where it belongs, under its own hash: a misplaced record is noticed.
 *  W2 A damaged table of contents hides no record that is whole: `readToc` then searches for records.
 */
import { hash64 } from '@moku/base';
import type { Entry } from '@moku/raft';

export const rowHeaderBytes = 24;
export const tocItemBytes = 40;
export const recordHeaderBytes = 48;
/** Bytes that a record adds to its row, apart from the entries' lengths and data. */
export const recordOverheadBytes: number = tocItemBytes + recordHeaderBytes;
/** Bytes that an entry adds to its record, apart from its data. */
export const entryOverheadBytes = 4;

const rowMagic = 0x3152_4b4d;
const recordMagic = 0x3145_4b4d;

/** Numbers per item of a `Toc`. */
export const tocStride = 7;

/** A row's records in the order written; `items` holds regionId, replicaId, firstIndex, term, count, offset, length of each. */
export interface Toc {
  readonly count: number;
  readonly items: Float64Array;
  /** False when the row is damaged so that records may be missing here. */
  readonly isComplete: boolean;
}

/** One record to be written: `count` entries of `entries` from `start` on, or `raw`, an encoded record as it is. */
export interface RecordPlan {
  regionId: number;
  replicaId: number;
  firstIndex: number;
  term: number;
  count: number;
  /** Bytes of the record with its header. */
  recordBytes: number;
  entries: readonly Entry[];
  start: number;
  raw: Uint8Array | undefined;
}

/** Encodes a row. `to` is exclusive; `rowBytes` is the exact size of the result, which can be transferred. */
export function encodeRow(
  seq: number,
  plans: readonly RecordPlan[],
  from: number,
  to: number,
  rowBytes: number,
): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(new ArrayBuffer(rowBytes));
  const view = new DataView(bytes.buffer);
  const count = to - from;
  view.setUint32(0, rowMagic, true);
  view.setUint32(4, count, true);
  view.setFloat64(16, seq, true);
  let item = rowHeaderBytes;
  let at = rowHeaderBytes + count * tocItemBytes;
  for (let k = from; k < to; k++) {
    const plan = plans[k]!;
    view.setFloat64(item, plan.regionId, true);
    view.setFloat64(item + 8, plan.firstIndex, true);
    view.setFloat64(item + 16, plan.term, true);
    view.setUint32(item + 24, plan.replicaId, true);
    view.setUint32(item + 28, plan.count, true);
    view.setUint32(item + 32, at, true);
    view.setUint32(item + 36, plan.recordBytes, true);
    item += tocItemBytes;
    if (plan.raw === undefined) encodeRecord(bytes, view, at, plan);
    else bytes.set(plan.raw, at);
    at += plan.recordBytes;
  }
  view.setBigUint64(8, headerHash(bytes, item), true);
  return bytes;
}

function headerHash(bytes: Uint8Array, tocEnd: number): bigint {
  return hash64(bytes.subarray(16, tocEnd));
}

function encodeRecord(bytes: Uint8Array, view: DataView, at: number, plan: RecordPlan): void {
  const end = at + plan.recordBytes;
  view.setUint32(at + 8, recordMagic, true);
  view.setUint32(at + 12, plan.replicaId, true);
  view.setFloat64(at + 16, plan.regionId, true);
  view.setFloat64(at + 24, plan.firstIndex, true);
  view.setFloat64(at + 32, plan.term, true);
  view.setUint32(at + 40, plan.count, true);
  view.setUint32(at + 44, plan.recordBytes - recordHeaderBytes, true);
  let lengths = at + recordHeaderBytes;
  let data = lengths + plan.count * entryOverheadBytes;
  for (let i = plan.start; i < plan.start + plan.count; i++) {
    const entry = plan.entries[i]!;
    view.setUint32(lengths, entry.data.length * 2 + (entry.kind === 'confChange' ? 1 : 0), true);
    lengths += entryOverheadBytes;
    bytes.set(entry.data, data);
    data += entry.data.length;
  }
  view.setBigUint64(at, hash64(bytes.subarray(at + 8, end)), true);
}

/** True when the `length` bytes at `at` are an undamaged record. */
export function isRecordWhole(bytes: Uint8Array, at: number, length: number): boolean {
  if (length < recordHeaderBytes || at + length > bytes.length) return false;
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (view.getUint32(at + 8, true) !== recordMagic) return false;
  if (view.getUint32(at + 44, true) !== length - recordHeaderBytes) return false;
  return view.getBigUint64(at, true) === hash64(bytes.subarray(at + 8, at + length));
}

/**
 * Appends entries `from` … `to` - 1 of the record at `at` to `out`, until `bytesMax` of data are
 * reached, but at least one when `out` is empty. Returns the data bytes appended. The entries' data
 * alias `bytes`. The record must be whole, and [from, to) within it.
 */
export function decodeEntries(
  bytes: Uint8Array,
  at: number,
  range: { readonly from: number; readonly to: number },
  bytesMax: number,
  out: Entry[],
): number {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const firstIndex = view.getFloat64(at + 24, true);
  const term = view.getFloat64(at + 32, true);
  const count = view.getUint32(at + 40, true);
  const lengths = at + recordHeaderBytes;
  let data = lengths + count * entryOverheadBytes;
  let taken = 0;
  for (let i = 0; i < range.to - firstIndex; i++) {
    const word = view.getUint32(lengths + i * entryOverheadBytes, true);
    const length = word >>> 1;
    const index = firstIndex + i;
    if (index >= range.from) {
      if (out.length > 0 && taken + length > bytesMax) break;
      const kind = (word & 1) === 1 ? 'confChange' : 'normal';
      out.push({ term, index, kind, data: bytes.subarray(data, data + length) });
      taken += length;
    }
    data += length;
  }
  return taken;
}

/** The records of a row. `seq` is where the row was found: a row of another seq counts as damaged. */
export function readToc(bytes: Uint8Array, seq: number): Toc {
  const count = tocCount(bytes, seq);
  return count === undefined ? searchRecords(bytes) : tocOf(bytes, count);
}

/** Records in the table of contents; undefined when it is damaged. */
function tocCount(bytes: Uint8Array, seq: number): number | undefined {
  if (bytes.length < rowHeaderBytes) return undefined;
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const count = view.getUint32(4, true);
  const tocEnd = rowHeaderBytes + count * tocItemBytes;
  if (view.getUint32(0, true) !== rowMagic || tocEnd > bytes.length) return undefined;
  if (view.getFloat64(16, true) !== seq) return undefined;
  if (view.getBigUint64(8, true) !== headerHash(bytes, tocEnd)) return undefined;
  return count;
}

function tocOf(bytes: Uint8Array, count: number): Toc {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const items = new Float64Array(count * tocStride);
  let at = rowHeaderBytes;
  for (let k = 0; k < items.length; k += tocStride) {
    items[k] = view.getFloat64(at, true);
    items[k + 1] = view.getUint32(at + 24, true);
    items[k + 2] = view.getFloat64(at + 8, true);
    items[k + 3] = view.getFloat64(at + 16, true);
    items[k + 4] = view.getUint32(at + 28, true);
    items[k + 5] = view.getUint32(at + 32, true);
    items[k + 6] = view.getUint32(at + 36, true);
    at += tocItemBytes;
  }
  return { count, items, isComplete: true };
}

/** W2: looks at every byte for a whole record. Complete when the records found fill the row exactly. */
function searchRecords(bytes: Uint8Array): Toc {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const items: number[] = [];
  let at = 0;
  let firstAt = -1;
  let isUnbroken = true;
  while (at + recordHeaderBytes <= bytes.length) {
    const length = recordHeaderBytes + view.getUint32(at + 44, true);
    if (view.getUint32(at + 8, true) !== recordMagic || !isRecordWhole(bytes, at, length)) {
      if (firstAt >= 0) isUnbroken = false;
      at += 1;
      continue;
    }
    if (firstAt < 0) firstAt = at;
    items.push(view.getFloat64(at + 16, true), view.getUint32(at + 12, true));
    items.push(view.getFloat64(at + 24, true), view.getFloat64(at + 32, true));
    items.push(view.getUint32(at + 40, true), at, length);
    at += length;
  }
  const count = items.length / tocStride;
  const isFilled = isUnbroken && at === bytes.length;
  const isComplete = isFilled && firstAt === rowHeaderBytes + count * tocItemBytes;
  return { count, items: Float64Array.from(items), isComplete };
}
