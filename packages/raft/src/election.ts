// @hot
/**
 * Elections: pre-vote, vote, loyalty, check of the quorum. Sources: paper §5.2 and §5.4.1; thesis §4.2.3
 * (disruptive servers), §6.2 (a leader without a quorum steps down), §9.6 (pre-vote).
 *
 * Invariants:
 *  E1 A vote, the own one too, counts and is told only once term and vote are synced; so is a request
 *     for votes, because it vouches for the candidate's log.
 *  E2 At most one vote per term, first come first served, only for a log at least as up to date.
 *  E3 A pre-vote promises nothing and changes nothing. Loyalty to a live leader refuses it, never a vote.
 *  E4 Nobody campaigns with a configuration change committed and unapplied: it would count the wrong majority.
 *  E5 A replica that was a voter and is none any more still campaigns, without counting itself (thesis §4.2.2):
 *     it may be the only one that knows its removal committed, while the others wait for its vote and it
 *     refuses them for the entries it has ahead of them. It leads until its first entry is applied.
 */
import { assert, emptyBytes, noReplica } from '@moku/base';
import { membersOf } from './conf-change.js';
import type { Core } from './core.js';
import { LeaderState } from './leader-state.js';
import type { Progress } from './progress.js';
import { voteOutcome } from './quorum.js';
import type { Message } from './types.js';

type VoteRequest = Extract<Message, { type: 'vote' | 'preVote' }>;
type VoteAnswer = Extract<Message, { type: 'voteResponse' | 'preVoteResponse' }>;

/** Whether this replica may campaign now (E4, E5). An attached follower knows that its leader lives. */
export function mayCampaign(core: Core): boolean {
  if (core.role === 'leader' || core.isAttached) return false;
  return (core.isSelfVoter() || core.isFormerVoter) && !core.hasUnappliedConfChange();
}

/** A tick of a replica that does not lead. */
export function tickElection(core: Core): void {
  core.electionElapsed++;
  core.leaderElapsed++;
  if (core.electionElapsed < core.electionTimeout) return;
  core.resetElectionTimer();
  if (mayCampaign(core)) startPreVote(core);
}

/** Asks whether an election could be won, without disturbing anybody (E3). Thesis §9.6. */
export function startPreVote(core: Core): void {
  core.follow(noReplica);
  core.role = 'preCandidate';
  core.resetElectionTimer();
  core.votes = { granted: [core.id], refused: [] };
  if (voteOutcome(core.confState, core.votes.granted, core.votes.refused) === 'won') {
    startElection(core);
    return;
  }
  requestVotes(core, 'preVote', core.term + 1);
}

/** Begins a new term as a candidate. The own vote counts in `ownVotePersisted` (E1). */
export function startElection(core: Core): void {
  core.adoptTerm(core.term + 1);
  core.role = 'candidate';
  core.votedFor = core.id;
  core.resetElectionTimer();
  core.votes = { granted: [], refused: [] };
  requestVotes(core, 'vote', core.term);
}

function requestVotes(core: Core, type: 'vote' | 'preVote', term: number): void {
  const members = membersOf(core.confState);
  const { lastIndex, lastTerm } = core.tail;
  for (let i = 0; i < members.length; i++) {
    const to = members[i]!;
    if (to === core.id) continue;
    const isAsked =
      core.confState.voters.includes(to) || core.confState.votersOutgoing.includes(to);
    if (!isAsked) continue;
    const request: VoteRequest = {
      type,
      from: core.id,
      to,
      term,
      lastLogIndex: lastIndex,
      lastLogTerm: lastTerm,
    };
    if (type === 'vote') core.sendAfterPersist(request);
    else core.send(request);
  }
}

/** Something was synced: the own vote counts once it is durable (E1). */
export function ownVotePersisted(core: Core): void {
  if (core.role !== 'candidate') return;
  const { tail } = core;
  if (tail.durableTerm !== core.term || tail.durableVote !== core.id) return;
  const votes = core.votes!;
  if (votes.granted.includes(core.id)) return;
  votes.granted.push(core.id);
  countVotes(core);
}

/** A real request for a vote, always judged. `message.term` is the present term: a greater one was adopted. */
export function handleVote(core: Core, message: VoteRequest): void {
  const { from, lastLogIndex, lastLogTerm } = message;
  const isFree =
    core.votedFor === from || (core.votedFor === noReplica && core.leaderId === noReplica);
  const isGranted = isFree && core.tail.isUpToDate(lastLogIndex, lastLogTerm);
  if (!isGranted) {
    answerVote(core, message, false);
    return;
  }
  if (core.votedFor !== from) {
    core.votedFor = from;
    core.isHardStateDue = true;
  }
  core.resetElectionTimer();
  answerVote(core, message, true);
}

/** E3. `message.term` is the term that the sender would campaign in. */
export function handlePreVote(core: Core, message: VoteRequest): void {
  const { from, term, lastLogIndex, lastLogTerm } = message;
  const isFree =
    term > core.term ||
    (term === core.term &&
      (core.votedFor === from || (core.votedFor === noReplica && core.leaderId === noReplica)));
  const isGranted = isFree && !isLoyal(core) && core.tail.isUpToDate(lastLogIndex, lastLogTerm);
  answerVote(core, message, isGranted);
}

/** Whether this replica believes in a live leader: itself, one it is attached to, or one heard of late. */
function isLoyal(core: Core): boolean {
  if (core.role === 'leader' || core.isAttached) return true;
  return core.leaderId !== noReplica && core.leaderElapsed < core.electionTicks;
}

/** Answers a request of the present, or for a pre-vote of any, term. A refusal tells the own term. */
export function answerVote(core: Core, message: VoteRequest, isGranted: boolean): void {
  const isPre = message.type === 'preVote';
  const answer: VoteAnswer = {
    type: isPre ? 'preVoteResponse' : 'voteResponse',
    from: core.id,
    to: message.from,
    term: isGranted ? message.term : core.term,
    isGranted,
  };
  if (isGranted && !isPre) core.sendAfterPersist(answer);
  else core.send(answer);
}

export function handleVoteAnswer(core: Core, message: VoteAnswer): void {
  const isPre = message.type === 'preVoteResponse';
  if (core.role !== (isPre ? 'preCandidate' : 'candidate')) return;
  // A grant of another campaign than the present one.
  if (isPre && message.isGranted && message.term !== core.term + 1) return;
  const votes = core.votes!;
  const { from, isGranted } = message;
  if (votes.granted.includes(from) || votes.refused.includes(from)) return;
  if (isGranted) votes.granted.push(from);
  else votes.refused.push(from);
  countVotes(core);
}

function countVotes(core: Core): void {
  const votes = core.votes!;
  const outcome = voteOutcome(core.confState, votes.granted, votes.refused);
  if (outcome === 'pending') return;
  if (outcome === 'lost') core.follow(noReplica);
  else if (core.role === 'preCandidate') startElection(core);
  else becomeLeader(core);
}

/** Paper §5.2, §8: leads, and begins its term with a no-op, through which it will learn what is committed. */
function becomeLeader(core: Core): void {
  assert(core.role === 'candidate', 'R2: only a candidate becomes leader');
  const { tail } = core;
  core.votes = undefined;
  core.role = 'leader';
  core.leaderId = core.id;
  const leader = new LeaderState(tail.lastIndex + 1, core.confState, core.id);
  core.leader = leader;
  tail.push({ term: core.term, index: tail.lastIndex + 1, kind: 'normal', data: emptyBytes });
  const own = leader.find(core.id);
  if (own !== undefined) {
    own.matchIndex = tail.stableIndex;
    own.nextIndex = tail.lastIndex + 1;
    own.state = 'replicate';
  }
}

/** Ends a leadership or a campaign; the term stays. */
export function stepDown(core: Core): void {
  if (core.role !== 'follower') core.follow(noReplica);
}

/** Thesis §6.2: a leader that has not heard from a quorum for an election timeout steps down. */
export function tickQuorum(core: Core, leader: LeaderState): void {
  leader.quorumElapsed++;
  if (leader.quorumElapsed < core.electionTicks) return;
  leader.quorumElapsed = 0;
  const isAlive =
    isMajorityActive(leader.voters, core.id) && isMajorityActive(leader.votersOutgoing, core.id);
  if (!isAlive) {
    stepDown(core);
    return;
  }
  const { progresses } = leader;
  for (let i = 0; i < progresses.length; i++) progresses[i]!.isRecentlyActive = false;
}

function isMajorityActive(voters: readonly Progress[], selfId: number): boolean {
  let active = 0;
  for (let i = 0; i < voters.length; i++) {
    if (voters[i]!.isRecentlyActive || voters[i]!.replicaId === selfId) active++;
  }
  return voters.length === 0 || active > voters.length >> 1;
}

/** The host judged nodes silent: without a quorum of the others the leader steps down at once. */
export function checkSilence(core: Core, leader: LeaderState): void {
  if (isMajorityHeard(leader.voters) && isMajorityHeard(leader.votersOutgoing)) return;
  stepDown(core);
}

function isMajorityHeard(voters: readonly Progress[]): boolean {
  let heard = 0;
  for (let i = 0; i < voters.length; i++) if (!voters[i]!.isSilent) heard++;
  return voters.length === 0 || heard > voters.length >> 1;
}
