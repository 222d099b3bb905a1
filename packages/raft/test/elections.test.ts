/**
 * Rules of elections: paper §5.1, §5.2, §5.4.1, figure 2; thesis §3.4, §3.6, §3.8, §4.2.3, §9.6.
 */
import { describe, expect, test } from 'vitest';
import { entries, id, Lone } from './harness/lone.js';

describe('terms (paper §5.1)', () => {
  test('a greater term in any message is adopted, and its bearer followed by none', () => {
    const types = [
      'vote',
      'heartbeat',
      'append',
      'timeoutNow',
      'readIndex',
      'appendResponse',
    ] as const;
    for (const type of types) {
      const lone = new Lone().lead();
      const head = { from: id(2), to: id(1), term: 9 };
      const fields = {
        vote: { lastLogIndex: 0, lastLogTerm: 0 },
        heartbeat: { commitIndex: 0, matchIndex: 0, readRound: 0 },
        append: { prevLogIndex: 9, prevLogTerm: 9, entries: [], commitIndex: 0 },
        timeoutNow: {},
        readIndex: { context: 1 },
        appendResponse: { index: 0, isRejected: true, hintIndex: 0, hintTerm: 0 },
      };
      lone.step({ type, ...head, ...fields[type] } as Parameters<Lone['step']>[0]);
      expect(lone.raft.term, type).toBeGreaterThanOrEqual(9);
      expect(lone.raft.role, type).not.toBe('leader');
    }
  });

  test('a pre-vote and its grant carry a future term, which is not adopted', () => {
    const lone = new Lone();
    lone.requestVote('preVote', 2, 9, '9/9').answerVote('preVoteResponse', 3, 9);
    expect(lone.raft.term).toBe(0);
    expect(lone.turn().hear('preVoteResponse')).toEqual([
      { type: 'preVoteResponse', from: 1, to: 2, term: 9, isGranted: true },
    ]);
  });

  test('a refused pre-vote carries the real term of the refuser, which is adopted', () => {
    const lone = new Lone();
    lone.raft.campaign();
    lone.answerVote('preVoteResponse', 2, 7, false);
    expect(lone.raft.term).toBe(7);
    expect(lone.raft.role).toBe('follower');
  });

  test('a request of a former term is refused and told the present one', () => {
    const lone = new Lone().append(2, 5, '0/0', []).settle();
    lone.hearAll();
    lone.requestVote('vote', 3, 4, '9/9').requestVote('preVote', 3, 4, '9/9');
    lone.append(3, 4, '0/0', entries('4/1')).turn();
    expect(lone.hear('voteResponse')).toMatchObject([{ term: 5, isGranted: false }]);
    expect(lone.hear('preVoteResponse')).toMatchObject([{ term: 5, isGranted: false }]);
    expect(lone.hear('appendResponse')).toMatchObject([{ term: 5, isRejected: true }]);
    expect(lone.logText()).toBe('empty');
  });

  test('an answer of a former term is dropped', () => {
    const lone = new Lone();
    lone.raft.campaign();
    lone.answerVote('preVoteResponse', 2, 1).settle();
    const of = { from: id(3), to: id(1), term: 2 };
    lone.step({ type: 'heartbeat', ...of, commitIndex: 0, matchIndex: 0, readRound: 0 });
    lone.answerVote('voteResponse', 2, 1);
    expect(lone.raft.role).toBe('follower');
  });
});

describe('votes (paper §5.2, §5.4.1)', () => {
  test('at most one vote per term, first come first served', () => {
    const lone = new Lone()
      .requestVote('vote', 2, 1, '0/0')
      .requestVote('vote', 3, 1, '0/0')
      .settle();
    expect(lone.hear('voteResponse')).toMatchObject([
      { to: 3, isGranted: false },
      { to: 2, isGranted: true },
    ]);
  });

  test('a repeated request of the same candidate is granted again', () => {
    const lone = new Lone().requestVote('vote', 2, 1, '0/0').settle();
    lone.hearAll();
    lone.requestVote('vote', 2, 1, '0/0').settle();
    expect(lone.hear('voteResponse')).toMatchObject([{ to: 2, isGranted: true }]);
  });

  test('whoever follows a leader votes for nobody else in its term', () => {
    const lone = new Lone().append(2, 1, '0/0', []).settle();
    lone.requestVote('vote', 3, 1, '9/9').turn();
    expect(lone.hear('voteResponse')).toMatchObject([{ to: 3, isGranted: false }]);
  });

  test.each([
    ['a greater last term wins over a longer log', '3/1', true],
    ['a lower last term loses whatever the length', '1/9', false],
    ['of equal last terms the longer log wins', '2/4', true],
    ['an equal log is up to date', '2/3', true],
    ['of equal last terms the shorter log loses', '2/2', false],
  ])('%s', (_, last, isGranted) => {
    const lone = new Lone().append(2, 2, '0/0', entries('1/1', '2/2', '2/3')).settle();
    lone.hearAll();
    lone.requestVote('vote', 3, 4, last).settle();
    expect(lone.hear('voteResponse')).toMatchObject([{ to: 3, isGranted }]);
  });

  test('a vote survives a crash once it was told', () => {
    const lone = new Lone().requestVote('vote', 2, 1, '0/0').settle();
    expect(lone.hear('voteResponse')).toHaveLength(1);
    lone.node.crash(0);
    lone.node.restart();
    lone.requestVote('vote', 3, 1, '0/0').settle();
    expect(lone.hear('voteResponse')).toMatchObject([{ to: 3, isGranted: false }]);
  });

  test('granting a vote restarts the election timer, refusing one does not', () => {
    const granting = new Lone();
    granting.node.raft.tick();
    const timeout = ticksUntilCampaign(new Lone());
    for (let i = 1; i < timeout - 1; i++) granting.raft.tick();
    granting.requestVote('vote', 2, 1, '0/0');
    granting.raft.tick();
    granting.raft.tick();
    expect(granting.raft.role).toBe('follower');
    const refusing = new Lone();
    for (let i = 0; i < timeout - 1; i++) refusing.raft.tick();
    refusing.append(2, 1, '0/0', entries('1/1')).settle();
    for (let i = 0; i < timeout - 1; i++) refusing.raft.tick();
    refusing.requestVote('vote', 3, 2, '0/0');
    refusing.raft.tick();
    expect(refusing.raft.role).toBe('preCandidate');
  });
});

describe('candidates (paper §5.2)', () => {
  test('timers are random in [electionTicks, 2 electionTicks)', () => {
    const seen = new Set<number>();
    for (let seed = 1; seed <= 200; seed++) seen.add(ticksUntilCampaign(new Lone({ seed })));
    expect(Math.min(...seen)).toBe(10);
    expect(Math.max(...seen)).toBe(19);
    expect(seen.size).toBe(10);
  });

  test('a won pre-vote raises the term, votes for itself and asks for votes', () => {
    const lone = new Lone();
    lone.raft.campaign();
    expect(lone.turn().hear('preVote')).toMatchObject([
      { to: 2, term: 1 },
      { to: 3, term: 1 },
    ]);
    expect(lone.raft.term).toBe(0);
    lone.answerVote('preVoteResponse', 3, 1).settle();
    expect([lone.raft.term, lone.raft.votedFor, lone.raft.role]).toEqual([1, 1, 'candidate']);
    expect(lone.hear('vote')).toMatchObject([
      { to: 2, term: 1 },
      { to: 3, term: 1 },
    ]);
  });

  test('a lost vote makes a follower of the same term', () => {
    const lone = new Lone();
    lone.raft.campaign();
    lone.answerVote('preVoteResponse', 3, 1).settle();
    lone.answerVote('voteResponse', 2, 1, false).answerVote('voteResponse', 3, 1, false);
    expect([lone.raft.role, lone.raft.term, lone.raft.votedFor]).toEqual(['follower', 1, 1]);
  });

  test('a repeated grant counts once', () => {
    const lone = new Lone({ voters: [1, 2, 3, 4, 5] });
    lone.raft.campaign();
    lone.answerVote('preVoteResponse', 2, 1).answerVote('preVoteResponse', 2, 1);
    expect(lone.raft.role).toBe('preCandidate');
  });

  test('a grant of an earlier campaign does not count in the present one', () => {
    const lone = new Lone();
    lone.raft.campaign();
    lone.answerVote('preVoteResponse', 2, 5);
    expect(lone.raft.role).toBe('preCandidate');
  });

  test('an append of the term makes a candidate a follower', () => {
    const lone = new Lone();
    lone.raft.campaign();
    lone.answerVote('preVoteResponse', 3, 1).settle();
    lone.append(2, 1, '0/0', entries('1/1'));
    expect([lone.raft.role, lone.raft.leaderId]).toEqual(['follower', 2]);
  });

  test('a candidate that hears nothing asks again when its timer ends', () => {
    const lone = new Lone();
    lone.raft.campaign();
    lone.turn();
    lone.hearAll();
    for (let i = 0; i < 20; i++) lone.raft.tick();
    expect(lone.turn().hear('preVote').length).toBeGreaterThanOrEqual(2);
  });

  test('two leaders in a term are a bug, not an event', () => {
    const lone = new Lone().lead();
    expect(() => lone.append(2, lone.raft.term, '0/0', [])).toThrow('Z1');
    const follower = new Lone().append(2, 1, '0/0', []);
    expect(() => follower.append(3, 1, '0/0', [])).toThrow('Z1');
  });
});

describe('loyalty (thesis §4.2.3) refuses pre-votes only', () => {
  test('a follower that heard its leader refuses until an election timeout has passed', () => {
    const lone = new Lone({ seed: 4 }).append(2, 1, '0/0', []).settle();
    for (let i = 0; i < 9; i++) lone.raft.tick();
    lone.requestVote('preVote', 3, 2, '9/9').turn();
    expect(lone.hear('preVoteResponse')).toMatchObject([{ isGranted: false }]);
    lone.raft.tick();
    lone.requestVote('preVote', 3, 2, '9/9').turn();
    expect(lone.hear('preVoteResponse')).toMatchObject([{ isGranted: true }]);
  });

  test('a leader refuses pre-votes and judges votes', () => {
    const lone = new Lone().lead();
    lone.requestVote('preVote', 3, 9, '9/9').turn();
    expect(lone.hear('preVoteResponse')).toMatchObject([{ isGranted: false, term: 1 }]);
    lone.requestVote('vote', 3, 9, '9/9').settle();
    expect(lone.hear('voteResponse')).toMatchObject([{ isGranted: true, term: 9 }]);
  });

  test('a pre-vote changes nothing', () => {
    const lone = new Lone().requestVote('preVote', 2, 1, '0/0').settle();
    expect([lone.raft.term, lone.raft.votedFor]).toEqual([0, 0]);
    lone.requestVote('preVote', 3, 1, '0/0').turn();
    expect(lone.hear('preVoteResponse')).toMatchObject([{ isGranted: true }, { isGranted: true }]);
  });
});

describe('durability of elections', () => {
  test('the own vote counts only once it is synced', () => {
    const lone = new Lone({ voters: [1] });
    lone.raft.campaign();
    lone.turn();
    expect(lone.raft.role).toBe('candidate');
    lone.sync();
    expect(lone.raft.role).toBe('leader');
  });

  test('votes are told, and asked for, only once term and vote are synced', () => {
    const voter = new Lone().requestVote('vote', 2, 1, '0/0').turn();
    expect(voter.hear('voteResponse')).toEqual([]);
    expect(voter.sync().hear('voteResponse')).toHaveLength(1);
    const candidate = new Lone();
    candidate.raft.campaign();
    candidate.answerVote('preVoteResponse', 2, 1).turn();
    expect(candidate.hear('vote')).toEqual([]);
    expect(candidate.sync().hear('vote')).toHaveLength(2);
  });

  test('a candidacy waits for the log that it vouches for', () => {
    const lone = new Lone().append(2, 1, '0/0', entries('1/1', '1/2')).turn();
    for (let i = 0; i < 20; i++) lone.raft.tick();
    lone.answerVote('preVoteResponse', 3, 2).turn();
    expect(lone.sync(1).hear('vote')).toEqual([]);
    expect(lone.sync().hear('vote')).toMatchObject([{ lastLogIndex: 2 }, { lastLogIndex: 2 }]);
  });
});

function ticksUntilCampaign(lone: Lone): number {
  let ticks = 0;
  while (lone.raft.role === 'follower' && ticks < 100) {
    lone.raft.tick();
    ticks++;
  }
  return ticks;
}
