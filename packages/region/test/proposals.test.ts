import {
  createPrng,
  emptyBytes,
  limits,
  type NodeId,
  type RegionId,
  type ReplicaId,
} from '@moku/base';
import { confStateOf, type Entry, MemoryLogStore, Raft } from '@moku/raft';
import { beforeEach, describe, expect, it } from 'vitest';
import { Answers } from '../src/answers.js';
import type { ProposeOutcome } from '../src/index.js';
import { ProposalBudget, ProposalQueue } from '../src/proposals.js';
import { DigestBook, Disk, TestMachine } from './support/machine.js';

const node = 7 as NodeId;

/** The core of a region with one voter, leading. */
function leadingRaft(): Raft {
  const log = new MemoryLogStore();
  const confState = confStateOf([1 as ReplicaId]);
  const regionId = 1 as RegionId;
  const create = { replicaId: 1 as ReplicaId, confState, truncatedIndex: 0, truncatedTerm: 0 };
  log.write([{ regionId, create }]);
  const raft = new Raft({
    replicaId: 1 as ReplicaId,
    electionTicks: 10,
    heartbeatTicks: 0,
    prng: createPrng(1),
    log: log.region(regionId)!,
    hardState: { term: 0, votedFor: 0 as ReplicaId, commitIndex: 0 },
    confState,
    appliedIndex: 0,
  });
  raft.campaign();
  for (let i = 0; i < 3; i++) {
    const { number, hardState, entries, mustSync } = raft.ready();
    if (entries.length > 0) log.write([{ regionId, entries }]);
    if (hardState !== undefined) log.write([{ regionId, hardState }]);
    if (mustSync) raft.persisted(number);
  }
  expect(raft.role).toBe('leader');
  return raft;
}

describe('a queue of proposals', () => {
  let budget: ProposalBudget;
  let answers: Answers;
  let queue: ProposalQueue;
  let raft: Raft;
  let outcomes: ProposeOutcome[];
  const machine = new TestMachine(1 as RegionId, new Disk(), new DigestBook());
  const sink = (outcome: ProposeOutcome): void => {
    outcomes.push(outcome);
  };
  const kinds = (): string[] => {
    answers.deliver();
    return outcomes.map((outcome) => outcome.kind);
  };
  const entryAt = (index: number, term: number): Entry => ({
    index,
    term,
    kind: 'normal',
    data: emptyBytes,
  });

  beforeEach(() => {
    budget = new ProposalBudget();
    answers = new Answers();
    queue = new ProposalQueue(budget, answers);
    raft = leadingRaft();
    outcomes = [];
  });

  it('answers lost when an entry of another term is committed at its index', () => {
    queue.add(new Uint8Array(3), sink);
    const index = raft.lastIndex + 1;
    expect(queue.submit(raft, machine, 0, node)).toBe('submitted');
    queue.applied(entryAt(index, raft.term + 1), [], node);
    expect(kinds()).toEqual(['lost']);
    expect(queue.isEmpty()).toBe(true);
    expect(budget).toMatchObject({ bytes: 0, commands: 0 });
  });

  it('answers lost when the indexes of later entries were applied without it', () => {
    queue.add(new Uint8Array(3), sink);
    const index = raft.lastIndex + 1;
    queue.submit(raft, machine, 0, node);
    queue.applied(entryAt(index - 1, raft.term), [], node);
    expect(kinds()).toEqual([]);
    queue.skippedTo(index, node);
    expect(kinds()).toEqual(['lost']);
  });

  it('keeps what is committed when leadership ends, loses what is not, refuses what waits', () => {
    const first = raft.lastIndex + 1;
    for (let i = 0; i < 2; i++) {
      queue.add(new Uint8Array(1), sink);
      queue.submit(raft, machine, 0, node);
    }
    queue.add(new Uint8Array(1), sink);
    queue.leadershipLost(first, node);
    expect(kinds()).toEqual(['notLeader', 'lost']);
    queue.applied(entryAt(first, raft.term), [new Uint8Array([9])], node);
    expect(kinds()).toEqual(['notLeader', 'lost', 'applied']);
    expect(budget).toMatchObject({ bytes: 0, commands: 0 });
  });

  it('begins a new entry at the aimed size, and for more commands than an entry carries', () => {
    const before = raft.lastIndex;
    for (let i = 0; i < 5; i++) queue.add(new Uint8Array(limits.entryBytesTarget / 2), sink);
    queue.submit(raft, machine, 0, node);
    expect(raft.lastIndex - before).toBe(3);
    for (let i = 0; i < limits.entryCommandsMax + 1; i++) queue.add(new Uint8Array(1), sink);
    queue.submit(raft, machine, 0, node);
    expect(raft.lastIndex - before).toBe(5);
  });

  it('waits when the core takes no more, and counts what waits and what is under way', () => {
    const command = new Uint8Array(limits.commandBytesMax);
    const count = Math.ceil(limits.uncommittedBytesMax / command.length) + 2;
    for (let i = 0; i < count; i++) queue.add(command, sink);
    expect(queue.submit(raft, machine, 0, node)).toBe('busy');
    expect(queue.waiting).toBeGreaterThan(0);
    expect(queue.waiting + queue.entriesInFlight).toBe(count);
    expect(budget.commands).toBe(count);
    expect(budget.bytes).toBeGreaterThan(count * command.length);
    queue.end(node);
    expect(kinds()).toHaveLength(count);
    expect(budget).toMatchObject({ bytes: 0, commands: 0 });
  });

  it('refuses everything on a replica that no longer leads', () => {
    queue.add(new Uint8Array(1), sink);
    raft.stepDown();
    expect(queue.submit(raft, machine, 0, node)).toBe('notLeader');
    expect(kinds()).toEqual(['notLeader']);
  });
});

describe('answers', () => {
  it('queued by a sink wait for the next delivery', () => {
    const answers = new Answers();
    let count = 0;
    const again = (): void => {
      count++;
      answers.propose(again, { kind: 'unknownRegion' });
    };
    answers.propose(again, { kind: 'unknownRegion' });
    answers.deliver();
    expect(count).toBe(1);
    expect(answers.isEmpty()).toBe(false);
    answers.drop();
    answers.deliver();
    expect(count).toBe(1);
  });
});
