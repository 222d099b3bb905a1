import { createPrng } from '@moku/base';
import { describe, expect, it } from 'vitest';
import { SimCluster } from '../src/run/cluster.js';
import { whyUnwell } from '../src/run/converge.js';
import { drawProfile } from '../src/run/profile.js';

const healMs = 60_000;

/** Three nodes and one region; node 3 does not start. */
async function twoOfThree(): Promise<SimCluster> {
  const cluster = new SimCluster({
    profile: { ...drawProfile('network', createPrng(1)), nodes: 3, regions: 1, classes: new Set() },
    prng: createPrng(1),
  });
  await cluster.guarded(async () => {
    cluster.nodes[0]!.start();
    cluster.nodes[1]!.start();
    const { nodes, scheduler } = cluster;
    const isUp = (): boolean => nodes.slice(0, 2).every((node) => node.running?.isReady() === true);
    await cluster.until(isUp, scheduler.nowMs + healMs, () => 'no leader');
  });
  return cluster;
}

describe('a healed cluster', () => {
  it('is not well while a node is down that should serve, though a quorum does', async () => {
    const cluster = await twoOfThree();
    expect(cluster.failure).toBeUndefined();
    const [, , down] = cluster.nodes;
    expect(whyUnwell(cluster.nodes)).toBe('node 3 is not ready');
    down!.isRetired = true;
    expect(whyUnwell(cluster.nodes)).not.toBe('node 3 is not ready');
    down!.isRetired = false;
    down!.harm = 'amnesiac';
    expect(whyUnwell(cluster.nodes)).not.toBe('node 3 is not ready');
  });

  it('is not well while a home of a region has no replica of it', async () => {
    const cluster = await twoOfThree();
    await cluster.guarded(async () => {
      cluster.nodes[2]!.start();
      const { nodes, scheduler } = cluster;
      const isWell = (): boolean => whyUnwell(nodes) === undefined;
      await cluster.until(isWell, scheduler.nowMs + healMs, () => whyUnwell(nodes) ?? 'unwell');
    });
    expect(cluster.failure).toBeUndefined();
    const { host } = cluster.nodes[2]!.running!;
    host.regionIds = () => [];
    expect(whyUnwell(cluster.nodes)).toBe('region 0: node 3 has no replica');
  });
});
