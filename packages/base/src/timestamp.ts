/**
 * Hybrid logical clock values (Kulkarni et al. 2014) as one safe integer:
 * milliseconds since 2020-01-01 times 4,096, plus a logical counter. Enough until 2089.
 * They order versions; they decide no safety.
 */

export type Timestamp = number & { readonly __brand: 'Timestamp' };

export const timestampEpochMs: number = Date.UTC(2020, 0, 1);
export const timestampTicksPerMs = 4096;
export const zeroTimestamp: Timestamp = 0 as Timestamp;

/** The first timestamp of the millisecond `wallMs` (milliseconds since 1970); zero before 2020. */
export function timestampOf(wallMs: number): Timestamp {
  return (Math.max(0, Math.floor(wallMs) - timestampEpochMs) * timestampTicksPerMs) as Timestamp;
}

/** The millisecond (since 1970) in which `timestamp` lies. */
export function wallMsOf(timestamp: Timestamp): number {
  return Math.floor(timestamp / timestampTicksPerMs) + timestampEpochMs;
}

/** The least timestamp that is at least the wall clock's and greater than `last`. */
export function nextTimestamp(last: Timestamp, wallMs: number): Timestamp {
  const now = timestampOf(wallMs);
  return now > last ? now : ((last + 1) as Timestamp);
}
