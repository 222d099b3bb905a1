/** Stories of clients: what they are told is true, and what they ask for happens once. */

import { limits, noAddress, type RegionId } from '@moku/base';
import { encodeCommand } from '@moku/kv';
import { type Story, story } from '../story.js';

export const clients: readonly Story[] = [
  story('a lost answer is asked for again, and applied once', {}, async (s) => {
    const leader = await s.elected();
    await s.ok(s.calls.putOnce());
    for (let round = 0; round < 5; round++) {
      const index = s.see.lastIndex(leader) + 1;
      const pending = s.calls.putOnce();
      await s.moment('it is in the log', () => s.see.lastIndex(leader) >= index);
      s.cluster.disturbance.clientLossChance = 1;
      await s.advance(500);
      s.expect(s.see.commitIndex(leader) >= index, () => 'it is not committed');
      s.expect(!pending.isOver, () => 'the answer got through');
      s.cluster.disturbance.clientLossChance = 0;
      await s.ok(pending, 10_000);
    }
  }),

  story(
    'writes asked for again over changes of the leader are applied once',
    { nodes: 5, floors: { elections: 6 } },
    async (s) => {
      for (let round = 0; round < 5; round++) {
        const leader = await s.elected();
        const pending = [1, 2, 3, 4, 5].map(() => s.calls.putOnce());
        await s.advance(2 + 2 * round);
        if (round % 2 === 0) s.crash(leader);
        else s.links.isolate(leader);
        for (const call of pending) await s.ok(call, 20_000);
        s.links.heal();
        s.start(leader);
        await s.rest();
      }
    },
  ),

  story(
    'of five that write the same key first, one does',
    { floors: { elections: 2 } },
    async (s) => {
      for (let round = 0; round < 4; round++) {
        const leader = await s.elected();
        const calls = [1, 2, 3, 4, 5].map(() => s.calls.putIfAbsent(`race/${round}`));
        await s.advance(1 + 3 * round);
        s.transfer(s.others(leader)[round % 2]!);
        let winners = 0;
        for (const call of calls) if (await s.ok(call, 20_000)) winners += 1;
        s.expectEqual('winners', winners, 1);
        await s.get(`race/${round}`);
        await s.rest();
      }
    },
  ),

  story('a deadline that passes while all are cut off: it may have happened', {}, async (s) => {
    const leader = await s.elected();
    await s.put('a');
    const index = s.see.lastIndex(leader) + 1;
    s.links.partition([1], [2], [3]);
    const write = s.calls.put('a', 2_000);
    await s.moment('it is in a log', () => s.see.lastIndex(leader) >= index, 1_000);
    const answer = await s.answer(write, 5_000);
    s.expectEqual('kind', answer.kind, 'error');
    s.expectEqual('outcome', answer.kind === 'error' ? answer.outcome : '', 'maybe');
    const read = await s.answer(s.calls.get('a', 2_000), 5_000);
    s.expectEqual('a read without a quorum', read.kind, 'error');
    s.links.heal();
    await s.get('a', 10_000);
  }),

  story('no node runs: a write certainly did not happen', {}, async (s) => {
    await s.put('a');
    s.crash(1, 2, 3);
    await s.advance(1_000);
    // Its channels are known to be broken from here on.
    await s.answer(s.calls.get('a', 2_000), 5_000);
    const answer = await s.answer(s.calls.put('a', 2_000), 5_000);
    s.expectEqual('kind', answer.kind, 'error');
    s.expectEqual('outcome', answer.kind === 'error' ? answer.outcome : '', 'definite');
    s.start(1, 2, 3);
    await s.get('a', 10_000);
  }),

  story(
    'a keyspace is made while the leader of meta dies',
    { floors: { crashes: 1 } },
    async (s) => {
      const meta = await s.elected({ region: 0 });
      const index = s.see.lastIndex(meta, 0) + 1;
      const created = s.calls.keyspace('second', 4);
      await s.moment('it is in the log of meta', () => s.see.lastIndex(meta, 0) >= index);
      s.crash(meta);
      await s.ok(created, 20_000);
      await s.ok(s.calls.keyspace('second', 4), 20_000);
      s.start(meta);
      await s.rest();
      // One keyspace of one region, and one of four, beside meta.
      for (const node of s.see.nodes) {
        s.expectEqual('regions', node.running?.host.regionIds().length, 1 + 1 + 4);
      }
    },
  ),

  story('a full queue refuses with a code, and loses nothing', {}, async (s) => {
    const meta = await s.elected({ region: 0 });
    const { host } = s.see.node(meta).running!;
    s.links.isolate(meta);
    const node = { nodeId: meta, peerAddress: noAddress, clientAddress: noAddress };
    const command = encodeCommand({ type: 'registerNode', node });
    const outcomes: Record<string, number> = {};
    const asked = limits.proposalsPerRegionMax + 5_000;
    s.see.node(meta).run(() => {
      for (let i = 0; i < asked; i++) {
        host.propose(0 as RegionId, command, ({ kind }) => {
          outcomes[kind] = (outcomes[kind] ?? 0) + 1;
        });
      }
    });
    await s.advance(100);
    s.expect((outcomes['busy'] ?? 0) > 0, () => 'nobody was refused');
    s.links.heal();
    const answered = (): number => Object.values(outcomes).reduce((sum, each) => sum + each, 0);
    await s.moment('each has its answer', () => answered() === asked, 20_000);
    await s.advance(5_000);
    s.expectEqual('answers', answered(), asked);
    s.expectEqual(
      'accepted',
      (outcomes['applied'] ?? 0) + (outcomes['lost'] ?? 0),
      asked - outcomes['busy']!,
    );
  }),

  story('clients whose messages are lost half of the time get their answers', {}, async (s) => {
    s.cluster.disturbance.clientLossChance = 0.5;
    for (let i = 0; i < 10; i++) {
      const calls = [s.calls.putOnce(), s.calls.put(`k${i}`), s.calls.get('k0')];
      for (const call of calls) await s.ok(call, 30_000);
    }
  }),
];
