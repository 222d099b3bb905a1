// @hot
/**
 * Builds the Ready: what the core wants done, once per turn. Messages that depend on several events of a
 * turn (appends, commit notices, read rounds) are made here, so that a turn costs one of each per peer.
 *
 * Invariant Y1: what promises something (messagesAfterPersist) leaves at once only when nothing handed to
 * the log is unsynced.
 */
import type { Core } from './core.js';
import { flushReads } from './reads.js';
import { flushAppends } from './replication.js';
import { flushTransfer } from './transfer.js';
import type { Entry, HardState, Message, Ready } from './types.js';

const nothing: readonly never[] = Object.freeze([]);

/** Whether a Ready would carry anything. Cheap: asked of every replica that was touched in a turn. */
export function hasReady(core: Core): boolean {
  return (
    core.messages !== undefined ||
    core.messagesAfterPersist !== undefined ||
    core.isHardStateDue ||
    core.tail.hasTail() ||
    core.leader?.isFlushDue === true ||
    core.isSnapshotDue ||
    core.isRestartUnsynced ||
    core.readStates !== undefined ||
    core.readsRefused !== undefined ||
    mayHandOut(core)
  );
}

/** Takes everything that is due and moves the core on. */
export function buildReady(core: Core): Ready {
  flush(core);
  const committedEntries = takeCommitted(core);
  const entries = core.tail.takeTail();
  const isStateDue = core.isHardStateDue;
  const mustSync = entries.length > 0 || isStateDue || core.isRestartUnsynced;
  const number = ++core.lastReadyNumber;
  const hardState = takeHardState(core, entries.length > 0);
  if (mustSync) core.tail.writing(number, core.term, core.votedFor);
  const isSettled = !core.tail.isWriting();
  const messages = takeMessages(core, isSettled);
  const messagesAfterPersist = core.messagesAfterPersist ?? nothing;
  const snapshot = core.isSnapshotDue ? core.snapshotWanted : undefined;
  const readStates = core.readStates ?? nothing;
  const readsRefused = core.readsRefused ?? nothing;
  core.messagesAfterPersist = undefined;
  core.readStates = undefined;
  core.readsRefused = undefined;
  core.isSnapshotDue = false;
  core.isRestartUnsynced = false;
  return {
    hardState,
    mustSync,
    entries,
    snapshot,
    messages,
    messagesAfterPersist,
    committedEntries,
    readStates,
    readsRefused,
    number,
  };
}

function flush(core: Core): void {
  const leader = core.leader;
  if (leader === undefined || !leader.isFlushDue) return;
  flushReads(core, leader);
  flushAppends(core, leader);
  flushTransfer(core, leader);
  // Last, so that what could not be read is tried again.
  leader.isFlushDue = false;
}

/** The hard state when term or vote changed, or when it rides along with entries. */
function takeHardState(core: Core, hasEntries: boolean): HardState | undefined {
  const isDue = core.isHardStateDue || (hasEntries && core.commitIndex !== core.handedCommitIndex);
  if (!isDue) return undefined;
  core.isHardStateDue = false;
  core.handedCommitIndex = core.commitIndex;
  return { term: core.term, votedFor: core.votedFor, commitIndex: core.commitIndex };
}

/** Y1: with nothing under way to the disk, promises join what leaves at once. */
function takeMessages(core: Core, isSettled: boolean): readonly Message[] {
  const messages = core.messages;
  core.messages = undefined;
  const promises = core.messagesAfterPersist;
  if (!isSettled || promises === undefined) return messages ?? nothing;
  core.messagesAfterPersist = undefined;
  if (messages === undefined) return promises;
  for (let i = 0; i < promises.length; i++) messages.push(promises[i]!);
  return messages;
}

/** Up to where entries may be handed out for apply: committed, and synced here (R3). */
function handOutLimit(core: Core): number {
  const { commitIndex } = core;
  return core.tail.stableIndex < commitIndex ? core.tail.stableIndex : commitIndex;
}

function mayHandOut(core: Core): boolean {
  if (core.isApplyFetching || core.applyingBytes >= core.limits.applyingBytesMax) return false;
  return core.applyingIndex < handOutLimit(core);
}

function takeCommitted(core: Core): readonly Entry[] {
  if (!mayHandOut(core)) return nothing;
  const from = core.applyingIndex + 1;
  const last = handOutLimit(core);
  const bytesMax = core.limits.committedBytesPerReadyMax;
  const found = core.tail.entries(from, last, last - from + 1, bytesMax);
  if (found === 'fetching') {
    core.isApplyFetching = true;
    return nothing;
  }
  const leader = core.leader;
  const ownFrom = leader === undefined ? Number.POSITIVE_INFINITY : leader.firstIndexOfTerm;
  for (let i = 0; i < found.length; i++) {
    const entry = found[i]!;
    core.applyingBytes += entry.data.length;
    if (entry.index >= ownFrom) leader!.uncommittedBytes -= entry.data.length;
  }
  core.applyingIndex = from + found.length - 1;
  return found;
}
