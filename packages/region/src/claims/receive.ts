/**
 * What each control item of a peer does, in the order in which they come. Each function takes the state
 * and one item, and returns undefined, or what was out of order: the session is closed for it then,
 * since a peer that is understood wrongly must not go on (design §6, "one ordered stream").
 *
 * Invariants (those of `state.ts` besides):
 *  V1 Claims bear ascending numbers without gaps, list first, so that an item of another place shows.
 *  V2 A heartbeat is answered by what is queued right then: behind every detach of before.
 *  V3 Answers come in the order of the heartbeats, each once.
 *  V4 A claim is accepted only by the follower it names, in the term it names, that follows its sender.
 */
import { assert, unreachable } from '@moku/base';
import { copyDigest, equalDigests } from './digest.js';
import { beginRepair, receiveRepairClaims, receiveRepairDigests } from './repair.js';
import {
  addFollowed,
  type ClaimsState,
  dropLedClaim,
  type PeerState,
  pushDetach,
  removeFollowed,
  type SessionState,
} from './state.js';
import type {
  ClaimKey,
  ClaimsOptions,
  ClaimsReplicas,
  ControlItem,
  FollowerView,
  ListItem,
} from './types.js';

type ItemOf<T extends ControlItem['type']> = Extract<ControlItem, { type: T }>;

/** What a received item is judged with. */
export interface Receiver {
  readonly state: ClaimsState;
  readonly replicas: ClaimsReplicas;
  readonly options: ClaimsOptions;
}

/** Takes one item of the open session `session` of `peer`. Returns what was out of order, if anything. */
export function receiveItem(
  receiver: Receiver,
  peer: PeerState,
  session: SessionState,
  item: ControlItem,
  nowMs: number,
): string | undefined {
  if (item.type === 'list') return receiveList(receiver, peer, session, item);
  if (!session.hasPeerList) return `${item.type} before the end of the list`;
  switch (item.type) {
    case 'attach':
      return receiveAttach(receiver, peer, session, item);
    case 'detach':
      receiver.state.counters.detachesReceived += 1;
      return item.by === 'leader'
        ? receiveLeaderDetach(receiver, peer, session, item)
        : receiveFollowerDetach(receiver, peer, session, item);
    case 'heartbeat':
      return receiveHeartbeat(peer, session, item);
    case 'heartbeatAnswer':
      return receiveAnswer(receiver, session, item, nowMs);
    case 'repairDigests':
      return receiveRepairDigests(receiver.state, peer, session, item);
    case 'repairClaims':
      return receiveRepairClaims(receiver.state, peer, session, item);
    default:
      return unreachable(item);
  }
}

function receiveList(
  receiver: Receiver,
  peer: PeerState,
  session: SessionState,
  item: ItemOf<'list'>,
): string | undefined {
  if (session.hasPeerList) return 'list after its end';
  if (item.firstNumber !== session.peerNumber + 1) return 'list items out of number';
  const { counters } = receiver.state;
  for (const listed of item.items) {
    session.peerNumber += 1;
    const follower = receiver.replicas.follower(listed.regionId);
    // Who differs in content detaches too: at rest nothing else would tell it what it lacks.
    const isEqual =
      follower !== undefined &&
      follower.lastIndex === listed.lastIndex &&
      follower.commitIndex === listed.commitIndex;
    if (isEqual && isFollowerOf(follower, peer, listed)) {
      const fault = accept(receiver, peer, listed, session.peerNumber);
      if (fault !== undefined) return fault;
      counters.listItemsAccepted += 1;
    } else {
      refuse(receiver, session, listed, session.peerNumber);
      counters.listItemsRefused += 1;
    }
  }
  session.hasPeerList = item.isLast;
  return undefined;
}

function receiveAttach(
  receiver: Receiver,
  peer: PeerState,
  session: SessionState,
  item: ItemOf<'attach'>,
): string | undefined {
  if (item.claimNumber !== session.peerNumber + 1) return 'attach out of number';
  session.peerNumber = item.claimNumber;
  const { counters } = receiver.state;
  const follower = receiver.replicas.follower(item.regionId);
  // Less than it acknowledged: it is not what its leader takes it for.
  const hasWhatItAcknowledged = follower !== undefined && follower.lastIndex >= item.lastIndex;
  if (hasWhatItAcknowledged && isFollowerOf(follower, peer, item)) {
    counters.attachesAccepted += 1;
    return accept(receiver, peer, item, item.claimNumber);
  }
  refuse(receiver, session, item, item.claimNumber);
  counters.attachesRefused += 1;
  return undefined;
}

/** V4. */
function isFollowerOf(follower: FollowerView, peer: PeerState, key: ClaimKey): boolean {
  return (
    follower.canAttach &&
    follower.replicaId === key.replicaId &&
    follower.term === key.term &&
    follower.leaderNodeId === peer.peer
  );
}

function accept(
  receiver: Receiver,
  peer: PeerState,
  key: ListItem,
  claimNumber: number,
): string | undefined {
  const { state } = receiver;
  const { regionId, term, commitIndex } = key;
  const former = state.followed.get(regionId);
  if (former?.peer === peer.peer) return 'a claim on a region that is claimed already';
  assert(former === undefined, 'D1: a follower that changed its leader left the former claim');
  addFollowed(state, peer, key, claimNumber);
  state.events.push({ type: 'attached', regionId, peer: peer.peer, term, commitIndex });
  return undefined;
}

function refuse(
  receiver: Receiver,
  session: SessionState,
  key: ClaimKey,
  claimNumber: number,
): void {
  pushDetach(receiver.state, session, {
    type: 'detach',
    by: 'follower',
    regionId: key.regionId,
    term: key.term,
    replicaId: key.replicaId,
    claimNumber,
    isRelease: false,
  });
}

function receiveLeaderDetach(
  receiver: Receiver,
  peer: PeerState,
  session: SessionState,
  item: ItemOf<'detach'>,
): string | undefined {
  const { state, replicas } = receiver;
  const { regionId, term, claimNumber } = item;
  const claim = state.followed.get(regionId);
  if (claim?.peer === peer.peer && claim.claimNumber === claimNumber) {
    removeFollowed(state, session, regionId);
    state.events.push({ type: 'detached', regionId, peer: peer.peer, reason: 'leaderLeft' });
  }
  if (!item.isRelease) return undefined;
  const follower = replicas.follower(regionId);
  if (follower?.term === term && follower.leaderNodeId === peer.peer) {
    state.events.push({ type: 'released', regionId, peer: peer.peer, term });
  }
  return undefined;
}

function receiveFollowerDetach(
  receiver: Receiver,
  peer: PeerState,
  session: SessionState,
  item: ItemOf<'detach'>,
): string | undefined {
  const { regionId, claimNumber } = item;
  if (claimNumber === 0 || claimNumber > session.lastNumber) return 'detach of an unknown claim';
  const claim = dropLedClaim(session, regionId, claimNumber);
  if (claim !== undefined) {
    const { replicaId } = claim;
    receiver.state.events.push({ type: 'unattached', regionId, peer: peer.peer, replicaId });
  }
  return undefined;
}

function receiveHeartbeat(
  peer: PeerState,
  session: SessionState,
  item: ItemOf<'heartbeat'>,
): string | undefined {
  if (item.sequence !== session.peerSequence + 1) return 'heartbeat out of sequence';
  session.peerSequence = item.sequence;
  peer.oldestUnsyncedMs = item.oldestUnsyncedMs;
  // V2
  session.queue.push({
    type: 'heartbeatAnswer',
    sequence: item.sequence,
    digest: copyDigest(session.followedDigest),
  });
  return undefined;
}

function receiveAnswer(
  receiver: Receiver,
  session: SessionState,
  item: ItemOf<'heartbeatAnswer'>,
  nowMs: number,
): string | undefined {
  if (item.sequence !== session.answeredSequence + 1) return 'answer out of sequence';
  if (item.sequence > session.sentSequence) return 'answer to no heartbeat';
  session.answeredSequence = item.sequence;
  const { counters } = receiver.state;
  counters.heartbeatsAnswered += 1;
  const check = session.check;
  if (check === undefined || check.sequence !== item.sequence) return undefined;
  session.check = undefined;
  counters.digestsCompared += 1;
  if (equalDigests(check.digest, item.digest)) return undefined;
  counters.digestMismatches += 1;
  if (nowMs < session.repairDueMs) return undefined;
  session.repairDueMs = nowMs + receiver.options.repairIntervalMs;
  counters.repairs += 1;
  beginRepair(session);
  return undefined;
}
