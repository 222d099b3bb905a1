/**
 * Rewrites rows of which little lives, so that an idle region pins its own bytes and no others. A row
 * keeps its seq and loses its dead records; so nothing that superseded it is overridden, and no index changes.
 *
 * Invariants:
 *  Z1 At most one step at a time, of at most `rowsPerStep` rows and `bytesPerStep` bytes.
 *  Z2 After its last step dead bytes are at most max(garbageBytesMin, live bytes), damaged rows apart.
 *  Z3 A damaged record is copied as it is, never dropped: its region learns of it when it reads.
 */
import { present, type RegionId } from '@moku/base';
import type { Entry } from '@moku/raft';
import { emptyPlan } from './batch-builder.js';
import type { FetchedRow, RowBytes } from './protocol.js';
import type { SqliteRegionLog } from './region-log.js';
import {
  decodeEntries,
  encodeRow,
  entryOverheadBytes,
  isRecordWhole,
  type RecordPlan,
  readToc,
  recordHeaderBytes,
  rowHeaderBytes,
  type Toc,
  tocItemBytes,
  tocStride,
} from './row-codec.js';
import type { RowTable } from './row-table.js';

const rowsPerStep = 64;
const bytesPerStep = 2 << 20;

interface Kept {
  readonly plan: RecordPlan;
  readonly log: SqliteRegionLog;
  readonly position: number;
}

export class Compactor {
  private readonly table: RowTable;
  private readonly logs: ReadonlyMap<RegionId, SqliteRegionLog>;
  private readonly garbageBytesMin: number;
  private isStepping = false;

  constructor(
    table: RowTable,
    logs: ReadonlyMap<RegionId, SqliteRegionLog>,
    garbageBytesMin: number,
  ) {
    this.table = table;
    this.logs = logs;
    this.garbageBytesMin = garbageBytesMin;
  }

  /** Rows to be read for the next step; empty: nothing is to be done, or a step is under way. */
  begin(): readonly number[] {
    const garbageBytes = this.table.totalBytes - this.table.liveBytes;
    const isWorth = garbageBytes > Math.max(this.garbageBytesMin, this.table.liveBytes);
    if (this.isStepping || !isWorth) return [];
    const seqs = this.table.sparsest(rowsPerStep, bytesPerStep);
    this.isStepping = seqs.length > 0;
    return seqs;
  }

  /** Rows to be replaced, and the index already knows; the caller must hand them over at once. */
  rewrite(rows: readonly FetchedRow[]): RowBytes[] {
    const replaces: RowBytes[] = [];
    for (const row of rows) {
      if (!this.table.has(row.seq)) continue;
      this.table.notSparse(row.seq);
      if (row.bytes === undefined) continue;
      const toc = readToc(row.bytes, row.seq);
      if (toc.isComplete) replaces.push(this.rewriteRow(row.seq, row.bytes, toc));
    }
    return replaces;
  }

  /** The step's rows are replaced, or there was nothing to replace. */
  end(): void {
    this.isStepping = false;
  }

  private rewriteRow(seq: number, bytes: Uint8Array, toc: Toc): RowBytes {
    const kept = this.liveRecords(seq, bytes, toc);
    const plans: RecordPlan[] = [];
    let rowBytes = rowHeaderBytes;
    for (const { plan, log, position } of kept) {
      plans.push(plan);
      rowBytes += tocItemBytes + plan.recordBytes;
      const isTrimmed = plan.firstIndex === log.index.liveStart(position);
      const isExact = isTrimmed && plan.count === log.index.endOf(position) - plan.firstIndex;
      if (isExact) log.index.rewritten(position, tocItemBytes + plan.recordBytes);
    }
    this.table.resize(seq, rowBytes);
    return { seq, bytes: encodeRow(seq, plans, 0, plans.length, rowBytes) };
  }

  /** The live records of a row in their order, each cut to its live entries. */
  private liveRecords(seq: number, bytes: Uint8Array, toc: Toc): Kept[] {
    const kept: Kept[] = [];
    const liveBelow = new Map<number, number>();
    for (let at = toc.items.length - tocStride; at >= 0; at -= tocStride) {
      const regionId = toc.items[at]! as RegionId;
      const firstIndex = toc.items[at + 2]!;
      const log = this.logs.get(regionId);
      if (log === undefined || log.replicaId !== toc.items[at + 1]) continue;
      // A later record of the same row supersedes from its first index on.
      if (firstIndex >= (liveBelow.get(regionId) ?? Number.MAX_SAFE_INTEGER)) continue;
      liveBelow.set(regionId, firstIndex);
      const position = livePosition(log, seq, firstIndex, firstIndex + toc.items[at + 4]!);
      if (position < 0) continue;
      kept.push({ plan: planOf(bytes, toc, at, log, position), log, position });
    }
    return kept.reverse();
  }
}

/** Position of the run whose record is the one at [first, end) of row `seq`; -1 when it is dead. */
function livePosition(log: SqliteRegionLog, seq: number, first: number, end: number): number {
  const { index } = log;
  const probe = Math.max(first, index.firstIndex);
  if (probe >= end || probe > index.lastIndex) return -1;
  const position = index.find(probe);
  return index.seqOf(position) === seq && index.recordFirstOf(position) === first ? position : -1;
}

function planOf(
  bytes: Uint8Array,
  toc: Toc,
  at: number,
  log: SqliteRegionLog,
  position: number,
): RecordPlan {
  const { items } = toc;
  const plan = emptyPlan();
  plan.regionId = log.regionId;
  plan.replicaId = log.replicaId;
  plan.term = items[at + 3]!;
  const offset = items[at + 5]!;
  const length = items[at + 6]!;
  const from = log.index.liveStart(position);
  const to = log.index.endOf(position);
  const isAllLive = from === items[at + 2] && to - from === items[at + 4];
  if (isAllLive || !isRecordWhole(bytes, offset, length)) {
    plan.firstIndex = items[at + 2]!;
    plan.count = items[at + 4]!;
    plan.recordBytes = length;
    plan.raw = bytes.subarray(offset, offset + length);
    return plan;
  }
  const entries: Entry[] = [];
  const dataBytes = decodeEntries(bytes, offset, { from, to }, Number.MAX_SAFE_INTEGER, entries);
  plan.firstIndex = present(entries[0], 'Z3: a live record has an entry').index;
  plan.count = entries.length;
  plan.recordBytes = recordHeaderBytes + entries.length * entryOverheadBytes + dataBytes;
  plan.entries = entries;
  return plan;
}
