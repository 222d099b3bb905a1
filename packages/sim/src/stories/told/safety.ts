/** Stories of what Raft must never do: lose what is committed, vote twice, commit by counting alone. */
import type { Stage } from '../stage.js';
import { type Story, story } from '../story.js';

/** Begins a write that the leader `leader` has in its log but that reaches nobody else. */
async function writeAlone(
  s: Stage,
  leader: number,
): Promise<{ index: number; isOver: () => boolean }> {
  const before = s.see.lastIndex(leader);
  s.links.partition([leader], s.others(leader));
  const call = s.calls.put('alone');
  await s.moment('the leader has it', () => s.see.syncedIndex(leader) > before);
  return { index: before + 1, isOver: () => call.isOver };
}

export const safety: readonly Story[] = [
  story('what a leader wrote alone is overwritten, and asked for again', {}, async (s) => {
    const leader = await s.elected();
    const { index, isOver } = await writeAlone(s, leader);
    const oldTerm = s.see.syncedTerm(leader, index);
    s.expect(!isOver(), () => 'acknowledged by one node alone');
    await s.elected({ among: s.others(leader) });
    await s.put('other', 10_000);
    s.links.heal();
    await s.caughtUp(leader, 10_000);
    const newTerm = s.see.syncedTerm(leader, index) ?? 0;
    s.expect(newTerm > (oldTerm ?? 0), () => `entry ${index} is of term ${oldTerm} still`);
  }),

  story(
    'an entry of an old term is committed only below one of the new',
    { nodes: 5 },
    async (s) => {
      const leader = await s.elected();
      const [heir, third] = s.twoOthers(leader);
      const rest = s.others(leader, heir);
      const keys = ['p', 'q', 'r'];
      // Their sessions are open from here on.
      const small = keys.map((key) => s.calls.plain(key, (keyspace) => keyspace.put(key, 'x')));
      for (const call of small) await s.ok(call);
      s.links.partition([leader, heir], rest);
      const before = s.see.lastIndex(leader);
      const large = 'x'.repeat(300 * 1024);
      // Larger than one append: the entries are acknowledged one by one.
      const calls = keys.map((key) => s.calls.plain(key, (keyspace) => keyspace.put(key, large)));
      await s.moment('the heir has them', () => s.see.syncedIndex(heir) >= before + 2);
      const commit = s.see.commitIndex(heir);
      // The three that live need each other, and what the dead leader sent stays held back.
      s.crash(leader, rest[2]!);
      s.links.heal(heir, third);
      s.links.heal(heir, rest[1]);
      const next = await s.elected({ among: [heir], withinElectionTimeouts: 10 });
      const term = s.see.term();
      await s.moment('something is committed', () => {
        const now = s.see.commitIndex(next);
        if (now <= commit) return false;
        const committed = s.see.syncedTerm(next, now);
        if (committed !== term)
          s.unmet(`entry ${now} of term ${committed} is committed in ${term}`);
        return true;
      });
      for (const call of calls) await s.ok(call);
    },
  ),

  story('an entry on a majority may still be overwritten (figure 8)', { nodes: 5 }, async (s) => {
    const first = await s.elected();
    const [heir] = s.twoOthers(first);
    const rest = s.others(first, heir);
    await s.put('old');
    s.links.partition([first, heir], rest);
    const before = s.see.lastIndex(first);
    const pending = s.calls.put('old');
    await s.moment('two nodes have it', () => s.see.syncedIndex(heir) > before);
    s.crash(first, heir);
    const second = await s.elected({ among: rest, withinElectionTimeouts: 10 });
    s.crash(second);
    s.links.heal();
    s.start(first, heir);
    const next = await s.elected({ withinElectionTimeouts: 10 });
    const index = before + 1;
    await s.moment('three nodes have it', () => {
      const holders = s.see.nodes.filter(({ nodeId }) => s.see.syncedIndex(nodeId) >= index);
      return holders.length >= 3;
    });
    s.crash(next);
    s.start(second);
    await s.elected({ withinElectionTimeouts: 10 });
    await s.ok(pending);
  }),

  story('a vote is not given twice over a restart', { floors: { crashes: 2 } }, async (s) => {
    const leader = await s.elected();
    const term = s.see.term();
    const [a, b] = s.twoOthers(leader);
    s.crash(leader);
    const hasVoted = (node: number): boolean => s.see.syncedVoteTerm(node) > term;
    // Between the sync of its vote and the message that says so.
    await s.moment('somebody voted', () => hasVoted(a) || hasVoted(b));
    const voter = hasVoted(a) ? a : b;
    s.restart(voter);
    await s.elected({ withinElectionTimeouts: 8 });
    await s.put('a', 5_000);
  }),

  story('of two candidates of one term one is elected', { nodes: 5 }, async (s) => {
    const leader = await s.elected();
    await s.rest();
    const term = s.see.term();
    const [first, second] = s.twoOthers(leader);
    // The first one's requests for votes are on their way while the second is elected.
    s.links.mute(first);
    s.expect(s.transfer(first), () => 'refused');
    await s.moment('the first campaigns', () => (s.see.status(first)?.term ?? 0) > term, 200);
    s.expect(s.transfer(second), () => 'refused');
    await s.elected({ among: [second], withinElectionTimeouts: 0.3 });
    s.expectEqual('term', s.see.term(), term + 1);
    s.links.heal();
    await s.sameLeader(3_000);
  }),

  story('a vote that is not synced does not count', {}, async (s) => {
    const leader = await s.elected();
    const [a, b] = s.twoOthers(leader);
    s.hangSyncs(a);
    s.hangSyncs(b);
    s.crash(leader);
    await s.nobodyElected(10_000);
    s.restart(a, b);
    await s.nobodyElected(5_000);
    s.freeSyncs(a);
    s.freeSyncs(b);
    await s.elected({ among: [a, b], withinElectionTimeouts: 8 });
    await s.put('a', 5_000);
  }),

  story(
    'a write that only the crashed leader had in memory',
    { floors: { crashes: 1 } },
    async (s) => {
      const leader = await s.elected();
      const before = s.see.lastIndex(leader);
      s.hangSyncs(leader);
      s.links.cutOneWay([leader], s.others(leader));
      const pending = s.calls.putOnce();
      await s.moment('it is in its log', () => s.see.lastIndex(leader) > before);
      s.crash(leader);
      await s.ok(pending);
    },
  ),

  story(
    'a write that only the crashed leader had on disk',
    { floors: { crashes: 1 } },
    async (s) => {
      const leader = await s.elected();
      const before = s.see.syncedIndex(leader);
      s.links.cutOneWay([leader], s.others(leader));
      const pending = s.calls.putOnce();
      await s.moment('it is synced there', () => s.see.syncedIndex(leader) > before);
      s.crash(leader);
      s.links.heal();
      s.start(leader);
      await s.ok(pending);
    },
  ),

  story(
    'a write that a quorum has but the crashed leader never knew',
    { floors: { crashes: 1 } },
    async (s) => {
      const leader = await s.elected();
      const [a, b] = s.twoOthers(leader);
      const index = s.see.lastIndex(leader) + 1;
      s.links.cutOneWay([a, b], [leader]);
      const pending = s.calls.putOnce();
      await s.moment(
        'both have it',
        () => Math.min(s.see.syncedIndex(a), s.see.syncedIndex(b)) >= index,
      );
      s.expect(s.see.commitIndex(leader) < index, () => 'it knew');
      const term = s.see.syncedTerm(a, index);
      s.crash(leader);
      await s.elected({ among: [a, b] });
      await s.ok(pending, 10_000);
      s.expectEqual('its term', s.see.syncedTerm(a, index) ?? term, term);
    },
  ),

  story('a write that was committed but not answered', { floors: { crashes: 1 } }, async (s) => {
    const leader = await s.elected();
    const index = s.see.lastIndex(leader) + 1;
    const pending = s.calls.putOnce();
    await s.moment('it is committed', () => s.see.commitIndex(leader) >= index);
    s.expect(!pending.isOver, () => 'answered already');
    s.crash(leader);
    await s.ok(pending, 10_000);
  }),

  story('a leader whose own disk hangs commits by the others, not by itself', {}, async (s) => {
    const leader = await s.elected();
    const [a, b] = s.twoOthers(leader);
    s.hangSyncs(leader);
    s.hangSyncs(a);
    const pending = s.calls.put('a');
    await s.advance(400);
    s.expect(!pending.isOver, () => 'acknowledged on one disk of three');
    const index = s.see.lastIndex(leader);
    s.expectEqual('what one disk has', s.see.syncedIndex(b), index);
    s.expect(s.see.commitIndex(leader) < index, () => 'committed on one disk of three');
    s.freeSyncs(a);
    await s.moment('two others suffice', () => s.see.commitIndex(leader) >= index, 2_000);
    s.expect(s.see.syncedIndex(leader) < index, () => 'its disk does not hang');
    s.freeSyncs(leader);
    await s.ok(pending, 10_000);
  }),

  story('the power fails everywhere at once', { floors: { crashes: 6 } }, async (s) => {
    for (const round of [1, 2]) {
      for (let i = 0; i < 5; i++) await s.put(`${round}/${i}`);
      const pending = [s.calls.putOnce(), s.calls.putOnce(), s.calls.put(`${round}/pending`)];
      await s.advance(round * 3);
      s.restart(1, 2, 3);
      for (const call of pending) await s.ok(call);
      for (let i = 0; i < 5; i++) await s.get(`${round}/${i}`);
    }
  }),

  story(
    'nodes crash one after the other, again and again',
    { nodes: 5, floors: { crashes: 20 } },
    async (s) => {
      for (let round = 0; round < 20; round++) {
        const node = 1 + (round % 5);
        const pending = s.calls.putOnce();
        await s.advance(round * 2);
        s.crash(node);
        await s.advance(700);
        s.start(node);
        await s.ok(pending);
      }
    },
  ),
];
