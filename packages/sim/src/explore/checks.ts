/**
 * What must hold in every state, and in every state at rest. What needs one node only is judged where
 * its part becomes known (`parts.ts`) or in its step (`node-run.ts`).
 *
 *  K2 A follower is attached only while its leader holds the claim, or the end of it is on the way: by
 *     a detach in the stream, or by the end of the session.
 *  K3 A claim that its leader holds is held by its follower, announced to it or given up on the way
 *     here; where nothing is under way both ends hold equal sets with equal digests.
 */
import type { ControlItem } from '@moku/region';
import { leaderOf, linkOf, nodeOf } from './enabled.js';
import type { Link, Parts } from './parts.js';
import { nodeNumbers, sessionOf } from './state.js';
import { linkEnds, type State } from './world.js';

/** What does not hold in `state`, or undefined. */
export function violationOf(parts: Parts, state: State): string | undefined {
  for (const id of nodeNumbers) {
    const { violation } = parts.facts[state[id - 1]!]!;
    if (violation !== undefined) return violation;
  }
  for (let i = 0; i < 3; i++) {
    const [a, b] = linkEnds[i]!;
    const link = linkOf(parts, state, i);
    const violation =
      violationOfPair(parts, state, link, { leader: a, follower: b, end: 0 }) ??
      violationOfPair(parts, state, link, { leader: b, follower: a, end: 1 });
    if (violation !== undefined) return violation;
  }
  return undefined;
}

/** At rest somebody leads, and every follower is attached at both ends and holds what its leader holds. */
export function violationAtRest(parts: Parts, state: State): string | undefined {
  const leader = leaderOf(parts, state);
  if (leader === 0) return 'nobody leads at rest';
  const { lastIndex } = nodeOf(parts, state, leader).replica;
  for (const id of nodeNumbers) {
    if (id === leader) continue;
    const { replica } = nodeOf(parts, state, id);
    const { followedPeer } = parts.facts[state[id - 1]!]!;
    if (followedPeer !== leader) return `node ${id} is unattached at rest`;
    if (parts.facts[state[leader - 1]!]!.led[id] === 0) {
      return `the leader has no claim on node ${id} at rest`;
    }
    if (replica.lastIndex !== lastIndex) return `node ${id} lacks entries at rest`;
    if (replica.commitIndex !== lastIndex) {
      return `node ${id} knows too little as committed at rest`;
    }
  }
  return undefined;
}

interface Pair {
  readonly leader: number;
  readonly follower: number;
  /** The leader's end of the link. */
  readonly end: 0 | 1;
}

function violationOfPair(
  parts: Parts,
  state: State,
  link: Link,
  { leader, follower, end }: Pair,
): string | undefined {
  const led = parts.facts[state[leader - 1]!]!.led[follower]!;
  const { followedPeer, followedNumber } = parts.facts[state[follower - 1]!]!;
  const followed = followedPeer === leader ? followedNumber : 0;
  const leaderView = link.views[end];
  const followerView = link.views[1 - end]!;
  if (leaderView !== 1 || followerView !== 1) {
    // View 2: the end of its session is on the way.
    if (followed > 0 && followerView !== 2) {
      return `K2: node ${follower} is attached to node ${leader}, whose session is another`;
    }
    return undefined;
  }
  const toFollower = link.queues[end];
  const toLeader = link.queues[1 - end]!;
  if (led > 0 && led !== followed) {
    const isComing = isSent(parts, toFollower, (item) => announces(item, led));
    const isGivenUp = isSent(parts, toLeader, (item) => ends(item, led));
    if (!isComing && !isGivenUp) {
      return `K3: node ${leader} holds a claim that node ${follower} knows not of`;
    }
  }
  if (followed > 0 && led !== followed) {
    if (!isSent(parts, toFollower, (item) => ends(item, followed))) {
      return `K2: node ${follower} is attached and node ${leader} has left without a word`;
    }
  }
  if (toFollower.length > 0 || toLeader.length > 0) return undefined;
  return violationOfDigests(parts, state, leader, follower);
}

function violationOfDigests(
  parts: Parts,
  state: State,
  leader: number,
  follower: number,
): string | undefined {
  const ours = sessionOf(nodeOf(parts, state, leader), follower)!.ledDigest;
  const theirs = sessionOf(nodeOf(parts, state, follower), leader)!.followedDigest;
  const isEqual =
    ours.count === theirs.count && ours.sumHigh === theirs.sumHigh && ours.sumLow === theirs.sumLow;
  return isEqual ? undefined : `K3: digests of nodes ${leader} and ${follower} differ at rest`;
}

function isSent(
  parts: Parts,
  queue: readonly number[],
  matches: (item: ControlItem) => boolean,
): boolean {
  return queue.some((item) => {
    const sent = parts.items[item]!;
    return sent.kind === 'control' && matches(sent.item);
  });
}

function ends(item: ControlItem, claimNumber: number): boolean {
  return item.type === 'detach' && item.claimNumber === claimNumber;
}

function announces(item: ControlItem, claimNumber: number): boolean {
  if (item.type === 'attach') return item.claimNumber === claimNumber;
  if (item.type !== 'list') return false;
  return claimNumber >= item.firstNumber && claimNumber < item.firstNumber + item.items.length;
}
