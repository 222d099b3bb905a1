/** Stories of a thousand regions: what concerns all of them at once stays bounded. */
import { type Story, story } from '../story.js';

const options = { nodes: 5, regions: 1_000, replication: 3, seeds: 1 } as const;

export const manyRegions: readonly Story[] = [
  story(
    'a storm of restarts with a thousand regions',
    { ...options, floors: { crashes: 5 } },
    async (s) => {
      for (let node = 1; node <= 5; node++) {
        const pending = s.calls.putOnce();
        s.crash(node);
        await s.advance(1_500);
        s.start(node);
        await s.advance(500);
        await s.ok(pending, 20_000);
      }
      await s.rest();
    },
  ),

  story(
    'the power fails everywhere with a thousand regions',
    { ...options, floors: { crashes: 5 } },
    async (s) => {
      for (let i = 0; i < 20; i++) await s.put(`k${i % 6}`);
      const pending = [s.calls.putOnce(), s.calls.putOnce()];
      await s.advance(5);
      s.restart(1, 2, 3, 4, 5);
      for (const call of pending) await s.ok(call, 30_000);
      await s.rest();
    },
  ),

  story('a thousand idle regions whose leader dies have leaders soon', options, async (s) => {
    await s.rest();
    const victim = s.see.leader(1)!;
    const led = Array.from({ length: 1_000 }, (_, at) => at + 1).filter(
      (region) => s.see.leader(region) === victim,
    );
    s.expect(led.length > 50, () => `it leads ${led.length}`);
    s.crash(victim);
    await s.advance(6_000);
    const orphans = led.filter((region) => s.see.leader(region) === undefined);
    s.expectEqual('regions without a leader', orphans.length, 0);
  }),
];
