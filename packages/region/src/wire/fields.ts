// @hot
/**
 * Fields of a frame that came from outside: each is checked as it is read, and FRAME_MALFORMED names
 * the one that is wrong.
 */
import { type ByteReader, MokuError, type RegionId, type ReplicaId } from '@moku/base';

const regionIdMax = 2 ** 48;
const replicaIdMax = 0xffff_ffff;

/** The error of a malformed `field`. */
export function malformed(field: string): MokuError {
  return new MokuError('FRAME_MALFORMED', { field });
}

/** A region id in 0 … 2^48. */
export function readRegionId(reader: ByteReader): RegionId {
  const value = reader.uvarint();
  if (value > regionIdMax) throw malformed('regionId');
  return value as RegionId;
}

/** A replica id in 1 … 2^32 - 1. */
export function readReplicaId(reader: ByteReader, field: string): ReplicaId {
  const value = reader.uvarint();
  if (value < 1 || value > replicaIdMax) throw malformed(field);
  return value as ReplicaId;
}

/** A safe integer >= 1: terms, numbers and sequences that start at 1. */
export function readPositive(reader: ByteReader, field: string): number {
  const value = reader.uvarint();
  if (value < 1) throw malformed(field);
  return value;
}

/** A number of things that take `bytesMin` bytes each: at most `max`, and no more than are left. */
export function readCount(
  reader: ByteReader,
  bound: { readonly field: string; readonly max: number; readonly bytesMin: number },
): number {
  const count = reader.uvarint();
  if (count > bound.max || count * bound.bytesMin > reader.remaining) throw malformed(bound.field);
  return count;
}
