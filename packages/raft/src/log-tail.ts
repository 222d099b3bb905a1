// @hot
/**
 * The core's view of its log: what the host's RegionLog holds, and behind it the tail of entries that no
 * Ready has handed out yet. Knows what is durable. Where the tail begins, it hides whatever suffix the
 * RegionLog still has from there on.
 *
 * Invariants:
 *  T1 Entries taken by a Ready, and a snapshot's restart, are in RegionLog before any further call.
 *  T2 Indexes are contiguous; terms never decrease.
 *  T3 stableIndex: every entry up to it, as it stands in this view, is synced. A write that a later
 *     truncation overtook vouches only for what the truncation left: each write under way is cut at the
 *     truncation when it happens, which identifies what it holds by (index, term) and by the order of
 *     writes, so that an entry truncated and appended again is not taken for synced.
 *  T4 An array handed out is never changed afterwards.
 */
import { assert, MokuError, noReplica, type ReplicaId } from '@moku/base';
import type { RegionLog } from './contracts/log-store.js';
import type { Entry } from './types.js';

const noEntries: readonly Entry[] = Object.freeze([]);

/** A Ready on its way to the disk. */
interface WriteInFlight {
  readonly readyNumber: number;
  /** Once it is synced, the log is durable up to here. Falls when a truncation overtakes it. */
  lastIndex: number;
  readonly term: number;
  readonly votedFor: ReplicaId;
}

export class LogTail {
  private readonly log: RegionLog;
  lastIndex: number;
  lastTerm: number;
  stableIndex: number;
  /** Hard state that is synced. */
  durableTerm: number;
  durableVote: ReplicaId;
  /** Index of the first entry of `tail`; lastIndex + 1 when it is empty. */
  private tailIndex: number;
  private tail: Entry[] = noEntries as Entry[];
  /** True when `tail` is not ours alone and must be copied before it grows. */
  private isTailShared = true;
  /** Entries were handed out since RegionLog was last seen to hold them (T1). */
  private isHandoverOpen = false;
  private writes: WriteInFlight[] | undefined = undefined;

  /** Throws LOG_CORRUPT when the log does not reach `appliedIndex` or what was committed. */
  constructor(log: RegionLog, durableTerm: number, durableVote: ReplicaId) {
    this.log = log;
    this.lastIndex = log.lastIndex();
    const lastTerm = log.term(this.lastIndex);
    if (lastTerm === undefined) throw new MokuError('LOG_CORRUPT', { field: 'lastTerm' });
    this.lastTerm = lastTerm;
    this.stableIndex = this.lastIndex;
    this.tailIndex = this.lastIndex + 1;
    this.durableTerm = durableTerm;
    this.durableVote = durableVote;
  }

  firstIndex(): number {
    return this.log.firstIndex();
  }

  /** Term of `index`; undefined when compacted or behind lastIndex. */
  term(index: number): number | undefined {
    if (index >= this.tailIndex) {
      return index > this.lastIndex ? undefined : this.tail[index - this.tailIndex]!.term;
    }
    return this.log.term(index);
  }

  /** Whether (lastLogIndex, lastLogTerm) is at least as up to date as this log. Paper §5.4.1. */
  isUpToDate(lastLogIndex: number, lastLogTerm: number): boolean {
    if (lastLogTerm !== this.lastTerm) return lastLogTerm > this.lastTerm;
    return lastLogIndex >= this.lastIndex;
  }

  /**
   * The greatest index in [low, high] whose term is at most `term`; `low` when there is none.
   * Both ends must be in [firstIndex - 1, lastIndex]. Terms never decrease (T2), so it is found by halves.
   */
  lastIndexOfTermUpTo(term: number, low: number, high: number): number {
    let from = low;
    let to = high;
    while (from < to) {
      const middle = from + Math.ceil((to - from) / 2);
      const found = this.term(middle);
      assert(found !== undefined, 'T2: a term between the ends of the log is known');
      if (found <= term) from = middle;
      else to = middle - 1;
    }
    return from;
  }

  /** Appends one entry at lastIndex + 1. */
  push(entry: Entry): void {
    assert(entry.index === this.lastIndex + 1, 'T2: the next index is lastIndex + 1');
    assert(entry.term >= this.lastTerm, 'T2: terms never decrease');
    if (this.isTailShared) {
      this.tail = this.tail.slice();
      this.isTailShared = false;
    }
    this.tail.push(entry);
    this.lastIndex = entry.index;
    this.lastTerm = entry.term;
  }

  /** Replaces everything from entries[0].index on; `entries` must not be changed afterwards. */
  replaceFrom(entries: readonly Entry[]): void {
    const from = entries[0]!.index;
    assert(from <= this.lastIndex + 1, 'T2: indexes are contiguous');
    if (from <= this.lastIndex) this.truncateFrom(from);
    if (this.tail.length === 0) {
      this.tail = entries as Entry[];
      this.isTailShared = true;
    } else {
      if (this.isTailShared) this.tail = this.tail.slice();
      this.isTailShared = false;
      for (let i = 0; i < entries.length; i++) this.tail.push(entries[i]!);
    }
    const last = entries[entries.length - 1]!;
    this.lastIndex = last.index;
    this.lastTerm = last.term;
  }

  /** T3: entries from `from` on are gone. The host learns it from the entries that replace them. */
  private truncateFrom(from: number): void {
    if (from > this.tailIndex) {
      this.tail = this.tail.slice(0, from - this.tailIndex);
      this.isTailShared = false;
    } else {
      this.tail = noEntries as Entry[];
      this.isTailShared = true;
      this.tailIndex = from;
    }
    if (this.stableIndex >= from) this.stableIndex = from - 1;
    const writes = this.writes;
    if (writes === undefined) return;
    for (let i = 0; i < writes.length; i++) {
      if (writes[i]!.lastIndex >= from) writes[i]!.lastIndex = from - 1;
    }
  }

  /** What RegionLog holds from the start, hard state included, is not synced yet. */
  nothingSynced(): void {
    this.stableIndex = 0;
    this.durableTerm = 0;
    this.durableVote = noReplica;
  }

  /** The RegionLog was restarted behind (index, term): nothing of the former log counts any more. */
  restart(index: number, term: number): void {
    assert(this.log.lastIndex() === index, 'T1: the log was restarted behind the snapshot');
    assert(this.log.term(index) === term, 'T1: the log was restarted behind the snapshot');
    this.tail = noEntries as Entry[];
    this.isTailShared = true;
    this.tailIndex = index + 1;
    this.lastIndex = index;
    this.lastTerm = term;
    this.stableIndex = 0;
    this.isHandoverOpen = false;
    const writes = this.writes;
    if (writes === undefined) return;
    for (let i = 0; i < writes.length; i++) writes[i]!.lastIndex = 0;
  }

  hasTail(): boolean {
    return this.tail.length > 0;
  }

  /** Takes the tail for a Ready (T1, T4). */
  takeTail(): readonly Entry[] {
    const taken = this.tail;
    if (taken.length === 0) return noEntries;
    this.tail = noEntries as Entry[];
    this.isTailShared = true;
    this.tailIndex = this.lastIndex + 1;
    this.isHandoverOpen = true;
    return taken;
  }

  /** Checks T1 at the first call after entries were taken. */
  checkHandover(): void {
    if (!this.isHandoverOpen) return;
    this.isHandoverOpen = false;
    const last = this.tailIndex - 1;
    assert(this.log.lastIndex() === last, 'T1: entries of a Ready are in the log');
    assert(this.log.term(last) !== undefined, 'T1: entries of a Ready are in the log');
  }

  /**
   * Entries from `from`, at least one, at most `entriesMax`, cut at `bytesMax` of data, up to and
   * including `last`. 'fetching' when they come from disk first. `from` in [firstIndex, last].
   */
  entries(
    from: number,
    last: number,
    entriesMax: number,
    bytesMax: number,
  ): readonly Entry[] | 'fetching' {
    const end = last < from + entriesMax - 1 ? last + 1 : from + entriesMax;
    if (from < this.tailIndex) {
      return this.log.entries(from, end < this.tailIndex ? end : this.tailIndex, bytesMax);
    }
    const start = from - this.tailIndex;
    const stop = end - this.tailIndex;
    let bytes = this.tail[start]!.data.length;
    let at = start + 1;
    while (at < stop) {
      bytes += this.tail[at]!.data.length;
      if (bytes > bytesMax) break;
      at++;
    }
    if (start === 0 && at === this.tail.length) {
      this.isTailShared = true;
      return this.tail;
    }
    return this.tail.slice(start, at);
  }

  /** A Ready that must be synced was handed out. */
  writing(readyNumber: number, term: number, votedFor: ReplicaId): void {
    if (this.writes === undefined) this.writes = [];
    this.writes.push({ readyNumber, lastIndex: this.lastIndex, term, votedFor });
  }

  isWriting(): boolean {
    return this.writes !== undefined;
  }

  /** Readies up to `readyNumber` are synced. */
  persisted(readyNumber: number): void {
    const writes = this.writes;
    if (writes === undefined) return;
    let done = 0;
    while (done < writes.length && writes[done]!.readyNumber <= readyNumber) {
      const write = writes[done]!;
      if (write.lastIndex > this.stableIndex) this.stableIndex = write.lastIndex;
      this.durableTerm = write.term;
      this.durableVote = write.votedFor;
      done++;
    }
    if (done === writes.length) this.writes = undefined;
    else if (done > 0) writes.splice(0, done);
  }
}
