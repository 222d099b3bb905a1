// @hot
/**
 * Where one region's entries are: index → row, in runs of consecutive entries (one run per record),
 * and the terms, in runs too. Four numbers per record; nothing but two empty arrays when the log is empty.
 *
 * Invariants:
 *  I1 Runs ascend and are contiguous from firstIndex to lastIndex; a later run's seq is not smaller.
 *  I2 Each run retains in the row table the share of its record that lives, rounded down; a dead run nothing.
 *  I3 Terms never decrease; `term` needs no disk for [firstIndex - 1, lastIndex].
 */
import { assert } from '@moku/base';
import type { RowTable } from './row-table.js';

/** Numbers per run: first index of the record, seq of its row, bytes it adds to the row, entries in the record. */
const stride = 4;
const noRuns = new Float64Array(0);
const noTerms: number[] = [];
const capacityMin = 4;

export class RunIndex {
  firstIndex: number;
  lastIndex: number;
  /** Term of firstIndex - 1. */
  truncatedTerm: number;
  /** Bytes that the region's live entries take in their rows. */
  liveBytes = 0;
  private readonly rows: RowTable;
  private runs: Float64Array = noRuns;
  private head = 0;
  private tail = 0;
  /** Pairs of (first index, term), ascending. */
  private terms: number[] = noTerms;

  constructor(rows: RowTable, truncatedIndex: number, truncatedTerm: number) {
    this.rows = rows;
    this.firstIndex = truncatedIndex + 1;
    this.lastIndex = truncatedIndex;
    this.truncatedTerm = truncatedTerm;
  }

  /** Seq of the oldest row with a live entry; undefined when the log is empty. */
  oldestSeq(): number | undefined {
    return this.head === this.tail ? undefined : this.seqOf(this.head);
  }

  term(index: number): number | undefined {
    if (index === this.firstIndex - 1) return this.truncatedTerm;
    if (index < this.firstIndex || index > this.lastIndex) return undefined;
    const terms = this.terms;
    let at = terms.length - 2;
    while (terms[at]! > index) at -= 2;
    return terms[at + 1];
  }

  /** Position of the run that holds `index`, for the getters below; valid until the next change. */
  find(index: number): number {
    assert(index >= this.firstIndex && index <= this.lastIndex, 'I1: a found index is in the log');
    let low = this.head;
    let high = this.tail - 1;
    while (low < high) {
      const middle = (low + high + 1) >>> 1;
      if (this.runs[middle * stride]! <= index) low = middle;
      else high = middle - 1;
    }
    return low;
  }

  get endPosition(): number {
    return this.tail;
  }

  /** First index of the run's record; the log may begin behind it. */
  recordFirstOf(position: number): number {
    return this.runs[position * stride]!;
  }

  seqOf(position: number): number {
    return this.runs[position * stride + 1]!;
  }

  recordCountOf(position: number): number {
    return this.runs[position * stride + 3]!;
  }

  /** Bytes that the run's record takes in its row. */
  recordBytesOf(position: number): number {
    return this.runs[position * stride + 2]!;
  }

  /** One past the last live index of the run. */
  endOf(position: number): number {
    return position + 1 < this.tail ? this.runs[(position + 1) * stride]! : this.lastIndex + 1;
  }

  /** Adds a record at lastIndex + 1 with `count` entries that takes `bytes` of row `seq`. */
  append(count: number, seq: number, bytes: number, term: number): void {
    this.restore(this.lastIndex + 1, count, count, { seq, bytes, term });
  }

  /**
   * Adds a record that begins at `recordFirst`, of which the live entries are those from lastIndex + 1
   * on, `liveCount` of them.
   */
  restore(
    recordFirst: number,
    recordCount: number,
    liveCount: number,
    record: { readonly seq: number; readonly bytes: number; readonly term: number },
  ): void {
    this.reserve();
    const at = this.tail * stride;
    this.runs[at] = recordFirst;
    this.runs[at + 1] = record.seq;
    this.runs[at + 2] = record.bytes;
    this.runs[at + 3] = recordCount;
    this.tail += 1;
    this.pushTerm(this.lastIndex + 1, record.term);
    this.lastIndex += liveCount;
    const bytes = this.share(this.tail - 1, liveCount);
    this.liveBytes += bytes;
    this.rows.retain(record.seq, bytes);
  }

  /** Drops the entries from `from` on; `from` in [firstIndex, lastIndex + 1]. */
  cutSuffix(from: number): void {
    assert(from >= this.firstIndex, 'I1: a suffix begins in the log');
    while (this.tail > this.head) {
      const position = this.tail - 1;
      const start = this.liveStart(position);
      const end = this.lastIndex + 1;
      if (end <= from) break;
      const left = start >= from ? 0 : from - start;
      this.shrink(position, end - start, left);
      this.lastIndex = end - 1 - (end - start - left);
      if (left > 0) break;
      this.tail -= 1;
    }
    while (this.terms.length > 0 && this.terms[this.terms.length - 2]! >= from) {
      this.terms.length -= 2;
    }
    this.releaseMemory();
  }

  /** Drops the entries up to `upTo`, in [firstIndex, lastIndex]. */
  cutPrefix(upTo: number): void {
    assert(upTo >= this.firstIndex && upTo <= this.lastIndex, 'I1: a prefix ends in the log');
    const term = this.term(upTo)!;
    while (this.head < this.tail) {
      const start = this.liveStart(this.head);
      const end = this.endOf(this.head);
      const left = end - 1 <= upTo ? 0 : end - 1 - upTo;
      this.shrink(this.head, end - start, left);
      if (left > 0) break;
      this.head += 1;
      this.firstIndex = end;
    }
    this.firstIndex = upTo + 1;
    this.truncatedTerm = term;
    this.dropTerms();
    this.releaseMemory();
  }

  /** Drops everything and begins anew behind (index, term). */
  reset(index: number, term: number): void {
    while (this.head < this.tail) {
      this.shrink(this.head, this.endOf(this.head) - this.liveStart(this.head), 0);
      this.head += 1;
      if (this.head < this.tail) this.firstIndex = this.runs[this.head * stride]!;
    }
    this.firstIndex = index + 1;
    this.lastIndex = index;
    this.truncatedTerm = term;
    this.terms = noTerms;
    this.releaseMemory();
  }

  /** The run's record was rewritten in its row: now it holds exactly the run's live entries in `bytes`. */
  rewritten(position: number, bytes: number): void {
    const start = this.liveStart(position);
    const count = this.endOf(position) - start;
    const before = this.share(position, count);
    const at = position * stride;
    this.runs[at] = start;
    this.runs[at + 2] = bytes;
    this.runs[at + 3] = count;
    this.liveBytes += bytes - before;
    this.rows.retain(this.runs[at + 1]!, bytes - before);
  }

  /** First live index of the run. */
  liveStart(position: number): number {
    const first = this.runs[position * stride]!;
    return first < this.firstIndex ? this.firstIndex : first;
  }

  /** I2: bytes of the run's record that `liveCount` of its entries answer for. */
  private share(position: number, liveCount: number): number {
    const at = position * stride;
    return Math.floor((this.runs[at + 2]! * liveCount) / this.runs[at + 3]!);
  }

  private shrink(position: number, countBefore: number, countAfter: number): void {
    const released = this.share(position, countBefore) - this.share(position, countAfter);
    this.liveBytes -= released;
    this.rows.release(this.runs[position * stride + 1]!, released);
  }

  private pushTerm(index: number, term: number): void {
    if (this.terms === noTerms) this.terms = [];
    const length = this.terms.length;
    if (length > 0 && this.terms[length - 1] === term) return;
    assert(
      term >= (length > 0 ? this.terms[length - 1]! : this.truncatedTerm),
      'I3: terms do not decrease',
    );
    this.terms.push(index, term);
  }

  private dropTerms(): void {
    if (this.firstIndex > this.lastIndex) {
      this.terms = noTerms;
      return;
    }
    let passed = 0;
    while (passed + 2 < this.terms.length && this.terms[passed + 2]! <= this.firstIndex)
      passed += 2;
    if (passed > 0) this.terms.splice(0, passed);
  }

  /** Makes room for one more run. */
  private reserve(): void {
    if ((this.tail + 1) * stride <= this.runs.length) return;
    const live = this.tail - this.head;
    const capacity = Math.max(capacityMin, live * 2);
    this.moveTo(new Float64Array(capacity * stride));
  }

  /** Gives memory back once three quarters of it are unused. */
  private releaseMemory(): void {
    const live = this.tail - this.head;
    if (live === 0) {
      this.runs = noRuns;
      this.head = 0;
      this.tail = 0;
      this.terms = noTerms;
    } else if (live * stride * 4 <= this.runs.length && this.runs.length > capacityMin * stride) {
      this.moveTo(new Float64Array(Math.max(capacityMin, live * 2) * stride));
    }
  }

  private moveTo(runs: Float64Array): void {
    runs.set(this.runs.subarray(this.head * stride, this.tail * stride));
    this.tail -= this.head;
    this.head = 0;
    this.runs = runs;
  }
}
