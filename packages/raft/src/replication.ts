// @hot
/**
 * Replication: appends to followers, their answers, commit; and a follower's side of it. Sources: paper
 * §5.3, §5.4.2; thesis §10.2.1 (pipelining, the leader's own disk in parallel); backtracking by term as
 * in etcd.
 *
 * Invariants:
 *  A1 Every append carries prevLogIndex and prevLogTerm, and is taken only where they match.
 *  A2 Only an entry of the leader's own term is committed by counting; earlier ones with it. A leader
 *     counts itself only as far as its own disk has synced.
 *  A3 An acknowledgement leaves only after everything it vouches for is synced; refusals promise nothing.
 *  A4 Nothing committed is ever replaced.
 *  A5 A replica that was told no configuration takes no entries: the first one stands in no log, so that it
 *     comes with a snapshot.
 *  A6 A follower whose log ends before what it acknowledged in the present term lost synced entries, and may
 *     have lost a vote with them: it says and takes nothing more (LOG_AMNESIA).
 */
import { assert, MokuError, noReplica } from '@moku/base';
import type { Core } from './core.js';
import type { LeaderState } from './leader-state.js';
import type { Progress } from './progress.js';
import { matchedByMajority } from './quorum.js';
import { sendHeartbeat } from './reads.js';
import type { Entry, Message, SnapshotMeta } from './types.js';

type Append = Extract<Message, { type: 'append' }>;
type AppendResponse = Extract<Message, { type: 'appendResponse' }>;
type Heartbeat = Extract<Message, { type: 'heartbeat' }>;
type SnapshotOffer = Extract<Message, { type: 'snapshot' }>;

const noEntries: readonly Entry[] = Object.freeze([]);

/** Puts into the outbox what every peer may be sent now. */
export function flushAppends(core: Core, leader: LeaderState): void {
  const { progresses } = leader;
  for (let i = 0; i < progresses.length; i++) {
    const progress = progresses[i]!;
    if (progress.replicaId === core.id) continue;
    if (progress.isProbeDue) {
      progress.isProbeDue = false;
      sendProbe(core, progress);
    }
    while (sendNext(core, progress)) {
      // One append after another, until nothing is left or the peer's bounds are reached.
    }
  }
}

/** Sends the next append if there is something to say and the peer may be sent it. */
function sendNext(core: Core, progress: Progress): boolean {
  if (progress.isFetching || progress.state === 'snapshot') return false;
  if (progress.state === 'probe') {
    if (progress.isProbeSent) return false;
    return sendAppend(core, progress, core.limits.appendEntriesMax);
  }
  const { inflightMessagesMax, inflightBytesMax } = core.limits;
  if (progress.nextIndex <= core.tail.lastIndex) {
    if (progress.inflights.isFull(inflightMessagesMax, inflightBytesMax)) return false;
    return sendAppend(core, progress, core.limits.appendEntriesMax);
  }
  if (progress.sentCommitIndex >= core.commitIndex) return false;
  return sendAppend(core, progress, 0);
}

/** Sends one append behind nextIndex - 1 whatever its state, so that its answer tells where the peer is. */
function sendProbe(core: Core, progress: Progress): void {
  switch (progress.state) {
    case 'probe':
      progress.isProbeSent = false;
      return;
    case 'replicate':
      // With room and entries to send, the next regular append does the same.
      if (progress.nextIndex > core.tail.lastIndex || isFull(core, progress)) {
        sendAppend(core, progress, 0);
      }
      return;
    case 'snapshot':
      if (core.tail.term(progress.snapshotIndex) === undefined) {
        progress.becomeProbe(progress.matchIndex + 1);
      } else {
        sendAppend(core, progress, 0);
      }
  }
}

function isFull(core: Core, progress: Progress): boolean {
  return progress.inflights.isFull(core.limits.inflightMessagesMax, core.limits.inflightBytesMax);
}

/** One append of at most `entriesMax` entries (A1), or a snapshot. Returns whether entries were sent. */
function sendAppend(core: Core, progress: Progress, entriesMax: number): boolean {
  const { tail } = core;
  const prevLogIndex = progress.nextIndex - 1;
  const prevLogTerm = tail.term(prevLogIndex);
  if (prevLogTerm === undefined) {
    offerSnapshot(core, progress);
    return false;
  }
  let entries = noEntries;
  if (entriesMax > 0 && prevLogIndex < tail.lastIndex) {
    const { appendBytesMax } = core.limits;
    const found = tail.entries(prevLogIndex + 1, tail.lastIndex, entriesMax, appendBytesMax);
    if (found === 'fetching') {
      progress.isFetching = true;
      return false;
    }
    entries = found;
  }
  const count = entries.length;
  if (count > 0) progress.sent(prevLogIndex + count, bytesOf(entries));
  else if (progress.state === 'probe') progress.isProbeSent = true;
  progress.sentCommitIndex = core.commitIndex;
  core.send({
    type: 'append',
    from: core.id,
    to: progress.replicaId,
    term: core.term,
    prevLogIndex,
    prevLogTerm,
    entries,
    commitIndex: core.commitIndex,
  });
  return count > 0;
}

function bytesOf(entries: readonly Entry[]): number {
  let bytes = 0;
  for (let i = 0; i < entries.length; i++) bytes += entries[i]!.data.length;
  return bytes;
}

/**
 * The peer needs what no log has: offers the state as of what is applied here (paper §7). False while a
 * change is being applied: the configuration is not that of the state then.
 */
function offerSnapshot(core: Core, progress: Progress): boolean {
  if (core.confStateIndex > core.appliedIndex) return false;
  const index = core.appliedIndex;
  const term = core.tail.term(index);
  assert(term !== undefined, 'R3: the log is never compacted beyond what is applied');
  progress.becomeSnapshot(index);
  core.send({
    type: 'snapshot',
    from: core.id,
    to: progress.replicaId,
    term: core.term,
    snapshot: { index, term, confState: core.confState },
  });
  return true;
}

/** The state applied here has its configuration again: peers that wait for a snapshot are tried again. */
export function resumeOffers(leader: LeaderState): void {
  const { progresses } = leader;
  for (let i = 0; i < progresses.length; i++) {
    if (progresses[i]!.state === 'probe') progresses[i]!.isProbeSent = false;
  }
  leader.isFlushDue = true;
}

/** The leader's side of an answer. */
export function handleAppendResponse(core: Core, message: AppendResponse): void {
  const leader = core.leader;
  const progress = leader?.find(message.from);
  if (leader === undefined || progress === undefined || message.from === core.id) return;
  progress.isRecentlyActive = true;
  if (message.isRejected) handleRejection(core, leader, progress, message);
  else handleAcknowledgement(core, leader, progress, message.index);
}

/** Steps back to where the logs may agree, a term at a time (thesis §3.3's optimization). */
function handleRejection(
  core: Core,
  leader: LeaderState,
  progress: Progress,
  message: AppendResponse,
): void {
  const { index, hintIndex, hintTerm } = message;
  if (index === 0 && progress.state !== 'snapshot') {
    // Index 0 agrees everywhere: it is refused only by a replica that has no configuration yet (A5).
    progress.becomeProbe(progress.matchIndex + 1);
    if (!offerSnapshot(core, progress)) progress.isProbeSent = true;
    return;
  }
  if (index <= progress.matchIndex) {
    // Overtaken by an acknowledgement; or the replica lost what it acknowledged, and learns of it so (A6).
    sendHeartbeat(core, progress, 0);
    return;
  }
  if (progress.state === 'snapshot') return;
  if (progress.state === 'probe' && index !== progress.nextIndex - 1) return;
  if (index >= progress.nextIndex) return;
  let agreed = hintIndex < index ? hintIndex : index - 1;
  const low = core.tail.firstIndex() - 1;
  if (agreed > low) agreed = core.tail.lastIndexOfTermUpTo(hintTerm, low, agreed);
  progress.becomeProbe(agreed + 1);
  leader.isFlushDue = true;
}

function handleAcknowledgement(
  core: Core,
  leader: LeaderState,
  progress: Progress,
  index: number,
): void {
  assert(index <= core.tail.lastIndex, 'A3: a follower acknowledged what its leader does not have');
  const isNews = progress.matched(index);
  switch (progress.state) {
    case 'probe':
      if (index >= progress.matchIndex) progress.becomeReplicate();
      break;
    case 'snapshot':
      if (progress.matchIndex >= progress.snapshotIndex) progress.becomeReplicate();
      else if (progress.matchIndex + 1 >= core.tail.firstIndex()) progress.becomeReplicate();
      break;
    case 'replicate':
      progress.inflights.freeUpTo(index);
  }
  leader.isFlushDue = true;
  if (isNews) advanceCommit(core, leader);
}

/** The leader's own disk synced more: it counts itself (A2). */
export function ownLogPersisted(core: Core, leader: LeaderState): void {
  const own = leader.find(core.id);
  if (own === undefined || !own.matched(core.tail.stableIndex)) return;
  advanceCommit(core, leader);
}

/** Paper §5.3, §5.4.2: commits what majorities hold, if it reaches an entry of this term (A2). */
export function advanceCommit(core: Core, leader: LeaderState): void {
  let index = matchedByMajority(leader.voters);
  if (leader.votersOutgoing.length > 0) {
    const outgoing = matchedByMajority(leader.votersOutgoing);
    if (outgoing < index) index = outgoing;
  }
  if (index <= core.commitIndex || index < leader.firstIndexOfTerm) return;
  core.commitTo(index);
  leader.isFlushDue = true;
}

/** A follower's side. The sender leads the present term. */
export function handleAppend(core: Core, message: Append): void {
  const { tail } = core;
  const { prevLogIndex, prevLogTerm, entries } = message;
  if (core.confState.voters.length === 0) {
    reject(core, message);
    return;
  }
  // Everything committed agrees with every later leader (paper §5.4.3), so that it needs no comparison.
  if (prevLogIndex > core.commitIndex && tail.term(prevLogIndex) !== prevLogTerm) {
    reject(core, message);
    return;
  }
  const lastNewIndex = prevLogIndex + entries.length;
  takeEntries(core, entries);
  const known = lastNewIndex > core.commitIndex ? lastNewIndex : core.commitIndex;
  core.commitTo(message.commitIndex < known ? message.commitIndex : known);
  acknowledge(core, message.from, known);
}

/** Appends what is new, from the first entry that is missing or differs (paper §5.3, receiver's 3 and 4). */
function takeEntries(core: Core, entries: readonly Entry[]): void {
  const { tail } = core;
  let at = 0;
  while (at < entries.length) {
    const entry = entries[at]!;
    if (entry.index > core.commitIndex && tail.term(entry.index) !== entry.term) break;
    at++;
  }
  if (at === entries.length) return;
  assert(entries[at]!.index > core.commitIndex, 'A4: nothing committed is replaced');
  tail.replaceFrom(at === 0 ? entries : entries.slice(at));
  for (let i = at; i < entries.length; i++) {
    if (entries[i]!.kind === 'confChange') core.lastConfIndex = entries[i]!.index;
  }
  core.dropSnapshotReached();
}

function reject(core: Core, message: Append): void {
  const { tail } = core;
  const { prevLogIndex, prevLogTerm } = message;
  const high = prevLogIndex < tail.lastIndex ? prevLogIndex : tail.lastIndex;
  const hintIndex = tail.lastIndexOfTermUpTo(prevLogTerm, core.commitIndex, high);
  const hintTerm = tail.term(hintIndex);
  core.send({
    type: 'appendResponse',
    from: core.id,
    to: message.from,
    term: core.term,
    index: prevLogIndex,
    isRejected: true,
    hintIndex,
    hintTerm: hintTerm ?? 0,
  });
}

function acknowledge(core: Core, to: Append['from'], index: number): void {
  core.sendAfterPersist({
    type: 'appendResponse',
    from: core.id,
    to,
    term: core.term,
    index,
    isRejected: false,
    hintIndex: 0,
    hintTerm: 0,
  });
}

/** Tells the sender of a former term's message the present term, so that it stops leading. */
export function answerFormerLeader(core: Core, message: Message): void {
  core.send({
    type: 'appendResponse',
    from: core.id,
    to: message.from,
    term: core.term,
    index: message.type === 'append' ? message.prevLogIndex : 0,
    isRejected: true,
    hintIndex: 0,
    hintTerm: 0,
  });
}

/** A follower's side: the leader lives, and has committed that much of what this log shares with it. */
export function handleHeartbeat(core: Core, message: Heartbeat): void {
  const { lastIndex } = core.tail;
  if (message.matchIndex > lastIndex) {
    const { matchIndex: bound } = message;
    const rule = 'the log ends before what was acknowledged to the leader';
    throw new MokuError('LOG_AMNESIA', { field: 'lastIndex', value: lastIndex, bound, rule });
  }
  core.commitTo(message.commitIndex);
  core.send({
    type: 'heartbeatResponse',
    from: core.id,
    to: message.from,
    term: core.term,
    readRound: message.readRound,
  });
}

/** A follower's side: what it needs is compacted at the leader (paper §7). */
export function handleSnapshotOffer(core: Core, message: SnapshotOffer): void {
  const { snapshot, from } = message;
  if (snapshot.index <= core.commitIndex) {
    acknowledge(core, from, core.commitIndex);
    return;
  }
  if (core.tail.term(snapshot.index) === snapshot.term) {
    core.commitTo(snapshot.index);
    acknowledge(core, from, core.commitIndex);
    return;
  }
  core.snapshotWanted = snapshot;
  core.isSnapshotDue = true;
}

/** The host installed a snapshot whose last entry the log holds by now: nothing is restarted. */
export function snapshotReached(core: Core, meta: SnapshotMeta): void {
  const isHeld = meta.index <= core.commitIndex || core.tail.term(meta.index) === meta.term;
  assert(isHeld, 'R3: the log reached the snapshot');
  core.commitTo(meta.index);
  if (core.role === 'follower' && core.leaderId !== noReplica) {
    acknowledge(core, core.leaderId, core.commitIndex);
  }
}

/** The host installed a snapshot and restarted the log behind it. */
export function snapshotInstalled(core: Core, meta: SnapshotMeta): void {
  assert(core.role !== 'leader', 'R3: a leader holds everything committed');
  assert(meta.index > core.commitIndex, 'R3: a snapshot takes back nothing committed');
  core.tail.restart(meta.index, meta.term);
  core.commitIndex = meta.index;
  core.applyingIndex = meta.index;
  core.appliedIndex = meta.index;
  core.applyingBytes = 0;
  core.isApplyFetching = false;
  core.setConfState(meta.confState, meta.index);
  core.snapshotWanted = undefined;
  core.isSnapshotDue = false;
  core.isRestartUnsynced = true;
  if (core.leaderId !== noReplica) acknowledge(core, core.leaderId, meta.index);
}
