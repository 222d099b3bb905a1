/**
 * What a simulated node, its faults and the invariants need of its disk. Two adapters: `disk.ts` keeps
 * the stores' contents in memory, `sql/sql-disk.ts` runs the real stores on a real SQLite over sectors.
 *
 * Invariants: D1 and D2 of disk.ts, on both.
 */
import type { MokuError, Prng, RegionId } from '@moku/base';
import type { Engine } from '@moku/kv';
import type { HardState, LogStore, LogStoreHealth } from '@moku/raft';

/** What a process finds when it opens its disk. */
export interface OpenedDisk {
  readonly log: LogStore;
  readonly engine: Engine;
  /** Of the directory: another one after `wipe`. */
  readonly storeId: string;
  /** Openings of the directory, this one included. */
  readonly incarnation: number;
}

/** How an opening ends: exactly one of them is called, in the process that asked, unless it ends first. */
export interface DiskOpening {
  /** At once on the disk in memory; after the time that a recovery takes on the other. */
  onOpened(opened: OpenedDisk): void;
  /**
   * The real stores would refuse: synced data is missing, a file is damaged or another node's (for ever,
   * P6), or there is no space (LOG_IO, as long as that lasts).
   */
  onRefused(error: MokuError): void;
}

/** The part of a log that invariants compare: its bounds and terms. */
export interface LogShape {
  firstIndex(): number;
  lastIndex(): number;
  term(index: number): number | undefined;
}

/** What `wipe` takes: the whole directory, or one of its files. */
export type DiskPart = 'all' | 'log' | 'engine';

export interface Disk {
  /** Whether damage may end a process that runs: real files have a structure that every write needs. */
  readonly damageMayEnd: boolean;
  /** A process of `life` begins; whatever a former one left unfinished never completes (D2). */
  open(life: number, opening: DiskOpening): void;
  /** The machine loses power, or the process ends: also while an opening is under way. */
  crash(): void;

  /** The log's sync under way, or the next, reports an error. */
  failSync(): void;
  /** The engine's next flush reports an error. */
  failFlush(): void;
  /** A failure that has not happened yet does not happen, and a sync that hangs goes on. */
  mend(): void;
  /** A bit of what is synced becomes another; only while no process runs. False: nothing is there. */
  flipBit(prng: Prng): boolean;
  /**
   * What was synced last is gone, in a way that the real log notices at its next opening; only while no
   * process runs. False: there was not enough to lose.
   */
  loseSyncedSuffix(prng: Prng): boolean;
  /** No space is left, until `free`: what needs more fails. */
  fill(): void;
  free(): void;
  /** Files are gone; only while no process runs. */
  wipe(part: DiskPart): void;
  /** Both have each other's contents, until exchanged again; only while no process runs on either. */
  exchange(other: Disk): void;

  /** The log as the process that runs reads it; undefined when none runs or it has no such region. */
  visible(regionId: RegionId): ReturnType<LogStore['region']>;
  /** The region as a crash at this moment would leave it; undefined when there would be none. */
  synced(regionId: RegionId): LogShape | undefined;
  syncedHardState(regionId: RegionId): HardState | undefined;
  /** Of the log's small values, as a crash at this moment would leave them. */
  syncedMeta(key: string): Uint8Array | undefined;
  /** Zero everything when no process runs. */
  health(): LogStoreHealth;
  /** Whether the engine takes no more until it was flushed; false when no process runs. */
  isEngineFull(): boolean;
  /** Applied index of the region in the engine as the process reads it; 0 when there is none. */
  appliedIndex(regionId: RegionId): number;
}
