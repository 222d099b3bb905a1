/**
 * What must hold of a group after every step, named after the paper (figure 3, §5.4.3), and of what its
 * hosts may see. A checker is told of everything that happens and throws at the first breach.
 */
import { assert, equalBytes, type ReplicaId } from '@moku/base';
import type { ConfState, Entry, Message, RegionLog } from '../../src/index.js';
import { regionId, type TestNode } from './test-node.js';

interface CommittedEntry {
  readonly entry: Entry;
  /** Term of the replica that first knew it committed. */
  readonly term: number;
}

export class Invariants {
  private readonly leaderOfTerm = new Map<number, ReplicaId>();
  private readonly committed: CommittedEntry[] = [];
  private readonly votes = new Map<string, ReplicaId>();
  private readonly seenTerm = new Map<ReplicaId, number>();
  private readonly seenCommit = new Map<ReplicaId, number>();
  private readonly seenApplied = new Map<ReplicaId, number>();
  private readonly reads = new Map<string, number>();
  private logsStamp = '';

  /** Number of entries known to be committed, for tests that have to have seen something. */
  get commitCount(): number {
    return this.committed.length;
  }

  get terms(): number {
    return this.leaderOfTerm.size;
  }

  /** After any step. */
  check(nodes: readonly TestNode[]): void {
    for (const node of nodes) {
      if (node.isDown) continue;
      this.checkTerm(node);
      this.checkLeader(node);
    }
    this.checkLogs(nodes);
  }

  /** After a turn of `node`: its log is what it believes it is. */
  turned(node: TestNode, nodes: readonly TestNode[]): void {
    this.checkCommit(node, nodes);
    this.checkApplied(node);
  }

  private checkTerm(node: TestNode): void {
    const { term } = node.raft;
    assert(term >= (this.seenTerm.get(node.id) ?? 0), `term falls on ${node.id}`);
    this.seenTerm.set(node.id, term);
  }

  /** Reads that were accepted and are neither answered nor refused, of hosts that still run. */
  get readsOpen(): number {
    return this.reads.size;
  }

  /** A crash may lose a term or a commit index that nobody was told of; its reads die with the host. */
  crashed(node: TestNode): void {
    for (const key of this.reads.keys()) {
      if (key.startsWith(`${node.id} `)) this.reads.delete(key);
    }
    this.seenTerm.delete(node.id);
    this.seenCommit.delete(node.id);
    this.seenApplied.set(node.id, node.appliedIndex);
  }

  /** Election safety: at most one leader per term. Leader completeness: it has everything committed before. */
  private checkLeader(node: TestNode): void {
    const { raft } = node;
    if (raft.role !== 'leader') return;
    const known = this.leaderOfTerm.get(raft.term);
    assert(
      known === undefined || known === node.id,
      `election safety: two leaders in ${raft.term}`,
    );
    if (known !== undefined) return;
    this.leaderOfTerm.set(raft.term, node.id);
    const log = node.store.region(regionId)!;
    for (const { entry, term } of this.committed) {
      if (term >= raft.term || entry.index < log.firstIndex()) continue;
      assert(
        log.term(entry.index) === entry.term,
        `leader completeness: ${node.id} leads ${raft.term} without ${entry.term}/${entry.index}`,
      );
    }
  }

  private checkCommit(node: TestNode, nodes: readonly TestNode[]): void {
    const { raft } = node;
    const before = this.seenCommit.get(node.id) ?? 0;
    assert(raft.commitIndex >= before, `commitIndex falls on ${node.id}`);
    if (raft.commitIndex === before) return;
    this.seenCommit.set(node.id, raft.commitIndex);
    const log = node.store.region(regionId)!;
    for (let index = before + 1; index <= raft.commitIndex; index++) {
      if (index < log.firstIndex()) continue;
      this.committedAt(log, index, node, nodes);
    }
  }

  /** State machine safety at the moment of commit, and durability: a majority has synced the entry. */
  private committedAt(
    log: RegionLog,
    index: number,
    node: TestNode,
    nodes: readonly TestNode[],
  ): void {
    const entry = readEntry(log, index) ?? readEntry(node.store.synced(regionId)!, index);
    assert(entry !== undefined, 'only what is synced is evicted');
    const known = this.committed[index - 1];
    if (known !== undefined) {
      assert(
        known.entry.term === entry.term && equalBytes(known.entry.data, entry.data),
        `state machine safety: ${node.id} commits another entry at ${index}`,
      );
      return;
    }
    assert(this.committed.length === index - 1, `commit of ${index} was noticed in order`);
    this.committed.push({ entry, term: node.raft.term });
    const holders = nodes.filter((each) => holdsSynced(each, entry)).map((each) => each.id);
    // A follower hears of a commit that its leader counted in an earlier configuration than its own, or a later.
    const confStates = nodes.flatMap((each) => [each.confBefore, each.raft.confState]);
    assert(
      confStates.some((confState) => confState.voters.length > 0 && isQuorum(confState, holders)),
      `durability: ${entry.term}/${index} committed on ${node.id}, synced on ${holders.join(' ')}`,
    );
  }

  /** State machine safety: no two replicas apply different entries at an index; each exactly once, in order. */
  private checkApplied(node: TestNode): void {
    const from = this.seenApplied.get(node.id) ?? 0;
    const synced = node.store.synced(regionId)!;
    for (let index = from + 1; index <= node.appliedIndex; index++) {
      const entry = node.applied[index - 1]!;
      const isSynced = index < synced.firstIndex() || synced.term(index) === entry.term;
      assert(isSynced, `durable before apply: ${node.id} applied ${index}`);
      const known = this.committed[index - 1];
      if (known === undefined) continue;
      assert(
        known.entry.term === entry.term && equalBytes(known.entry.data, entry.data),
        `state machine safety: ${node.id} applied another entry at ${index}`,
      );
    }
    this.seenApplied.set(node.id, node.appliedIndex);
  }

  /** Log matching: equal (index, term) means equal logs up to there. */
  private checkLogs(nodes: readonly TestNode[]): void {
    let stamp = '';
    for (const node of nodes) stamp += `${logOf(node).lastIndex()}/${lastTerm(node)},`;
    if (stamp === this.logsStamp) return;
    this.logsStamp = stamp;
    for (let i = 0; i < nodes.length; i++) {
      for (let j = i + 1; j < nodes.length; j++) checkMatching(nodes[i]!, nodes[j]!);
    }
  }

  /** A message leaves: it may only say what is synced. */
  sent(node: TestNode, message: Message): void {
    const hardState = node.store.syncedHardState(regionId)!;
    const synced = node.store.synced(regionId)!;
    if (message.type === 'voteResponse' && message.isGranted) {
      const key = `${node.id} ${message.term}`;
      const former = this.votes.get(key);
      assert(
        former === undefined || former === message.to,
        `${node.id} votes twice in ${message.term}`,
      );
      this.votes.set(key, message.to);
      const isSynced =
        hardState.term > message.term ||
        (hardState.term === message.term && hardState.votedFor === message.to);
      assert(isSynced, `durable before send: vote of ${node.id} in ${message.term}`);
    }
    if (message.type === 'vote') {
      assert(hardState.term >= message.term, `durable before send: candidacy of ${node.id}`);
      // As a follower of the term's winner it may have given up its suffix; then this is a late message.
      if (node.raft.role === 'candidate' && node.raft.term === message.term) {
        const has = synced.lastIndex() >= message.lastLogIndex;
        assert(has, `durable before send: the log that ${node.id} campaigns with`);
      }
    }
    if (message.type === 'appendResponse' && !message.isRejected) {
      // A greater synced term may have replaced what was acknowledged; that is a delayed message then.
      const has = synced.lastIndex() >= message.index || hardState.term > message.term;
      assert(has, `durable before send: ${node.id} acknowledges ${message.index}`);
    }
  }

  /** A read begins: whatever is committed by now must be seen. Contexts are unique. */
  readAsked(node: TestNode, context: number): void {
    this.reads.set(`${node.id} ${context}`, this.committed.length);
  }

  /** A snapshot replaced the state: what it holds was applied and checked elsewhere. */
  installed(node: TestNode): void {
    this.seenApplied.set(node.id, node.appliedIndex);
  }

  readAnswered(node: TestNode, context: number, index: number): void {
    const key = `${node.id} ${context}`;
    const floor = this.reads.get(key);
    assert(floor !== undefined, `read ${context} of ${node.id} is answered once`);
    this.reads.delete(key);
    assert(index >= floor, `linearizable reads: ${node.id} reads at ${index}, committed ${floor}`);
  }

  readRefused(node: TestNode, context: number): void {
    assert(this.reads.delete(`${node.id} ${context}`), `read ${context} is answered once`);
  }
}

/** The latest log: what runs sees, or what a crash left. */
function logOf(node: TestNode): RegionLog {
  return node.store.region(regionId)!;
}

function lastTerm(node: TestNode): number {
  const log = logOf(node);
  return log.term(log.lastIndex()) ?? 0;
}

function readEntry(log: RegionLog, index: number): Entry | undefined {
  const found = log.entries(index, index + 1, 1);
  return found === 'fetching' ? undefined : found[0];
}

function holdsSynced(node: TestNode, entry: Entry): boolean {
  const log = node.store.synced(regionId)!;
  if (entry.index < log.firstIndex()) return true;
  return log.term(entry.index) === entry.term;
}

function isQuorum(confState: ConfState, holders: readonly ReplicaId[]): boolean {
  return isMajority(confState.voters, holders) && isMajority(confState.votersOutgoing, holders);
}

function isMajority(voters: readonly ReplicaId[], holders: readonly ReplicaId[]): boolean {
  const held = voters.filter((id) => holders.includes(id)).length;
  return voters.length === 0 || held * 2 > voters.length;
}

function checkMatching(a: TestNode, b: TestNode): void {
  const [first, second] = [logOf(a), logOf(b)];
  let index = Math.min(first.lastIndex(), second.lastIndex());
  const low = Math.max(first.firstIndex(), second.firstIndex());
  while (index >= low && first.term(index) !== second.term(index)) index--;
  for (let at = index; at >= low; at--) {
    assert(
      first.term(at) === second.term(at),
      `log matching: ${a.id} and ${b.id} agree at ${index} and differ at ${at}`,
    );
  }
}
