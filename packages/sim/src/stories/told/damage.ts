/** Stories of disks that lost or changed what they held: a node refuses or is refused, it never lies (P6). */
import { type Story, story } from '../story.js';

export const damage: readonly Story[] = [
  story('a wiped node takes part in nothing', { regions: 4 }, async (s) => {
    await s.put('a');
    const leader = await s.elected();
    const [wiped, sound] = s.twoOthers(leader);
    s.wipe(wiped);
    s.start(wiped);
    await s.advance(3_000);
    await s.put('a', 3_000);
    // The two that know must not be outvoted by one that knows nothing.
    s.crash(leader);
    await s.nobodyElected(10_000);
    s.expect(s.see.leader() === undefined, () => 'a wiped node helped to elect');
    s.start(leader);
    await s.elected({ among: [leader, sound] });
    await s.get('a', 10_000);
    s.expectEqual('votes of the wiped node', s.see.syncedVoteTerm(wiped), 0);
  }),

  story('a node whose log alone is gone does not start', {}, async (s) => {
    await s.put('a');
    await s.rest();
    await s.advance(2_000);
    const leader = await s.elected();
    const [broken] = s.twoOthers(leader);
    s.wipe(broken, 'log');
    s.start(broken);
    s.expectEqual('refusal', s.sent.refusal(broken), 'LOG_AMNESIA');
    await s.put('a', 3_000);
  }),

  story('a node whose engine alone is gone says so, and the others serve', {}, async (s) => {
    await s.load(30, 2_000);
    await s.advance(5_000);
    const leader = await s.elected();
    const [broken] = s.twoOthers(leader);
    s.wipe(broken, 'engine');
    s.start(broken);
    await s.advance(3_000);
    await s.put('a', 3_000);
    const status = s.see.status(broken);
    const isServing = status !== undefined && !status.why.includes('failed');
    s.expect(!isServing || s.see.appliedIndex(broken) > 0, () => 'it serves without its state');
  }),

  story('a follower that lost what it had synced does not start', {}, async (s) => {
    for (let i = 0; i < 10; i++) await s.put(`k${i}`);
    const leader = await s.elected();
    const [broken] = s.twoOthers(leader);
    s.loseSyncedSuffix(broken);
    s.start(broken);
    s.expectEqual('refusal', s.sent.refusal(broken), 'LOG_AMNESIA');
    await s.put('a', 3_000);
    await s.sameLeader(5_000);
  }),

  story(
    'a leader that lost what it had synced does not start, and nothing is lost',
    {},
    async (s) => {
      for (let i = 0; i < 10; i++) await s.put(`k${i}`);
      const leader = await s.elected();
      const pending = s.calls.putOnce();
      await s.advance(4);
      s.loseSyncedSuffix(leader);
      s.start(leader);
      s.expectEqual('refusal', s.sent.refusal(leader), 'LOG_AMNESIA');
      await s.elected({ among: s.others(leader) });
      await s.ok(pending, 10_000);
      for (let i = 0; i < 10; i++) await s.get(`k${i}`, 5_000);
    },
  ),

  story('two nodes with swapped disks refuse to start', { floors: { crashes: 2 } }, async (s) => {
    await s.put('a');
    const leader = await s.elected();
    const [a, b] = s.twoOthers(leader);
    s.exchangeDisks(a, b);
    s.start(a, b);
    s.expectEqual('refusal', s.sent.refusal(a), 'DIR_FOREIGN');
    s.expectEqual('refusal', s.sent.refusal(b), 'DIR_FOREIGN');
    await s.nobodyElected(5_000);
    s.exchangeDisks(a, b);
    s.start(a, b);
    await s.get('a', 10_000);
  }),

  story('a bit that flips never makes a wrong answer', { seeds: 6, regions: 2 }, async (s) => {
    for (let i = 0; i < 12; i++) await s.put(`k${i % 6}`);
    await s.load(10, 200);
    await s.advance(2_000);
    const leader = await s.elected();
    s.flipBits(leader, 5);
    s.start(leader);
    for (let round = 0; round < 4; round++) {
      for (let i = 0; i < 6; i++) await s.get(`k${i}`, 20_000);
      await s.put(`k${round}`, 20_000);
      const now = s.see.leader();
      if (now !== undefined) s.transfer(s.others(now)[round % 2]!);
      await s.advance(500);
    }
  }),

  story(
    'a full disk ends its node, which comes back when there is space',
    { floors: { crashes: 1 } },
    async (s) => {
      const leader = await s.elected();
      s.fill(leader);
      const pending = s.calls.putOnce();
      await s.elected({ among: s.others(leader), withinElectionTimeouts: 5 });
      await s.ok(pending, 10_000);
      s.start(leader);
      await s.advance(2_000);
      s.expect(!s.see.node(leader).isRunning, () => 'it runs without space');
      s.free(leader);
      s.start(leader);
      await s.caughtUp(leader, 10_000);
    },
  ),
];
