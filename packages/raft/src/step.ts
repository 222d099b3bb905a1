// @hot
/**
 * Where a message goes. A term seen in any message is adopted before anything else is decided; pre-vote
 * requests and grants carry a future term and are the exception.
 *
 * Invariant Z1: only the leader of a term sends appends, heartbeats and snapshots in it, and there is at
 * most one (paper §5.2).
 */
import { assert, noReplica, type ReplicaId, unreachable } from '@moku/base';
import type { Core } from './core.js';
import { answerVote, handlePreVote, handleVote, handleVoteAnswer } from './election.js';
import { handleHeartbeatResponse, handleReadIndex, handleReadIndexResponse } from './reads.js';
import {
  answerFormerLeader,
  handleAppend,
  handleAppendResponse,
  handleHeartbeat,
  handleSnapshotOffer,
} from './replication.js';
import { handleTimeoutNow } from './transfer.js';
import type { Message } from './types.js';

/** Takes a message that is addressed to this replica. */
export function stepMessage(core: Core, message: Message): void {
  if (message.type === 'preVote') {
    handlePreVote(core, message);
    return;
  }
  if (message.type === 'preVoteResponse' && message.isGranted) {
    handleVoteAnswer(core, message);
    return;
  }
  if (message.term < core.term) {
    answerFormer(core, message);
    return;
  }
  if (message.term > core.term) core.adoptTerm(message.term);
  dispatch(core, message);
}

/** A message of a former term. Requests learn the present term; answers are dropped. */
function answerFormer(core: Core, message: Message): void {
  switch (message.type) {
    case 'append':
    case 'heartbeat':
    case 'snapshot':
      answerFormerLeader(core, message);
      return;
    case 'vote':
      answerVote(core, message, false);
      return;
    case 'readIndex':
      core.refuseRead(message.from, message.context);
      return;
    default:
  }
}

/** A message of the present term. */
function dispatch(core: Core, message: Message): void {
  switch (message.type) {
    case 'append':
      heardFromLeader(core, message.from);
      handleAppend(core, message);
      return;
    case 'heartbeat':
      heardFromLeader(core, message.from);
      handleHeartbeat(core, message);
      return;
    case 'snapshot':
      heardFromLeader(core, message.from);
      handleSnapshotOffer(core, message);
      return;
    case 'appendResponse':
      handleAppendResponse(core, message);
      return;
    case 'heartbeatResponse':
      handleHeartbeatResponse(core, message);
      return;
    case 'vote':
      handleVote(core, message);
      return;
    case 'voteResponse':
    case 'preVoteResponse':
      handleVoteAnswer(core, message);
      return;
    case 'timeoutNow':
      handleTimeoutNow(core);
      return;
    case 'readIndex':
      handleReadIndex(core, message);
      return;
    case 'readIndexResponse':
      handleReadIndexResponse(core, message);
      return;
    case 'preVote':
      handlePreVote(core, message);
      return;
    default:
      unreachable(message);
  }
}

/** Only the leader of the present term sends this: there is at most one (paper §5.2). */
function heardFromLeader(core: Core, from: ReplicaId): void {
  assert(core.role !== 'leader', 'Z1: one leader per term');
  assert(core.leaderId === noReplica || core.leaderId === from, 'Z1: one leader per term');
  core.follow(from);
  core.heardLeader();
}
