// @hot
/**
 * The stored form of a version's value: a seal of five bytes, then the value. The seal is one byte of
 * kind and an xxHash32 over store, timestamp, kind, key and value, so that a flipped bit or a misplaced
 * row is noticed when it is read (P6). Replicas' rows carry a checksum of their own.
 */
import { hash32, MokuError, type Timestamp } from '@moku/base';
import type { VersionedValue } from '@moku/kv';

export const sealBytes = 5;
const kindValue = 1;
const kindDeletion = 2;

/** Checksum of a replica's row: of its fields in the order of `replicaField`. */
export function replicaChecksum(fields: Float64Array): number {
  return hash32(new Uint8Array(fields.buffer, fields.byteOffset, fields.byteLength));
}

/** Fills in the seal at the start of `sealed` (seal and value; the seal alone for a deletion). */
export function seal(
  sealed: Uint8Array,
  storeId: number,
  key: Uint8Array,
  timestamp: number,
  isDeletion: boolean,
): void {
  const kind = isDeletion ? kindDeletion : kindValue;
  const hash = checksum(sealed.subarray(sealBytes), storeId, key, timestamp, kind);
  sealed[0] = kind;
  sealed[1] = hash & 0xff;
  sealed[2] = (hash >>> 8) & 0xff;
  sealed[3] = (hash >>> 16) & 0xff;
  sealed[4] = hash >>> 24;
}

/** The version that a row holds, of `key` itself and with a value that aliases `sealed`. Throws ENGINE_CORRUPT when its seal does not fit. */
export function unseal(
  sealed: Uint8Array,
  storeId: number,
  key: Uint8Array,
  timestamp: number,
): VersionedValue {
  const kind = sealed[0];
  const isWhole = sealed.length >= sealBytes && (kind === kindValue || kind === kindDeletion);
  if (!isWhole) throw corrupt(storeId, timestamp);
  const value = new Uint8Array(
    sealed.buffer,
    sealed.byteOffset + sealBytes,
    sealed.length - sealBytes,
  );
  const stored = (sealed[1]! | (sealed[2]! << 8) | (sealed[3]! << 16) | (sealed[4]! << 24)) >>> 0;
  if (checksum(value, storeId, key, timestamp, kind) !== stored) {
    throw corrupt(storeId, timestamp);
  }
  return {
    key,
    timestamp: timestamp as Timestamp,
    value: kind === kindDeletion ? undefined : value,
  };
}

function checksum(
  value: Uint8Array,
  storeId: number,
  key: Uint8Array,
  timestamp: number,
  kind: number,
): number {
  const timestampHigh = Math.floor(timestamp / 2 ** 32);
  const seed =
    (Math.imul(storeId | 0, 0x9e3779b1) ^
      Math.imul(timestamp | 0, 0x85ebca77) ^
      Math.imul(timestampHigh, 0xc2b2ae3d) ^
      kind) >>>
    0;
  return hash32(value, hash32(key, seed));
}

function corrupt(storeId: number, timestamp: number): MokuError {
  return new MokuError('ENGINE_CORRUPT', { file: 'data.db', storeId, timestamp });
}
