// @hot
/**
 * Gathers what one batch writes for all regions into rows of at most limits.logRowBytesMax (a larger
 * entry gets a row of its own), gives them their seqs and encodes them.
 *
 * A region that begins anew within a batch needs no care here: its next record begins right behind its
 * new floor, and so supersedes what it wrote before.
 */
import { assert, limits } from '@moku/base';
import type { Entry } from '@moku/raft';
import type { RowBytes } from './protocol.js';
import type { SqliteRegionLog } from './region-log.js';
import {
  encodeRow,
  entryOverheadBytes,
  type RecordPlan,
  recordOverheadBytes,
  rowHeaderBytes,
  tocItemBytes,
} from './row-codec.js';
import type { RowTable } from './row-table.js';

const noEntries: readonly Entry[] = [];

export class BatchBuilder {
  /** First seq that no row has yet. */
  nextSeq: number;
  private readonly table: RowTable;
  /** Reused over batches; the first `planned` are of this one. */
  private readonly plans: RecordPlan[] = [];
  private planned = 0;
  private firstSeq: number;
  /** Of each finished row: one past its last plan, and its bytes. */
  private readonly rowEnds: number[] = [];
  private readonly rowSizes: number[] = [];
  /** Of the row being filled; 0 bytes: there is none. */
  private rowBytes = 0;

  constructor(table: RowTable, nextSeq: number) {
    this.table = table;
    this.firstSeq = nextSeq;
    this.nextSeq = nextSeq;
  }

  begin(): void {
    this.firstSeq = this.nextSeq;
    this.table.open(this.nextSeq);
  }

  /** Plans records of `entries`, which begin at the log's lastIndex + 1, and adds them to the log. */
  append(log: SqliteRegionLog, entries: readonly Entry[]): void {
    let start = 0;
    while (start < entries.length) {
      const first = entries[start]!;
      const leastBytes = recordOverheadBytes + entryOverheadBytes + first.data.length;
      if (this.rowBytes > 0 && this.rowBytes + leastBytes > limits.logRowBytesMax) this.endRow();
      if (this.rowBytes === 0) this.beginRow();
      let bytes = leastBytes;
      let end = start + 1;
      while (end < entries.length) {
        const entry = entries[end]!;
        const more = entryOverheadBytes + entry.data.length;
        if (entry.term !== first.term || this.rowBytes + bytes + more > limits.logRowBytesMax)
          break;
        bytes += more;
        end += 1;
      }
      assert(first.index === log.index.lastIndex + 1, 'L2: entries are contiguous');
      log.index.append(end - start, this.nextSeq, bytes, first.term);
      this.plan(log, entries, start, end - start, bytes - tocItemBytes);
      this.rowBytes += bytes;
      start = end;
    }
  }

  /** The rows of the batch, encoded. */
  finish(): RowBytes[] {
    if (this.rowBytes > 0) this.endRow();
    const rows: RowBytes[] = [];
    let from = 0;
    for (let r = 0; r < this.rowEnds.length; r++) {
      const to = this.rowEnds[r]!;
      const seq = this.firstSeq + r;
      rows.push({ seq, bytes: encodeRow(seq, this.plans, from, to, this.rowSizes[r]!) });
      from = to;
    }
    for (let k = 0; k < this.planned; k++) this.plans[k]!.entries = noEntries;
    this.table.seal(this.firstSeq, this.nextSeq);
    this.firstSeq = this.nextSeq;
    this.planned = 0;
    this.rowEnds.length = 0;
    this.rowSizes.length = 0;
    return rows;
  }

  private plan(
    log: SqliteRegionLog,
    entries: readonly Entry[],
    start: number,
    count: number,
    recordBytes: number,
  ): void {
    if (this.planned === this.plans.length) this.plans.push(emptyPlan());
    const plan = this.plans[this.planned]!;
    const first = entries[start]!;
    plan.regionId = log.regionId;
    plan.replicaId = log.replicaId;
    plan.firstIndex = first.index;
    plan.term = first.term;
    plan.count = count;
    plan.recordBytes = recordBytes;
    plan.entries = entries;
    plan.start = start;
    this.planned += 1;
  }

  private beginRow(): void {
    this.rowBytes = rowHeaderBytes;
    this.table.add(this.nextSeq, 0);
  }

  private endRow(): void {
    this.table.resize(this.nextSeq, this.rowBytes);
    this.rowEnds.push(this.planned);
    this.rowSizes.push(this.rowBytes);
    this.rowBytes = 0;
    this.nextSeq += 1;
  }
}

/** A plan to be filled in. */
export function emptyPlan(): RecordPlan {
  return {
    regionId: 0,
    replicaId: 0,
    firstIndex: 0,
    term: 0,
    count: 0,
    recordBytes: 0,
    entries: noEntries,
    start: 0,
    raw: undefined,
  };
}
