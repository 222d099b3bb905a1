/**
 * What a simulated node, its faults and the invariants need of its disk. Two adapters: `disk.ts` keeps
 * the stores' contents in memory, `sql/sql-disk.ts` runs the real stores on a real SQLite over sectors.
 *
 * Invariants: D1 and D2 of disk.ts, on both.
 */
import type { MokuError, Prng, RegionId } from '@moku/base';
import type { Engine } from '@moku/kv';
import type { HardState, LogStore, LogStoreHealth } from '@moku/raft';

/** How an opening ends: exactly one of them is called, in the process that asked, unless it ends first. */
export interface DiskOpening {
  /** At once on the disk in memory; after the time that a recovery takes on the other. */
  onOpened(log: LogStore, engine: Engine): void;
  /** What is on the disk must not be used (P6): synced data is missing, or a file is damaged. */
  onRefused(error: MokuError): void;
}

/** The part of a log that invariants compare: its bounds and terms. */
export interface LogShape {
  firstIndex(): number;
  lastIndex(): number;
  term(index: number): number | undefined;
}

export interface Disk {
  /** A process of `life` begins; whatever a former one left unfinished never completes (D2). */
  open(life: number, opening: DiskOpening): void;
  /** The machine loses power, or the process ends: also while an opening is under way. */
  crash(): void;

  /** The sync under way, or the next, reports an error. */
  failSync(): void;
  /** A failure that has not happened yet does not happen, and a sync that hangs goes on. */
  mend(): void;
  /** A bit of what is synced becomes another; only while no process runs. False: nothing is there. */
  flipBit(prng: Prng): boolean;
  /** What was synced last is gone; only while no process runs. False: nothing was there to lose. */
  loseSyncedSuffix(prng: Prng): boolean;
  /** No space is left, until `free`: what needs more fails. */
  fill(): void;
  free(): void;
  /** Everything is gone; only while no process runs. */
  wipe(): void;

  /** The log as the process that runs reads it; undefined when none runs or it has no such region. */
  visible(regionId: RegionId): ReturnType<LogStore['region']>;
  /** The region as a crash at this moment would leave it; undefined when there would be none. */
  synced(regionId: RegionId): LogShape | undefined;
  syncedHardState(regionId: RegionId): HardState | undefined;
  /** Zero everything when no process runs. */
  health(): LogStoreHealth;
  /** Applied index of the region in the engine as the process reads it; 0 when there is none. */
  appliedIndex(regionId: RegionId): number;
}
