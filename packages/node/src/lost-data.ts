/**
 * What a node must not start on: stores that may have forgotten what they promised (P6). One rule for
 * production and the simulator.
 */
import { isMokuError, MokuError } from '@moku/base';
import type { Engine } from '@moku/kv';

/** What a log store says of its directory. */
export interface LogOrigin {
  /** True when synced data may be missing. */
  readonly isAmnesiac: boolean;
  /** Openings of the log, this one included; 1: it was made just now. */
  readonly incarnation: number;
}

/**
 * Throws LOG_AMNESIA when a vote or an entry may be forgotten: the log lost synced data, or is new beside
 * old data. Until peers can make such a node safe, it does not start. `dir` only names the place.
 */
export function refuseLostData(log: LogOrigin, engine: Engine, dir: string): void {
  if (log.isAmnesiac) {
    throw new MokuError('LOG_AMNESIA', { field: 'dir', dir, rule: 'synced log data is missing' });
  }
  const isNewLog = log.incarnation === 1;
  if (!isNewLog || engine.replicas().every((replica) => replica.appliedIndex === 0)) return;
  throw new MokuError('LOG_AMNESIA', {
    field: 'log.db',
    dir,
    rule: 'data.db needs the log it came from',
  });
}

/** A log that keeps what it is told of its losses, durably when the promise resolves. */
export interface NotingLog extends LogOrigin {
  noteAmnesia(reason: string): Promise<void>;
}

/**
 * Like `refuseLostData`, and so at all later starts: the next opening of a log that was made just now is not
 * its first, and would show nothing.
 */
export async function refuseForEver(log: NotingLog, engine: Engine, dir: string): Promise<void> {
  try {
    refuseLostData(log, engine, dir);
  } catch (error) {
    if (isMokuError(error, 'LOG_AMNESIA')) await log.noteAmnesia(error.message);
    throw error;
  }
}
