/**
 * A Raft cut down to what claims rest on: terms, leaders, logs that are lengths, commit by a quorum.
 * Votes are instantaneous and ask nobody's leave: elections at any moment include all that timers,
 * pre-votes and transfers could allow. An append carries its leader's whole log. The duties D1, D3 and
 * D4 of the module's caller are kept as the region manager keeps them.
 */
import type { NodeId, ReplicaId } from '@moku/base';
import type { NodeRun } from './node-run.js';
import {
  type Leadership,
  newReplica,
  nodeNumbers,
  type RaftMessage,
  regionId,
  sessionOf,
} from './state.js';

/** Becomes leader of `term`; `replicaIds` by node, [0] unused. The voters have adopted the term already. */
export function lead(run: NodeRun, term: number, replicaIds: readonly number[]): void {
  adopt(run, term, 0);
  const { replica } = run.node;
  replica.lastIndex += 1;
  replica.lastTerm = term;
  replica.leadership = {
    ownIndex: replica.lastIndex,
    matchIndex: replicaIds.map(() => 0),
    replicaId: [...replicaIds],
    sentIndex: replicaIds.map(() => 0),
  };
  appendToAll(run);
}

export function propose(run: NodeRun): void {
  run.node.replica.lastIndex += 1;
  appendToAll(run);
}

export function sendAppend(run: NodeRun, other: number): void {
  const { term, lastIndex, lastTerm, commitIndex, leadership } = run.node.replica;
  const to = leadership!.replicaId[other]!;
  if (sessionOf(run.node, other) === undefined) return;
  leadership!.sentIndex[other] = lastIndex;
  run.send(other, { type: 'append', to, term, lastIndex, lastTerm, commitIndex });
}

export function stepRaft(run: NodeRun, from: number, message: RaftMessage): void {
  if (message.type === 'append') stepAppend(run, from, message);
  else stepAck(run, from, message);
}

/** The acknowledgement leaves, once the disk has synced. */
export function sync(run: NodeRun): void {
  const { replica } = run.node;
  if (replica.unsynced === undefined) return;
  const { to, ack } = replica.unsynced;
  replica.unsynced = undefined;
  run.send(to, ack);
}

/** Ends leadership of `term`, telling every peer. */
export function stepDown(run: NodeRun): void {
  const { replica, id } = run.node;
  const { leadership, term } = replica;
  if (leadership === undefined) return;
  replica.leadership = undefined;
  const others = nodeNumbers.filter((other) => other !== id);
  const pairs = others.map((other) => ({
    peer: other as NodeId,
    replicaId: leadership.replicaId[other] as ReplicaId,
  }));
  run.claims.leadershipEnded(regionId, term, pairs);
  if (run.drop === 'a leader that leaves says so') run.unsay('leader');
  run.flush();
}

/** The replica can no longer apply: it leaves its claims and steps down, though its node lives. */
export function fail(run: NodeRun): void {
  run.node.replica.canAttach = false;
  leave(run);
  stepDown(run);
}

/** The process dies and comes back: term and log stay, links and claims go. */
export function restart(run: NodeRun): void {
  const { node } = run;
  run.beginAnew();
  node.incarnation += 1;
  Object.assign(node.replica, {
    leader: 0,
    leadership: undefined,
    unsynced: undefined,
    canAttach: true,
    commitIndex: Math.max(0, node.replica.commitIndex - 1),
  });
}

/** The region's copy here is destroyed and made anew under another id, empty. */
export function replace(run: NodeRun): void {
  const { replicaId, term } = run.node.replica;
  leave(run);
  run.node.replica = { ...newReplica(replicaId + 1), term, mayVote: false };
}

/** The leader learns of a replaced replica. */
export function learn(run: NodeRun, other: number, replicaId: number): void {
  const { leadership } = run.node.replica;
  if (leadership === undefined || leadership.replicaId[other] === replicaId) return;
  leadership.replicaId[other] = replicaId;
  leadership.matchIndex[other] = 0;
  leadership.sentIndex[other] = 0;
  part(run, other);
}

/** The leader leaves one pair and leads on. */
export function part(run: NodeRun, other: number): void {
  run.claims.leaveLed(other as NodeId, regionId);
  run.flush();
}

/** Takes over a term and its leader, and leaves what they end (D1). */
export function adopt(run: NodeRun, term: number, leader: number): void {
  const { replica } = run.node;
  if (term > replica.term) {
    stepDown(run);
    leave(run);
    replica.term = term;
  } else if (leader !== replica.leader) {
    leave(run);
  }
  replica.leader = leader;
}

/** D3. */
export function forgetSent(run: NodeRun, other: number): void {
  if (run.drop === 'what was under way when a session ended counts as lost') return;
  const { leadership } = run.node.replica;
  if (leadership !== undefined) leadership.sentIndex[other] = leadership.matchIndex[other]!;
}

function stepAppend(run: NodeRun, from: number, append: RaftMessage & { type: 'append' }): void {
  const { replica } = run.node;
  if (append.to !== replica.replicaId) return;
  if (append.term >= replica.term) {
    adopt(run, append.term, from);
    replica.mayVote = true;
    const isSameLog = append.lastTerm === replica.lastTerm;
    replica.lastIndex = isSameLog
      ? Math.max(replica.lastIndex, append.lastIndex)
      : append.lastIndex;
    replica.lastTerm = append.lastTerm;
    replica.commitIndex = Math.max(replica.commitIndex, append.commitIndex);
  }
  const { replicaId, term, lastIndex } = replica;
  const isRejected = append.term < term;
  const ack = { type: 'ack', from: replicaId, term, index: lastIndex, isRejected } as const;
  replica.unsynced = { to: from, ack };
  if (!run.isDiskSlow) sync(run);
}

function stepAck(run: NodeRun, from: number, ack: RaftMessage & { type: 'ack' }): void {
  const { replica } = run.node;
  const { claims } = run;
  if (ack.term > replica.term) adopt(run, ack.term, 0);
  const { leadership } = replica;
  if (leadership === undefined || ack.term !== replica.term || ack.isRejected) return;
  if (leadership.replicaId[from] !== ack.from) return;
  const matchIndex = Math.max(leadership.matchIndex[from]!, ack.index);
  leadership.matchIndex[from] = matchIndex;
  leadership.sentIndex[from] = Math.max(leadership.sentIndex[from]!, matchIndex);
  const committed = committedIndex(run, leadership);
  const hasCommitted = committed >= leadership.ownIndex && committed > replica.commitIndex;
  if (hasCommitted) {
    replica.commitIndex = committed;
    run.committedTerm = replica.term;
  }
  // D4
  if (ack.index >= leadership.ownIndex && !claims.hasClaim(from as NodeId, regionId)) {
    const told = run.drop === 'an attach tells what is committed' ? 0 : replica.commitIndex;
    claims.claim(from as NodeId, {
      regionId,
      term: replica.term,
      replicaId: ack.from as ReplicaId,
      lastIndex: matchIndex,
      commitIndex: Math.min(told, matchIndex),
    });
    run.flush();
  }
  if (hasCommitted) appendToAll(run);
  else if (leadership.sentIndex[from]! < replica.lastIndex) sendAppend(run, from);
}

/** The highest index that a quorum holds. */
function committedIndex(run: NodeRun, leadership: Leadership): number {
  const { id, replica } = run.node;
  const held = [replica.lastIndex];
  for (const other of nodeNumbers) if (other !== id) held.push(leadership.matchIndex[other]!);
  held.sort((a, b) => b - a);
  return held[Math.floor(held.length / 2)]!;
}

function leave(run: NodeRun): void {
  const stood = run.claims.leaveFollowed(regionId);
  if (stood && run.drop === 'a follower that leaves says so') run.unsay('follower');
  run.flush();
}

function appendToAll(run: NodeRun): void {
  for (const other of nodeNumbers) if (other !== run.node.id) sendAppend(run, other);
}
