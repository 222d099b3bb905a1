/**
 * Rebuilds the logs from what the thread found in the file: states first, then the rows, newest first.
 *
 * Going from new to old, a record lives from its first index up to where a newer record of its region
 * begins: so what was superseded stays dead without the superseded record's help, and rows between may be
 * gone (L3). Below the floor, in rows below the lowest valid seq, or of another replica, it is dead anyway.
 * A hole in what lives is lost data: the log ends before it, and the store is amnesiac.
 */
import { MokuError, present, type RegionId, type ReplicaId } from '@moku/base';
import type { RecoveredRows } from './protocol.js';
import { type LogParts, SqliteRegionLog } from './region-log.js';
import { tocItemBytes, tocStride } from './row-codec.js';
import { type RegionState, readStates } from './state-codec.js';

interface Draft {
  readonly state: RegionState;
  /** Newer records begin here. */
  liveBelow: number;
  /** Newest first. */
  readonly pieces: Piece[];
}

interface Piece {
  readonly recordFirst: number;
  readonly recordCount: number;
  readonly from: number;
  readonly to: number;
  readonly seq: number;
  readonly bytes: number;
  readonly term: number;
}

export interface RecoveredLogs {
  readonly logs: Map<RegionId, SqliteRegionLog>;
  readonly tombstones: Map<RegionId, ReplicaId>;
  readonly nextSeq: number;
  /** Entries that must have been there and are not; empty: none. */
  readonly loss: string;
}

export class LogRecovery {
  private readonly drafts = new Map<RegionId, Draft>();
  private readonly tombstones = new Map<RegionId, ReplicaId>();
  /** Newest first. */
  private readonly rows: { readonly seq: number; readonly bytes: number }[] = [];
  private nextSeq = 1;
  /** Of the row taken last. */
  private lastSeq = Number.MAX_SAFE_INTEGER;
  private damage = '';

  /** Throws LOG_CORRUPT when a state is damaged: a vote may be in it. */
  takeStates(bytes: Uint8Array): void {
    for (const state of readStates(bytes)) {
      if ('isTombstone' in state) {
        this.tombstones.set(state.regionId, state.replicaId);
        continue;
      }
      const liveBelow = Number.MAX_SAFE_INTEGER;
      this.drafts.set(state.regionId, { state, liveBelow, pieces: [] });
      this.nextSeq = Math.max(this.nextSeq, state.lowestValidSeq);
    }
  }

  /** Throws LOG_CORRUPT when the rows do not come in order: the table that holds them is damaged. */
  takeRows(rows: RecoveredRows): void {
    let from = 0;
    for (let r = 0; r < rows.seqs.length; r++) {
      const seq = rows.seqs[r]!;
      if (!Number.isSafeInteger(seq) || seq < 1 || seq >= this.lastSeq) {
        throw new MokuError('LOG_CORRUPT', { field: 'batch.seq', found: seq });
      }
      this.lastSeq = seq;
      const to = from + rows.recordCounts[r]! * tocStride;
      this.rows.push({ seq, bytes: rows.rowBytes[r]! });
      if (!rows.isComplete[r]) this.damage = `row ${seq} is damaged and may have held more records`;
      this.nextSeq = Math.max(this.nextSeq, seq + 1);
      for (let at = to - tocStride; at >= from; at -= tocStride) {
        this.takeRecord(seq, rows.items, at);
      }
      from = to;
    }
  }

  private takeRecord(seq: number, items: Float64Array, at: number): void {
    const draft = this.drafts.get(items[at] as RegionId);
    if (draft === undefined || draft.state.replicaId !== items[at + 1]) return;
    if (seq < draft.state.lowestValidSeq) return;
    const recordFirst = items[at + 2]!;
    const recordCount = items[at + 4]!;
    const from = Math.max(recordFirst, draft.state.truncatedIndex + 1);
    const to = Math.min(recordFirst + recordCount, draft.liveBelow);
    draft.liveBelow = Math.min(draft.liveBelow, recordFirst);
    if (from >= to) return;
    const bytes = items[at + 6]! + tocItemBytes;
    draft.pieces.push({ recordFirst, recordCount, from, to, seq, bytes, term: items[at + 3]! });
  }

  /** Builds the logs; rows without a live record are dead in `parts.table` afterwards. */
  finish(parts: LogParts): RecoveredLogs {
    this.rows.reverse();
    for (const row of this.rows) parts.table.add(row.seq, row.bytes);
    const logs = new Map<RegionId, SqliteRegionLog>();
    let loss = this.damage;
    for (const [regionId, draft] of this.drafts) {
      const log = new SqliteRegionLog(parts, draft.state);
      logs.set(regionId, log);
      const missing = fill(log, draft);
      if (loss === '') loss = missing;
    }
    for (const { seq } of this.rows) parts.table.seal(seq, seq + 1);
    const { tombstones, nextSeq } = this;
    return { logs, tombstones, nextSeq, loss };
  }
}

/** Returns what is missing; empty when nothing is. */
function fill(log: SqliteRegionLog, draft: Draft): string {
  for (let k = draft.pieces.length - 1; k >= 0; k--) {
    const piece = present(draft.pieces[k], 'pieces are dense');
    const expected = log.index.lastIndex + 1;
    const lastTerm = present(log.index.term(log.index.lastIndex), 'I3: the last term is known');
    if (piece.from !== expected) {
      return `region ${log.regionId} lacks entries ${expected} to ${piece.from - 1}`;
    }
    if (piece.term < lastTerm) {
      return `region ${log.regionId} goes from term ${lastTerm} to ${piece.term} at ${piece.from}`;
    }
    log.index.restore(piece.recordFirst, piece.recordCount, piece.to - piece.from, piece);
  }
  return '';
}
