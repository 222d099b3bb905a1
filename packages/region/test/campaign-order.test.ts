import {
  createPrng,
  type NodeId,
  type RegionDescriptor,
  type RegionId,
  type ReplicaId,
} from '@moku/base';
import { describe, expect, it } from 'vitest';
import { CampaignOrder, campaignRank } from '../src/campaign-order.js';

function descriptor(regionId: number, nodes: readonly number[]): RegionDescriptor {
  return {
    regionId: regionId as RegionId,
    keyspaceId: 1,
    startKey: new Uint8Array(),
    endKey: undefined,
    epoch: { version: 1, config: 1 },
    replicas: nodes.map((nodeId) => ({
      replicaId: nodeId as ReplicaId,
      nodeId: nodeId as NodeId,
      isLearner: false,
    })),
  };
}

describe('the order of campaigns', () => {
  it('gives each replica of a region a rank of its own, the same on every node', () => {
    for (let regionId = 0; regionId < 500; regionId++) {
      const nodes = [1, 2, 3, 9, 65_535];
      const ranks = nodes.map((node) => campaignRank(descriptor(regionId, nodes), node as NodeId));
      expect([...ranks].sort()).toEqual([0, 1, 2, 3, 4]);
      const reversed = descriptor(regionId, [...nodes].reverse());
      expect(nodes.map((node) => campaignRank(reversed, node as NodeId))).toEqual(ranks);
    }
  });

  it('shares the regions of any node evenly among the others', () => {
    const firsts = new Map<number, number>();
    for (let regionId = 0; regionId < 3_000; regionId++) {
      const region = descriptor(regionId, [1, 2, 3]);
      const first = campaignRank(region, 2 as NodeId) < campaignRank(region, 3 as NodeId) ? 2 : 3;
      firsts.set(first, (firsts.get(first) ?? 0) + 1);
    }
    expect(Math.abs(firsts.get(2)! - firsts.get(3)!)).toBeLessThan(300);
  });

  it('draws election timers from slots that do not meet', () => {
    const order = new CampaignOrder(createPrng(5));
    const region = descriptor(3, [1, 2, 3]);
    const drawn = [1, 2, 3]
      .map((node) => ({ node: node as NodeId, rank: campaignRank(region, node as NodeId) }))
      .sort((a, b) => a.rank - b.rank)
      .map(({ node }) => {
        const prng = order.prngFor(region, node);
        const values = Array.from({ length: 200 }, () => prng.below(10));
        return { min: Math.min(...values), max: Math.max(...values) };
      });
    expect(drawn[0]).toEqual({ min: 0, max: 2 });
    expect(drawn[1]).toEqual({ min: 3, max: 5 });
    expect(drawn[2]).toEqual({ min: 6, max: 9 });
  });

  it('leaves a lone replica its source', () => {
    const prng = createPrng(1);
    const order = new CampaignOrder(prng);
    expect(order.prngFor(descriptor(1, [4]), 4 as NodeId)).toBe(prng);
  });
});
