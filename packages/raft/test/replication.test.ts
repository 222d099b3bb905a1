/**
 * Rules of replication and commit: paper §5.3, §5.4.2, §5.5, figure 2, §7; thesis §10.2.1.
 */
import { utf8 } from '@moku/base';
import { describe, expect, test } from 'vitest';
import { entries, id, Lone } from './harness/lone.js';

describe('a follower (paper §5.3, figure 2, AppendEntries)', () => {
  test('refuses what does not match at prevLogIndex', () => {
    const lone = new Lone().append(2, 1, '1/3', entries('1/4')).turn();
    expect(lone.hear('appendResponse')).toMatchObject([{ isRejected: true, index: 3 }]);
    expect(lone.logText()).toBe('empty');
  });

  test('refuses another term at prevLogIndex, and names where the logs may agree', () => {
    const lone = new Lone().append(2, 3, '0/0', entries('1/1', '1/2', '3/3', '3/4')).settle();
    lone.hearAll();
    lone.append(3, 4, '2/4', entries('4/5')).turn();
    expect(lone.hear('appendResponse')).toMatchObject([
      { isRejected: true, index: 4, hintIndex: 2, hintTerm: 1 },
    ]);
  });

  test('deletes a conflicting entry and everything behind it', () => {
    const lone = new Lone().append(2, 1, '0/0', entries('1/1', '1/2', '1/3')).settle();
    lone.append(3, 2, '1/1', entries('2/2')).settle();
    expect(lone.logText()).toBe('1/1 "1/1" 2/2 "2/2"');
  });

  test('deletes nothing behind what it has already (a late append is shorter than the log)', () => {
    const lone = new Lone().append(2, 1, '0/0', entries('1/1', '1/2', '1/3')).settle();
    lone.hearAll();
    lone.append(2, 1, '0/0', entries('1/1')).settle();
    expect(lone.logText()).toBe('1/1 "1/1" 1/2 "1/2" 1/3 "1/3"');
    expect(lone.hear('appendResponse')).toMatchObject([{ isRejected: false, index: 1 }]);
  });

  test('commits at most the last entry that the append made sure of', () => {
    const lone = new Lone().append(2, 1, '0/0', entries('1/1', '1/2', '1/3')).settle();
    lone.append(3, 2, '0/0', entries('1/1'), 3).settle();
    expect(lone.raft.commitIndex).toBe(1);
    expect(lone.hear('appendResponse').at(-1)).toMatchObject({ index: 1 });
  });

  test('takes a greater commitIndex, never a lower one', () => {
    const lone = new Lone().append(2, 1, '0/0', entries('1/1', '1/2'), 2).settle();
    lone.append(2, 1, '1/2', entries('1/3'), 1).settle();
    expect(lone.raft.commitIndex).toBe(2);
  });

  test('acknowledges what is committed when asked about something before it', () => {
    const lone = new Lone().append(2, 1, '0/0', entries('1/1', '1/2', '1/3'), 3).settle();
    lone.hearAll();
    lone.append(2, 1, '1/1', [], 3).settle();
    expect(lone.hear('appendResponse')).toMatchObject([{ isRejected: false, index: 3 }]);
  });

  test('never replaces what is committed', () => {
    const lone = new Lone().append(2, 1, '0/0', entries('1/1', '1/2'), 2).settle();
    lone.append(3, 2, '0/0', entries('2/1', '2/2', '2/3')).settle();
    expect(lone.logText()).toBe('1/1 "1/1" 1/2 "1/2" 2/3 "2/3"');
  });

  test('a heartbeat for more than the log has shows that what was acknowledged is lost', () => {
    const lone = new Lone().append(2, 1, '0/0', entries('1/1')).settle();
    const beat = { type: 'heartbeat', from: id(2), to: id(1), term: 1, readRound: 0 } as const;
    lone.step({ ...beat, commitIndex: 1, matchIndex: 1 });
    expect(lone.raft.commitIndex).toBe(1);
    const lost = { ...beat, commitIndex: 1, matchIndex: 2 };
    expect(() => lone.step(lost)).toThrow(expect.objectContaining({ code: 'LOG_AMNESIA' }));
  });

  test('a heartbeat that commits what was not acknowledged is a bug', () => {
    const lone = new Lone().append(2, 1, '0/0', entries('1/1')).settle();
    const beat = { type: 'heartbeat', from: id(2), to: id(1), term: 1, readRound: 0 } as const;
    expect(() => lone.step({ ...beat, commitIndex: 2, matchIndex: 1 })).toThrow('R3');
  });
});

describe('a leader', () => {
  test('begins its term with an empty entry, sent at once', () => {
    const lone = new Lone();
    lone.raft.campaign();
    lone.answerVote('preVoteResponse', 2, 1).settle();
    lone.answerVote('voteResponse', 2, 1).turn();
    expect(lone.hear('append')).toMatchObject([
      { to: 2, prevLogIndex: 0, prevLogTerm: 0, entries: [{ term: 1, index: 1 }] },
      { to: 3, prevLogIndex: 0, prevLogTerm: 0, entries: [{ term: 1, index: 1 }] },
    ]);
    expect(lone.raft.firstIndexOfTerm).toBe(1);
  });

  test('only appends to its own log', () => {
    const lone = new Lone().append(2, 1, '0/0', entries('1/1', '1/2')).settle().lead();
    lone.raft.propose(utf8('x'));
    expect(lone.logText()).toBe('1/1 "1/1" 1/2 "1/2" 2/3 2/4 "x"');
  });

  test('puts the term and index of an accepted proposal in its answer', () => {
    const lone = new Lone().lead();
    expect(lone.raft.propose(utf8('x'))).toEqual({ kind: 'accepted', index: 2, term: 1 });
    expect(lone.raft.propose(utf8('y'))).toEqual({ kind: 'accepted', index: 3, term: 1 });
    const follower = new Lone().append(3, 1, '0/0', []);
    expect(follower.raft.propose(utf8('x'))).toEqual({ kind: 'notLeader', leaderId: 3 });
  });

  test('sends proposals of one turn in one append to each peer', () => {
    const lone = new Lone().lead();
    lone.acknowledge(2, 1).acknowledge(3, 1).turn();
    lone.hearAll();
    for (let i = 0; i < 5; i++) lone.raft.propose(utf8(`p${i}`));
    lone.turn();
    const appends = lone.hear('append');
    expect(appends.map((append) => append.entries.length)).toEqual([5, 5]);
  });

  test('commits when a majority has the entry, and tells the followers', () => {
    const lone = new Lone().lead();
    lone.acknowledge(2, 1).settle();
    expect(lone.raft.commitIndex).toBe(1);
    lone.raft.propose(utf8('x'));
    lone.settle();
    lone.hearAll();
    lone.acknowledge(2, 2).turn();
    expect(lone.raft.commitIndex).toBe(2);
    expect(lone.hear('append')).toMatchObject([{ to: 2, commitIndex: 2, entries: [] }]);
  });

  test('commits no entry of a former term by counting (paper §5.4.2)', () => {
    const lone = new Lone().append(2, 1, '0/0', entries('1/1', '1/2')).settle().lead();
    lone.acknowledge(2, 2).acknowledge(3, 2).turn();
    expect(lone.raft.commitIndex).toBe(0);
    lone.acknowledge(2, 3).turn();
    expect(lone.raft.commitIndex).toBe(3);
  });

  test('counts itself only as far as its own disk has synced', () => {
    const lone = new Lone().lead();
    lone.acknowledge(2, 1).settle();
    lone.raft.propose(utf8('x'));
    lone.turn();
    lone.raft.propose(utf8('y'));
    lone.turn().acknowledge(2, 3);
    expect(lone.raft.commitIndex).toBe(1);
    lone.sync(1);
    expect(lone.raft.commitIndex).toBe(2);
    lone.sync(1);
    expect(lone.raft.commitIndex).toBe(3);
  });

  test('commits without its own disk what a majority of others has, and applies it only when synced', () => {
    const lone = new Lone().lead();
    lone.acknowledge(2, 1).settle();
    lone.raft.propose(utf8('x'));
    lone.turn().acknowledge(2, 2).acknowledge(3, 2).turn();
    expect([lone.raft.commitIndex, lone.node.appliedIndex]).toEqual([2, 1]);
    lone.sync().turn();
    expect(lone.node.appliedIndex).toBe(2);
  });

  test('steps back by terms when it is refused', () => {
    const lone = new Lone();
    lone
      .append(2, 1, '0/0', entries('1/1', '1/2'))
      .append(2, 4, '1/2', entries('4/3', '4/4', '4/5'));
    lone.settle().lead();
    const rejection = { type: 'appendResponse', from: id(2), to: id(1), term: 5 } as const;
    lone.step({ ...rejection, index: 5, isRejected: true, hintIndex: 5, hintTerm: 3 }).turn();
    expect(lone.hear('append')).toMatchObject([{ to: 2, prevLogIndex: 2, prevLogTerm: 1 }]);
    // A refusal that comes twice, or late, changes nothing.
    lone.step({ ...rejection, index: 5, isRejected: true, hintIndex: 1, hintTerm: 1 }).turn();
    expect(lone.hear('append')).toEqual([]);
    expect(lone.raft.progress(id(2))).toMatchObject({ state: 'probe', nextIndex: 3 });
  });

  test('is not led astray by answers from strangers', () => {
    const lone = new Lone().lead();
    lone.acknowledge(9, 1).turn();
    expect(lone.raft.commitIndex).toBe(0);
  });

  test('an acknowledgement of what the leader does not have is a bug', () => {
    const lone = new Lone().lead();
    expect(() => lone.acknowledge(2, 99)).toThrow('A3');
  });

  test('refuses empty data: that is the no-op', () => {
    expect(() => new Lone().lead().raft.propose(utf8(''))).toThrow();
  });
});

describe('durability of replication', () => {
  test('an acknowledgement waits for the sync of what it vouches for, a refusal does not', () => {
    const lone = new Lone().append(2, 1, '0/0', entries('1/1')).turn();
    expect(lone.hear('appendResponse')).toEqual([]);
    lone.append(2, 1, '1/7', []).turn();
    expect(lone.hear('appendResponse')).toMatchObject([{ isRejected: true }]);
    expect(lone.sync().hear('appendResponse')).toMatchObject([{ isRejected: false, index: 1 }]);
  });

  test('with nothing under way to the disk an acknowledgement leaves at once', () => {
    const lone = new Lone().append(2, 1, '0/0', entries('1/1')).settle();
    lone.hearAll();
    lone.append(2, 1, '1/1', []).turn();
    expect(lone.node.holdsMessages).toBe(false);
    expect(lone.hear('appendResponse')).toMatchObject([{ index: 1 }]);
  });

  test('a repeated append is not acknowledged before the first is synced', () => {
    const lone = new Lone().append(2, 1, '0/0', entries('1/1')).turn();
    lone.append(2, 1, '0/0', entries('1/1')).turn();
    expect(lone.hear('appendResponse')).toEqual([]);
  });

  test('an append overtaken by a truncation leaves nothing of it counted as synced', () => {
    const lone = new Lone().append(2, 1, '0/0', entries('1/1')).settle();
    lone.append(2, 1, '1/1', entries('1/2', '1/3')).turn();
    lone.append(3, 2, '1/1', entries('2/2', '2/3')).turn();
    lone.sync(1);
    expect(lone.raft.stableIndex).toBe(1);
    lone.sync(1);
    expect(lone.raft.stableIndex).toBe(3);
  });

  test('an entry truncated and appended again is synced by its second writing only', () => {
    const lone = new Lone().append(2, 1, '0/0', entries('1/1')).settle();
    lone.append(2, 1, '1/1', entries('1/2')).turn();
    lone.append(3, 2, '1/1', entries('2/2')).turn();
    lone.append(2, 3, '1/1', entries('1/2'), 2).turn();
    const stable: number[] = [];
    while (lone.node.unsynced > 0) {
      lone.sync(1);
      stable.push(lone.raft.stableIndex);
    }
    expect(stable).toEqual([1, 1, 2]);
  });

  test('a synced entry that is truncated is not synced any more', () => {
    const lone = new Lone().append(2, 1, '0/0', entries('1/1', '1/2', '1/3')).settle();
    lone.append(3, 2, '1/1', entries('2/2', '2/3'), 3).turn();
    expect([lone.raft.stableIndex, lone.node.appliedIndex]).toEqual([1, 1]);
    lone.sync().turn();
    expect([lone.raft.stableIndex, lone.node.appliedIndex]).toEqual([3, 3]);
  });

  test('hard state rides with entries, so that a restarted replica knows what was committed before them', () => {
    const lone = new Lone().append(2, 1, '0/0', entries('1/1'), 1).settle();
    lone.append(2, 1, '1/1', entries('1/2'), 1).settle();
    lone.node.crash(0);
    lone.node.restart();
    expect(lone.raft.commitIndex).toBe(1);
  });

  test('commitIndex alone is not worth a write', () => {
    const lone = new Lone().append(2, 1, '0/0', entries('1/1')).settle();
    lone.append(2, 1, '1/1', [], 1).turn();
    expect([lone.raft.commitIndex, lone.node.unsynced]).toEqual([1, 0]);
  });
});

describe('bounds', () => {
  test('committed entries are handed out in pieces, and wait for what was handed out to be applied', () => {
    const limits = { committedBytesPerReadyMax: 6, applyingBytesMax: 7 };
    const lone = new Lone({ limits });
    lone.append(2, 1, '0/0', entries('1/1', '1/2', '1/3', '1/4'), 4);
    let ready = lone.raft.ready();
    lone.node.store.write([{ regionId: 1 as never, entries: ready.entries }]);
    lone.raft.persisted(ready.number);
    const sizes: number[] = [];
    while (lone.raft.hasReady()) {
      ready = lone.raft.ready();
      sizes.push(ready.committedEntries.length);
    }
    expect(sizes).toEqual([2, 2]);
    const more = new Lone({ limits: { ...limits, applyingBytesMax: 5 } });
    more.append(2, 1, '0/0', entries('1/1', '1/2', '1/3', '1/4'), 4);
    ready = more.raft.ready();
    more.node.store.write([{ regionId: 1 as never, entries: ready.entries }]);
    more.raft.persisted(ready.number);
    expect(more.raft.ready().committedEntries).toHaveLength(2);
    expect(more.raft.hasReady()).toBe(false);
    more.raft.applied(2);
    expect(more.raft.ready().committedEntries).toHaveLength(2);
  });

  test('a host that loses the entries of a Ready is found out at the next call', () => {
    const lone = new Lone().append(2, 1, '0/0', entries('1/1'));
    lone.raft.ready();
    expect(() => lone.raft.tick()).toThrow('T1');
  });

  test('applying out of order, or what was not handed out, is a bug of the host', () => {
    const lone = new Lone().append(2, 1, '0/0', entries('1/1'), 1).settle();
    expect(() => lone.raft.applied(2)).toThrow('R3');
    expect(() => lone.raft.applied(0)).toThrow('R3');
  });
});
