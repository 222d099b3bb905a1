/** Stories of rest: an idle region costs nothing (P10), and wakes for what concerns it. */
import type { Stage } from '../stage.js';
import { type Story, story } from '../story.js';

/** Frames and messages within so long. */
async function traffic(s: Stage, ms: number): Promise<{ frames: number; messages: number }> {
  const frames = s.cluster.network.framesDelivered;
  const messages = s.sent.messages();
  await s.advance(ms);
  return {
    frames: s.cluster.network.framesDelivered - frames,
    messages: s.sent.messages() - messages,
  };
}

export const rest: readonly Story[] = [
  story('idle regions send nothing, and their nodes a few bytes', { regions: 16 }, async (s) => {
    await s.put('a');
    await s.rest();
    await s.advance(5_000);
    const { frames, messages } = await traffic(s, 60_000);
    s.expectEqual('messages', messages, 0);
    // Per pair and direction ten heartbeats a second and their answers.
    s.expect(frames <= 6 * 2 * 10 * 60 * 1.1, () => `${frames} frames`);
    s.expect(frames > 0, () => 'no heartbeat');
  }),

  story('a write wakes its region and no other', { regions: 16 }, async (s) => {
    await s.rest();
    const before = Array.from({ length: 17 }, (_, region) => s.sent.messages({ region }));
    await s.put('a');
    await s.rest();
    const woken = before.filter((messages, region) => s.sent.messages({ region }) > messages);
    s.expectEqual('regions that sent something', woken.length, 1);
    s.expectEqual('messages in the next minute', (await traffic(s, 60_000)).messages, 0);
  }),

  story(
    "a leader's death wakes what it led and nothing else",
    { regions: 12, nodes: 5, replication: 3 },
    async (s) => {
      await s.rest();
      const victim = 3;
      const regions = Array.from({ length: 12 }, (_, at) => at + 1);
      const isLed = (region: number): boolean => s.see.leader(region) === victim;
      const led = regions.filter(isLed);
      const others = regions.filter((region) => !isLed(region));
      const elections = others.map((region) => s.sent.elections(region));
      s.expect(led.length > 0, () => 'it leads nothing');
      s.bury(victim);
      for (const region of led) await s.elected({ region, withinElectionTimeouts: 5 });
      await s.advance(5_000);
      others.forEach((region, at) => {
        s.expectEqual(`elections of region ${region}`, s.sent.elections(region), elections[at]);
      });
    },
  ),

  story('a dead node does not raise the cost of idle regions', { regions: 16 }, async (s) => {
    s.bury(3);
    await s.advance(10_000);
    await s.rest();
    await s.advance(5_000);
    s.expectEqual('messages', (await traffic(s, 60_000)).messages, 0);
  }),

  story(
    'a node that comes back is attached, and all rests',
    { regions: 16, floors: { crashes: 1 } },
    async (s) => {
      s.crash(3);
      await s.advance(10_000);
      await s.put('a');
      s.start(3);
      await s.rest(20_000);
      s.expectEqual('messages', (await traffic(s, 60_000)).messages, 0);
    },
  ),
];
