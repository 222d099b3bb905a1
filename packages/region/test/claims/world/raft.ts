/**
 * A Raft cut down to what claims rest on: terms, leaders, logs that are lengths, commit by a quorum.
 * Votes are instantaneous and ask nobody's leave: elections at any moment include all that timers and
 * pre-votes could allow. An append carries its leader's whole log; D1 and D3 of the module's caller are
 * kept as they are in the region manager.
 */
import type { NodeId, ReplicaId } from '@moku/base';
import { type Leadership, newReplica, type RaftMessage, regionId } from './state.js';
import type { World } from './world.js';

export function elect(world: World, id: number, voters: readonly number[]): void {
  let { term } = world.node(id).replica;
  for (const voter of voters) term = Math.max(term, world.node(voter).replica.term);
  term += 1;
  for (const voter of voters) if (voter !== id) adopt(world, voter, term, 0);
  adopt(world, id, term, 0);
  const { replica } = world.node(id);
  const zeroes = (): number[] => new Array(world.nodes.length + 1).fill(0);
  replica.lastIndex += 1;
  replica.lastTerm = term;
  replica.leadership = {
    ownIndex: replica.lastIndex,
    matchIndex: zeroes(),
    replicaId: [0, ...world.nodes.map((other) => other.replica.replicaId)],
    sentIndex: zeroes(),
  };
  appendToAll(world, id);
}

export function propose(world: World, id: number): void {
  world.node(id).replica.lastIndex += 1;
  appendToAll(world, id);
}

export function sendAppend(world: World, id: number, other: number): void {
  const { replica, seen } = world.node(id);
  const { term, lastIndex, lastTerm, commitIndex } = replica;
  const leadership = replica.leadership!;
  const to = leadership.replicaId[other]!;
  if (seen[other] !== 0) leadership.sentIndex[other] = lastIndex;
  world.send(id, other, { type: 'append', to, term, lastIndex, lastTerm, commitIndex });
}

/** Whether a leader would probe now: unattached, a session, no probe under way. */
export function mayProbe(world: World, id: number, other: number): boolean {
  const { claims, seen } = world.node(id);
  if (claims.hasClaim(other as NodeId, regionId) || seen[other] === 0) return false;
  return !world.queue(id, other).some(({ kind }) => kind === 'raft');
}

export function stepRaft(world: World, id: number, from: number, message: RaftMessage): void {
  if (message.type === 'append') stepAppend(world, id, from, message);
  else stepAck(world, id, from, message);
}

/** The acknowledgement leaves, once the disk has synced. */
export function sync(world: World, id: number): void {
  const { replica } = world.node(id);
  if (replica.unsynced === undefined) return;
  const { to, ack } = replica.unsynced;
  replica.unsynced = undefined;
  world.send(id, to, ack);
}

/** Ends leadership of `term`, telling every peer. */
export function stepDown(world: World, id: number): void {
  const { replica, claims } = world.node(id);
  const { leadership, term } = replica;
  if (leadership === undefined) return;
  replica.leadership = undefined;
  const pairs = world.others(id).map((other) => ({
    peer: other.id as NodeId,
    replicaId: leadership.replicaId[other.id] as ReplicaId,
  }));
  claims.leadershipEnded(regionId, term, pairs);
  if (world.drop === 'a leader that leaves says so') world.unsay(id, 'leader');
  world.takeEvents(id);
  world.flush(id);
}

/** The replica can no longer apply: it leaves its claims and steps down, though its node lives. */
export function fail(world: World, id: number): void {
  world.node(id).replica.canAttach = false;
  leave(world, id);
  stepDown(world, id);
}

/** The process dies and comes back: term and log stay, links and claims go. */
export function restart(world: World, id: number): void {
  const node = world.node(id);
  node.claims = world.newClaims(id);
  node.incarnation += 1;
  Object.assign(node.replica, {
    leader: 0,
    leadership: undefined,
    unsynced: undefined,
    canAttach: true,
    commitIndex: Math.max(0, node.replica.commitIndex - 1),
  });
  for (const other of world.others(id)) {
    world.reset(world.link(id, other.id));
    node.seen[other.id] = 0;
  }
}

/** The region's copy here is destroyed and made anew under another id, empty. */
export function replace(world: World, id: number): void {
  const { replicaId, term } = world.node(id).replica;
  leave(world, id);
  world.node(id).replica = { ...newReplica(replicaId + 10), term, mayVote: false };
}

/** The leader learns of a replaced replica. */
export function learn(world: World, id: number, other: number): void {
  const { leadership } = world.node(id).replica;
  const { replicaId } = world.node(other).replica;
  if (leadership === undefined || leadership.replicaId[other] === replicaId) return;
  leadership.replicaId[other] = replicaId;
  leadership.matchIndex[other] = 0;
  leadership.sentIndex[other] = 0;
  part(world, id, other);
}

/** The leader leaves one pair and leads on. */
export function part(world: World, id: number, other: number): void {
  world.node(id).claims.leaveLed(other as NodeId, regionId);
  world.takeEvents(id);
  world.flush(id);
}

function stepAppend(
  world: World,
  id: number,
  from: number,
  append: RaftMessage & { type: 'append' },
): void {
  const node = world.node(id);
  if (append.to !== node.replica.replicaId) return;
  const { replica } = node;
  if (append.term >= replica.term) {
    adopt(world, id, append.term, from);
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
  if (!world.bounds.isDiskSlow) sync(world, id);
}

function stepAck(world: World, id: number, from: number, ack: RaftMessage & { type: 'ack' }): void {
  const { replica, claims } = world.node(id);
  if (ack.term > replica.term) adopt(world, id, ack.term, 0);
  const { leadership } = replica;
  if (leadership === undefined || ack.term !== replica.term || ack.isRejected) return;
  if (leadership.replicaId[from] !== ack.from) return;
  const matchIndex = Math.max(leadership.matchIndex[from]!, ack.index);
  leadership.matchIndex[from] = matchIndex;
  leadership.sentIndex[from] = Math.max(leadership.sentIndex[from]!, matchIndex);
  const committed = committedIndex(world, id, leadership);
  const hasCommitted = committed >= leadership.ownIndex && committed > replica.commitIndex;
  if (hasCommitted) replica.commitIndex = committed;
  // D4
  if (ack.index >= leadership.ownIndex && !claims.hasClaim(from as NodeId, regionId)) {
    const told = world.drop === 'an attach tells what is committed' ? 0 : replica.commitIndex;
    claims.claim(from as NodeId, {
      regionId,
      term: replica.term,
      replicaId: ack.from as ReplicaId,
      lastIndex: matchIndex,
      commitIndex: Math.min(told, matchIndex),
    });
    world.takeEvents(id);
    world.flush(id);
  }
  if (hasCommitted) appendToAll(world, id);
  else if (leadership.sentIndex[from]! < replica.lastIndex) sendAppend(world, id, from);
}

/** The highest index that a quorum holds. */
function committedIndex(world: World, id: number, leadership: Leadership): number {
  const held = [world.node(id).replica.lastIndex];
  for (const other of world.others(id)) held.push(leadership.matchIndex[other.id]!);
  held.sort((a, b) => b - a);
  return held[Math.floor(held.length / 2)]!;
}

/** Takes over a term and its leader, and leaves what they end (D1). */
function adopt(world: World, id: number, term: number, leader: number): void {
  const { replica } = world.node(id);
  if (term > replica.term) {
    stepDown(world, id);
    leave(world, id);
    replica.term = term;
  } else if (leader !== replica.leader) {
    leave(world, id);
  }
  replica.leader = leader;
}

function leave(world: World, id: number): void {
  const stood = world.node(id).claims.leaveFollowed(regionId);
  if (stood && world.drop === 'a follower that leaves says so') world.unsay(id, 'follower');
  world.takeEvents(id);
  world.flush(id);
}

function appendToAll(world: World, id: number): void {
  for (const other of world.others(id)) sendAppend(world, id, other.id);
}
