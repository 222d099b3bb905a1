/**
 * All regions of a store: applies a batch's writes to their logs, and gathers which states have to be
 * stored with it.
 *
 * Invariants:
 *  L7 A commitIndex alone is not stored: it rides with the next state of its region, at the latest at the
 *     orderly close. It is stored with every change of the configuration that is appended: raft's E4 rests
 *     on it after a crash.
 */
import { assert, ByteWriter, noReplica, present, type RegionId, type ReplicaId } from '@moku/base';
import type {
  ConfState,
  Entry,
  HardState,
  RecoveredRegion,
  RegionWrite,
  Tombstone,
} from '@moku/raft';
import type { BatchBuilder } from './batch-builder.js';
import type { RecoveredLogs } from './recovery.js';
import { type LogParts, SqliteRegionLog } from './region-log.js';
import { appendState, type TombstoneState } from './state-codec.js';

export class RegionTable {
  readonly logs: Map<RegionId, SqliteRegionLog>;
  private readonly tombstones: Map<RegionId, ReplicaId>;
  private readonly parts: LogParts;
  private readonly builder: BatchBuilder;
  /** What has to be stored with the batch under way. */
  private readonly staged = new Map<RegionId, SqliteRegionLog | TombstoneState>();
  /** Logs whose commitIndex on disk is older. */
  private readonly stale = new Set<SqliteRegionLog>();
  private readonly writer = new ByteWriter(4096);

  constructor(recovered: RecoveredLogs, parts: LogParts, builder: BatchBuilder) {
    this.logs = recovered.logs;
    this.tombstones = recovered.tombstones;
    this.parts = parts;
    this.builder = builder;
  }

  /** One region's part of a batch, in the order of the contract's fields. */
  apply(write: RegionWrite): void {
    const { regionId, create, destroy } = write;
    if (destroy !== undefined) {
      this.destroy(regionId, destroy.replicaId);
      return;
    }
    if (create !== undefined) this.create(regionId, create);
    const log = present(this.logs.get(regionId), 'L2: a written region was created');
    if (write.hardState !== undefined) this.setHardState(log, write.hardState);
    if (write.confState !== undefined) {
      log.confState = write.confState.confState;
      log.confStateIndex = write.confState.index;
      this.staged.set(regionId, log);
    }
    if (write.restart !== undefined) this.restart(log, write.restart);
    if (write.entries !== undefined && write.entries.length > 0) this.append(log, write.entries);
    if (write.truncate !== undefined) this.truncate(log, write.truncate);
  }

  /** Has every state stored that is not, in the next batch. */
  stageStale(): void {
    for (const log of this.stale) this.staged.set(log.regionId, log);
  }

  /** The states to be stored now, in the form of `appendState`; undefined when there are none. */
  takeStates(): Uint8Array<ArrayBuffer> | undefined {
    if (this.staged.size === 0) return undefined;
    this.writer.reset();
    for (const staged of this.staged.values()) {
      if (staged instanceof SqliteRegionLog) {
        appendState(this.writer, staged.state(this.builder.nextSeq));
        this.stale.delete(staged);
      } else {
        appendState(this.writer, staged);
      }
    }
    this.staged.clear();
    return new Uint8Array(this.writer.view());
  }

  recovered(): { regions: RecoveredRegion[]; tombstones: Tombstone[] } {
    const regions: RecoveredRegion[] = [];
    for (const log of this.logs.values()) regions.push(recoveredRegion(log));
    const tombstones: Tombstone[] = [];
    for (const [regionId, replicaId] of this.tombstones) tombstones.push({ regionId, replicaId });
    return { regions, tombstones };
  }

  private destroy(regionId: RegionId, replicaId: ReplicaId): void {
    const log = this.logs.get(regionId);
    const buried = this.tombstones.get(regionId) ?? noReplica;
    // A late request to destroy a former replica does not touch its successor.
    if (buried >= replicaId || (log !== undefined && log.replicaId > replicaId)) return;
    this.bury(log);
    this.logs.delete(regionId);
    this.tombstones.set(regionId, replicaId);
    this.staged.set(regionId, { regionId, replicaId, isTombstone: true });
  }

  private create(regionId: RegionId, create: NonNullable<RegionWrite['create']>): void {
    const buried = this.tombstones.get(regionId) ?? noReplica;
    assert(create.replicaId > buried, 'L3: a destroyed replica does not come back');
    this.bury(this.logs.get(regionId));
    this.tombstones.delete(regionId);
    const { replicaId, confState, truncatedIndex, truncatedTerm } = create;
    const log = new SqliteRegionLog(this.parts, {
      regionId,
      replicaId,
      hardState: { term: 0, votedFor: noReplica, commitIndex: 0 },
      confState,
      confStateIndex: truncatedIndex,
      truncatedIndex,
      truncatedTerm,
    });
    this.logs.set(regionId, log);
    this.staged.set(regionId, log);
  }

  /** Nothing of this log lives any more. */
  private bury(log: SqliteRegionLog | undefined): void {
    if (log === undefined) return;
    log.reset(log.index.lastIndex, 0);
    this.stale.delete(log);
  }

  private setHardState(log: SqliteRegionLog, hardState: HardState): void {
    const { term, votedFor } = log.hardState;
    assert(hardState.term >= term, 'the term of a hard state never decreases');
    const isOnlyCommitIndex = hardState.term === term && hardState.votedFor === votedFor;
    log.hardState = hardState;
    if (isOnlyCommitIndex) this.stale.add(log);
    else this.staged.set(log.regionId, log);
  }

  private restart(
    log: SqliteRegionLog,
    restart: { readonly index: number; readonly term: number; readonly confState: ConfState },
  ): void {
    log.reset(restart.index, restart.term);
    log.confState = restart.confState;
    log.confStateIndex = restart.index;
    this.staged.set(log.regionId, log);
  }

  private append(log: SqliteRegionLog, entries: readonly Entry[]): void {
    const first = present(entries[0], 'L2: entries begin somewhere').index;
    assert(first >= log.index.firstIndex, 'L2: entries lie above the floor');
    assert(first <= log.index.lastIndex + 1, 'L2: entries leave no hole');
    log.cutSuffix(first);
    this.builder.append(log, entries);
    log.keep(entries);
    if (this.stale.has(log) && entries.some(isConfChange)) this.staged.set(log.regionId, log);
  }

  private truncate(
    log: SqliteRegionLog,
    truncate: { readonly index: number; readonly term: number },
  ): void {
    if (truncate.index < log.index.firstIndex) return;
    assert(truncate.index <= log.index.lastIndex, 'L2: a truncation ends in the log');
    assert(log.index.term(truncate.index) === truncate.term, 'L2: the truncated term is right');
    log.cutPrefix(truncate.index);
    this.staged.set(log.regionId, log);
  }
}

function isConfChange(entry: Entry): boolean {
  return entry.kind === 'confChange';
}

function recoveredRegion(log: SqliteRegionLog): RecoveredRegion {
  return {
    regionId: log.regionId,
    replicaId: log.replicaId,
    hardState: log.hardState,
    confState: log.confState,
    confStateIndex: log.confStateIndex,
    truncatedIndex: log.index.firstIndex - 1,
    truncatedTerm: log.index.truncatedTerm,
    lastIndex: log.index.lastIndex,
  };
}
