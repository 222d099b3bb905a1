import type { NodeId, RegionId } from '@moku/base';
import { describe, expect, it } from 'vitest';
import { FrameWriter } from '../src/wire/frame-writer.js';
import { readFrame } from '../src/wire/read-frame.js';
import type { SnapshotChunk } from '../src/wire/types.js';
import { Cluster, type SimNode } from './support/cluster.js';

const config = { logKeepBytes: 100, housekeepingMs: 200, peerGoneMs: 1_000 };

/** Three hosts, one of which was away until the logs no longer reach back to it. */
function laggingCluster(regions: number): { cluster: Cluster; away: SimNode } {
  const cluster = new Cluster({ nodes: 3, regions, config }).startAll();
  cluster.runUntil(() => cluster.allLed(), 5_000, 'led');
  cluster.writeAll('first');
  const away = cluster.node(3);
  cluster.crash(away, 1_000);
  cluster.runUntil(() => cluster.allLed(), 5_000, 'led by two');
  for (let i = 0; i < 40; i++) {
    for (const { regionId } of cluster.descriptors) {
      for (let k = 0; k < 5; k++) cluster.propose(regionId, `key ${i} ${k}`, 'x'.repeat(50));
    }
    cluster.run(20);
  }
  cluster.run(3_000);
  cluster.writeAll('last');
  cluster.run(1_000);
  for (const { regionId } of cluster.descriptors) {
    const status = cluster.leader(regionId)!.host!.regionStatus(regionId)!;
    expect(status.firstIndex).toBeGreaterThan(20);
  }
  return { cluster, away };
}

function settle(cluster: Cluster): void {
  cluster.runUntil(() => cluster.allLed(), 10_000, 'led');
  const isQuiet = (): boolean => cluster.isAtRest() && cluster.isConverged();
  cluster.runUntil(isQuiet, 30_000, 'equal and at rest');
}

describe('snapshots', () => {
  it('bring back a replica that the logs no longer reach, and are cut into chunks', () => {
    const { cluster, away } = laggingCluster(6);
    cluster.start(away);
    settle(cluster);
    for (const { regionId } of cluster.descriptors) {
      const machine = away.machines.get(regionId)!;
      expect(machine.installs).toBe(1);
      expect(machine.get('k')).toBe('last');
    }
    expect(cluster.sum('snapshotChunksSent')).toBeGreaterThan(6 * 10);
    expect(cluster.sum('snapshotsSent')).toBe(6);
    // The log goes on behind the snapshot, also over a restart.
    cluster.writeAll('behind');
    settle(cluster);
    cluster.crash(away);
    cluster.start(away);
    settle(cluster);
    expect(away.machines.get(1 as RegionId)!.get('k')).toBe('behind');
  });

  it('begin anew when the link breaks in the middle', () => {
    const { cluster, away } = laggingCluster(1);
    let chunks = 0;
    cluster.network.onFrame = (_from, _to, bytes) => {
      readFrame(bytes, {
        onControl: () => {},
        onRaft: () => {},
        onSnapshotSignal: () => {},
        onSnapshot: () => {
          chunks++;
          if (chunks === 5 || chunks === 12) {
            cluster.clock.after(0, () => {
              cluster.network.reset(1 as NodeId, 3 as NodeId);
              cluster.network.reset(2 as NodeId, 3 as NodeId);
            });
          }
        },
      });
    };
    cluster.start(away);
    settle(cluster);
    expect(chunks).toBeGreaterThan(12);
    expect(away.machines.get(1 as RegionId)!.installs).toBe(1);
  });

  it('are acknowledged only once the engine holds them durably; a crash before leaves what was', () => {
    const { cluster, away } = laggingCluster(1);
    away.flushMs = 1_000_000;
    cluster.start(away);
    const machine = away.machines.get(1 as RegionId)!;
    cluster.runUntil(() => machine.installs === 1, 10_000, 'installed');
    cluster.run(2_000);
    expect(away.host!.regionStatus(1 as RegionId)!.why).toContain('snapshotInstalling');
    expect(away.host!.status().counters['snapshotsInstalled']).toBe(0);
    cluster.crash(away);
    away.flushMs = 200;
    cluster.start(away);
    expect(away.machines.get(1 as RegionId)!.appliedIndex).toBeLessThan(machine.appliedIndex);
    settle(cluster);
    expect(away.machines.get(1 as RegionId)!.get('k')).toBe('last');
  });

  it('whose log was not restarted before a crash are repaired at the next start', () => {
    const { cluster, away } = laggingCluster(1);
    away.flushMs = 1_000_000;
    cluster.start(away);
    const machine = away.machines.get(1 as RegionId)!;
    cluster.runUntil(() => machine.installs === 1, 10_000, 'installed');
    // The engine got there, the log did not.
    machine.flush();
    const { appliedIndex } = machine;
    cluster.crash(away);
    away.flushMs = 200;
    cluster.start(away);
    cluster.run(10);
    const status = away.host!.regionStatus(1 as RegionId)!;
    expect(status.appliedIndex).toBe(appliedIndex);
    expect(status.firstIndex).toBe(appliedIndex + 1);
    expect(status.why).not.toContain('failed');
    settle(cluster);
    expect(away.host!.status().counters['snapshotsInstalled']).toBe(0);
  });

  it('that are stale, torn or doubled change nothing', () => {
    const cluster = new Cluster({ nodes: 3, regions: 1 }).startAll();
    settle(cluster);
    cluster.writeAll('kept');
    settle(cluster);
    const leader = cluster.leader(1)!;
    const victim = cluster.nodes.find((node) => node !== leader)!;
    const status = victim.host!.regionStatus(1 as RegionId)!;
    const machine = victim.machines.get(1 as RegionId)!;
    const chunk: SnapshotChunk = {
      regionId: 1 as RegionId,
      from: leader.host!.regionStatus(1 as RegionId)!.replicaId,
      to: status.replicaId,
      term: status.term,
      streamId: 9,
      sequence: 0,
      meta: { index: 1, term: status.term, confState: status.confState },
      chunk: new Uint8Array(10),
      isLast: true,
    };
    const ahead = { index: status.lastIndex + 50, term: status.term, confState: status.confState };
    for (const forged of [
      chunk,
      { ...chunk, term: status.term - 1 },
      { ...chunk, to: 99 as typeof chunk.to },
      { ...chunk, sequence: 3 },
      { ...chunk, meta: ahead, streamId: 10 },
      { ...chunk, meta: ahead, streamId: 10, sequence: 1, isLast: true },
    ]) {
      inject(cluster, leader, victim, forged);
      cluster.run(100);
    }
    expect(machine.installs).toBe(0);
    expect(victim.host!.regionStatus(1 as RegionId)!.appliedIndex).toBe(status.appliedIndex);
    expect(victim.host!.status().counters['snapshotStreamsFailed']).toBe(1);
    cluster.writeAll('on');
    settle(cluster);
  });
});

/** Delivers a chunk to `to` as if `from` had sent it. */
function inject(cluster: Cluster, from: SimNode, to: SimNode, chunk: SnapshotChunk): void {
  const writer = new FrameWriter();
  writer.begin();
  writer.snapshot(chunk);
  for (const frame of writer.finish()) cluster.network.inject(from.nodeId, to.nodeId, frame);
}

describe('a peer that does not keep up', () => {
  it('is sent no more appends than its link takes, delays nobody, and catches up', () => {
    const cluster = new Cluster({
      nodes: 3,
      regions: 4,
      config: { appendPauseBytes: 4_000, electionTicks: 40 },
    }).startAll();
    settle(cluster);
    const target = cluster.node(3);
    target.host!.transferAll();
    cluster.runUntil(() => target.host!.status().leaders === 0, 2_000, 'a follower of all');
    settle(cluster);
    // What is sent stays in the sockets.
    cluster.network.cut(1 as NodeId, 3 as NodeId);
    cluster.network.cut(2 as NodeId, 3 as NodeId);
    const startMs = cluster.clock.nowMs;
    for (let i = 0; i < 50; i++) {
      cluster.writeAll('y'.repeat(500));
      cluster.run(10);
    }
    expect(cluster.clock.nowMs - startMs).toBeLessThan(1_500);
    expect(cluster.sum('appendsHeld')).toBeGreaterThan(10);
    // A tick's worth of appends may be queued before the pause is noticed.
    expect(cluster.network.queuedBytes(1 as NodeId, 3 as NodeId)).toBeLessThan(40_000);
    cluster.network.healAll();
    settle(cluster);
    expect(cluster.sum('snapshotsSent')).toBe(0);
  });
});

describe('truncation', () => {
  it('lets the logs of idle regions go entirely, and keeps what a follower still needs', () => {
    const cluster = new Cluster({ nodes: 3, regions: 5, config: { peerGoneMs: 5_000 } }).startAll();
    settle(cluster);
    for (let i = 0; i < 20; i++) cluster.writeAll(String(i));
    cluster.run(5_000);
    for (const node of cluster.nodes) {
      for (const { regionId } of cluster.descriptors) {
        const status = node.host!.regionStatus(regionId)!;
        expect(status.firstIndex).toBe(status.lastIndex + 1);
        expect(status.logBytes).toBe(0);
      }
    }
    const away = cluster.node(3);
    cluster.crash(away);
    cluster.runUntil(() => cluster.allLed(), 5_000, 'led by two');
    for (let i = 0; i < 20; i++) cluster.writeAll(`away ${i}`);
    cluster.run(2_000);
    cluster.start(away);
    settle(cluster);
    expect(cluster.sum('snapshotsSent')).toBe(0);
  });
});
