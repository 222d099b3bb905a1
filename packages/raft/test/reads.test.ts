/**
 * Rules of ReadIndex (thesis §6.4) and of leadership transfer (thesis §3.10).
 */
import { utf8 } from '@moku/base';
import { describe, expect, test } from 'vitest';
import { id, Lone } from './harness/lone.js';

function confirm(lone: Lone, from: number, readRound: number): Lone {
  const { term } = lone.raft;
  return lone.step({ type: 'heartbeatResponse', from: id(from), to: id(1), term, readRound });
}

function led(voters: number[] = [1, 2, 3]): Lone {
  const lone = new Lone({ voters }).lead();
  lone.acknowledge(2, 1).settle();
  lone.hearAll();
  return lone;
}

describe('ReadIndex', () => {
  test('a read waits for the first commit of the term, and its index is not below that', () => {
    const lone = new Lone().lead();
    expect(lone.raft.readIndex(7)).toBe('accepted');
    lone.turn();
    expect(lone.hear('heartbeat')).toEqual([]);
    lone.acknowledge(2, 1).turn();
    expect(lone.hear('heartbeat')).toMatchObject([{ readRound: 1 }, { readRound: 1 }]);
    confirm(lone, 2, 1).turn();
    expect(lone.node.answered).toEqual([{ context: 7, index: 1 }]);
  });

  test('a thousand reads of a turn cost one round', () => {
    const lone = led();
    for (let i = 0; i < 1000; i++) lone.raft.readIndex(i);
    lone.turn();
    expect(lone.hear('heartbeat')).toHaveLength(2);
    confirm(lone, 3, 1).turn();
    expect(lone.node.answered).toHaveLength(1000);
    expect(lone.raft.pendingReads).toBe(0);
  });

  test('an answer to an earlier round does not confirm a later one', () => {
    const lone = led();
    lone.raft.readIndex(1);
    lone.turn();
    lone.raft.readIndex(2);
    lone.turn();
    confirm(lone, 2, 1).turn();
    expect(lone.node.answered.map((read) => read.context)).toEqual([1]);
    confirm(lone, 3, 2).turn();
    expect(lone.node.answered.map((read) => read.context)).toEqual([1, 2]);
  });

  test('a round of five needs two others, and the same one twice is one', () => {
    const lone = new Lone({ voters: [1, 2, 3, 4, 5] }).lead([2, 3]);
    lone.acknowledge(2, 1).acknowledge(3, 1).settle();
    lone.raft.readIndex(1);
    lone.turn();
    confirm(lone, 2, 1);
    confirm(lone, 2, 1).turn();
    expect(lone.node.answered).toEqual([]);
    confirm(lone, 4, 1).turn();
    expect(lone.node.answered).toHaveLength(1);
  });

  test('reads are refused when leadership is lost, the forwarded ones too', () => {
    const lone = led();
    lone.raft.readIndex(1);
    lone.step({ type: 'readIndex', from: id(3), to: id(1), term: 1, context: 9 }).turn();
    lone.raft.readIndex(2);
    lone.raft.stepDown();
    lone.turn();
    expect(lone.node.refused).toEqual([1, 2]);
    expect(lone.hear('readIndexResponse')).toMatchObject([{ to: 3, context: 9, index: -1 }]);
  });

  test('whoever does not lead refuses forwarded reads', () => {
    const lone = new Lone().append(2, 1, '0/0', []);
    lone.step({ type: 'readIndex', from: id(3), to: id(1), term: 1, context: 9 }).turn();
    expect(lone.hear('readIndexResponse')).toMatchObject([{ to: 3, index: -1 }]);
  });

  test('a follower forwards and takes the answer once', () => {
    const lone = new Lone().append(2, 1, '0/0', []).settle();
    expect(lone.raft.readIndex(4)).toBe('accepted');
    expect(lone.turn().hear('readIndex')).toMatchObject([{ to: 2, context: 4 }]);
    const answer = { type: 'readIndexResponse', from: id(2), to: id(1), term: 1 } as const;
    lone
      .step({ ...answer, context: 4, index: 8 })
      .step({ ...answer, context: 4, index: 9 })
      .turn();
    expect(lone.node.answered).toEqual([{ context: 4, index: 8 }]);
  });

  test('forwarded reads are refused when another leader is followed', () => {
    const lone = new Lone().append(2, 1, '0/0', []).settle();
    lone.raft.readIndex(4);
    lone.append(3, 2, '0/0', []).turn();
    expect(lone.node.refused).toEqual([4]);
    expect(lone.raft.pendingReads).toBe(0);
  });

  test('without a leader there is nobody to ask, and queues are bounded', () => {
    expect(new Lone().raft.readIndex(1)).toBe('noLeader');
    const follower = new Lone({ limits: { readsMax: 2 } }).append(2, 1, '0/0', []);
    expect([1, 2, 3].map((n) => follower.raft.readIndex(n))).toEqual([
      'accepted',
      'accepted',
      'busy',
    ]);
    const leader = new Lone({ limits: { readsMax: 2 } }).lead();
    expect([1, 2, 3].map((n) => leader.raft.readIndex(n))).toEqual([
      'accepted',
      'accepted',
      'busy',
    ]);
    leader.step({ type: 'readIndex', from: id(2), to: id(1), term: 1, context: 5 }).turn();
    expect(leader.hear('readIndexResponse')).toMatchObject([{ context: 5, index: -1 }]);
  });
});

describe('transfer', () => {
  test('the word goes once the log of the transferee is equal, and once only', () => {
    const lone = led();
    lone.raft.propose(utf8('x'));
    expect(lone.raft.transferLeader(id(3))).toBe(true);
    lone.turn();
    expect(lone.hear('timeoutNow')).toEqual([]);
    lone.acknowledge(3, 2).turn();
    expect(lone.hear('timeoutNow')).toMatchObject([{ to: 3, term: 1 }]);
    lone.acknowledge(3, 2).turn();
    expect(lone.hear('timeoutNow')).toEqual([]);
  });

  test('proposals and changes are busy until an election timeout has passed', () => {
    const lone = led();
    lone.raft.transferLeader(id(3));
    for (let i = 0; i < 9; i++) lone.raft.tick();
    expect(lone.raft.propose(utf8('x'))).toEqual({ kind: 'busy' });
    const change = { steps: [], context: utf8('') };
    expect(lone.raft.proposeConfChange(change)).toEqual({ kind: 'busy' });
    expect(lone.raft.needsTick).toBe(true);
    confirm(lone, 2, 0);
    lone.raft.tick();
    expect(lone.raft.isTransferring).toBe(false);
    expect(lone.raft.propose(utf8('x')).kind).toBe('accepted');
  });

  test('a new target replaces the old one', () => {
    const lone = led();
    lone.raft.transferLeader(id(3));
    lone.raft.transferLeader(id(2));
    lone.turn().acknowledge(3, 1).acknowledge(2, 1).turn();
    expect(lone.hear('timeoutNow')).toMatchObject([{ to: 2 }]);
  });

  test('whoever is told campaigns at once in the next term, attached or not', () => {
    const lone = new Lone().append(2, 1, '0/0', []).settle();
    lone.raft.setAttached(true);
    lone.step({ type: 'timeoutNow', from: id(2), to: id(1), term: 1 });
    expect([lone.raft.role, lone.raft.term, lone.raft.isAttached]).toEqual(['candidate', 2, false]);
  });

  test('a former leader cannot tell anybody to campaign', () => {
    const lone = new Lone().append(2, 5, '0/0', []).settle();
    lone.step({ type: 'timeoutNow', from: id(3), to: id(1), term: 4 });
    expect([lone.raft.role, lone.raft.term]).toEqual(['follower', 5]);
  });
});
