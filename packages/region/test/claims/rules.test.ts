/** The sentences of design §6 on the stream, claims, list, leave, silence and judgement, one by one. */
import type { NodeId, ReplicaId } from '@moku/base';
import { describe, expect, it } from 'vitest';
import { queueItemsMax } from '../../src/claims/state.js';
import { type ControlItem, type FollowerView, listItemsMax } from '../../src/claims/types.js';
import {
  bothEnds,
  electionTimeoutMs,
  heartbeatMs,
  neitherEnd,
  Pair,
  region,
  start,
} from './pair.js';

const types = (items: readonly ControlItem[]): string[] => items.map((item) => item.type);

describe('one ordered stream', () => {
  it('opens with the list, also when empty, with an end mark, before any heartbeat', () => {
    const pair = new Pair();
    pair.open();
    pair.tick(heartbeatMs);
    const items = pair.deliver(pair.leader);
    expect(types(items)).toEqual(['list', 'heartbeat']);
    expect(items[0]).toEqual({ type: 'list', firstNumber: 1, items: [], isLast: true });
  });

  it('answers a heartbeat after everything received before it, behind every queued detach', () => {
    const pair = Pair.attached([1, 2]);
    pair.leader.claims.claim(pair.follower.id, start(3));
    pair.tick(heartbeatMs, [pair.leader]);
    pair.follower.claims.leaveFollowed(region(1));
    // Region 3 has no replica at the follower: the attach is refused before the heartbeat is answered.
    pair.deliver(pair.leader);
    const items = pair.deliver(pair.follower);
    expect(types(items)).toEqual(['detach', 'detach', 'heartbeatAnswer']);
    expect(items.map((item) => 'regionId' in item && item.regionId)).toEqual([1, 3, false]);
  });

  it('may send its own heartbeat first in a turn', () => {
    const pair = Pair.attached([1]);
    pair.tick(heartbeatMs);
    pair.deliver(pair.leader);
    expect(types(pair.deliver(pair.follower))).toEqual(['heartbeat', 'heartbeatAnswer']);
  });

  it('drops items of a former session', () => {
    const pair = Pair.attached([1]);
    pair.leader.claims.leaveLed(pair.follower.id, region(1));
    const late = pair.leader.claims.outgoing(pair.follower.id);
    pair.close();
    pair.open();
    pair.leader.pairs.length = 0;
    const { claims } = pair.follower;
    for (const item of late) claims.receive(pair.leader.id, 's1', item, pair.nowMs);
    expect(claims.counters.staleItems).toBe(1);
    expect(claims.counters.detachesReceived).toBe(0);
  });

  it.each<[string, ControlItem, string]>([
    ['a heartbeat again', { type: 'heartbeat', sequence: 1, oldestUnsyncedMs: 0 }, 'sequence'],
    ['a second list', { type: 'list', firstNumber: 2, items: [], isLast: true }, 'list'],
    ['a claim that skips a number', { type: 'attach', claimNumber: 9, ...start(2) }, 'number'],
    ['a claim on a claimed region', { type: 'attach', claimNumber: 2, ...start(1) }, 'claimed'],
    ['an answer to nothing', answer(7), 'sequence'],
    ['a detach of no claim', detachByFollower(99), 'unknown claim'],
    ['a repair of no bucket', { type: 'repairDigests', repairId: 1, digests: [] }, 'buckets'],
  ])('closes the session for %s', (_, item, detail) => {
    const pair = Pair.attached([1]);
    pair.live(heartbeatMs);
    pair.give(pair.follower, item);
    const event = pair.follower.claims.events().find(({ type }) => type === 'closeSession');
    expect(event).toMatchObject({ peer: 1, sessionId: 's1', reason: 'FRAME_MALFORMED' });
    expect(event).toHaveProperty('detail', expect.stringContaining(detail));
    expect(pair.follower.claims.isAttached(region(1))).toBe(false);
  });

  it('closes the session for what comes before the end of the list', () => {
    const pair = new Pair();
    pair.open();
    pair.give(pair.follower, { type: 'heartbeat', sequence: 1, oldestUnsyncedMs: 0 });
    expect(pair.follower.claims.events().at(-1)).toMatchObject({ type: 'closeSession' });
  });

  it('closes the session when its queue is full, and drops nothing before', () => {
    const pair = Pair.attached([]);
    const peers = [{ peer: pair.follower.id, replicaId: 5 as ReplicaId }];
    for (let i = 0; i < queueItemsMax; i++) {
      pair.leader.claims.leadershipEnded(region(i), 1, peers);
    }
    expect(pair.leader.claims.events()).toEqual([]);
    pair.leader.claims.leadershipEnded(region(0), 2, peers);
    expect(pair.leader.claims.events()).toMatchObject([{ reason: 'PEER_OVERRUN' }]);
    expect(pair.leader.claims.outgoing(pair.follower.id)).toEqual([]);
  });
});

describe('claim', () => {
  it('is held at both ends after an acknowledged append, and the follower is told what is committed', () => {
    const pair = Pair.attached([]);
    pair.follower.follow(pair.leader, [1]);
    pair.follower.set(1, { lastIndex: 12, commitIndex: 3 });
    expect(pair.leader.claims.claim(pair.follower.id, start(1, 1, 9, 7))).toBe(true);
    pair.settle();
    expect(pair.isClaimed(1)).toEqual(bothEnds);
    expect(pair.takeEvents().follower).toEqual([
      { type: 'attached', regionId: 1, peer: 1, term: 1, commitIndex: 7 },
    ]);
  });

  it('is made once, however many appends are acknowledged', () => {
    const pair = Pair.attached([1]);
    expect(pair.leader.claims.claim(pair.follower.id, start(1))).toBe(true);
    expect(pair.leader.claims.outgoing(pair.follower.id)).toEqual([]);
  });

  it('is not made without a session', () => {
    const pair = new Pair();
    expect(pair.leader.claims.claim(pair.follower.id, start(1))).toBe(false);
    expect(pair.isClaimed(1)).toEqual(neitherEnd);
  });

  it('of a new term replaces one that still stands, in order', () => {
    const pair = Pair.attached([1]);
    pair.leader.claims.claim(pair.follower.id, start(1, 4));
    const items = pair.leader.claims.outgoing(pair.follower.id);
    expect(items).toMatchObject([
      { type: 'detach', term: 1, claimNumber: 1 },
      { type: 'attach', term: 4, claimNumber: 2 },
    ]);
  });

  it('on a replaced replica replaces one that still stands, in order', () => {
    const pair = Pair.attached([1]);
    const replicaId = 55 as ReplicaId;
    pair.leader.claims.claim(pair.follower.id, { ...start(1), replicaId });
    const items = pair.leader.claims.outgoing(pair.follower.id);
    expect(items).toMatchObject([
      { type: 'detach', replicaId: 1_001, claimNumber: 1, isRelease: false },
      { type: 'attach', replicaId: 55, claimNumber: 2 },
    ]);
  });

  it.each<[string, Partial<FollowerView>]>([
    ['of another term', { term: 2 }],
    ['that is another replica', { replicaId: 77 as ReplicaId }],
    ['that follows another leader', { leaderNodeId: 3 as NodeId }],
    ['that failed', { canAttach: false }],
    ['that lacks what it acknowledged', { lastIndex: 9 }],
  ])('is refused by a follower %s', (_, change) => {
    const pair = Pair.attached([]);
    pair.follower.follow(pair.leader, [1]);
    pair.follower.set(1, change);
    pair.leader.claims.claim(pair.follower.id, start(1));
    pair.settle();
    expect(pair.isClaimed(1)).toEqual(neitherEnd);
    const { leader, follower } = pair.takeEvents();
    expect(leader).toEqual([{ type: 'unattached', regionId: 1, peer: 2, replicaId: 1_001 }]);
    expect(follower).toEqual([]);
  });
});

describe('list', () => {
  it('attaches whom it names and who is equal', () => {
    const pair = Pair.attached([1, 2, 3]);
    for (const id of [1, 2, 3]) expect(pair.isClaimed(id)).toEqual(bothEnds);
    expect(pair.follower.claims.counters.listItemsAccepted).toBe(3);
  });

  it('detaches whom it lacks', () => {
    const pair = Pair.attached([1, 2]);
    pair.close();
    pair.leader.pairs.splice(0, 1);
    pair.open();
    pair.settle();
    expect(pair.isClaimed(1)).toEqual(neitherEnd);
    expect(pair.isClaimed(2)).toEqual(bothEnds);
  });

  it.each<[string, Partial<FollowerView>]>([
    ['term', { term: 2 }],
    ['replica id', { replicaId: 77 as ReplicaId }],
    ['leader', { leaderNodeId: 3 as NodeId }],
    ['lastIndex', { lastIndex: 11 }],
    ['commitIndex', { commitIndex: 9 }],
    ['health', { canAttach: false }],
  ])('is answered by a detach from who differs in %s', (_, change) => {
    const pair = new Pair();
    pair.follower.follow(pair.leader, [1, 2]);
    pair.follower.set(1, change);
    pair.leader.pairs.push(start(1), start(2));
    pair.open();
    pair.settle();
    expect(pair.isClaimed(1)).toEqual(neitherEnd);
    expect(pair.isClaimed(2)).toEqual(bothEnds);
    expect(pair.leader.claims.events()).toContainEqual({
      type: 'unattached',
      regionId: 1,
      peer: 2,
      replicaId: 1_001,
    });
  });

  it('is cut into items of a bounded number, and only the last ends it', () => {
    const pair = new Pair();
    const ids = Array.from({ length: 2 * listItemsMax + 1 }, (_, i) => i + 1);
    pair.follower.follow(pair.leader, ids);
    for (const id of ids) pair.leader.pairs.push(start(id));
    pair.open();
    const items = pair.deliver(pair.leader);
    expect(items.map((item) => item.type === 'list' && item.isLast)).toEqual([false, false, true]);
    expect(pair.follower.claims.peerStats()[0]?.claimsFollowed).toBe(ids.length);
    pair.live(heartbeatMs);
    expect(pair.leader.claims.counters).toMatchObject({ digestsCompared: 1, digestMismatches: 0 });
  });
});

describe('leave', () => {
  it('queues a detach with the term when a follower leaves', () => {
    const pair = Pair.attached([1]);
    expect(pair.follower.claims.leaveFollowed(region(1))).toBe(true);
    expect(pair.follower.claims.leaveFollowed(region(1))).toBe(false);
    expect(pair.deliver(pair.follower)).toMatchObject([
      { type: 'detach', by: 'follower', term: 1 },
    ]);
    expect(pair.isClaimed(1)).toEqual(neitherEnd);
    expect(pair.takeEvents().leader).toMatchObject([{ type: 'unattached', regionId: 1 }]);
  });

  it('tells every peer of the region when leadership ends, whether or not a claim stands', () => {
    const pair = Pair.attached([1]);
    pair.follower.follow(pair.leader, [2]);
    for (const id of [1, 2]) {
      const { regionId, replicaId } = start(id);
      const pairs = [
        { peer: pair.follower.id, replicaId },
        { peer: 9 as NodeId, replicaId },
      ];
      pair.leader.claims.leadershipEnded(regionId, 1, pairs);
    }
    pair.settle();
    expect(pair.takeEvents().follower).toEqual([
      { type: 'detached', regionId: 1, peer: 1, reason: 'leaderLeft' },
      { type: 'released', regionId: 1, peer: 1, term: 1 },
      { type: 'released', regionId: 2, peer: 1, term: 1 },
    ]);
    expect(pair.isClaimed(1)).toEqual(neitherEnd);
  });

  it('releases nobody who follows another leader or another term by now', () => {
    const pair = Pair.attached([]);
    pair.follower.follow(pair.leader, [1], 2);
    pair.follower.set(2, { leaderNodeId: 3 as NodeId });
    for (const id of [1, 2, 3]) {
      const { regionId, replicaId } = start(id);
      pair.leader.claims.leadershipEnded(regionId, 1, [{ peer: pair.follower.id, replicaId }]);
    }
    pair.settle();
    expect(pair.takeEvents().follower).toEqual([]);
  });

  it('releases nobody when a leader leaves one pair and leads on', () => {
    const pair = Pair.attached([1]);
    expect(pair.leader.claims.leaveLed(pair.follower.id, region(1))).toBe(true);
    expect(pair.leader.claims.leaveLed(pair.follower.id, region(1))).toBe(false);
    pair.settle();
    expect(pair.takeEvents().follower).toEqual([
      { type: 'detached', regionId: 1, peer: 1, reason: 'leaderLeft' },
    ]);
  });

  it('does not end a claim that was renewed while the detach was under way', () => {
    const pair = Pair.attached([1]);
    pair.follower.claims.leaveFollowed(region(1));
    pair.leader.claims.leaveLed(pair.follower.id, region(1));
    pair.leader.claims.claim(pair.follower.id, start(1));
    pair.settle();
    expect(pair.isClaimed(1)).toEqual(bothEnds);
    pair.live(heartbeatMs);
    expect(pair.leader.claims.counters.digestMismatches).toBe(0);
  });

  it('is two matters where each node has led the region', () => {
    const pair = Pair.attached([1]);
    const { leader, follower } = pair;
    const { replicaId } = start(1);
    leader.claims.leadershipEnded(region(1), 1, [{ peer: follower.id, replicaId }]);
    follower.claims.leaveFollowed(region(1));
    leader.follow(follower, [1], 2);
    follower.claims.claim(leader.id, start(1, 2));
    pair.settle();
    expect(leader.claims.isAttached(region(1))).toBe(true);
    expect(follower.claims.hasClaim(leader.id, region(1))).toBe(true);
    expect(pair.isClaimed(1)).toEqual(neitherEnd);
  });
});

describe('silence', () => {
  it('closes the session after an election timeout, sends no detach, and ends all claims at once', () => {
    const pair = Pair.attached([1, 2]);
    pair.tick(electionTimeoutMs - 1, [pair.follower]);
    expect(pair.follower.claims.isAttached(region(1))).toBe(true);
    pair.follower.claims.events();
    pair.tick(1, [pair.follower]);
    expect(pair.follower.claims.events()).toEqual([
      { type: 'closeSession', peer: 1, sessionId: 's1', reason: 'PEER_SILENT', detail: '' },
      { type: 'detached', regionId: 1, peer: 1, reason: 'peerSilent' },
      { type: 'detached', regionId: 2, peer: 1, reason: 'peerSilent' },
    ]);
    expect(pair.follower.claims.outgoing(pair.leader.id)).toEqual([]);
    pair.tick(0, [pair.leader]);
    expect(pair.isClaimed(1)).toEqual(neitherEnd);
    expect(pair.leader.claims.events()).toContainEqual({
      type: 'unattached',
      regionId: 2,
      peer: 2,
      replicaId: 1_002,
    });
  });

  it('is broken by any frame', () => {
    const pair = Pair.attached([1]);
    pair.tick(electionTimeoutMs - 1, [pair.follower]);
    pair.follower.claims.heard(pair.leader.id, pair.sessionId, pair.nowMs);
    pair.tick(electionTimeoutMs - 1, [pair.follower]);
    expect(pair.follower.claims.isAttached(region(1))).toBe(true);
  });

  it('leaves the decision to the next list, and starts nothing when the same process is back', () => {
    const pair = Pair.attached([1]);
    pair.close();
    pair.open();
    pair.settle();
    expect(pair.isClaimed(1)).toEqual(bothEnds);
    expect(pair.takeEvents().follower.map(({ type }) => type)).toEqual([
      'detached',
      'peerHeard',
      'attached',
    ]);
  });

  it('tells of a process that is another one than before, and of none at the first meeting', () => {
    const first = new Pair();
    first.open();
    expect(first.takeEvents().follower).toEqual([{ type: 'peerHeard', peer: 1 }]);
    const pair = Pair.attached([1]);
    pair.close();
    pair.leader.incarnation += 1;
    pair.leader.pairs.length = 0;
    pair.open();
    pair.settle();
    expect(pair.takeEvents().follower.map(({ type }) => type)).toEqual([
      'detached',
      'peerRestarted',
      'peerHeard',
    ]);
  });

  it('of a node for check-quorum is time since it was heard, and endless when it never was', () => {
    const pair = Pair.attached([1]);
    const { claims } = pair.leader;
    expect(claims.silentMs(pair.follower.id, pair.nowMs + 30)).toBe(30);
    expect(claims.silentMs(9 as NodeId, pair.nowMs)).toBe(Number.POSITIVE_INFINITY);
  });
});

describe('correlated judgement', () => {
  it('judges nobody in a turn that was itself late', () => {
    const pair = Pair.attached([1]);
    pair.nowMs += 3 * electionTimeoutMs;
    const lateMs = 2 * electionTimeoutMs;
    pair.follower.claims.tick({ nowMs: pair.nowMs, lateMs, oldestUnsyncedMs: 0 });
    expect(pair.follower.claims.isAttached(region(1))).toBe(true);
  });

  it('does not count as silence the time in which it slept itself', () => {
    const pair = Pair.attached([1]);
    const sleptMs = 10 * electionTimeoutMs;
    pair.nowMs += sleptMs;
    const turn = { nowMs: pair.nowMs, lateMs: sleptMs, oldestUnsyncedMs: 0 };
    pair.follower.claims.tick(turn);
    pair.tick(electionTimeoutMs - 1, [pair.follower]);
    expect(pair.follower.claims.isAttached(region(1))).toBe(true);
    pair.tick(1, [pair.follower]);
    expect(pair.follower.claims.isAttached(region(1))).toBe(false);
  });
});

describe('unattached', () => {
  it('probes nobody who is down or quiet, and resumes when the peer is heard again', () => {
    const pair = Pair.attached([1]);
    const { claims } = pair.leader;
    expect(claims.isReachable(pair.follower.id)).toBe(true);
    pair.tick(3 * heartbeatMs, [pair.leader]);
    // A pause makes no link event: the session and its claims stand.
    expect(claims.isReachable(pair.follower.id)).toBe(false);
    expect(pair.isClaimed(1)).toEqual(bothEnds);
    pair.follower.claims.tick({ nowMs: pair.nowMs, lateMs: 250, oldestUnsyncedMs: 0 });
    pair.deliver(pair.follower);
    expect(claims.isReachable(pair.follower.id)).toBe(true);
    expect(claims.events()).toEqual([{ type: 'peerHeard', peer: 2 }]);
    pair.close();
    expect(claims.isReachable(pair.follower.id)).toBe(false);
  });
});

describe('disk', () => {
  it('is told of in the heartbeat: how long the oldest unsynced batch has waited', () => {
    const pair = Pair.attached([1]);
    const nowMs = pair.nowMs + heartbeatMs;
    pair.leader.claims.tick({ nowMs, lateMs: 0, oldestUnsyncedMs: 345.6 });
    pair.settle();
    expect(pair.follower.claims.peerStats()).toMatchObject([{ peer: 1, oldestUnsyncedMs: 345 }]);
  });
});

describe('idle claims', () => {
  it('are not looked at by heartbeats, answers and judgement, however many they are', () => {
    const pair = Pair.attached(Array.from({ length: 5_000 }, (_, i) => i + 1));
    const { leader, follower } = pair;
    const untouchable = (): never => {
      throw new Error('a turn at rest looked at the claims');
    };
    const led = leader.claims.state.peers.get(follower.id)!.session!.led;
    for (const claims of [led, follower.claims.state.followed]) {
      for (const method of ['get', 'has', 'forEach', 'entries', 'keys', 'values'] as const) {
        claims[method] = untouchable;
      }
      claims[Symbol.iterator] = untouchable;
    }
    pair.live(10 * heartbeatMs);
    expect(leader.claims.counters).toMatchObject({ heartbeatsAnswered: 10, digestMismatches: 0 });
    expect(leader.claims.counters.digestsCompared).toBe(10);
  });

  it('cost one heartbeat and one answer per interval', () => {
    const pair = Pair.attached([1, 2, 3]);
    expect(pair.leader.claims.nextDueMs()).toBe(pair.nowMs);
    pair.tick(heartbeatMs);
    expect(pair.leader.claims.nextDueMs()).toBe(pair.nowMs + heartbeatMs);
    pair.tick(heartbeatMs - 1);
    const items = [...pair.deliver(pair.leader), ...pair.deliver(pair.follower)];
    expect(types(items)).toEqual(['heartbeat', 'heartbeat', 'heartbeatAnswer']);
  });
});

function answer(sequence: number): ControlItem {
  return { type: 'heartbeatAnswer', sequence, digest: { count: 0, sumHigh: 0, sumLow: 0 } };
}

function detachByFollower(claimNumber: number): ControlItem {
  const { regionId, term, replicaId } = start(1);
  const by = 'follower';
  return { type: 'detach', by, regionId, term, replicaId, claimNumber, isRelease: false };
}
