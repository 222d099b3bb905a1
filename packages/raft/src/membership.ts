/**
 * Changes of the configuration. Sources: thesis §4.1–4.3; a change takes effect where it is applied, as in
 * etcd, which is safe because of M1 and E4 (nobody campaigns over a committed change it has not applied).
 *
 * Invariants:
 *  M1 At most one change is in a leader's log and not applied.
 *  M2 What a leader takes is valid in the configuration in which it will be applied, so that applying
 *     never fails.
 *  M3 A leader that is no voter, or no longer, takes no proposals and steps down once its term's first entry
 *     is applied, after it told others what is committed.
 */
import { emptyBytes, MokuError, noReplica } from '@moku/base';
import { changedConfState, confContextBytesMax, encodeConfChange, isJoint } from './conf-change.js';
import type { Core } from './core.js';
import { stepDown } from './election.js';
import type { LeaderState } from './leader-state.js';
import { releaseReads, sendRound } from './reads.js';
import { advanceCommit } from './replication.js';
import { endTransfer } from './transfer.js';
import type { ConfChange, ConfState, ProposeResult } from './types.js';

const leaveJoint: ConfChange = { steps: [], context: emptyBytes };

/** Puts a change into the log. Throws INVALID_ARGUMENT when the configuration does not allow it (M2). */
export function proposeConfChange(core: Core, change: ConfChange): ProposeResult {
  const leader = core.leader;
  if (leader === undefined) return { kind: 'notLeader', leaderId: core.leaderId };
  if (leader.transferee !== noReplica || isChangePending(core, leader)) return { kind: 'busy' };
  if (!core.isSelfVoter()) return { kind: 'busy' };
  if (change.context.length > confContextBytesMax) {
    throw new MokuError('INVALID_ARGUMENT', { field: 'context', max: confContextBytesMax });
  }
  changedConfState(core.confState, change);
  return appendConfChange(core, leader, change);
}

/** M1. Until the term's no-op is applied, changes of former leaders may be unapplied too. */
function isChangePending(core: Core, leader: LeaderState): boolean {
  return leader.pendingConfIndex > core.appliedIndex;
}

function appendConfChange(core: Core, leader: LeaderState, change: ConfChange): ProposeResult {
  const data = encodeConfChange(change);
  const index = core.tail.lastIndex + 1;
  core.tail.push({ term: core.term, index, kind: 'confChange', data });
  core.lastConfIndex = index;
  leader.pendingConfIndex = index;
  leader.uncommittedBytes += data.length;
  leader.isFlushDue = true;
  return { kind: 'accepted', index, term: core.term };
}

/** A committed change is applied at `index`: the new configuration holds from here on. */
export function applyConfChange(
  core: Core,
  change: ConfChange,
  index: number,
): ConfState | undefined {
  // A configuration that came back further than the state machine has it already.
  if (index <= core.confStateIndex) return undefined;
  core.setConfState(changedConfState(core.confState, change), index);
  followConfState(core);
  return core.confState;
}

/** Brings a leader in line with core.confState. */
function followConfState(core: Core): void {
  const leader = core.leader;
  if (leader === undefined) return;
  leader.configure(core.confState, core.id, core.tail.lastIndex + 1);
  leader.isFlushDue = true;
  if (!core.confState.voters.includes(leader.transferee)) endTransfer(leader);
  advanceCommit(core, leader);
  const { reads } = leader;
  if (reads === undefined) return;
  // New voters were never asked about the rounds under way.
  if (reads.newestRound() > 0) sendRound(core, leader, reads.newestRound());
  releaseReads(core, leader);
}

/** Something was applied: what was waiting for it is due (M3; a joint configuration that leaves by itself). */
export function followApplied(core: Core): void {
  const leader = core.leader;
  if (leader === undefined) return;
  if (!core.isSelfVoter() && core.appliedIndex >= leader.firstIndexOfTerm) {
    stepDown(core);
    return;
  }
  if (!core.confState.autoLeave || !isJoint(core.confState)) return;
  if (isChangePending(core, leader)) return;
  appendConfChange(core, leader, leaveJoint);
}
