// @hot
/**
 * One replica's log on this node, as the region reads it: where its entries are, the newest of them in
 * memory, and what is kept beside them. The store alone changes it.
 */
import { assert, MokuError, type RegionId, type ReplicaId } from '@moku/base';
import type { ConfState, Entry, HardState, RegionLog } from '@moku/raft';
import { type EntryCache, EntryWindow } from './entry-cache.js';
import type { RowReader } from './row-reader.js';
import type { RowTable } from './row-table.js';
import { RunIndex } from './run-index.js';
import type { RegionState } from './state-codec.js';

/** Rows asked for at once by one region. */
const rowsAheadMax = 64;

/** What all regions of a store share. */
export interface LogParts {
  readonly table: RowTable;
  readonly cache: EntryCache;
  readonly reader: RowReader;
}

export class SqliteRegionLog implements RegionLog {
  readonly regionId: RegionId;
  readonly replicaId: ReplicaId;
  readonly index: RunIndex;
  hardState: HardState;
  confState: ConfState;
  confStateIndex: number;
  private readonly window: EntryWindow;
  private readonly reader: RowReader;

  constructor(parts: LogParts, state: Omit<RegionState, 'lowestValidSeq'>) {
    this.regionId = state.regionId;
    this.replicaId = state.replicaId;
    this.index = new RunIndex(parts.table, state.truncatedIndex, state.truncatedTerm);
    this.hardState = state.hardState;
    this.confState = state.confState;
    this.confStateIndex = state.confStateIndex;
    this.window = new EntryWindow(parts.cache);
    this.reader = parts.reader;
  }

  firstIndex(): number {
    return this.index.firstIndex;
  }

  lastIndex(): number {
    return this.index.lastIndex;
  }

  term(index: number): number | undefined {
    return this.index.term(index);
  }

  bytes(): number {
    return this.index.liveBytes;
  }

  entries(from: number, to: number, bytesMax: number): readonly Entry[] | 'fetching' {
    assert(from >= this.index.firstIndex && from < to, 'L2: entries begin in the log');
    assert(to <= this.index.lastIndex + 1, 'L2: entries end in the log');
    const out: Entry[] = [];
    let taken = 0;
    let next = from;
    while (next < to) {
      const entry = this.window.get(next);
      if (entry !== undefined) {
        if (out.length > 0 && taken + entry.data.length > bytesMax) break;
        out.push(entry);
        taken += entry.data.length;
        next += 1;
        continue;
      }
      const dataBytes = this.readRow(next, to, bytesMax - taken, out);
      if (dataBytes < 0) break;
      taken += dataBytes;
      const reached = from + out.length;
      if (reached === next) break;
      next = reached;
      if (taken >= bytesMax) break;
    }
    if (out.length > 0) return out;
    this.reader.want(this.regionId, this.rowsAhead(from, to, bytesMax));
    return 'fetching';
  }

  /** Drops every entry from `from` on, if there is any. */
  cutSuffix(from: number): void {
    if (from > this.index.lastIndex) return;
    this.index.cutSuffix(from);
    this.window.cutSuffix(from);
  }

  /** Drops the entries up to `upTo`. */
  cutPrefix(upTo: number): void {
    this.index.cutPrefix(upTo);
    this.window.cutPrefix(upTo);
  }

  /** Drops everything and begins anew behind (index, term). */
  reset(index: number, term: number): void {
    this.index.reset(index, term);
    this.window.cutSuffix(0);
  }

  /** Keeps entries that were just appended in memory. */
  keep(entries: readonly Entry[]): void {
    this.window.append(entries);
  }

  /** The state to be stored; `nextSeq` is the first seq that no row has yet. */
  state(nextSeq: number): RegionState {
    return {
      regionId: this.regionId,
      replicaId: this.replicaId,
      hardState: this.hardState,
      confState: this.confState,
      confStateIndex: this.confStateIndex,
      truncatedIndex: this.index.firstIndex - 1,
      truncatedTerm: this.index.truncatedTerm,
      lowestValidSeq: this.index.oldestSeq() ?? nextSeq,
    };
  }

  /** Data bytes read from the row of entry `next`; -1 when it is not in memory. Throws LOG_CORRUPT. */
  private readRow(next: number, to: number, bytesMax: number, out: Entry[]): number {
    const position = this.index.find(next);
    const end = this.index.endOf(position);
    const seq = this.index.seqOf(position);
    const { regionId, replicaId } = this;
    const place = { regionId, replicaId, seq, from: next, to: end < to ? end : to };
    const outcome = this.reader.read(place, bytesMax, out);
    if (outcome.kind === 'read') return outcome.dataBytes;
    if (outcome.kind === 'corrupt' && out.length === 0) {
      throw new MokuError('LOG_CORRUPT', { regionId, index: next, seq, found: outcome.reason });
    }
    return -1;
  }

  /** Rows that hold about `bytesMax` of the entries from `from` on and are not in memory. */
  private rowsAhead(from: number, to: number, bytesMax: number): number[] {
    const seqs: number[] = [];
    let bytes = 0;
    let position = this.index.find(from);
    while (position < this.index.endPosition && seqs.length < rowsAheadMax) {
      const start = this.index.liveStart(position);
      if (start >= to || (start > from && this.window.get(start) !== undefined)) break;
      const seq = this.index.seqOf(position);
      if (seqs.length === 0 || seqs[seqs.length - 1] !== seq) seqs.push(seq);
      bytes += this.index.recordBytesOf(position);
      if (bytes >= bytesMax) break;
      position += 1;
    }
    return seqs;
  }
}
