// @hot
/**
 * Linearizable reads by ReadIndex. Source: thesis §6.4. The rounds themselves are in read-rounds.ts.
 *
 * Invariants: D1–D3 of read-rounds.ts, and
 *  D4 A round is confirmed by answers of the present term from majorities of the present configuration;
 *     learners do not count.
 */
import { noReplica, type ReplicaId } from '@moku/base';
import type { Core } from './core.js';
import type { LeaderState } from './leader-state.js';
import type { Progress } from './progress.js';
import { roundOfMajority } from './quorum.js';
import { ForwardedReads, ReadRounds } from './read-rounds.js';
import type { Message } from './types.js';

export type ReadIndexResult = 'accepted' | 'noLeader' | 'busy';

/** A read of this replica's host: queued here by the leader, forwarded to it by others. */
export function askRead(core: Core, context: number): ReadIndexResult {
  if (core.leader !== undefined) return queueRead(core, core.leader, core.id, context);
  if (core.leaderId === noReplica) return 'noLeader';
  if (core.forwarded === undefined) core.forwarded = new ForwardedReads();
  if (core.forwarded.count >= core.limits.readsMax) return 'busy';
  core.forwarded.add(context);
  const { id, leaderId, term } = core;
  core.send({ type: 'readIndex', from: id, to: leaderId, term, context });
  return 'accepted';
}

function queueRead(
  core: Core,
  leader: LeaderState,
  from: ReplicaId,
  context: number,
): 'accepted' | 'busy' {
  if (leader.reads === undefined) leader.reads = new ReadRounds();
  if (leader.reads.count >= core.limits.readsMax) return 'busy';
  leader.reads.add(from, context);
  leader.isFlushDue = true;
  return 'accepted';
}

/** A read that a follower forwarded. */
export function handleReadIndex(
  core: Core,
  message: Extract<Message, { type: 'readIndex' }>,
): void {
  const { from, context } = message;
  const leader = core.leader;
  if (leader === undefined || queueRead(core, leader, from, context) === 'busy') {
    core.refuseRead(from, context);
  }
}

export function handleReadIndexResponse(
  core: Core,
  message: Extract<Message, { type: 'readIndexResponse' }>,
): void {
  const { context, index } = message;
  const forwarded = core.forwarded;
  if (forwarded === undefined || !forwarded.take(context)) return;
  if (forwarded.count === 0) core.forwarded = undefined;
  if (index < 0) core.refuseRead(core.id, context);
  else core.answerRead(core.id, context, index);
}

/** A tick of a replica that forwards reads: what was lost on the way is refused in the end. */
export function tickForwarded(core: Core): void {
  const forwarded = core.forwarded;
  if (forwarded === undefined) return;
  const expired = forwarded.tick(core.electionTicks);
  for (let i = 0; i < expired.length; i++) core.refuseRead(core.id, expired[i]!);
  if (forwarded.count === 0) core.forwarded = undefined;
}

/** Begins a round for the reads that wait, if this leader may answer reads yet (D2). */
export function flushReads(core: Core, leader: LeaderState): void {
  const { reads } = leader;
  if (reads === undefined || !reads.hasJoining()) return;
  if (core.commitIndex < leader.firstIndexOfTerm) return;
  const round = reads.begin(core.commitIndex);
  sendRound(core, leader, round);
  releaseReads(core, leader);
}

/** Answers the reads of every round that majorities have confirmed (D3, D4). */
export function releaseReads(core: Core, leader: LeaderState): void {
  const { reads } = leader;
  if (reads === undefined) return;
  let confirmed = roundOfMajority(leader.voters);
  const outgoing = roundOfMajority(leader.votersOutgoing);
  if (outgoing < confirmed) confirmed = outgoing;
  for (;;) {
    const round = reads.takeConfirmed(confirmed);
    if (round === undefined) break;
    for (let i = 0; i < round.reads.length; i++) {
      const read = round.reads[i]!;
      core.answerRead(read.from, read.context, round.readIndex);
    }
  }
}

/** Asks every other voter to confirm `readRound`. */
export function sendRound(core: Core, leader: LeaderState, readRound: number): void {
  const { progresses } = leader;
  for (let i = 0; i < progresses.length; i++) {
    const progress = progresses[i]!;
    if (progress.replicaId === core.id || progress.isLearner) continue;
    sendHeartbeat(core, progress, readRound);
  }
}

/** A tick of a leader that sends heartbeats itself: one to every peer, with the newest round that waits. */
export function tickHeartbeat(core: Core, leader: LeaderState): void {
  leader.heartbeatElapsed++;
  if (leader.heartbeatElapsed < core.heartbeatTicks) return;
  leader.heartbeatElapsed = 0;
  const round = leader.reads === undefined ? 0 : leader.reads.newestRound();
  const { progresses } = leader;
  for (let i = 0; i < progresses.length; i++) {
    const progress = progresses[i]!;
    if (progress.replicaId !== core.id) sendHeartbeat(core, progress, round);
  }
}

export function sendHeartbeat(core: Core, progress: Progress, readRound: number): void {
  const { matchIndex } = progress;
  core.send({
    type: 'heartbeat',
    from: core.id,
    to: progress.replicaId,
    term: core.term,
    commitIndex: matchIndex < core.commitIndex ? matchIndex : core.commitIndex,
    matchIndex,
    readRound,
  });
}

export function handleHeartbeatResponse(
  core: Core,
  message: Extract<Message, { type: 'heartbeatResponse' }>,
): void {
  const leader = core.leader;
  const progress = leader?.find(message.from);
  if (leader === undefined || progress === undefined || message.from === core.id) return;
  progress.isRecentlyActive = true;
  // A lost append or answer is noticed here: the peer is asked where it stands.
  if (core.heartbeatTicks > 0 && isBehind(core, progress)) {
    progress.isProbeDue = true;
    leader.isFlushDue = true;
  }
  if (message.readRound <= progress.readRound) return;
  progress.readRound = message.readRound;
  releaseReads(core, leader);
}

function isBehind(core: Core, progress: Progress): boolean {
  if (progress.state === 'probe') return true;
  return progress.state === 'snapshot' || progress.matchIndex < core.tail.lastIndex;
}
