// @hot
/**
 * Checks that the codecs of commands, queries and outcomes share: each refuses with a code that names
 * the field and the bound. What comes from the wire and what comes from a caller pass the same checks.
 */
import { type ByteReader, type ErrorCode, limits, MokuError, type Timestamp } from '@moku/base';
import { storedKeyBytesMax } from './keys.js';

/** Throws INVALID_ARGUMENT unless `value` is a safe integer in min … max (NaN, fractions refused). */
export function checkInteger(value: number, min: number, max: number, field: string): void {
  if (!Number.isSafeInteger(value) || value < min || value > max) {
    throw new MokuError('INVALID_ARGUMENT', { field, value, min, max });
  }
}

/** Throws `code` with field, bytes or count, and bound, unless size <= max. */
export function checkSize(size: number, max: number, field: string, code: ErrorCode): void {
  if (size > max) throw new MokuError(code, { field, size, max });
}

/** A stored key that names a record: KEY_EMPTY, KEY_TOO_LARGE. */
export function checkKey(key: Uint8Array, field: string): void {
  if (key.length === 0) throw new MokuError('KEY_EMPTY', { field });
  if (key.length > storedKeyBytesMax) {
    throw new MokuError('KEY_TOO_LARGE', { field, size: key.length, max: storedKeyBytesMax });
  }
}

/** A bound of a range: may be empty, and one byte longer than a key (the successor of the longest). */
export function checkRangeBound(key: Uint8Array, field: string): void {
  checkSize(key.length, storedKeyBytesMax + 1, field, 'KEY_TOO_LARGE');
}

export function checkValue(value: Uint8Array, field: string): void {
  checkSize(value.length, limits.valueBytesMax, field, 'VALUE_TOO_LARGE');
}

/** FRAME_MALFORMED for a byte that is no case of its field. */
export function malformed(field: string, value: number): MokuError {
  return new MokuError('FRAME_MALFORMED', { field, value });
}

/**
 * A count of elements that follow, each at least `bytesMin` long: FRAME_MALFORMED when they cannot be
 * there, so that nothing is allocated for a count alone; `code` above `max`.
 */
export function readCount(
  reader: ByteReader,
  bytesMin: number,
  max: number,
  field: string,
  code: ErrorCode = 'FRAME_MALFORMED',
): number {
  const count = reader.uvarint();
  if (count > max) throw new MokuError(code, { field, size: count, max });
  if (count * bytesMin > reader.remaining) throw malformed(field, count);
  return count;
}

/** A byte that must be 0 or 1. */
export function readBoolean(reader: ByteReader, field: string): boolean {
  const byte = reader.u8();
  if (byte > 1) throw malformed(field, byte);
  return byte === 1;
}

export function readTimestamp(reader: ByteReader): Timestamp {
  return reader.uvarint() as Timestamp;
}
