/** Stories of elections: who leads when some nodes do not reach others, die, pause or come back. */
import { type Story, story } from '../story.js';

export const elections: readonly Story[] = [
  story(
    'a bridge node between two majorities: no duel for the leadership',
    { nodes: 5 },
    async (s) => {
      s.links.partition([1, 2], [4, 5]);
      await s.advance(5_000);
      const before = s.sent.elections(1);
      await s.put('a');
      await s.advance(20_000);
      await s.put('b');
      // Both ends of the bridge hear of each other's terms only through it, which is loyal.
      s.expect(
        s.sent.elections(1) - before <= 1,
        () => `${s.sent.elections(1) - before} elections`,
      );
    },
  ),

  story('only one node still reaches a quorum: it takes over', { nodes: 5 }, async (s) => {
    const leader = await s.elected();
    const hub = s.others(leader)[0]!;
    const rest = s.others(hub);
    s.links.partition(...rest.map((node) => [node]));
    await s.elected({ among: [hub], withinElectionTimeouts: 10 });
    await s.put('a', 10_000);
    s.expectEqual('leader', s.see.leader(), hub);
  }),

  story('a chain that loses its quorum link by link', { nodes: 3 }, async (s) => {
    const first = await s.elected();
    const [middle, last] = s.twoOthers(first);
    s.links.partition([first], [last]);
    // The far end hears nothing; the middle is loyal.
    await s.sameLeader(10_000);
    await s.put('a', 5_000);
    s.links.partition([first], [middle, last]);
    const second = await s.elected({ among: [middle, last] });
    s.links.partition([middle], [last]);
    await s.advance(3_000);
    s.expect(!s.see.isLeader(second), () => 'it leads without a quorum');
    const pending = s.calls.put('b');
    await s.advance(3_000);
    s.expect(!pending.isOver, () => 'acknowledged without a quorum');
    s.links.heal(first, middle);
    await s.elected({ among: [first, middle] });
    await s.ok(pending, 10_000);
  }),

  story('a leader that hears but is not heard is replaced', { nodes: 5 }, async (s) => {
    const leader = await s.elected();
    await s.put('a');
    s.links.mute(leader);
    await s.elected({ among: s.others(leader), withinElectionTimeouts: 4 });
    await s.put('b', 10_000);
    await s.advance(2_000);
    s.expect(!s.see.isLeader(leader), () => 'it still leads');
  }),

  story('a leader that is heard but does not hear steps down', { nodes: 5 }, async (s) => {
    const leader = await s.elected();
    await s.put('a');
    s.links.deafen(leader);
    await s.elected({ among: s.others(leader), withinElectionTimeouts: 5 });
    s.expect(!s.see.isLeader(leader), () => 'it still leads');
    await s.put('b', 10_000);
  }),

  story('a follower that hears but is not heard disturbs nobody', { nodes: 3 }, async (s) => {
    const [follower] = s.twoOthers(await s.elected());
    s.links.mute(follower);
    await s.sameLeader(10_000);
    await s.put('a', 2_000);
    s.links.heal();
    await s.sameLeader(5_000);
  }),

  story('a follower that is heard but does not hear disturbs nobody', { nodes: 3 }, async (s) => {
    const [follower] = s.twoOthers(await s.elected());
    s.links.deafen(follower);
    await s.sameLeader(10_000);
    await s.put('a', 2_000);
    s.links.heal();
    await s.sameLeader(5_000);
  }),

  story('an idle cluster whose leader dies has another soon', { nodes: 5 }, async (s) => {
    const leader = await s.elected();
    await s.rest();
    await s.advance(60_000);
    s.crash(leader);
    await s.elected({ among: s.others(leader), withinElectionTimeouts: 3 });
    await s.put('a', 2_000);
  }),

  story(
    'three of five crash and come back one by one',
    { nodes: 5, floors: { crashes: 3 } },
    async (s) => {
      const leader = await s.elected();
      await s.put('a');
      const [b, c] = s.twoOthers(leader);
      s.crash(leader, b, c);
      await s.nobodyElected(10_000);
      s.start(b);
      await s.elected({ withinElectionTimeouts: 8 });
      await s.get('a', 10_000);
      s.start(c);
      await s.put('b', 10_000);
      s.start(leader);
      await s.rest();
    },
  ),

  story('a leader that stands still for 30 s is replaced and follows', { nodes: 3 }, async (s) => {
    const leader = await s.elected();
    for (let i = 0; i < 5; i++) await s.put(`k${i}`);
    s.pause(leader, 30_000);
    const next = await s.elected({ among: s.others(leader), withinElectionTimeouts: 4 });
    // A client that asks the one that stands still asks another after a while, not that one again.
    for (let i = 0; i < 5; i++) await s.ok(s.calls.put(`k${i}`, 7_000), 7_000);
    await s.moment('it goes on', () => !s.see.node(leader).isPaused, 30_000);
    const stale = s.readAt(leader);
    await s.advance(10_000);
    s.expect(stale.kind !== 'ready' || s.see.status(leader)?.leaderNodeId === next, () => 'stale');
    s.expectEqual('leader', s.see.leader(), next);
    await s.caughtUp(leader, 5_000);
  }),

  story(
    'a follower that stands still for 30 s stops nobody and catches up',
    { nodes: 3 },
    async (s) => {
      const leader = await s.elected();
      const [follower] = s.twoOthers(leader);
      s.pause(follower, 30_000);
      await s.advance(1_000);
      for (let i = 0; i < 10; i++) await s.put(`k${i}`, 1_000);
      await s.sameLeader(32_000);
      await s.caughtUp(follower, 5_000);
    },
  ),

  story('all nodes stand still at once: nobody is judged for it', { nodes: 3 }, async (s) => {
    for (const node of [1, 2, 3]) s.pause(node, 10_000);
    await s.sameLeader(20_000);
    await s.put('a', 1_000);
  }),

  story('a node cut off for a while disturbs nobody when it is back', { nodes: 3 }, async (s) => {
    const leader = await s.elected();
    const term = s.see.term();
    const [away] = s.twoOthers(leader);
    s.links.isolate(away);
    await s.put('a');
    await s.sameLeader(20_000);
    s.links.heal();
    await s.sameLeader(5_000);
    s.expectEqual('term', s.see.term(), term);
    await s.caughtUp(away, 1_000);
  }),

  story(
    'a node restarted while cut off disturbs nobody when it is back',
    { nodes: 3 },
    async (s) => {
      const leader = await s.elected();
      const term = s.see.term();
      const [away] = s.twoOthers(leader);
      s.links.isolate(away);
      await s.put('a');
      s.restart(away);
      await s.sameLeader(20_000);
      s.links.heal();
      await s.sameLeader(5_000);
      s.expectEqual('term', s.see.term(), term);
    },
  ),

  story('a leadership is handed over on demand', { nodes: 3 }, async (s) => {
    const leader = await s.elected();
    const [to] = s.twoOthers(leader);
    const pending = s.calls.put('a');
    s.expect(s.transfer(to), () => 'refused');
    await s.elected({ among: [to], withinElectionTimeouts: 1 });
    await s.ok(pending, 3_000);
    await s.rest();
    await s.sameLeader(5_000);
  }),

  story('a handing over to a node that dies leaves the leader', { nodes: 3 }, async (s) => {
    const leader = await s.elected();
    const [to] = s.twoOthers(leader);
    s.links.cutOneWay([leader], [to]);
    s.expect(s.transfer(to), () => 'refused');
    s.crash(to);
    await s.advance(3_000);
    await s.put('a', 3_000);
    s.expectEqual('leader', s.see.leader(), leader);
  }),

  story(
    'a cluster of one goes on after each crash',
    { nodes: 1, floors: { crashes: 3 } },
    async (s) => {
      for (const key of ['a', 'b', 'c']) {
        await s.put(key);
        s.restart(1);
        await s.elected({ withinElectionTimeouts: 3 });
        await s.get(key, 5_000);
      }
    },
  ),
];
