import type { NodeId, RegionId } from '@moku/base';
import { describe, expect, it } from 'vitest';
import { readFrame } from '../src/wire/read-frame.js';
import { Cluster, type SimNode } from './support/cluster.js';

interface Traffic {
  raft: number;
  control: Map<string, number>;
}

/** Counts what is delivered from now on. */
function watch(cluster: Cluster): Traffic {
  const traffic: Traffic = { raft: 0, control: new Map() };
  cluster.network.onFrame = (_from, _to, bytes) => {
    readFrame(bytes, {
      onControl: ({ type }) => traffic.control.set(type, (traffic.control.get(type) ?? 0) + 1),
      onRaft: () => {
        traffic.raft++;
      },
      onSnapshot: () => {},
      onSnapshotSignal: () => {},
    });
  };
  return traffic;
}

function settle(cluster: Cluster): void {
  cluster.runUntil(() => cluster.allLed(), 10_000, 'every region is led');
  cluster.runUntil(() => cluster.isAtRest(), 10_000, 'all at rest');
  cluster.runUntil(() => cluster.isConverged(), 2_000, 'all equal');
}

function terms(cluster: Cluster): number[] {
  return cluster.descriptors.map(({ regionId }) =>
    Math.max(...cluster.alive().map((n) => n.host!.regionStatus(regionId)!.term)),
  );
}

function begun(cluster: Cluster): number {
  return cluster.sum('campaigns');
}

describe('three hosts', () => {
  it('lead a thousand regions soon after the start, take writes on all, then send heartbeats only', () => {
    const cluster = new Cluster({ nodes: 3, regions: 1000 }).startAll();
    cluster.runUntil(() => cluster.allLed(), 1_000, 'every region is led');
    cluster.writeAll('1');
    settle(cluster);
    for (const node of cluster.nodes) {
      const status = node.host!.status();
      expect(status.unattachedPairs).toBe(0);
      expect(status.counters['replicasFailed']).toBe(0);
      expect(status.counters['digestMismatches']).toBe(0);
      expect(status.proposalBytes).toBe(0);
      expect(node.host!.regionStatus(1 as RegionId)!.why).toEqual([]);
    }
    cluster.run(100);
    const traffic = watch(cluster);
    const bytesBefore = cluster.network.bytesSent;
    cluster.run(2_000);
    expect(traffic.raft).toBe(0);
    expect([...traffic.control.keys()].sort()).toEqual(['heartbeat', 'heartbeatAnswer']);
    // Three links, two directions, ten heartbeats and answers a second: the same for any number of regions.
    expect(traffic.control.get('heartbeat')).toBeLessThanOrEqual(3 * 2 * 21);
    expect(cluster.network.bytesSent - bytesBefore).toBeLessThan(6 * 21 * 2 * 64);
  });

  it('lead everything elsewhere soon after the node with all leaders dies, and it catches up when it returns', () => {
    const cluster = new Cluster({ nodes: 3, regions: 300 }).startAll();
    settle(cluster);
    const victim = cluster.node(1);
    for (const node of cluster.nodes) {
      if (node === victim) continue;
      for (const { regionId } of cluster.descriptors) {
        node.host!.transferLeadership(regionId, victim.nodeId);
      }
    }
    cluster.runUntil(() => victim.host!.status().leaders === 300, 2_000, 'one node leads all');
    cluster.writeAll('before');
    const diedMs = cluster.clock.nowMs;
    cluster.crash(victim);
    cluster.runUntil(() => cluster.allLed(), 3_000, 'led elsewhere');
    expect(cluster.clock.nowMs - diedMs).toBeLessThan(1_200);
    cluster.writeAll('after');
    cluster.run(500);
    // What the dead node keeps from being attached costs no probe and keeps nobody awake.
    expect(cluster.isAtRest()).toBe(true);
    const traffic = watch(cluster);
    cluster.run(1_000);
    expect(traffic.raft).toBe(0);
    cluster.start(victim);
    settle(cluster);
    for (const { regionId } of cluster.descriptors) {
      expect(victim.machines.get(regionId)!.get('k')).toBe('after');
    }
  });

  it('start no election when a session is lost and back', () => {
    const cluster = new Cluster({ nodes: 3, regions: 100 }).startAll();
    settle(cluster);
    const termsBefore = terms(cluster);
    const campaignsBefore = begun(cluster);
    for (let i = 0; i < 20; i++) {
      cluster.network.reset(1 as NodeId, ((i % 2) + 2) as NodeId);
      cluster.run(37);
    }
    settle(cluster);
    expect(terms(cluster)).toEqual(termsBefore);
    expect(begun(cluster)).toBe(campaignsBefore);
    expect(cluster.sum('digestMismatches')).toBe(0);
  });

  it('repair a write whose appends were lost with the session, without another write', () => {
    const cluster = new Cluster({ nodes: 3, regions: 20 }).startAll();
    settle(cluster);
    const calls = cluster.descriptors.map(({ regionId }) => cluster.propose(regionId, 'k', 'lost'));
    cluster.run(1.2);
    cluster.network.reset(1 as NodeId, 2 as NodeId);
    cluster.network.reset(1 as NodeId, 3 as NodeId);
    cluster.network.reset(2 as NodeId, 3 as NodeId);
    cluster.runUntil(() => calls.every((c) => c.outcome?.kind === 'applied'), 3_000, 'applied');
    settle(cluster);
  });

  it('lead elsewhere when nothing passes from a leader any more, and make peace when it does again', () => {
    const cluster = new Cluster({ nodes: 3, regions: 30 }).startAll();
    settle(cluster);
    const mute = cluster.node(2);
    cluster.network.cut(2 as NodeId, 1 as NodeId);
    cluster.network.cut(2 as NodeId, 3 as NodeId);
    const others = [cluster.node(1), cluster.node(3)];
    const isLedByOthers = (): boolean =>
      cluster.descriptors.every(({ regionId }) =>
        others.some((n) => n.host!.leaderOf(regionId) === n.nodeId),
      );
    cluster.runUntil(isLedByOthers, 5_000, 'the others lead all');
    cluster.runUntil(() => mute.host!.status().leaders === 0, 3_000, 'the mute node steps down');
    const termsBefore = terms(cluster);
    cluster.network.healAll();
    settle(cluster);
    cluster.writeAll('healed');
    settle(cluster);
    // Pre-votes kept the returning node from raising terms.
    const raised = terms(cluster).filter((term, i) => term > termsBefore[i]! + 1);
    expect(raised).toEqual([]);
  });

  it('serve while one follower node is only reached one way', () => {
    const cluster = new Cluster({ nodes: 3, regions: 10 }).startAll();
    settle(cluster);
    cluster.network.cut(1 as NodeId, 2 as NodeId);
    cluster.run(3_000);
    cluster.runUntil(() => leadersKnown(cluster), 5_000, 'every region is led');
    cluster.writeAll('half');
    cluster.network.healAll();
    settle(cluster);
  });
});

/** Every region has a leader with a quorum; not every node can know it. */
function leadersKnown(cluster: Cluster): boolean {
  return cluster.descriptors.every(({ regionId }) => {
    const leader = cluster.leader(regionId);
    return leader !== undefined && leader.host!.leaderOf(regionId) === leader.nodeId;
  });
}

describe('one host alone', () => {
  it('leads, writes and reads without any peer', () => {
    const cluster = new Cluster({ nodes: 1, regions: 50 }).startAll();
    cluster.runUntil(() => cluster.allLed(), 500, 'led at once');
    cluster.writeAll('solo');
    const node = cluster.node(1);
    const reads = cluster.descriptors.map(({ regionId }) => cluster.read(node, regionId));
    cluster.runUntil(() => reads.every((r) => r.outcome !== undefined), 500, 'reads answered');
    for (const read of reads) expect(read.outcome!.kind).toBe('ready');
    cluster.runUntil(() => cluster.isAtRest(), 500, 'at rest');
  });

  it('recovers what it acknowledged after losing everything unsynced', () => {
    const cluster = new Cluster({ nodes: 1, regions: 5 }).startAll();
    cluster.runUntil(() => cluster.allLed(), 500, 'led at once');
    const node = cluster.node(1);
    for (let i = 0; i < 20; i++) {
      cluster.writeAll(String(i));
      cluster.propose(1, 'k', `unacknowledged ${i}`);
      cluster.crash(node);
      cluster.start(node);
      cluster.runUntil(() => cluster.allLed(), 3_000, 'led again');
      const read = cluster.read(node, 2);
      cluster.runUntil(() => read.outcome?.kind === 'ready', 500, 'readable');
      expect(node.machines.get(2 as RegionId)!.get('k')).toBe(String(i));
    }
  });
});

describe('proposals', () => {
  it('of one turn become one entry, answered in order with their own results', () => {
    const cluster = new Cluster({ nodes: 3, regions: 1 }).startAll();
    settle(cluster);
    const leader = cluster.leader(1)!;
    const before = leader.host!.regionStatus(1 as RegionId)!.lastIndex;
    const calls: ReturnType<Cluster['propose']>[] = [];
    for (let i = 0; i < 100; i++) calls.push(cluster.propose(1, 'k', String(i)));
    expect(calls.every((call) => call.outcome === undefined)).toBe(true);
    cluster.runUntil(() => calls.every((c) => c.outcome !== undefined), 1_000, 'answered');
    expect(leader.host!.regionStatus(1 as RegionId)!.lastIndex).toBe(before + 1);
    calls.forEach((call, i) => {
      const { outcome } = call;
      expect(outcome!.kind).toBe('applied');
      if (outcome!.kind !== 'applied') return;
      expect(Buffer.from(outcome!.result).toString()).toBe(i === 0 ? '' : String(i - 1));
    });
  });

  it('are refused with the leader to ask on a follower, and with busy past the limits', () => {
    const cluster = new Cluster({ nodes: 3, regions: 1 }).startAll();
    settle(cluster);
    const leader = cluster.leader(1)!;
    const follower = cluster.nodes.find((n) => n !== leader)!;
    const outcomes: string[] = [];
    follower.host!.propose(1 as RegionId, new Uint8Array(8), (o) => {
      outcomes.push(o.kind === 'notLeader' ? `notLeader ${o.leaderNodeId}` : o.kind);
    });
    follower.host!.propose(77 as RegionId, new Uint8Array(8), (o) => outcomes.push(o.kind));
    cluster.run(1);
    expect(outcomes).toEqual([`notLeader ${leader.nodeId}`, 'unknownRegion']);
    let busy = 0;
    let applied = 0;
    for (let i = 0; i < 9_000; i++) {
      leader.host!.propose(1 as RegionId, new TextEncoder().encode(`k=${i}`), (o) => {
        if (o.kind === 'busy') busy++;
        if (o.kind === 'applied') applied++;
      });
    }
    cluster.runUntil(() => busy + applied === 9_000, 3_000, 'all answered');
    expect(busy).toBe(9_000 - 8_192);
  });

  it('are lost or applied when their leader is deposed, and what is refused never happens', () => {
    const cluster = new Cluster({ nodes: 3, regions: 1 }).startAll();
    settle(cluster);
    const old = cluster.leader(1)!;
    cluster.network.cut(old.nodeId, ((old.nodeId % 3) + 1) as NodeId);
    cluster.network.cut(old.nodeId, (((old.nodeId + 1) % 3) + 1) as NodeId);
    const stuck = cluster.propose(1, 'k', 'stuck');
    cluster.runUntil(() => stuck.outcome !== undefined, 5_000, 'answered');
    expect(stuck.outcome!.kind).toBe('lost');
    const refused = { kind: '' };
    old.host!.propose(1 as RegionId, new TextEncoder().encode('k=refused'), (o) => {
      refused.kind = o.kind;
    });
    cluster.runUntil(() => refused.kind !== '', 1_000, 'refused');
    expect(refused.kind).toBe('notLeader');
    cluster.network.healAll();
    cluster.runUntil(() => cluster.allLed(), 5_000, 'led again');
    cluster.writeAll('next');
    settle(cluster);
    for (const node of cluster.nodes)
      expect(node.machines.get(1 as RegionId)!.get('k')).toBe('next');
  });

  it('that wait or are under way when the host closes are answered once', () => {
    const cluster = new Cluster({ nodes: 3, regions: 1 }).startAll();
    settle(cluster);
    const leader = cluster.leader(1)!;
    const first = cluster.propose(1, 'k', '1');
    cluster.run(0.3);
    const second = cluster.propose(1, 'k', '2');
    const read = cluster.read(leader, 1);
    leader.host!.close();
    expect(first.outcome!.kind).toBe('lost');
    expect(second.outcome!.kind).toBe('notLeader');
    expect(read.outcome!.kind).toBe('notLeader');
    expect(() => leader.host!.propose(1 as RegionId, new Uint8Array(1), () => {})).toThrow(
      'CLOSED',
    );
  });
});

describe('reads', () => {
  it('are linearizable points on leader and followers, many to a round', () => {
    const cluster = new Cluster({ nodes: 3, regions: 1 }).startAll();
    settle(cluster);
    cluster.writeAll('seen');
    const traffic = watch(cluster);
    for (const node of cluster.nodes) {
      const reads: ReturnType<Cluster['read']>[] = [];
      for (let i = 0; i < 500; i++) reads.push(cluster.read(node, 1));
      cluster.runUntil(() => reads.every((r) => r.outcome !== undefined), 1_000, 'answered');
      for (const read of reads) expect(read.outcome!.kind).toBe('ready');
      expect(node.machines.get(1 as RegionId)!.get('k')).toBe('seen');
    }
    expect(traffic.raft).toBeLessThan(60);
  });

  it('survive the loss of their round with the session', () => {
    const cluster = new Cluster({ nodes: 3, regions: 1 }).startAll();
    settle(cluster);
    for (const node of cluster.nodes) {
      const read = cluster.read(node, 1);
      cluster.run(1.5);
      for (const [a, b] of [
        [1, 2],
        [1, 3],
        [2, 3],
      ])
        cluster.network.reset(a as NodeId, b as NodeId);
      cluster.runUntil(() => read.outcome !== undefined, 5_000, 'answered');
      expect(read.outcome!.kind).toBe('ready');
      settle(cluster);
    }
  });

  it('are answered notLeader by a leader that lost its quorum, never from what it has', () => {
    const cluster = new Cluster({ nodes: 3, regions: 1 }).startAll();
    settle(cluster);
    const leader = cluster.leader(1)!;
    for (const node of cluster.nodes) {
      if (node !== leader) cluster.crash(node);
    }
    const read = cluster.read(leader, 1);
    cluster.runUntil(() => read.outcome !== undefined, 10_000, 'answered');
    expect(read.outcome!.kind).toBe('notLeader');
  });
});

describe('leadership', () => {
  it('moves to the node that is asked for, without an election timeout', () => {
    const cluster = new Cluster({ nodes: 3, regions: 40 }).startAll();
    settle(cluster);
    const startMs = cluster.clock.nowMs;
    for (const node of cluster.nodes) {
      for (const { regionId } of cluster.descriptors) {
        node.host!.transferLeadership(regionId, 3 as NodeId);
      }
    }
    const target = cluster.node(3);
    cluster.runUntil(() => target.host!.status().leaders === 40, 400, 'moved');
    expect(cluster.clock.nowMs - startMs).toBeLessThan(400);
    settle(cluster);
  });

  it('that is being handed over by a node that stands still in the middle moves all the same', () => {
    const cluster = new Cluster({ nodes: 3, regions: 8 }).startAll();
    settle(cluster);
    const old = cluster.node(1);
    const led = cluster.descriptors.filter(({ regionId }) => cluster.leader(regionId) === old);
    expect(led.length).toBeGreaterThan(0);
    for (const { regionId } of led) {
      expect(old.host!.transferLeadership(regionId, 2 as NodeId)).toBe(true);
    }
    // Its word is out; then it says nothing for a while, not even that it leads no more.
    cluster.run(0.5);
    old.pausedUntilMs = cluster.clock.nowMs + 300;
    const target = cluster.node(2);
    const isMoved = (): boolean =>
      led.every(({ regionId }) => target.host!.leaderOf(regionId) === target.nodeId);
    cluster.runUntil(isMoved, 200, 'led by the target');
    cluster.run(100);
    const third = cluster.node(3);
    for (const { regionId } of led) {
      expect(third.host!.leaderOf(regionId)).toBe(target.nodeId);
      expect(third.host!.regionStatus(regionId)!.why).toEqual([]);
    }
    cluster.run(300);
    settle(cluster);
    cluster.writeAll('moved');
  });

  it('is handed over whole before a shutdown', () => {
    const cluster = new Cluster({ nodes: 3, regions: 60 }).startAll();
    settle(cluster);
    const node = cluster.node(1);
    expect(node.host!.status().leaders).toBeGreaterThan(0);
    cluster.runUntil(() => node.host!.transferAll() === 0, 2_000, 'all handed over');
    settle(cluster);
    expect(node.host!.status().leaders).toBe(0);
  });
});

describe('trouble', () => {
  it('of one state machine fails that replica alone, and says why', () => {
    const cluster = new Cluster({ nodes: 3, regions: 10 }).startAll();
    settle(cluster);
    const leader = cluster.leader(1)!;
    leader.machines.get(1 as RegionId)!.failure = new Error('disk of the engine');
    const call = cluster.propose(1, 'k', 'x');
    cluster.runUntil(() => call.outcome !== undefined, 2_000, 'answered');
    expect(call.outcome!.kind).toBe('lost');
    expect(leader.host!.regionStatus(1 as RegionId)!.why).toEqual(['failed']);
    expect(leader.host!.leaderOf(1 as RegionId)).toBe(0);
    const isLedElsewhere = (): boolean => {
      const now = cluster.leader(1);
      return now !== undefined && now !== leader;
    };
    cluster.runUntil(isLedElsewhere, 3_000, 'led elsewhere');
    cluster.writeAll('on');
    expect(leader.host!.status().counters['replicasFailed']).toBe(1);
  });

  it('that is a bug ends the host, and nothing is answered afterwards', () => {
    const cluster = new Cluster({ nodes: 3, regions: 2 }).startAll();
    settle(cluster);
    const leader = cluster.leader(1)!;
    leader.machines.get(1 as RegionId)!.failure = new TypeError('a bug');
    const call = cluster.propose(1, 'k', 'x');
    expect(() => cluster.run(500)).toThrow('a bug');
    expect(leader.fatal).toBeInstanceOf(TypeError);
    expect(call.outcome).toBeUndefined();
  });

  it('of the log ends the host, and nothing that was not synced is acknowledged', () => {
    const cluster = new Cluster({ nodes: 1, regions: 1 }).startAll();
    cluster.runUntil(() => cluster.allLed(), 500, 'led');
    const node = cluster.node(1);
    const call = cluster.propose(1, 'k', 'x');
    cluster.clock.after(0.5, () => node.log.fail(new Error('EIO')));
    expect(() => cluster.run(100)).toThrow('EIO');
    expect(call.outcome).toBeUndefined();
  });

  it('of a disk that hangs moves what its node leads to those that keep up', () => {
    const cluster = new Cluster({ nodes: 3, regions: 12 }).startAll();
    settle(cluster);
    const hung = cluster.node(1);
    const led = cluster.descriptors.filter(({ regionId }) => cluster.leader(regionId) === hung);
    expect(led.length).toBeGreaterThan(0);
    hung.syncMs = () => 60_000;
    for (const { regionId } of led) cluster.propose(regionId, 'k', 'x');
    const isMoved = (): boolean =>
      led.every(({ regionId }) => {
        const leader = cluster.leader(regionId);
        return leader !== undefined && leader !== hung;
      });
    cluster.runUntil(isMoved, 5_000, 'led by nodes whose disks keep up');
    const calls = led.map(({ regionId }) => cluster.propose(regionId, 'k', 'y'));
    cluster.runUntil(() => calls.every((c) => c.outcome !== undefined), 1_000, 'answered');
    for (const call of calls) expect(call.outcome!.kind).toBe('applied');
  });

  it('of a disk that syncs slowly on a follower delays nobody', () => {
    const cluster = new Cluster({ nodes: 3, regions: 20 }).startAll();
    settle(cluster);
    const slow = cluster.node(2);
    cluster.node(1).host!.transferAll();
    slow.host!.transferAll();
    cluster.run(300);
    slow.syncMs = () => 400;
    const leading = cluster.descriptors.filter(({ regionId }) => cluster.leader(regionId) !== slow);
    const startMs = cluster.clock.nowMs;
    for (let i = 0; i < 10; i++) {
      const calls = leading.map(({ regionId }) => cluster.propose(regionId, 'k', String(i)));
      cluster.runUntil(() => calls.every((c) => c.outcome !== undefined), 1_000, 'answered');
      for (const call of calls) expect(call.outcome!.kind).toBe('applied');
    }
    expect(cluster.clock.nowMs - startMs).toBeLessThan(400);
    settle(cluster);
  });

  it('of an engine that is full holds applies back, and they go on after a flush', () => {
    const cluster = new Cluster({ nodes: 3, regions: 3 }).startAll();
    settle(cluster);
    for (const node of cluster.nodes) node.canApply = false;
    const call = cluster.propose(1, 'k', 'later');
    cluster.run(300);
    expect(call.outcome).toBeUndefined();
    for (const node of cluster.nodes) node.canApply = true;
    cluster.runUntil(() => call.outcome?.kind === 'applied', 1_000, 'applied');
  });

  it('of a loop that stands still for seconds judges nobody when it goes on', () => {
    const cluster = new Cluster({ nodes: 3, regions: 30 }).startAll();
    settle(cluster);
    const paused = cluster.node(1);
    // Shorter than the others' patience: nothing may happen at all.
    const termsBefore = terms(cluster);
    paused.pausedUntilMs = cluster.clock.nowMs + 400;
    cluster.run(1_500);
    settle(cluster);
    expect(terms(cluster)).toEqual(termsBefore);
    // Longer: the others lead on, and the paused node follows.
    paused.pausedUntilMs = cluster.clock.nowMs + 5_000;
    cluster.run(5_001);
    settle(cluster);
    expect(paused.host!.status().counters['lateTurns']).toBeGreaterThan(0);
    cluster.writeAll('on');
  });
});

describe('replicas', () => {
  it('that are destroyed leave a tombstone and never come back under their id', () => {
    const cluster = new Cluster({ nodes: 3, regions: 2 }).startAll();
    settle(cluster);
    const node = cluster.node(1);
    const destroy = (n: SimNode): void => n.host!.destroyReplica(1 as RegionId);
    destroy(node);
    cluster.run(50);
    expect(node.host!.regionStatus(1 as RegionId)).toBeUndefined();
    node.host!.openReplica(cluster.descriptors[0]!);
    expect(node.host!.machine(1 as RegionId)).toBeUndefined();
    cluster.crash(node);
    cluster.start(node);
    expect(node.host!.machine(1 as RegionId)).toBeUndefined();
    cluster.runUntil(() => leadersKnown(cluster), 5_000, 'the other two lead on');
    cluster.writeAll('two of three');
  });
});
