/**
 * Rules of configurations and their changes: thesis §4.1–4.4.
 */
import { emptyBytes, isMokuError } from '@moku/base';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  type ConfChange,
  type ConfChangeStep,
  type ConfState,
  changedConfState,
  confStateAfter,
  confStateOf,
  decodeConfChange,
  encodeConfChange,
  isJoint,
  membersOf,
} from '../src/index.js';
import { Group } from './harness/group.js';
import { id, Lone } from './harness/lone.js';
import { confText } from './harness/trace.js';

type StepText = `${'add' | 'learner' | 'remove'} ${number}`;

function change(steps: StepText[], transition?: ConfChange['transition']): ConfChange {
  const types = { add: 'addVoter', learner: 'addLearner', remove: 'remove' } as const;
  const parsed = steps.map((step): ConfChangeStep => {
    const [type, replica] = step.split(' ');
    return { type: types[type as 'add'], replicaId: id(Number(replica)) };
  });
  const made = { steps: parsed, context: emptyBytes };
  return transition === undefined ? made : { ...made, transition };
}

const three = confStateOf([1, 2, 3].map(id));

describe('what a change makes of a configuration', () => {
  test.each([
    ['one voter more', ['add 4'], '(1 2 3 4)'],
    ['one voter less', ['remove 3'], '(1 2)'],
    ['a learner', ['learner 4'], '(1 2 3) learners (4)'],
    ['several learners', ['learner 5', 'learner 4'], '(1 2 3) learners (4 5)'],
    ['a voter becomes a learner', ['learner 3'], '(1 2) learners (3)'],
    ['nothing', ['add 1'], '(1 2 3)'],
    ['a replacement is joint', ['add 4', 'remove 3'], '(1 2 4)&&(1 2 3) auto'],
    ['two more are joint', ['add 4', 'add 5'], '(1 2 3 4 5)&&(1 2 3) auto'],
    [
      'a voter becomes a learner, jointly',
      ['learner 3', 'add 4'],
      '(1 2 4)&&(1 2 3) next (3) auto',
    ],
  ] as const)('%s', (_, steps, expected) => {
    expect(confText(changedConfState(three, change([...steps])))).toBe(expected);
  });

  test('a learner is promoted', () => {
    const before = confStateOf([1, 2, 3].map(id), [id(4)]);
    expect(confText(changedConfState(before, change(['add 4'])))).toBe('(1 2 3 4)');
  });

  test('leaving keeps the new half and turns the waiting learners into learners', () => {
    const joint = changedConfState(three, change(['learner 3', 'add 4', 'learner 5']));
    expect(confText(changedConfState(joint, change([])))).toBe('(1 2 4) learners (3 5)');
  });

  test('a change may insist on a joint configuration, left by itself or not', () => {
    expect(confText(changedConfState(three, change(['add 4'], 'jointAutoLeave')))).toMatch(/auto$/);
    expect(confText(changedConfState(three, change(['add 4'], 'jointExplicit')))).toBe(
      '(1 2 3 4)&&(1 2 3)',
    );
  });

  test.each([
    ['leaving a plain configuration', three, change([])],
    [
      'a change while joint',
      changedConfState(three, change(['add 4', 'add 5'])),
      change(['add 6']),
    ],
    ['no voter left', confStateOf([id(1)]), change(['remove 1'])],
    ['one replica named twice', three, change(['add 4', 'remove 4'])],
    [
      'too many replicas',
      confStateOf(Array.from({ length: 64 }, (_, i) => id(i + 1))),
      change(['add 65']),
    ],
  ])('%s is refused', (_, before, refused) => {
    expect(() => changedConfState(before, refused)).toThrow('INVALID_ARGUMENT');
  });

  test('configurations that follow each other share a quorum, and keep their invariants', () => {
    const steps = fc.array(
      fc.record({
        type: fc.constantFrom('addVoter', 'addLearner', 'remove'),
        replicaId: fc.integer({ min: 1, max: 7 }).map(id),
      }),
      { maxLength: 3 },
    );
    const transition = fc.constantFrom('auto', 'jointAutoLeave', 'jointExplicit');
    const changes = fc.array(fc.record({ steps, transition, context: fc.constant(emptyBytes) }));
    fc.assert(
      fc.property(changes, (all) => {
        let before = three;
        for (const each of all) {
          const after = tryChange(before, each as ConfChange);
          if (after === undefined) continue;
          expectSound(after);
          expectSharedQuorum(before, after);
          before = after;
        }
      }),
      { seed: 41, numRuns: 300 },
    );
  });
});

function tryChange(before: ConfState, each: ConfChange): ConfState | undefined {
  try {
    return changedConfState(before, each);
  } catch (error) {
    if (!isMokuError(error, 'INVALID_ARGUMENT')) throw error;
    return undefined;
  }
}

/** C1, C2. */
function expectSound(confState: ConfState): void {
  const { voters, votersOutgoing, learners, learnersNext } = confState;
  expect(voters.length).toBeGreaterThan(0);
  for (const list of [voters, votersOutgoing, learners, learnersNext]) {
    expect([...new Set(list)].sort((a, b) => a - b)).toEqual(list);
  }
  for (const learner of learners) {
    expect(voters.includes(learner) || votersOutgoing.includes(learner)).toBe(false);
  }
  for (const learner of learnersNext) {
    expect(votersOutgoing.includes(learner) && !voters.includes(learner)).toBe(true);
  }
}

/** C3: no set of replicas decides in one configuration while the rest decides in the other. */
function expectSharedQuorum(before: ConfState, after: ConfState): void {
  const all = [...new Set([...membersOf(before), ...membersOf(after)])];
  for (let mask = 0; mask < 1 << all.length; mask++) {
    const some = all.filter((_, i) => (mask >> i) % 2 === 1);
    const rest = all.filter((_, i) => (mask >> i) % 2 === 0);
    expect(decides(before, some) && decides(after, rest)).toBe(false);
  }
}

function decides(confState: ConfState, some: readonly number[]): boolean {
  return [confState.voters, confState.votersOutgoing].every((half) => {
    return half.length === 0 || half.filter((each) => some.includes(each)).length * 2 > half.length;
  });
}

describe('the binary form of a change', () => {
  test('survives a round trip', () => {
    for (const each of [
      change([]),
      change(['add 4', 'remove 3']),
      change(['learner 9'], 'jointExplicit'),
    ]) {
      const made = { ...each, context: Uint8Array.of(1, 2, 3) };
      expect(decodeConfChange(encodeConfChange(made))).toEqual({ transition: 'auto', ...made });
    }
  });

  test('hostile bytes give FRAME_MALFORMED and nothing else', () => {
    const good = encodeConfChange({ ...change(['add 4', 'remove 3']), context: Uint8Array.of(7) });
    fc.assert(
      fc.property(fc.nat(good.length - 1), fc.nat(255), fc.nat(good.length), (at, byte, length) => {
        const bad = good.slice(0, length);
        if (at < length) bad[at] = byte;
        expectMalformedOrFine(() => decodeConfChange(bad));
      }),
      { seed: 42, numRuns: 500 },
    );
  });

  test('a count that the bytes cannot hold is refused before anything is allocated', () => {
    expect(() => decodeConfChange(Uint8Array.of(0, 0xff, 0xff, 0xff, 0x7f))).toThrow('steps');
  });
});

function expectMalformedOrFine(run: () => unknown): void {
  try {
    run();
  } catch (error) {
    if (!isMokuError(error, 'FRAME_MALFORMED')) throw error;
  }
}

describe('changes in a group', () => {
  test('nobody campaigns with a change committed and unapplied (E4)', () => {
    const lone = new Lone();
    const data = encodeConfChange(change(['remove 3']));
    lone.append(2, 1, '0/0', [{ term: 1, index: 1, kind: 'confChange', data }], 1).turn();
    for (let i = 0; i < 40; i++) lone.raft.tick();
    lone.raft.campaign();
    expect(lone.raft.role).toBe('follower');
    lone.sync().turn();
    lone.raft.campaign();
    expect(lone.raft.role).toBe('preCandidate');
  });

  test('a vote in a joint configuration needs both majorities', () => {
    const lone = new Lone();
    const steps = change(['add 4', 'add 5', 'remove 2', 'remove 3'], 'jointExplicit');
    const data = encodeConfChange(steps);
    lone.append(2, 1, '0/0', [{ term: 1, index: 1, kind: 'confChange', data }], 1).settle();
    lone.raft.campaign();
    lone.answerVote('preVoteResponse', 4, 2).answerVote('preVoteResponse', 5, 2);
    expect(lone.raft.role).toBe('preCandidate');
    lone.answerVote('preVoteResponse', 2, 2);
    expect(lone.raft.role).toBe('candidate');
    lone.settle();
    lone.answerVote('voteResponse', 2, 2).answerVote('voteResponse', 3, 2);
    expect(lone.raft.role).toBe('candidate');
    lone.answerVote('voteResponse', 4, 2);
    expect(lone.raft.role).toBe('leader');
  });

  test('a leader that applies its own removal steps down after it told what is committed', () => {
    const group = new Group([1, 2, 3], [], { heartbeatTicks: 0 });
    const node = group.node(1);
    node.raft.campaign();
    group.stabilize();
    node.raft.proposeConfChange(change(['remove 1']));
    group.stabilize();
    expect(node.raft.role).toBe('follower');
    for (const each of group.nodes) expect(confText(each.raft.confState)).toBe('(2 3)');
  });

  test('a removed replica disturbs nobody, and one that never was a voter does not campaign (E5)', () => {
    const group = new Group([1, 2, 3], [4], { heartbeatTicks: 0 });
    group.node(1).raft.campaign();
    group.stabilize();
    group.node(1).raft.proposeConfChange(change(['remove 3']));
    group.stabilize();
    group.tick(group.node(3), 100);
    group.tick(group.node(4), 100);
    expect([group.node(3).raft.role, group.node(4).raft.role]).toEqual([
      'preCandidate',
      'follower',
    ]);
    group.stabilize();
    expect(group.leader?.id).toBe(1);
    expect(group.node(1).raft.term).toBe(1);
  });

  test('a former voter that leads takes nothing, and steps down when its first entry is applied', () => {
    const lone = new Lone();
    const data = encodeConfChange(change(['remove 1']));
    lone.append(2, 1, '0/0', [{ term: 1, index: 1, kind: 'confChange', data }], 1).settle();
    lone.lead([2, 3]);
    expect(lone.raft.role).toBe('leader');
    expect(lone.raft.propose(Uint8Array.of(1))).toEqual({ kind: 'busy' });
    expect(lone.raft.proposeConfChange(change(['add 4']))).toEqual({ kind: 'busy' });
    lone.acknowledge(2, 2).settle();
    expect([lone.raft.role, lone.raft.commitIndex]).toEqual(['leader', 1]);
    lone.acknowledge(3, 2).settle();
    expect([lone.raft.role, lone.raft.commitIndex]).toEqual(['follower', 2]);
    expect(lone.hear('append').at(-1)).toMatchObject({ commitIndex: 2 });
  });

  test('a removal lets what waits for the removed be committed', () => {
    const group = new Group([1, 2], [], { heartbeatTicks: 0 });
    const node = group.node(1);
    node.raft.campaign();
    group.stabilize();
    node.raft.proposeConfChange(change(['remove 2']));
    group.turn(node);
    group.sync(node);
    group.deliverAt(0);
    const two = group.node(2);
    group.turn(two);
    group.sync(two);
    node.raft.propose(Uint8Array.of(1));
    group.deliverAt(0);
    group.isolate(2);
    group.stabilize();
    expect([confText(node.raft.confState), node.raft.commitIndex]).toEqual(['(1)', 3]);
  });

  test('a leader whose transferee is removed takes proposals again', () => {
    const group = new Group([1, 2, 3], [], { heartbeatTicks: 0 });
    const node = group.node(1);
    node.raft.campaign();
    group.stabilize();
    group.isolate(3);
    node.raft.proposeConfChange(change(['remove 3']));
    node.raft.transferLeader(id(3));
    expect(node.raft.isTransferring).toBe(true);
    group.stabilize();
    expect(node.raft.isTransferring).toBe(false);
  });

  test('a new leader finishes a joint change that its predecessor began', () => {
    const group = new Group([1, 2, 3], [], { heartbeatTicks: 0 });
    group.add(4);
    const node = group.node(1);
    node.raft.campaign();
    group.stabilize();
    node.raft.proposeConfChange(change(['learner 4']));
    group.stabilize();
    node.raft.proposeConfChange(change(['add 4', 'remove 1']));
    group.turn(node);
    group.sync(node);
    group.network.length = Math.min(group.network.length, 3);
    const rest = [2, 3, 4].map((each) => group.node(each));
    group.crash(node);
    group.stabilize(rest);
    for (const each of rest) {
      each.raft.setAttached(true);
      each.raft.setAttached(false);
    }
    rest[0]!.raft.campaign();
    group.stabilize(rest);
    expect(isJoint(rest[0]!.raft.confState)).toBe(false);
    expect(confText(rest[0]!.raft.confState)).toBe('(2 3 4)');
  });

  test('changes missed by the stored configuration are added from the log', () => {
    const entry = (index: number, each: ConfChange) => {
      return { term: 1, index, kind: 'confChange' as const, data: encodeConfChange(each) };
    };
    const after = confStateAfter(three, [
      entry(4, change(['add 4', 'remove 1'])),
      { term: 1, index: 5, kind: 'normal', data: emptyBytes },
      entry(6, change([])),
    ]);
    expect(confText(after)).toBe('(2 3 4)');
  });

  test('a configuration that came back further than the state machine is not changed by the replay', () => {
    const group = new Group([1, 2, 3], [], { heartbeatTicks: 0 });
    const node = group.node(1);
    node.raft.campaign();
    group.stabilize();
    node.raft.proposeConfChange(change(['remove 3'], 'jointAutoLeave'));
    group.stabilize();
    expect(confText(node.raft.confState)).toBe('(1 2)');
    group.crash(node);
    group.restart(node);
    expect([confText(node.raft.confState), node.raft.appliedIndex]).toEqual(['(1 2)', 0]);
    expect(node.raft.commitIndex).toBe(node.raft.confStateIndex);
    group.stabilize();
    expect(confText(node.raft.confState)).toBe('(1 2)');
    group.crash(node);
    expect(node.store.recovered().regions[0]?.confStateIndex).toBe(3);
  });

  test('a replica whose configuration is ahead of its state does not campaign (E4)', () => {
    const group = new Group([1, 2, 3], [], { heartbeatTicks: 0 });
    const node = group.node(1);
    node.raft.campaign();
    group.stabilize();
    node.raft.proposeConfChange(change(['remove 3']));
    group.stabilize();
    group.crash(node);
    group.restart(node);
    expect(node.raft.confStateIndex).toBeGreaterThan(node.raft.appliedIndex);
    node.raft.campaign();
    expect(node.raft.role).toBe('follower');
  });

  test('no snapshot is offered while a change is being applied: state and configuration differ', () => {
    const lone = new Lone({ heartbeatTicks: 0 }).lead();
    lone.acknowledge(2, 1).settle();
    lone.raft.proposeConfChange(change(['learner 4']));
    lone.settle();
    lone.node.checkpoint();
    lone.node.compact(1);
    lone.acknowledge(2, 2);
    const ready = lone.raft.ready();
    lone.hearAll();
    lone.raft.applyConfChange(change(['learner 4']), 2);
    lone.raft.peerReset(id(3));
    lone.raft.probe(id(3));
    const offers = () => lone.raft.ready().messages.filter((each) => each.type === 'snapshot');
    expect(ready.committedEntries).toHaveLength(1);
    expect(offers()).toEqual([]);
    lone.raft.applied(2);
    expect(offers()).toMatchObject([
      { type: 'snapshot', to: 3, snapshot: { index: 2, term: 1, confState: { learners: [4] } } },
    ]);
  });
});
