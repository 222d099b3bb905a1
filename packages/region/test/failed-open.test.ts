/**
 * A region whose state machine came back behind its truncated log cannot be opened: it fails alone, and shows.
 */
import { MokuError, type RegionId } from '@moku/base';
import { describe, expect, it } from 'vitest';
import { Cluster } from './support/cluster.js';

const lost = 1 as RegionId;
const other = 2 as RegionId;

describe('a region that cannot be opened', () => {
  it('is told among the regions of its node, and harms no other', () => {
    const cluster = new Cluster({ nodes: 3, regions: 2, config: { logKeepBytes: 1 } }).startAll();
    cluster.runUntil(() => cluster.allLed(), 5_000, 'led');
    cluster.writeAll('kept');
    const node = cluster.node(1);
    const isTruncated = (): boolean => node.host!.regionStatus(lost)!.firstIndex > 1;
    cluster.runUntil(isTruncated, 10_000, 'truncated');
    cluster.crash(node, 1_000);
    node.disk.states.delete(lost);
    cluster.start(node);
    cluster.run(1_000);
    const host = node.host!;
    expect([...host.regionIds()].sort()).toEqual([lost, other]);
    expect(host.regionStatus(lost)!.why).toEqual(['failed']);
    // The engine is what lacks something, not the log.
    expect(node.failed).toMatchObject({ code: 'ENGINE_CORRUPT' });
    // So that a node does not call itself ready with it.
    expect(host.leaderOf(lost)).toBe(0);
    expect(host.leaderOf(other)).not.toBe(0);
    const call = cluster.read(node, lost);
    cluster.runUntil(() => call.outcome !== undefined, 1_000, 'read answered');
    expect(call.outcome!.kind).toBe('notLeader');
    cluster.writeAll('on');
    cluster.runUntil(() => node.machines.get(other)!.get('k') === 'on', 5_000, 'applied');
  });

  it('whose state machine cannot be read harms no other either, and can be removed', () => {
    const cluster = new Cluster({ nodes: 3, regions: 2 }).startAll();
    cluster.runUntil(() => cluster.allLed(), 5_000, 'led');
    const node = cluster.node(1);
    cluster.crash(node, 1_000);
    node.disk.unreadable.add(lost);
    cluster.start(node);
    cluster.run(1_000);
    expect(node.fatal).toBeUndefined();
    const host = node.host!;
    expect(host.regionStatus(lost)).toMatchObject({ why: ['failed'] });
    expect(node.failed).toMatchObject({ code: 'ENGINE_CORRUPT' });
    cluster.writeAll('on');
    cluster.runUntil(() => node.machines.get(other)!.get('k') === 'on', 5_000, 'applied');
    host.destroyReplica(lost);
    expect(host.regionStatus(lost)).toBeUndefined();
  });

  it('or whose state turns out unreadable later, leaves its leadership to another', () => {
    const cluster = new Cluster({ nodes: 3, regions: 2 }).startAll();
    cluster.runUntil(() => cluster.allLed(), 5_000, 'led');
    const leader = cluster.node(cluster.node(1).host!.leaderOf(lost));
    leader.host!.replicaFailed(lost, new MokuError('ENGINE_CORRUPT', { timestamp: 1 }));
    cluster.runUntil(() => leader.failed !== undefined, 1_000, 'told');
    expect(leader.host!.regionStatus(lost)!.why).toContain('failed');
    const peer = cluster.node((leader.nodeId % 3) + 1);
    const isLedAnew = (): boolean => {
      const now = peer.host!.leaderOf(lost);
      return now !== 0 && now !== leader.nodeId;
    };
    cluster.runUntil(isLedAnew, 5_000, 'led anew');
    expect(leader.host!.leaderOf(other)).not.toBe(0);
  });
});
