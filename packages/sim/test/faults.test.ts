import { createPrng } from '@moku/base';
import { expect, it } from 'vitest';
import type { FaultClass } from '../src/faults/classes.js';
import { Faults } from '../src/faults/faults.js';
import { SimCluster } from '../src/run/cluster.js';
import { drawProfile } from '../src/run/profile.js';

const spanMs = 60_000;

/** What is counted in a minute of crashes and pauses. */
async function counted(isDead: boolean): Promise<Readonly<Record<FaultClass, number>>> {
  const cluster = new SimCluster({
    profile: { ...drawProfile('swarm', createPrng(1)), classes: new Set(['crash', 'pause']) },
    prng: createPrng(1),
  });
  const faults = new Faults({ cluster, prng: createPrng(2) });
  await cluster.guarded(async () => {
    for (const node of cluster.nodes) {
      node.isRetired = isDead;
      if (!isDead) node.start();
    }
    faults.start();
    await cluster.advance(() => cluster.scheduler.nowMs >= spanMs);
  });
  expect(cluster.failure).toBeUndefined();
  return faults.counts;
}

it('faults that met nobody do not count', async () => {
  expect(await counted(true)).toMatchObject({ crash: 0, pause: 0 });
  const { crash, pause } = await counted(false);
  expect(crash).toBeGreaterThan(0);
  expect(pause).toBeGreaterThan(0);
});
