/**
 * Between a snapshot's installation and the log's restart behind it: what else may happen to the replica
 * meanwhile (I5 of snapshots-in, A1 of applies).
 */
import type { NodeId, RegionId } from '@moku/base';
import { describe, expect, it } from 'vitest';
import type { RegionStatus } from '../src/index.js';
import { readFrame } from '../src/wire/read-frame.js';
import { Cluster, type SimNode } from './support/cluster.js';

const regionId = 1 as RegionId;
const never = 1_000_000_000;
const cutSoon = { logKeepBytes: 100, housekeepingMs: 200, peerGoneMs: 1_000 };

function status(node: SimNode): RegionStatus {
  return node.host!.regionStatus(regionId)!;
}

/**
 * Node 1 leads and has truncated its log; node 2 has all of its log; node 3 was away meanwhile, comes back
 * and has installed a snapshot that its engine did not make durable yet.
 */
function installing(canApply: boolean): Cluster {
  const config = { ...cutSoon, applyBytesPerTurnMax: 1 };
  const cluster = new Cluster({ nodes: 3, regions: 1, config });
  const [first, second, away] = cluster.nodes as [SimNode, SimNode, SimNode];
  second.flushMs = never;
  away.flushMs = never;
  cluster.startAll();
  cluster.runUntil(() => cluster.allLed(), 5_000, 'led');
  cluster.writeAll('first');
  cluster.writeAll('second');
  const moveToFirst = (): boolean => {
    cluster.leader(1)?.host?.transferLeadership(regionId, 1 as NodeId);
    return cluster.leader(1) === first && cluster.allLed();
  };
  cluster.runUntil(moveToFirst, 5_000, 'led by node 1');
  cluster.crash(away, 1_000);
  for (let i = 0; i < 20; i++) cluster.writeAll('x'.repeat(50));
  cluster.runUntil(() => status(first).firstIndex > 10, 10_000, 'truncated');
  cluster.writeAll('last');
  away.canApply = canApply;
  // The engine has room for what arrives on the bulk lane, and for one entry then.
  cluster.network.onFrame = (_from, _to, bytes) => {
    const onSnapshot = (): void => {
      away.canApply = true;
    };
    readFrame(bytes, { onControl() {}, onRaft() {}, onSnapshotSignal() {}, onSnapshot });
  };
  cluster.start(away);
  cluster.runUntil(() => away.machines.get(regionId)!.installs === 1, 10_000, 'installed');
  cluster.network.onFrame = undefined;
  away.canApply = canApply;
  return cluster;
}

/** The engine of `node` makes durable what it has. */
function flush(node: SimNode): void {
  node.machines.get(regionId)!.flush();
  node.host!.engineFlushed();
}

function settle(cluster: Cluster): void {
  const isQuiet = (): boolean => cluster.allLed() && cluster.isAtRest() && cluster.isConverged();
  cluster.runUntil(isQuiet, 30_000, 'equal and at rest');
}

describe('a snapshot that waits for the engine', () => {
  it('takes the place of committed entries that a full engine held back', () => {
    const cluster = installing(false);
    const away = cluster.node(3);
    // It was away from index 4 on, and has applied nothing since its restart.
    expect(status(away).commitIndex).toBeGreaterThan(0);
    away.canApply = true;
    flush(away);
    cluster.runUntil(
      () => away.host!.status().counters['snapshotsInstalled'] === 1,
      2_000,
      'the log restarted',
    );
    settle(cluster);
    expect(away.machines.get(regionId)!.get('k')).toBe('last');
  });

  it('does not take back what the log acknowledged meanwhile', () => {
    const cluster = installing(true);
    const [first, second, away] = cluster.nodes as [SimNode, SimNode, SimNode];
    const { appliedIndex } = away.machines.get(regionId)!;
    // Node 2 forgets how far it knew to be committed, and sends from its log what node 1 had no more.
    cluster.crash(first, 1_000);
    cluster.crash(second, 1_000);
    cluster.start(second);
    const hasMore = (): boolean => status(away).lastIndex > appliedIndex;
    const endMs = cluster.clock.nowMs + 10_000;
    while (!hasMore() && cluster.clock.nowMs < endMs) cluster.clock.step();
    const { lastIndex, commitIndex } = status(away);
    expect(lastIndex).toBeGreaterThan(appliedIndex);
    expect(commitIndex).toBeLessThan(appliedIndex);
    flush(away);
    cluster.run(2);
    expect(status(away).lastIndex).toBeGreaterThanOrEqual(lastIndex);
    cluster.runUntil(() => cluster.allLed(), 10_000, 'led by two');
    cluster.writeAll('behind');
    cluster.start(first);
    settle(cluster);
    expect(away.machines.get(regionId)!.get('k')).toBe('behind');
    expect(away.host!.status().counters['snapshotsInstalled']).toBe(0);
  });

  it('of a former leader is followed at once by the stream of a new one that it kept waiting', () => {
    const cluster = new Cluster({ nodes: 3, regions: 1, config: cutSoon });
    const away = cluster.node(3);
    away.flushMs = never;
    cluster.startAll();
    cluster.runUntil(() => cluster.allLed(), 5_000, 'led');
    cluster.crash(away, 1_000);
    cluster.runUntil(() => cluster.allLed(), 5_000, 'led by two');
    for (let i = 0; i < 20; i++) cluster.writeAll('x'.repeat(50));
    const others = cluster.alive();
    const areCut = (): boolean => others.every((node) => status(node).firstIndex > 20);
    cluster.runUntil(areCut, 10_000, 'truncated');
    cluster.start(away);
    cluster.runUntil(() => away.machines.get(regionId)!.installs === 1, 10_000, 'installed');
    const { appliedIndex } = away.machines.get(regionId)!;
    const former = cluster.leader(1)!;
    const next = others.find((node) => node !== former)!;
    cluster.writeAll('behind');
    cluster.runUntil(() => status(next).firstIndex > appliedIndex + 1, 5_000, 'out of reach');
    former.host!.transferLeadership(regionId, next.nodeId);
    cluster.runUntil(() => cluster.leader(1) === next, 5_000, 'led by the other');
    cluster.run(1_500);
    expect(status(next).why).toContain('snapshotSending');
    flush(away);
    away.flushMs = 100;
    cluster.run(1);
    flush(away);
    const isThere = (): boolean => away.machines.get(regionId)!.get('k') === 'behind';
    cluster.runUntil(isThere, 1_500, 'caught up');
    flush(away);
    settle(cluster);
  });
});
