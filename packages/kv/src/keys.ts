/**
 * Stored keys: the one form that regions, splits and scans know. A `range` keyspace stores the user's
 * key as it is. A `hash` keyspace puts 8 bytes in front of it: the big-endian xxHash64 of the routing
 * prefix, which is the key up to and including its last `/` (the whole key when it has none), so that
 * one bucket stays in one region and buckets spread evenly. Also: which region holds a key, and the
 * bounds of a keyspace's first regions.
 *
 * Invariants:
 *  K1 Equal user keys of one keyspace have equal stored keys; different ones differ.
 *  K2 Regions of a keyspace, in key order, cover every stored key exactly once.
 */
import {
  assert,
  compareBytes,
  emptyBytes,
  hash64,
  type KeyspaceMode,
  limits,
  MokuError,
  type RegionDescriptor,
} from '@moku/base';

/** Bytes of the hash in front of a hash keyspace's stored keys. */
export const hashPrefixBytes = 8;

/** A stored key: a user's key with the hash in front. */
export const storedKeyBytesMax: number = limits.keyBytesMax + hashPrefixBytes;

const slash = 0x2f;

/** Length of the routing prefix of a user's key: up to and including its last `/`, else the whole key. */
export function routingPrefixLength(key: Uint8Array): number {
  for (let i = key.length - 1; i >= 0; i--) if (key[i] === slash) return i + 1;
  return key.length;
}

/** Throws KEY_EMPTY or KEY_TOO_LARGE (naming the bound) unless `key` may be a user's key. */
export function checkUserKey(key: Uint8Array): void {
  if (key.length === 0) throw new MokuError('KEY_EMPTY', { field: 'key' });
  if (key.length > limits.keyBytesMax) {
    throw new MokuError('KEY_TOO_LARGE', {
      field: 'key',
      bytes: key.length,
      max: limits.keyBytesMax,
    });
  }
}

/** Stored key of a user's key. Aliases `key` in range mode. Throws KEY_EMPTY, KEY_TOO_LARGE. */
export function storedKey(mode: KeyspaceMode, key: Uint8Array): Uint8Array {
  checkUserKey(key);
  if (mode === 'range') return key;
  const stored = new Uint8Array(hashPrefixBytes + key.length);
  writeHash(stored, hash64(key.subarray(0, routingPrefixLength(key))));
  stored.set(key, hashPrefixBytes);
  return stored;
}

/** User's key of a stored key; aliases it. Throws FRAME_MALFORMED when it is too short for its mode. */
export function userKey(mode: KeyspaceMode, stored: Uint8Array): Uint8Array {
  if (mode === 'range') return stored;
  if (stored.length <= hashPrefixBytes) {
    throw new MokuError('FRAME_MALFORMED', { field: 'storedKey', bytes: stored.length });
  }
  return stored.subarray(hashPrefixBytes);
}

/** The next key in bytewise order: the key with a zero byte behind it. */
export function successor(key: Uint8Array): Uint8Array {
  const next = new Uint8Array(key.length + 1);
  next.set(key);
  return next;
}

/** True when `stored` lies in the region's range. */
export function contains(region: RegionDescriptor, stored: Uint8Array): boolean {
  return (
    compareBytes(stored, region.startKey) >= 0 &&
    (region.endKey === undefined || compareBytes(stored, region.endKey) < 0)
  );
}

/**
 * Index of the region that holds `stored` among `regions` of one keyspace in key order; -1 when none
 * does. Binary search.
 */
export function findRegionIndex(regions: readonly RegionDescriptor[], stored: Uint8Array): number {
  let low = 0;
  let high = regions.length;
  // Invariant: regions before `low` start at or before `stored`, those from `high` on start behind it.
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (compareBytes(regions[middle]!.startKey, stored) <= 0) low = middle + 1;
    else high = middle;
  }
  const index = low - 1;
  return index >= 0 && contains(regions[index]!, stored) ? index : -1;
}

/** The region that holds `stored`; undefined when none of `regions` (in key order) does. */
export function findRegion(
  regions: readonly RegionDescriptor[],
  stored: Uint8Array,
): RegionDescriptor | undefined {
  const index = findRegionIndex(regions, stored);
  return index < 0 ? undefined : regions[index];
}

/**
 * Start keys of `count` regions of a new keyspace: the first is empty, the others ascend. Hash: the
 * hash space cut evenly; `bounds` must be empty. Range: `bounds`. The bounds must have been checked.
 */
export function startKeysOf(
  mode: KeyspaceMode,
  count: number,
  bounds: readonly Uint8Array[],
): Uint8Array[] {
  const starts: Uint8Array[] = [emptyBytes];
  if (mode === 'range') {
    assert(bounds.length === count - 1, 'K2: a range keyspace has one bound less than regions');
    for (let i = 0; i < bounds.length; i++) starts.push(bounds[i]!);
    return starts;
  }
  const regions = BigInt(count);
  for (let i = 1n; i < regions; i++) {
    const start = new Uint8Array(hashPrefixBytes);
    writeHash(start, (i << 64n) / regions);
    starts.push(start);
  }
  return starts;
}

/**
 * Throws INVALID_ARGUMENT (naming field and bound), KEY_EMPTY or KEY_TOO_LARGE unless `regions` and
 * `bounds` can make a keyspace: range needs regions - 1 strictly ascending split keys, hash none.
 */
export function checkBounds(
  mode: KeyspaceMode,
  regions: number,
  bounds: readonly Uint8Array[],
): void {
  const max = limits.regionsPerKeyspaceMax;
  if (!Number.isSafeInteger(regions) || regions < 1 || regions > max) {
    throw new MokuError('INVALID_ARGUMENT', { field: 'regions', value: regions, min: 1, max });
  }
  const expected = mode === 'hash' ? 0 : regions - 1;
  if (bounds.length !== expected) {
    throw new MokuError('INVALID_ARGUMENT', { field: 'bounds', count: bounds.length, expected });
  }
  for (let i = 0; i < bounds.length; i++) {
    checkUserKey(bounds[i]!);
    if (i > 0 && compareBytes(bounds[i - 1]!, bounds[i]!) >= 0) {
      throw new MokuError('INVALID_ARGUMENT', { field: `bounds[${i}]`, expected: 'ascending' });
    }
  }
}

function writeHash(target: Uint8Array, hash: bigint): void {
  new DataView(target.buffer, target.byteOffset, hashPrefixBytes).setBigUint64(0, hash, false);
}
