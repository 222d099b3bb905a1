// @hot
/**
 * What both machines share: where the replica stands in its log, the timestamps of its commands, and
 * the one write per entry that makes an entry's effects and its index visible together.
 *
 * Invariants:
 *  A1 Entries are applied strictly by index, each exactly once; the engine's applied index is ours.
 *  A2 Timestamps of commands ascend in log order (N1), whatever the proposers' clocks did.
 */
import { assert, type RegionId, type ReplicaId, type Timestamp, wallMsOf } from '@moku/base';
import type { Entry, SnapshotSink, SnapshotSource } from '@moku/raft';
import type { Engine, VersionedValue } from './contracts/engine.js';
import { decodeEntry } from './entry.js';
import {
  countersKey,
  decodeCounters,
  encodeCounters,
  machineTimestamp,
  newest,
} from './records.js';
import { createSnapshotSink, createSnapshotSource } from './snapshot.js';

/** Commands of the entry that is being applied. */
export interface StartedEntry {
  readonly index: number;
  readonly commands: readonly Uint8Array[];
  /** Timestamp of the first command; command i has base + i. */
  readonly base: Timestamp;
  /** The proposer's wall clock, as far as a timestamp can tell it. */
  readonly wallMs: number;
}

const noCommands: readonly Uint8Array[] = [];

export class AppliedState {
  readonly regionId: RegionId;
  readonly engine: Engine;
  appliedIndex = 0;
  appliedTerm = 0;
  /** Sessions as recorded when the state was opened or last written. */
  recordedSessions = 0;
  private maxTimestamp = 0 as Timestamp;
  private puts: VersionedValue[] = [];
  private removes: { key: Uint8Array; timestamp: Timestamp }[] = [];

  /** Opens the region's replica in the engine, creating it when it is missing or an older one's. */
  constructor(engine: Engine, regionId: RegionId, replicaId: ReplicaId) {
    this.engine = engine;
    this.regionId = regionId;
    const found = engine.replica(regionId);
    assert(found === undefined || found.replicaId <= replicaId, 'replica ids are never reused');
    if (found === undefined || found.replicaId < replicaId) {
      engine.createReplica(regionId, replicaId);
    }
    this.reload();
  }

  /** Reads the state back from the engine: at opening, and after a snapshot was installed. */
  reload(): void {
    const replica = this.engine.replica(this.regionId);
    assert(replica !== undefined, 'the replica was created at opening');
    this.appliedIndex = replica.appliedIndex;
    this.appliedTerm = replica.appliedTerm;
    const record = this.engine.get(this.regionId, countersKey, newest)?.value;
    const counters = record === undefined ? undefined : decodeCounters(record);
    this.maxTimestamp = counters?.maxTimestamp ?? (0 as Timestamp);
    this.recordedSessions = counters?.sessions ?? 0;
  }

  durableIndex(): number {
    return this.engine.durableIndex(this.regionId);
  }

  /** Begins an entry (A1) and gives its commands their timestamps (A2). */
  start(entry: Entry): StartedEntry {
    assert(entry.index === this.appliedIndex + 1, 'A1: entries are applied strictly by index');
    this.puts = [];
    this.removes = [];
    const { index } = entry;
    if (entry.kind !== 'normal' || entry.data.length === 0) {
      return { index, commands: noCommands, base: this.maxTimestamp, wallMs: 0 };
    }
    const { timestamp, commands } = decodeEntry(entry.data);
    const least = (this.maxTimestamp + 1) as Timestamp;
    const base = timestamp > least ? timestamp : least;
    this.maxTimestamp = (base + commands.length - 1) as Timestamp;
    assert(Number.isSafeInteger(this.maxTimestamp), 'A2: timestamps are safe integers');
    return { index, commands, base, wallMs: wallMsOf(timestamp) };
  }

  /** Where the entry's effects on records are gathered until `commit`. */
  get pendingPuts(): VersionedValue[] {
    return this.puts;
  }

  get pendingRemoves(): { key: Uint8Array; timestamp: Timestamp }[] {
    return this.removes;
  }

  /** Writes the entry's effects and its index, atomically. */
  commit(entry: Entry, hasCommands: boolean, sessions: number): void {
    if (hasCommands) {
      this.recordedSessions = sessions;
      this.puts.push({
        key: countersKey,
        timestamp: machineTimestamp,
        value: encodeCounters(this.maxTimestamp, sessions),
      });
    }
    this.engine.write({
      regionId: this.regionId,
      appliedIndex: entry.index,
      appliedTerm: entry.term,
      puts: this.puts,
      removes: this.removes,
    });
    this.appliedIndex = entry.index;
    this.appliedTerm = entry.term;
  }

  snapshot(): SnapshotSource {
    return createSnapshotSource(this.engine, {
      regionId: this.regionId,
      index: this.appliedIndex,
      term: this.appliedTerm,
    });
  }

  /** `onInstalled` runs after the state was reloaded. */
  install(index: number, term: number, onInstalled: () => void): SnapshotSink {
    return createSnapshotSink(this.engine, { regionId: this.regionId, index, term }, () => {
      this.reload();
      onInstalled();
    });
  }
}
