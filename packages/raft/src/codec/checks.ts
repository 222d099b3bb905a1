// @hot
/**
 * Checks of numbers that came from outside: each throws FRAME_MALFORMED and names the field.
 */
import { type ByteReader, MokuError, type ReplicaId } from '@moku/base';

const replicaIdMax = 0xffff_ffff;

/** The error of a malformed `field`. */
export function malformed(field: string): MokuError {
  return new MokuError('FRAME_MALFORMED', { field });
}

/** A replica id in 1 … 2^32 - 1. */
export function readReplicaId(reader: ByteReader, field: string): ReplicaId {
  const id = reader.uvarint();
  if (id < 1 || id > replicaIdMax) throw malformed(field);
  return id as ReplicaId;
}

/** A replica id, or 0 for none. */
export function readReplicaIdOrNone(reader: ByteReader, field: string): ReplicaId {
  const id = reader.uvarint();
  if (id > replicaIdMax) throw malformed(field);
  return id as ReplicaId;
}

/** A byte that is 0 or 1. */
export function readFlag(reader: ByteReader, field: string): boolean {
  const value = reader.u8();
  if (value > 1) throw malformed(field);
  return value === 1;
}
