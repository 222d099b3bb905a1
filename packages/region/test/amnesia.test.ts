/**
 * A follower that lost what it had synced and acknowledged, and whose log cannot tell: its leader can. It
 * stops with LOG_AMNESIA, since a vote may be lost with it, and says nothing more (P6).
 */
import type { RegionId } from '@moku/base';
import { MemoryLogStore } from '@moku/raft';
import { describe, expect, it } from 'vitest';
import { readFrame } from '../src/wire/read-frame.js';
import { Cluster, type SimNode } from './support/cluster.js';

const regionId = 1 as RegionId;

/** Three hosts whose region is led by another node than the third. */
function cluster(): Cluster {
  const made = new Cluster({ nodes: 3, regions: 1 });
  made.node(3).log = new MemoryLogStore({ losableMax: 8, monotonicMs: () => made.clock.nowMs });
  made.startAll();
  const isElsewhere = (): boolean => {
    made.leader(1)?.host?.transferLeadership(regionId, 1 as SimNode['nodeId']);
    return made.leader(1) === made.node(1) && made.allLed();
  };
  made.runUntil(isElsewhere, 5_000, 'led by node 1');
  made.writeAll('first');
  made.writeAll('second');
  made.runUntil(() => made.isAtRest() && made.isConverged(), 5_000, 'at rest');
  return made;
}

function lastIndex(node: SimNode): number {
  return node.host!.regionStatus(regionId)!.lastIndex;
}

/** What `from` promises from now on: votes granted, appends acknowledged. */
function promisesOf(made: Cluster, from: SimNode): string[] {
  const promises: string[] = [];
  made.network.onFrame = (sender, _to, bytes) => {
    if (sender !== from.nodeId) return;
    readFrame(bytes, {
      onControl: () => {},
      onRaft: (_regionId, message) => {
        const isVote = message.type === 'voteResponse' && message.isGranted;
        const isAnswer = message.type === 'appendResponse' && !message.isRejected;
        if (isVote || isAnswer) promises.push(message.type);
      },
      onSnapshot: () => {},
      onSnapshotSignal: () => {},
    });
  };
  return promises;
}

describe('a follower that lost what it acknowledged', () => {
  it.each([1, 2])('(%d batches) is told by its leader, and stops', (batches) => {
    const made = cluster();
    const victim = made.node(3);
    const before = lastIndex(victim);
    made.crash(victim);
    victim.log = victim.log.loseSynced(batches);
    const promises = promisesOf(made, victim);
    made.start(victim);
    expect(() => made.run(5_000)).toThrow(expect.objectContaining({ code: 'LOG_AMNESIA' }));
    expect(victim.fatal).toMatchObject({ details: { field: 'lastIndex', bound: before } });
    expect(promises).toEqual([]);
    // Its turns do nothing any more.
    victim.host!.turn(made.clock.nowMs + 60_000, 0);
    expect(made.network.framesSent).toBeGreaterThan(0);
    expect(promises).toEqual([]);
  });

  it('does not stop for answers that overtake each other', () => {
    const made = cluster();
    for (let i = 0; i < 30; i++) {
      made.propose(1, 'k', String(i));
      made.run(3);
      if (i % 7 === 0) made.network.reset(made.node(1).nodeId, made.node(3).nodeId);
    }
    made.runUntil(() => made.allLed() && made.isAtRest(), 10_000, 'at rest');
    expect(made.isConverged()).toBe(true);
  });
});
