// @hot
/**
 * Handing leadership to a chosen voter. Source: thesis §3.10: stop taking proposals, bring its log up to
 * date, tell it to campaign at once; give up after an election timeout.
 *
 * Invariant X1: the word goes only to a voter whose log equals the leader's, once per attempt.
 */
import { assert, noReplica, type ReplicaId } from '@moku/base';
import type { Core } from './core.js';
import { mayCampaign, startElection } from './election.js';
import type { LeaderState } from './leader-state.js';

/** Begins to hand over to `to`. False when this replica does not lead or `to` is no other voter. */
export function beginTransfer(core: Core, to: ReplicaId): boolean {
  const leader = core.leader;
  if (leader === undefined || to === core.id || !core.confState.voters.includes(to)) return false;
  if (leader.transferee === to) return true;
  leader.transferee = to;
  leader.transferElapsed = 0;
  leader.isTimeoutNowSent = false;
  leader.isFlushDue = true;
  const progress = leader.find(to);
  assert(progress !== undefined, 'S1: every voter has a progress');
  // A paused probe would wait for an answer that may never come.
  if (progress.matchIndex !== core.tail.lastIndex) progress.isProbeDue = true;
  return true;
}

/** Gives up: proposals are taken again. */
export function endTransfer(leader: LeaderState): void {
  leader.transferee = noReplica;
  leader.isTimeoutNowSent = false;
}

export function tickTransfer(core: Core, leader: LeaderState): void {
  if (leader.transferee === noReplica) return;
  leader.transferElapsed++;
  if (leader.transferElapsed >= core.electionTicks) endTransfer(leader);
}

/** Says the word once the transferee holds everything (X1). */
export function flushTransfer(core: Core, leader: LeaderState): void {
  const to = leader.transferee;
  if (to === noReplica || leader.isTimeoutNowSent) return;
  const progress = leader.find(to);
  if (progress === undefined || progress.matchIndex !== core.tail.lastIndex) return;
  leader.isTimeoutNowSent = true;
  core.send({ type: 'timeoutNow', from: core.id, to, term: core.term });
}

/** The transferee's side: campaigns at once, without asking whether it may win. */
export function handleTimeoutNow(core: Core): void {
  if (core.role !== 'follower') return;
  core.isAttached = false;
  if (mayCampaign(core)) startElection(core);
  else core.resetElectionTimer();
}
