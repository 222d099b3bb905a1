/** Stories of links: resets, half-open ends, flapping, one direction gone; and of the claims on them. */
import { type Story, story } from '../story.js';

/** The product's own links back off when they break this often, beyond an election timeout. */
const quickRedials = { profile: { hasRealLinks: false } } as const;

export const links: readonly Story[] = [
  story('one direction from leader to follower is gone: the leader stays', {}, async (s) => {
    const leader = await s.elected();
    const [follower] = s.twoOthers(leader);
    s.links.cutOneWay([leader], [follower]);
    for (let i = 0; i < 10; i++) await s.put(`k${i}`, 2_000);
    await s.sameLeader(10_000);
    s.links.heal();
    await s.caughtUp(follower, 5_000);
  }),

  story('one direction from follower to leader is gone: the leader stays', {}, async (s) => {
    const leader = await s.elected();
    const [follower] = s.twoOthers(leader);
    s.links.cutOneWay([follower], [leader]);
    for (let i = 0; i < 10; i++) await s.put(`k${i}`, 2_000);
    await s.sameLeader(10_000);
    s.links.heal();
    await s.caughtUp(follower, 5_000);
  }),

  story('a link that flaps does not move the leader', {}, async (s) => {
    const leader = await s.elected();
    const [follower] = s.twoOthers(leader);
    const term = s.see.term();
    for (let round = 0; round < 30; round++) {
      s.links.partition([leader], [follower]);
      await s.advance(20 * round);
      s.links.heal();
      await s.put(`k${round % 5}`, 2_000);
      await s.advance(300);
    }
    s.expectEqual('term', s.see.term(), term);
    s.expectEqual('leader', s.see.leader(), leader);
    await s.rest();
  }),

  story('a storm of resets starts nothing', { ...quickRedials, regions: 8 }, async (s) => {
    const elections = s.sent.elections();
    for (let round = 0; round < 40; round++) {
      s.links.resetAll();
      await s.advance(250);
    }
    s.expectEqual('elections', s.sent.elections(), elections);
    await s.rest();
    await s.put('a', 1_000);
  }),

  story('a session is replaced while writes are under way', quickRedials, async (s) => {
    const leader = await s.elected();
    for (let round = 0; round < 20; round++) {
      const calls = [s.calls.put('a'), s.calls.putOnce(), s.calls.putOnce()];
      await s.advance(round);
      for (const node of s.others(leader)) s.links.reset(leader, node);
      for (const call of calls) await s.ok(call, 5_000);
    }
    s.expectEqual('leader', s.see.leader(), leader);
    await s.rest();
  }),

  story('one end loses the session, the other does not know', { regions: 4 }, async (s) => {
    const leader = await s.elected();
    const [follower, other] = s.twoOthers(leader);
    for (const [node, peer] of [
      [leader, follower],
      [follower, leader],
      [other, follower],
    ] as const) {
      s.links.halfOpen(node, peer);
      await s.put('a', 3_000);
      await s.sameLeader(3_000);
    }
    await s.rest();
  }),

  story('a claim renewed while its detach is under way stands', { regions: 4 }, async (s) => {
    // Each transfer ends claims and begins others over the same links, in both directions.
    for (let round = 0; round < 12; round++) {
      for (let region = 1; region <= 4; region++) {
        const leader = s.see.leader(region);
        if (leader === undefined) continue;
        s.transfer(s.others(leader)[round % 2]!, region);
      }
      await s.advance(round * 4);
    }
    await s.put('a', 5_000);
    await s.rest();
    // At rest every replica is attached: nobody campaigns, nobody is asked.
    const messages = s.sent.messages();
    await s.nobodyElected(10_000);
    s.expectEqual('messages at rest', s.sent.messages(), messages);
  }),

  story('frames held back for long are of no harm', {}, async (s) => {
    const leader = await s.elected();
    const [a, b] = s.twoOthers(leader);
    for (let round = 0; round < 10; round++) {
      s.links.cutOneWay([a], [leader]);
      s.links.cutOneWay([leader], [b]);
      const pending = s.calls.put('a');
      await s.advance(40 * round);
      s.links.heal();
      await s.ok(pending, 10_000);
    }
  }),

  story('two halves of an even cluster: no leader but one', { nodes: 4 }, async (s) => {
    await s.put('a');
    s.links.partition([1, 2], [3, 4]);
    await s.advance(3_000);
    const pending = s.calls.put('a');
    await s.nobodyElected(10_000);
    s.expect(!pending.isOver, () => 'half of the nodes acknowledged');
    s.links.heal();
    await s.ok(pending, 20_000);
  }),

  story('a ring of five keeps one leader and takes writes', { nodes: 5 }, async (s) => {
    for (let node = 1; node <= 5; node++) {
      const far = [1 + ((node + 1) % 5), 1 + ((node + 2) % 5)];
      s.links.partition([node], far);
    }
    await s.advance(10_000);
    await s.put('a', 20_000);
    const before = s.sent.elections(1);
    await s.advance(20_000);
    await s.put('b', 10_000);
    s.expect(s.sent.elections(1) - before <= 1, () => 'they duel');
  }),
];
