/**
 * Liveness by node (design §6) where it touches the core, and check-quorum (thesis §6.2).
 */
import { utf8 } from '@moku/base';
import { describe, expect, test } from 'vitest';
import { entries, id, Lone } from './harness/lone.js';

const byNode = { heartbeatTicks: 0 };

describe('attachment', () => {
  test('an attached follower holds no timer and refuses pre-votes for as long as it is attached', () => {
    const lone = new Lone(byNode).append(2, 1, '0/0', []).settle();
    lone.raft.setAttached(true);
    expect(lone.raft.needsTick).toBe(false);
    for (let i = 0; i < 1000; i++) lone.raft.tick();
    expect(lone.raft.hasReady()).toBe(false);
    lone.requestVote('preVote', 3, 2, '9/9').turn();
    expect(lone.hear('preVoteResponse')).toMatchObject([{ isGranted: false }]);
    lone.raft.campaign();
    expect(lone.raft.role).toBe('follower');
  });

  test('losing it starts the timer anew and ends the loyalty', () => {
    const lone = new Lone(byNode).append(2, 1, '0/0', []).settle();
    for (let i = 0; i < 9; i++) lone.raft.tick();
    lone.raft.setAttached(true);
    lone.raft.setAttached(false);
    for (let i = 0; i < 9; i++) lone.raft.tick();
    expect(lone.raft.role).toBe('follower');
    lone.requestVote('preVote', 3, 2, '9/9').turn();
    expect(lone.hear('preVoteResponse')).toMatchObject([{ isGranted: true }]);
    for (let i = 0; i < 11; i++) lone.raft.tick();
    expect(lone.raft.role).toBe('preCandidate');
  });

  test('only a follower of a leader can be attached', () => {
    const lone = new Lone(byNode);
    lone.raft.setAttached(true);
    expect(lone.raft.isAttached).toBe(false);
    lone.lead();
    lone.raft.setAttached(true);
    expect(lone.raft.isAttached).toBe(false);
  });

  test('it ends with the term, whoever brings the new one', () => {
    const lone = new Lone(byNode).append(2, 1, '0/0', []).settle();
    lone.raft.setAttached(true);
    lone.requestVote('vote', 3, 2, '0/0');
    expect(lone.raft.isAttached).toBe(false);
    lone.append(2, 3, '0/0', []);
    lone.raft.setAttached(true);
    lone.append(3, 4, '0/0', []);
    expect(lone.raft.isAttached).toBe(false);
    lone.append(3, 4, '0/0', entries('4/1'));
    lone.raft.setAttached(true);
    lone.append(3, 4, '4/1', entries('4/2'));
    expect(lone.raft.isAttached).toBe(true);
  });
});

describe('a leader watched by its host', () => {
  test('sends nothing and checks nothing by itself', () => {
    const lone = new Lone(byNode).lead();
    lone.acknowledge(2, 1).acknowledge(3, 1).settle();
    lone.hearAll();
    expect(lone.raft.needsTick).toBe(false);
    for (let i = 0; i < 100; i++) lone.raft.tick();
    expect(lone.settle().hearAll()).toEqual([]);
    expect(lone.raft.role).toBe('leader');
  });

  test('steps down at once when a quorum of its voters is silent, not before', () => {
    const lone = new Lone({ ...byNode, voters: [1, 2, 3, 4, 5] }).lead([2, 3]);
    lone.raft.setPeerSilent(id(2), true);
    lone.raft.setPeerSilent(id(3), true);
    lone.raft.setPeerSilent(id(3), false);
    lone.raft.setPeerSilent(id(4), true);
    expect(lone.raft.role).toBe('leader');
    lone.raft.setPeerSilent(id(5), true);
    expect([lone.raft.role, lone.raft.leaderId, lone.raft.term]).toEqual(['follower', 0, 1]);
  });

  test('after a reset it probes, and sends again what was under way', () => {
    const lone = new Lone(byNode).lead();
    lone.acknowledge(2, 1).acknowledge(3, 1).settle();
    lone.raft.propose(utf8('x'));
    lone.settle();
    lone.hearAll();
    lone.raft.peerReset(id(2));
    expect(lone.raft.progress(id(2))).toMatchObject({
      state: 'probe',
      matchIndex: 1,
      nextIndex: 2,
    });
    expect(lone.turn().hearAll()).toEqual([]);
    lone.raft.probe(id(2));
    expect(lone.turn().hear('append')).toMatchObject([
      { to: 2, prevLogIndex: 1, entries: [{ index: 2 }] },
    ]);
    // Paused until an answer or another probe.
    lone.raft.propose(utf8('y'));
    expect(
      lone
        .turn()
        .hear('append')
        .filter((append) => append.to === 2),
    ).toEqual([]);
    lone.raft.probe(id(2));
    expect(lone.turn().hear('append')).toMatchObject([
      { to: 2, entries: [{ index: 2 }, { index: 3 }] },
    ]);
  });

  test('a probe of a replica that has everything is an empty append', () => {
    const lone = new Lone(byNode).lead();
    lone.acknowledge(2, 1).acknowledge(3, 1).settle();
    lone.hearAll();
    lone.raft.probe(id(3));
    expect(lone.turn().hear('append')).toMatchObject([{ to: 3, prevLogIndex: 1, entries: [] }]);
  });

  test('what the host says about strangers or to a follower is ignored', () => {
    const lone = new Lone(byNode).append(2, 1, '0/0', []).settle();
    lone.hearAll();
    lone.raft.probe(id(2));
    lone.raft.setPeerSilent(id(2), true);
    lone.raft.reportSnapshot(id(2), true);
    lone.raft.stepDown();
    expect(lone.settle().hearAll()).toEqual([]);
    lone.lead();
    lone.raft.probe(id(9));
    lone.raft.peerReset(id(9));
    lone.raft.peerReset(id(1));
    expect(lone.raft.role).toBe('leader');
  });
});

describe('check-quorum with heartbeats', () => {
  test('a leader that hears from a quorum stays, one that does not steps down', () => {
    const lone = new Lone({ heartbeatTicks: 3 }).lead();
    for (let i = 0; i < 10; i++) lone.raft.tick();
    for (let i = 0; i < 9; i++) lone.raft.tick();
    lone.step({ type: 'heartbeatResponse', from: id(3), to: id(1), term: 1, readRound: 0 });
    lone.raft.tick();
    expect(lone.raft.role).toBe('leader');
    for (let i = 0; i < 10; i++) lone.raft.tick();
    expect(lone.raft.role).toBe('follower');
  });

  test('heartbeats leave every heartbeatTicks and commit no more than the peer is known to have', () => {
    const lone = new Lone({ heartbeatTicks: 3 }).lead();
    lone.acknowledge(2, 1).settle();
    lone.hearAll();
    for (let i = 0; i < 3; i++) lone.raft.tick();
    expect(lone.turn().hear('heartbeat')).toMatchObject([
      { to: 2, commitIndex: 1 },
      { to: 3, commitIndex: 0 },
    ]);
  });
});

test('an idle replica has nothing ready and its Readies are empty', () => {
  const lone = new Lone(byNode).append(2, 1, '0/0', entries('1/1'), 1).settle();
  expect(lone.raft.hasReady()).toBe(false);
  const ready = lone.raft.ready();
  const { number, ...rest } = ready;
  expect(number).toBeGreaterThan(0);
  expect(rest).toEqual({
    hardState: undefined,
    mustSync: false,
    entries: [],
    snapshot: undefined,
    messages: [],
    messagesAfterPersist: [],
    committedEntries: [],
    readStates: [],
    readsRefused: [],
  });
});

test('a message for another replica id is dropped: this replica replaced it', () => {
  const lone = new Lone();
  lone.step({ type: 'timeoutNow', from: id(2), to: id(7), term: 9 });
  lone.step({ type: 'timeoutNow', from: id(1), to: id(1), term: 9 });
  expect(lone.raft.term).toBe(0);
});
