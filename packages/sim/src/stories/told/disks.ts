/** Stories of disks that hang, fail or are full. */
import { electionTimeoutMs } from '../stage.js';
import { type Story, story } from '../story.js';

export const disks: readonly Story[] = [
  story('a leader whose syncs hang for 30 s is replaced', {}, async (s) => {
    const leader = await s.elected();
    await s.put('a');
    s.hangSyncs(leader);
    const pending = s.calls.put('a');
    await s.elected({ among: s.others(leader), withinElectionTimeouts: 15 });
    await s.ok(pending, 10_000);
    await s.put('b', 5_000);
    await s.advance(30_000);
    s.expect(!s.see.isLeader(leader), () => 'it leads again although its disk hangs');
    s.freeSyncs(leader);
    await s.caughtUp(leader, 10_000);
  }),

  story('every disk hangs for 10 s: nobody is to blame, and all goes on', {}, async (s) => {
    await s.put('a');
    for (const node of [1, 2, 3]) s.hangSyncs(node);
    const pending = [s.calls.put('a'), s.calls.putOnce()];
    await s.advance(10_000);
    s.expect(
      pending.every((call) => !call.isOver),
      () => 'acknowledged without a sync',
    );
    for (const node of [1, 2, 3]) s.freeSyncs(node);
    for (const call of pending) await s.ok(call, 10_000);
  }),

  story('a follower whose syncs hang stops nobody', {}, async (s) => {
    const leader = await s.elected();
    const [follower] = s.twoOthers(leader);
    s.hangSyncs(follower);
    const acknowledged = s.see.syncedIndex(follower);
    for (let i = 0; i < 20; i++) await s.put(`k${i}`, 500);
    await s.sameLeader(30_000);
    s.expect(s.see.syncedIndex(follower) <= acknowledged + 1, () => 'its disk does not hang');
    s.freeSyncs(follower);
    await s.caughtUp(follower, 10_000);
  }),

  story(
    'a follower whose syncs hang forgets in a crash and is brought up again',
    { floors: { crashes: 1 } },
    async (s) => {
      const leader = await s.elected();
      const [follower] = s.twoOthers(leader);
      s.hangSyncs(follower);
      for (let i = 0; i < 20; i++) await s.put(`k${i}`, 500);
      s.crash(follower);
      s.freeSyncs(follower);
      s.start(follower);
      await s.caughtUp(follower, 10_000);
      await s.sameLeader(1_000);
    },
  ),

  story(
    'a sync error ends the leader, and another leads',
    { floors: { crashes: 1 } },
    async (s) => {
      const leader = await s.elected();
      await s.put('a');
      s.failSync(leader);
      const pending = s.calls.putOnce();
      await s.elected({ among: s.others(leader), withinElectionTimeouts: 4 });
      s.expect(!s.see.node(leader).isRunning, () => 'it lives on');
      await s.ok(pending, 10_000);
      s.start(leader);
      await s.caughtUp(leader, 10_000);
    },
  ),

  story('a sync error ends a follower, and nobody else', { floors: { crashes: 1 } }, async (s) => {
    const leader = await s.elected();
    const [follower] = s.twoOthers(leader);
    s.failSync(follower);
    await s.put('a', 1_000);
    await s.sameLeader(3 * electionTimeoutMs);
    s.expect(!s.see.node(follower).isRunning, () => 'it lives on');
    s.start(follower);
    await s.caughtUp(follower, 10_000);
  }),

  story(
    'an engine that is full makes applies wait, and reads for them',
    {
      profile: { overlayBytesMax: 20_000, flushMsMax: 30_000 },
    },
    async (s) => {
      const leader = await s.elected();
      const value = 'x'.repeat(2_000);
      const loading = s.calls.plain('load', async (keyspace) => {
        // Together, so that more is committed than the engine takes.
        await Promise.all(Array.from({ length: 40 }, (_, i) => keyspace.put(`load/${i}`, value)));
      });
      let behindSinceMs = s.nowMs;
      await s.moment('applies wait', () => {
        if (s.see.appliedIndex(leader) === s.see.commitIndex(leader)) behindSinceMs = s.nowMs;
        return s.nowMs - behindSinceMs > 100;
      });
      const committed = s.see.commitIndex(leader);
      const read = s.readAt(leader);
      await s.moment('the read is answered', () => read.kind !== 'open', 30_000);
      s.expect(
        read.kind !== 'ready' || s.see.appliedIndex(leader) >= committed,
        () => 'it reads without what was committed before it',
      );
      await s.ok(loading);
      await s.put('a');
      await s.rest();
      await s.load(40, 2_000);
      await s.rest();
    },
  ),
];
