// @hot
/**
 * Digests of sets of claims: a count and the sum (mod 2^64) of 64-bit hashes of (region, term, replica).
 * A sum, since XOR would let a duplicate cancel itself; two unsigned 32-bit halves, since bigints cost
 * an allocation per claim. Not for adversaries: the peers of a link are authenticated.
 *
 * Invariants:
 *  G1 Adding and then subtracting a claim leaves the digest as it was, in whatever order others came.
 *  G2 Equal sets have equal digests; the hash has no state.
 */
import { assert } from '@moku/base';
import { type ClaimKey, type Digest, repairBuckets } from './types.js';

export interface MutableDigest {
  count: number;
  sumHigh: number;
  sumLow: number;
}

const seedHigh = 0x6d6f6b75;
const seedLow = 0x1b873593;
const two32 = 2 ** 32;

/** The digest of the empty set. */
export function emptyDigest(): MutableDigest {
  return { count: 0, sumHigh: 0, sumLow: 0 };
}

export function copyDigest(digest: Digest): MutableDigest {
  return { count: digest.count, sumHigh: digest.sumHigh, sumLow: digest.sumLow };
}

export function equalDigests(a: Digest, b: Digest): boolean {
  return a.count === b.count && a.sumHigh === b.sumHigh && a.sumLow === b.sumLow;
}

export function addToDigest(digest: MutableDigest, key: ClaimKey): void {
  const low = digest.sumLow + hashHalf(key, seedLow);
  const carry = low >= two32 ? 1 : 0;
  digest.count += 1;
  digest.sumLow = low >>> 0;
  digest.sumHigh = (digest.sumHigh + hashHalf(key, seedHigh) + carry) >>> 0;
}

/** `key` must have been added before. */
export function subtractFromDigest(digest: MutableDigest, key: ClaimKey): void {
  assert(digest.count > 0, 'G1: only what was added is subtracted');
  const low = digest.sumLow - hashHalf(key, seedLow);
  const borrow = low < 0 ? 1 : 0;
  digest.count -= 1;
  digest.sumLow = low >>> 0;
  digest.sumHigh = (digest.sumHigh - hashHalf(key, seedHigh) - borrow) >>> 0;
}

/** Which of the `repairBuckets` buckets a claim falls into. */
export function bucketOf(key: ClaimKey): number {
  return hashHalf(key, seedHigh) % repairBuckets;
}

/** 32 bits that depend on every bit of the claim: five words through the mixer of MurmurHash3 (Appleby). */
function hashHalf(key: ClaimKey, seed: number): number {
  let h = mixWord(seed, key.regionId >>> 0);
  h = mixWord(h, (key.regionId / two32) >>> 0);
  h = mixWord(h, key.term >>> 0);
  h = mixWord(h, (key.term / two32) >>> 0);
  h = mixWord(h, key.replicaId);
  h ^= h >>> 16;
  h = Math.imul(h, 0x85ebca6b);
  h ^= h >>> 13;
  h = Math.imul(h, 0xc2b2ae35);
  h ^= h >>> 16;
  return h >>> 0;
}

function mixWord(hash: number, word: number): number {
  let k = Math.imul(word, 0xcc9e2d51);
  k = (k << 15) | (k >>> 17);
  k = Math.imul(k, 0x1b873593);
  const h = hash ^ k;
  return (Math.imul((h << 13) | (h >>> 19), 5) + 0xe6546b64) | 0;
}
