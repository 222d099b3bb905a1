/**
 * What a log on SQLite holds, kept a second time in memory from what was written and reported: it answers
 * what a crash would leave, and tells after one whether what was found is right.
 *
 * Invariants:
 *  S1 An opening finds the state after some batch, not an older one than was reported durable: whatever the
 *     disk did, unless the store says that it is damaged.
 */
import type { RegionId } from '@moku/base';
import {
  type HardState,
  type LogStore,
  MemoryLogStore,
  type RegionLog,
  type RegionWrite,
} from '@moku/raft';

export class LogShadow {
  /** As a crash would leave it: `synced` and the like. */
  store: MemoryLogStore;
  private readonly monotonicMs: () => number;
  /** Batches that were not reported durable. */
  private unsynced: (readonly RegionWrite[])[] = [];
  private durableBatch = 0;
  private readonly metaKeys = new Set<string>();
  /** Commit indexes that the opening found. */
  private readonly commitIndexes = new Map<RegionId, number>();

  constructor(monotonicMs: () => number) {
    this.monotonicMs = monotonicMs;
    this.store = new MemoryLogStore({ monotonicMs });
  }

  wrote(writes: readonly RegionWrite[]): void {
    this.store.write(writes);
    this.unsynced.push(writes);
  }

  setMeta(key: string, value: Uint8Array): void {
    this.metaKeys.add(key);
    this.store.setMeta(key, value);
  }

  /** The store reported `batch`, counted from its opening. */
  durable(batch: number): void {
    const count = batch - this.durableBatch;
    this.durableBatch = batch;
    this.unsynced.splice(0, count);
    this.store.sync(count);
  }

  /**
   * The region's hard state as a crash would leave it. Its commit index is that of the opening: a later one
   * is stored with the next change of term or vote (L7), so nobody may count on more.
   */
  syncedHardState(regionId: RegionId): HardState | undefined {
    const state = this.store.syncedHardState(regionId);
    if (state === undefined) return undefined;
    const found = this.commitIndexes.get(regionId) ?? 0;
    return { ...state, commitIndex: Math.min(found, state.commitIndex) };
  }

  /** Holds what an opening found against what may be there (S1), and goes on from it. Returns what is wrong. */
  adopt(found: LogStore): string | undefined {
    const there = describe(found);
    let candidate = this.store.crash();
    const oldest = describe(candidate);
    let matches = oldest === there;
    for (const writes of this.unsynced) {
      if (matches) break;
      candidate.write(writes);
      candidate.sync();
      candidate = candidate.crash();
      matches = describe(candidate) === there;
    }
    this.unsynced = [];
    this.durableBatch = 0;
    this.store = candidate;
    this.commitIndexes.clear();
    for (const { regionId, hardState } of found.recovered().regions) {
      this.commitIndexes.set(regionId, hardState.commitIndex);
    }
    for (const key of this.metaKeys) {
      const value = found.getMeta(key);
      if (value !== undefined) candidate.setMeta(key, value);
    }
    return matches ? undefined : `found ${there}, but at least ${oldest} was durable`;
  }

  /** The files are gone. */
  clear(): void {
    this.store = new MemoryLogStore({ monotonicMs: this.monotonicMs });
    this.unsynced = [];
    this.durableBatch = 0;
    this.commitIndexes.clear();
  }
}

/** A log's regions but for their entries' data, and the commit index, which is stored lazily (L7). */
function describe(store: LogStore): string {
  const { regions, tombstones } = store.recovered();
  const lines: string[] = [];
  for (const region of [...regions].sort((a, b) => a.regionId - b.regionId)) {
    const { regionId, replicaId, hardState, confState, confStateIndex } = region;
    const { term, votedFor } = hardState;
    const terms = termsOf(store.region(regionId), region.truncatedIndex, region.lastIndex);
    lines.push(JSON.stringify({ regionId, replicaId, term, votedFor, confStateIndex, confState }));
    lines.push(`${region.truncatedIndex}..${region.lastIndex} ${terms}`);
  }
  const dead = [...tombstones].sort((a, b) => a.regionId - b.regionId);
  return `${lines.join('\n')}\n${JSON.stringify(dead)}`;
}

/** Runs of terms from the floor on, as term x count. */
function termsOf(log: RegionLog | undefined, from: number, to: number): string {
  const runs: string[] = [];
  let term: number | undefined;
  let count = 0;
  for (let index = from; index <= to; index++) {
    const next = log?.term(index);
    if (next !== term && count > 0) {
      runs.push(`${term}x${count}`);
      count = 0;
    }
    term = next;
    count += 1;
  }
  runs.push(`${term}x${count}`);
  return runs.join(' ');
}
