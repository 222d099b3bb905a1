/** Stories of clocks: none of them may change what is true, or who leads. */
import { type Story, story } from '../story.js';

const dayMs = 24 * 3_600_000;

export const clocks: readonly Story[] = [
  story("the leader's clock jumps a day ahead", {}, async (s) => {
    const leader = await s.elected();
    await s.put('a');
    s.jumpClock(leader, dayMs);
    await s.put('a', 1_000);
    await s.get('a', 1_000);
    await s.sameLeader(5_000);
    s.crash(leader);
    // The next one's clock is a day behind what was written.
    await s.elected();
    await s.put('a', 5_000);
    await s.get('a', 5_000);
  }),

  story("the leader's clock jumps a day back", {}, async (s) => {
    const leader = await s.elected();
    await s.put('a');
    s.jumpClock(leader, -dayMs);
    await s.put('a', 1_000);
    await s.get('a', 1_000);
    await s.sameLeader(5_000);
  }),

  story('versions rise although each leader has an earlier clock', { nodes: 5 }, async (s) => {
    let version = 0;
    for (let round = 0; round < 4; round++) {
      const leader = await s.elected();
      s.jumpClock(leader, -round * dayMs);
      for (const next of s.others(leader)) s.jumpClock(next, -(round + 1) * dayMs);
      const result = await s.ok(
        s.calls.plain('put', (k) => k.put('v', `${round}`)),
        10_000,
      );
      s.expect(result.version > version, () => `${result.version} after ${version}`);
      version = result.version;
      await s.rest();
      s.transfer(s.others(leader)[round % 4]!);
      await s.advance(500);
    }
  }),

  story('clocks that run twice and half as fast move no leader', { nodes: 5 }, async (s) => {
    const leader = await s.elected();
    const [fast, slow] = s.twoOthers(leader);
    s.clockRate(fast, 2);
    s.clockRate(slow, 0.5);
    await s.sameLeader(20_000);
    s.clockRate(leader, 1.9);
    for (let i = 0; i < 10; i++) await s.put(`k${i}`, 1_000);
    await s.sameLeader(20_000);
  }),

  story('a key with a time to live ends in time, and only then', {}, async (s) => {
    const has = (): Promise<string | undefined> =>
      s.ok(
        s.calls.plain('get', (keyspace) => keyspace.get('short')),
        5_000,
      );
    await s.ok(s.calls.plain('put', (k) => k.put('short', 'x', { ttlMs: 5_000 })));
    await s.advance(4_000);
    s.expectEqual('before its end', await has(), 'x');
    await s.advance(2_000);
    s.expectEqual('after its end', await has(), undefined);
  }),

  story('a key that has ended does not come back under an earlier clock', {}, async (s) => {
    const leader = await s.elected();
    const has = (): Promise<string | undefined> =>
      s.ok(
        s.calls.plain('get', (keyspace) => keyspace.get('short')),
        10_000,
      );
    for (const node of s.others(leader)) s.jumpClock(node, -3_600_000);
    await s.ok(s.calls.plain('put', (k) => k.put('short', 'x', { ttlMs: 2_000 })));
    await s.advance(3_000);
    s.expectEqual('after its end', await has(), undefined);
    s.crash(leader);
    await s.elected({ among: s.others(leader) });
    s.expectEqual('under the next leader', await has(), undefined);
    s.start(leader);
  }),
];
