/** Digests of sets, their comparison as of a heartbeat, and the repair of sets that differ. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  addToDigest,
  bucketOf,
  emptyDigest,
  equalDigests,
  subtractFromDigest,
} from '../../src/claims/digest.js';
import { type ControlItem, repairBuckets } from '../../src/claims/types.js';
import {
  bothEnds,
  heartbeatMs,
  neitherEnd,
  Pair,
  region,
  repairIntervalMs,
  start,
  type TestNode,
} from './pair.js';

const ids = Array.from({ length: 500 }, (_, i) => i + 1);

/** Makes a node forget what no detach told of: what only a bug can do. */
function forget(node: TestNode, id: number): void {
  const { followed, peers } = node.claims.state;
  for (const { session } of peers.values()) {
    const claims = session?.led.has(region(id)) ? session.led : followed;
    const digest = session?.led.has(region(id)) ? session.ledDigest : session?.followedDigest;
    if (claims.delete(region(id)) && digest !== undefined) subtractFromDigest(digest, start(id));
  }
}

describe('a digest', () => {
  const claims = fc.array(
    fc.record({
      regionId: fc.nat(2 ** 31).map((id) => region(id * 2 ** 16)),
      term: fc.integer({ min: 1, max: 2 ** 45 }),
      replicaId: fc.integer({ min: 1, max: 2 ** 32 - 1 }).map((id) => start(id - 1_000).replicaId),
    }),
    { maxLength: 40 },
  );

  it('is that of a set, in whatever order claims came and went', () => {
    fc.assert(
      fc.property(claims, claims, (stay, leave) => {
        const digest = emptyDigest();
        for (const claim of [...leave, ...stay]) addToDigest(digest, claim);
        for (const claim of [...leave].reverse()) subtractFromDigest(digest, claim);
        const expected = emptyDigest();
        for (const claim of [...stay].reverse()) addToDigest(expected, claim);
        expect(digest).toEqual(expected);
      }),
      { seed: 5, numRuns: 200 },
    );
  });

  it('is not what it was after the same claim came twice', () => {
    const once = emptyDigest();
    addToDigest(once, start(1));
    const twice = emptyDigest();
    addToDigest(twice, start(1));
    addToDigest(twice, start(1));
    expect(equalDigests(once, twice)).toBe(false);
    expect(twice.sumLow === 0 && twice.sumHigh === 0).toBe(false);
  });

  it('differs by region, term and replica, in every bit of them', () => {
    const seen = new Set<string>();
    const note = (id: number, term: number, replica: number): void => {
      const digest = emptyDigest();
      addToDigest(digest, { ...start(id, term), replicaId: start(replica - 1_000).replicaId });
      seen.add(`${digest.sumHigh}:${digest.sumLow}`);
    };
    for (let bit = 0; bit < 48; bit++) note(2 ** bit, 1, 1);
    for (let bit = 1; bit < 53; bit++) note(1, 2 ** bit, 1);
    for (let bit = 1; bit < 32; bit++) note(1, 1, 2 ** bit);
    expect(seen.size).toBe(48 + 52 + 31);
  });

  it('spreads claims over all buckets', () => {
    const buckets = new Set<number>();
    for (let id = 0; id < 1_000; id++) buckets.add(bucketOf(start(id)));
    expect(buckets.size).toBe(repairBuckets);
  });
});

describe('comparing digests', () => {
  it('allows for detaches under way in either direction', () => {
    const pair = Pair.attached(ids);
    const { leader, follower } = pair;
    pair.tick(heartbeatMs, [leader]);
    follower.claims.leaveFollowed(region(1));
    leader.claims.leaveLed(follower.id, region(1));
    leader.claims.leaveLed(follower.id, region(2));
    leader.claims.claim(follower.id, start(2));
    follower.claims.leaveFollowed(region(3));
    pair.settle();
    expect(leader.claims.counters).toMatchObject({ digestsCompared: 1, digestMismatches: 0 });
    pair.live(heartbeatMs);
    expect(leader.claims.counters).toMatchObject({ digestsCompared: 2, digestMismatches: 0 });
  });

  it('goes on while answers take longer than the heartbeat interval', () => {
    const pair = Pair.attached(ids);
    for (let i = 0; i < 5; i++) pair.tick(heartbeatMs);
    pair.settle();
    for (let i = 0; i < 5; i++) pair.tick(heartbeatMs);
    pair.settle();
    expect(pair.leader.claims.counters).toMatchObject({
      heartbeatsAnswered: 10,
      digestsCompared: 2,
    });
  });
});

describe('a digest that differs', () => {
  it('is repaired by detaching what the follower lacks', () => {
    const pair = Pair.attached(ids);
    forget(pair.follower, 7);
    pair.live(2 * heartbeatMs);
    expect(pair.isClaimed(7)).toEqual(neitherEnd);
    expect(pair.isClaimed(8)).toEqual(bothEnds);
    expect(pair.takeEvents().leader).toEqual([
      { type: 'unattached', regionId: 7, peer: 2, replicaId: 1_007 },
    ]);
    const { counters } = pair.leader.claims;
    expect(counters).toMatchObject({ digestMismatches: 1, repairs: 1, claimsRepaired: 1 });
  });

  it('is repaired by detaching what the leader lacks', () => {
    const pair = Pair.attached(ids);
    forget(pair.leader, 7);
    pair.live(2 * heartbeatMs);
    expect(pair.isClaimed(7)).toEqual(neitherEnd);
    expect(pair.takeEvents().follower).toEqual([
      { type: 'detached', regionId: 7, peer: 1, reason: 'leaderLeft' },
    ]);
  });

  it('is repaired by exchanging the difference, not the set', () => {
    const pair = Pair.attached(ids);
    forget(pair.follower, 7);
    pair.tick(heartbeatMs, [pair.leader]);
    const sent: ControlItem[] = [];
    for (let i = 0; i < 4; i++) {
      sent.push(...pair.deliver(pair.leader), ...pair.deliver(pair.follower));
    }
    const claims = sent.flatMap((item) => (item.type === 'repairClaims' ? [item.claims] : []));
    expect(claims).toHaveLength(1);
    expect(claims[0]!.length).toBeLessThan(ids.length / 8);
    expect(sent.filter(({ type }) => type === 'detach')).toHaveLength(1);
  });

  it('is repaired at most once per interval, however long it lasts', () => {
    const pair = Pair.attached(ids);
    const { claims } = pair.leader;
    forget(pair.follower, 7);
    pair.live(2 * heartbeatMs);
    forget(pair.follower, 8);
    pair.live(repairIntervalMs - 2 * heartbeatMs);
    expect(claims.counters.repairs).toBe(1);
    expect(claims.counters.digestMismatches).toBeGreaterThan(10);
    pair.live(2 * heartbeatMs);
    expect(claims.counters.repairs).toBe(2);
    expect(pair.isClaimed(8)).toEqual(neitherEnd);
  });

  it('is repaired without harm to claims made, left or renewed meanwhile', () => {
    const pair = Pair.attached(ids);
    const { leader, follower } = pair;
    const [made, alsoMade] = inBucketOf(7, 501) as [number, number];
    const [, left, renewed] = inBucketOf(7, 1) as [number, number, number];
    follower.follow(leader, [made, alsoMade]);
    forget(follower, 7);
    pair.tick(heartbeatMs, [leader]);
    pair.deliver(leader);
    pair.deliver(follower);
    // The repair has begun; its digests are queued.
    for (const id of [made, alsoMade]) leader.claims.claim(follower.id, start(id));
    follower.claims.leaveFollowed(region(left));
    leader.claims.leaveLed(follower.id, region(renewed));
    leader.claims.claim(follower.id, start(renewed));
    pair.settle();
    for (const id of [made, alsoMade, renewed]) expect(pair.isClaimed(id)).toEqual(bothEnds);
    for (const id of [7, left]) expect(pair.isClaimed(id)).toEqual(neitherEnd);
    pair.live(2 * heartbeatMs);
    expect(leader.claims.counters.digestMismatches).toBe(1);
  });

  it('is not repaired by an answer to a former repair', () => {
    const pair = Pair.attached(ids);
    for (const id of [7, 8]) {
      forget(pair.follower, id);
      pair.live(repairIntervalMs + heartbeatMs);
    }
    expect(pair.leader.claims.counters.repairs).toBe(2);
    const bucket = bucketOf(start(9));
    pair.give(pair.leader, { type: 'repairClaims', repairId: 1, bucket, claims: [] });
    pair.settle();
    expect(pair.isClaimed(9)).toEqual(bothEnds);
  });
});

/** Regions from `from` on whose claims fall into the bucket of that on `id`; `id` first when among them. */
function inBucketOf(id: number, from: number): number[] {
  const found: number[] = [];
  for (let other = from; found.length < 5; other++) {
    if (bucketOf(start(other)) === bucketOf(start(id))) found.push(other);
  }
  return found.sort((a, b) => Number(b === id) - Number(a === id));
}
