/**
 * Timings and bounds of one region host. Times in milliseconds of the monotonic clock, or in ticks of
 * `tickMs`; what the whole cluster agrees on are limits of base, not options.
 */
import { MokuError } from '@moku/base';

export interface RegionHostConfig {
  /** Length of a tick. */
  readonly tickMs: number;
  /** Election timeout: a replica campaigns after electionTicks … 2 electionTicks - 1 without a leader. */
  readonly electionTicks: number;
  /** Between two heartbeats to one peer. */
  readonly heartbeatMs: number;
  /** A turn that begins this much after it was due is late: it lets no timer fire and judges nobody. */
  readonly lateMs: number;
  /** Campaigns begun in one turn; the others wait for the next. */
  readonly campaignsPerTurnMax: number;
  /** Probes of unattached pairs sent in one turn. */
  readonly probesPerTurnMax: number;
  /** Dirty replicas visited in one turn. */
  readonly replicasPerTurnMax: number;
  /** Bytes of received frames handled in one turn. */
  readonly inboxBytesPerTurnMax: number;
  /** Bytes of entries handed to the log in one turn; at least one replica's are. */
  readonly writeBytesPerTurnMax: number;
  /** Bytes of entries applied in one turn. */
  readonly applyBytesPerTurnMax: number;
  /** Bytes queued to a peer beyond which appends with entries wait (control goes on). */
  readonly appendPauseBytes: number;
  /** Age of a peer's oldest unsynced batch beyond which appends to it wait. */
  readonly slowDiskMs: number;
  /** Age of this node's own oldest unsynced batch beyond which it hands its leaderships over. */
  readonly hungDiskMs: number;
  /** Bytes queued on a bulk lane beyond which the next snapshot chunk waits. */
  readonly bulkPauseBytes: number;
  /** Snapshots sent at once by this node. */
  readonly snapshotsOutMax: number;
  /** Snapshots taken in at once by this node. */
  readonly snapshotsInMax: number;
  /** How often the slow work (truncation) looks around. */
  readonly housekeepingMs: number;
  /** Log bytes that an active region keeps for followers that fall a little behind. */
  readonly logKeepBytes: number;
  /** A peer without a session for this long no longer holds back truncation. */
  readonly peerGoneMs: number;
  /** Ticks after which an unanswered read round is asked again. */
  readonly readRetryTicks: number;
  /** Rounds asked for one read before it is answered notLeader. */
  readonly readAttemptsMax: number;
}

const KiB = 1024;
const MiB = 1024 * 1024;

export const defaultRegionHostConfig: RegionHostConfig = {
  tickMs: 50,
  electionTicks: 10,
  heartbeatMs: 100,
  lateMs: 150,
  campaignsPerTurnMax: 256,
  probesPerTurnMax: 512,
  replicasPerTurnMax: 1024,
  inboxBytesPerTurnMax: 4 * MiB,
  writeBytesPerTurnMax: 4 * MiB,
  applyBytesPerTurnMax: 2 * MiB,
  appendPauseBytes: 2 * MiB,
  slowDiskMs: 1_000,
  hungDiskMs: 3_000,
  bulkPauseBytes: 1 * MiB,
  snapshotsOutMax: 2,
  snapshotsInMax: 4,
  housekeepingMs: 1_000,
  logKeepBytes: 256 * KiB,
  peerGoneMs: 60_000,
  readRetryTicks: 8,
  readAttemptsMax: 5,
};

/** The defaults with `given` over them. Throws CONFIG_INVALID naming the field. */
export function completeConfig(given: Partial<RegionHostConfig>): RegionHostConfig {
  const config: RegionHostConfig = { ...defaultRegionHostConfig, ...given };
  for (const [field, value] of Object.entries(config)) {
    if (!Number.isFinite(value) || value <= 0) {
      throw new MokuError('CONFIG_INVALID', { field, value, rule: 'a positive number' });
    }
  }
  if (config.electionTicks * config.tickMs <= 3 * config.heartbeatMs) {
    const rule = 'electionTicks * tickMs exceeds three heartbeats';
    throw new MokuError('CONFIG_INVALID', { field: 'electionTicks', rule });
  }
  return config;
}
