/**
 * Repair after two ends were found to hold different sets: the leader sends digests of its claims by
 * bucket, the follower answers with its claims of the buckets that differ, and the leader's end settles
 * every difference by detaches. It cures sets, never content: a claim that one end lacks is over on
 * both, and the pair attaches anew through its probe.
 *
 * Invariants:
 *  R1 What is settled are claims that both ends had decided on: a claim made after the repair began, or
 *     left by a detach under way, is not mistaken for a difference (or only told a second time).
 *  R2 A repair costs the claims of the buckets that differ; its caller limits how often it happens.
 */
import type { RegionId } from '@moku/base';
import { addToDigest, bucketOf, emptyDigest, equalDigests, type MutableDigest } from './digest.js';
import {
  type ClaimsState,
  leaveLedClaim,
  type PeerState,
  pushDetach,
  type SessionState,
} from './state.js';
import { type ControlItem, type NumberedClaim, repairBuckets, repairClaimsMax } from './types.js';

/** Leader's end: queues the digests of its claims. */
export function beginRepair(session: SessionState): void {
  const digests = emptyBuckets();
  for (const [regionId, { term, replicaId }] of session.led) {
    const key = { regionId, term, replicaId };
    addToDigest(digests[bucketOf(key)]!, key);
  }
  session.repairId += 1;
  session.repairLastNumber = session.lastNumber;
  session.queue.push({ type: 'repairDigests', repairId: session.repairId, digests });
}

/** Follower's end: queues its claims of every bucket that differs. */
export function receiveRepairDigests(
  state: ClaimsState,
  peer: PeerState,
  session: SessionState,
  item: Extract<ControlItem, { type: 'repairDigests' }>,
): string | undefined {
  if (item.digests.length !== repairBuckets) return 'repair with another number of buckets';
  const digests = emptyBuckets();
  const claims: NumberedClaim[][] = [];
  for (let bucket = 0; bucket < repairBuckets; bucket++) claims.push([]);
  for (const [regionId, claim] of state.followed) {
    if (claim.peer !== peer.peer) continue;
    const { term, replicaId, claimNumber } = claim;
    const numbered = { regionId, term, replicaId, claimNumber };
    const bucket = bucketOf(numbered);
    addToDigest(digests[bucket]!, numbered);
    // Past the bound a claim counts as lacking, and attaches anew.
    if (claims[bucket]!.length < repairClaimsMax) claims[bucket]!.push(numbered);
  }
  const { repairId } = item;
  for (let bucket = 0; bucket < repairBuckets; bucket++) {
    if (equalDigests(digests[bucket]!, item.digests[bucket]!)) continue;
    session.queue.push({ type: 'repairClaims', repairId, bucket, claims: claims[bucket]! });
  }
  return undefined;
}

/** Leader's end: settles one bucket. An answer to a former repair is passed over. */
export function receiveRepairClaims(
  state: ClaimsState,
  peer: PeerState,
  session: SessionState,
  item: Extract<ControlItem, { type: 'repairClaims' }>,
): string | undefined {
  if (item.bucket >= repairBuckets) return 'repair of an unknown bucket';
  if (item.repairId !== session.repairId) return undefined;
  const shared = new Set<RegionId>();
  for (const theirs of item.claims) {
    const { regionId, term, replicaId, claimNumber } = theirs;
    const ours = session.led.get(regionId);
    if (ours?.claimNumber === claimNumber && ours.term === term && ours.replicaId === replicaId) {
      shared.add(regionId);
      continue;
    }
    state.counters.claimsRepaired += 1;
    pushDetach(state, session, {
      type: 'detach',
      by: 'leader',
      regionId,
      term,
      replicaId,
      claimNumber,
      isRelease: false,
    });
  }
  const lacking: RegionId[] = [];
  for (const [regionId, { term, replicaId, claimNumber }] of session.led) {
    if (claimNumber > session.repairLastNumber || shared.has(regionId)) continue;
    if (bucketOf({ regionId, term, replicaId }) === item.bucket) lacking.push(regionId);
  }
  for (const regionId of lacking) {
    const { replicaId } = session.led.get(regionId)!;
    state.counters.claimsRepaired += 1;
    leaveLedClaim(state, session, regionId, false);
    state.events.push({ type: 'unattached', regionId, peer: peer.peer, replicaId });
  }
  return undefined;
}

function emptyBuckets(): MutableDigest[] {
  const digests: MutableDigest[] = [];
  for (let bucket = 0; bucket < repairBuckets; bucket++) digests.push(emptyDigest());
  return digests;
}
