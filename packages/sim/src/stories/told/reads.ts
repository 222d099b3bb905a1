/** Stories of reads: never older than what was acknowledged before them, whoever is asked. */
import { type Story, story } from '../story.js';

export const reads: readonly Story[] = [
  story('a leader in a minority answers no read', { nodes: 5 }, async (s) => {
    const leader = await s.elected();
    const [beside] = s.twoOthers(leader);
    await s.put('a');
    s.links.partition([leader, beside], s.others(leader, beside));
    const stale = [s.readAt(leader), s.readAt(beside)];
    await s.elected({ among: s.others(leader, beside) });
    await s.put('a', 10_000);
    for (let i = 0; i < 20; i++) {
      stale.push(s.readAt(leader), s.readAt(beside));
      await s.get('a', 10_000);
      await s.advance(100);
    }
    s.expect(
      stale.every(({ kind }) => kind !== 'ready'),
      () => 'a minority confirmed a read',
    );
  }),

  story(
    'a read begun as its leader dies is answered by the next',
    { floors: { crashes: 1 } },
    async (s) => {
      const leader = await s.elected();
      await s.put('a');
      const pending = s.calls.get('a');
      await s.advance(1);
      s.crash(leader);
      const value = await s.ok(pending, 10_000);
      s.expect(value !== undefined, () => 'it read nothing');
    },
  ),

  story('reads go on while leaders change', { nodes: 5 }, async (s) => {
    for (let round = 0; round < 4; round++) {
      await s.rest();
      const leader = await s.elected();
      await s.put('a', 10_000);
      const pending = [s.calls.get('a'), s.calls.get('a')];
      if (round % 2 === 0) s.links.isolate(leader);
      else s.expect(s.transfer(s.others(leader)[round]!), () => 'refused');
      await s.advance(2_000);
      for (const call of pending) await s.ok(call, 20_000);
      s.links.heal();
    }
  }),

  story('a follower answers reads itself, as new as the leader', {}, async (s) => {
    const leader = await s.elected();
    const [follower] = s.twoOthers(leader);
    await s.put('a');
    const commit = s.see.commitIndex(leader);
    const read = s.readAt(follower);
    await s.moment('it is answered', () => read.kind !== 'open', 2_000);
    s.expectEqual('answer', read.kind, 'ready');
    s.expect(s.see.appliedIndex(follower) >= commit, () => 'it is behind');
  }),

  story('a follower that is cut off answers no read', {}, async (s) => {
    const leader = await s.elected();
    const [follower] = s.twoOthers(leader);
    await s.put('a');
    s.links.isolate(follower);
    const read = s.readAt(follower);
    await s.put('a');
    await s.advance(10_000);
    s.expect(read.kind !== 'ready', () => 'it answered');
  }),

  story('a new leader answers no read before its first commit', {}, async (s) => {
    const leader = await s.elected();
    const [a, b] = s.twoOthers(leader);
    await s.put('a');
    s.crash(leader);
    const next = await s.elected({ among: [a, b] });
    const other = next === a ? b : a;
    // It answers for the leader's life, but has nothing synced to acknowledge.
    s.hangSyncs(other);
    const first = s.see.lastIndex(next);
    const read = s.readAt(next);
    await s.advance(800);
    s.expect(read.kind !== 'ready', () => 'it answered');
    s.freeSyncs(other);
    await s.moment('it is answered', () => read.kind !== 'open', 10_000);
    s.expect(read.kind !== 'ready' || s.see.commitIndex(next) >= first, () => 'too early');
  }),

  story(
    'a read round that crosses the end of its leadership confirms nothing',
    { nodes: 5 },
    async (s) => {
      const leader = await s.elected();
      await s.put('a');
      // Answers to the round are held back until another leads.
      s.links.deafen(leader);
      const read = s.readAt(leader);
      await s.advance(20);
      const next = await s.elected({ among: s.others(leader) });
      await s.put('a', 10_000);
      s.links.heal();
      await s.advance(5_000);
      const isFollowing = s.see.status(leader)?.leaderNodeId === next;
      s.expect(read.kind !== 'ready' || isFollowing, () => 'an old round was counted');
    },
  ),
];
