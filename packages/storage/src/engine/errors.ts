/**
 * What went wrong in SQLite, in the words of the error table.
 */
import { type ErrorDetails, MokuError } from '@moku/base';

/** Whether a file is damaged; SQLITE_ERROR: our own statements do not fit its schema. */
export function isDamage(sqliteCode: string): boolean {
  const isCorrupt = sqliteCode.startsWith('SQLITE_CORRUPT') || sqliteCode === 'SQLITE_NOTADB';
  return isCorrupt || sqliteCode === 'SQLITE_ERROR';
}

/** ENGINE_CORRUPT for damaged files, ENGINE_IO for everything else; a MokuError stays what it is. */
export function engineError(cause: unknown, details: ErrorDetails): MokuError {
  if (cause instanceof MokuError) return cause;
  const sqliteCode = sqliteCodeOf(cause);
  return new MokuError(
    isDamage(sqliteCode) ? 'ENGINE_CORRUPT' : 'ENGINE_IO',
    { ...details, sqliteCode, reason: cause instanceof Error ? cause.message : String(cause) },
    { cause },
  );
}

/** SQLite's or the system's code of an error; empty when it has none. */
export function sqliteCodeOf(cause: unknown): string {
  if (typeof cause !== 'object' || cause === null || !('code' in cause)) return '';
  return typeof cause.code === 'string' ? cause.code : '';
}
