/**
 * What must hold in every state of a world, and how every state must heal.
 */
import type { NodeId } from '@moku/base';
import type { ControlItem } from '../../../src/claims/types.js';
import { act } from './actions.js';
import { elect, learn, mayProbe, sendAppend, sync } from './raft.js';
import { isFresh, regionId, type WorldNode } from './state.js';
import type { World } from './world.js';

const roundsMax = 50;

/** Holds in every state; what does not is added to the world's violations. */
export function check(world: World): void {
  for (const { id, claims, replica } of world.nodes) {
    const { counters, followed } = claims.state;
    if (counters.digestMismatches > 0) world.broken(`K3: node ${id} saw a digest that differs`);
    const claim = followed.get(regionId);
    if (claim !== undefined) {
      const isTrue =
        claim.term === replica.term &&
        claim.replicaId === replica.replicaId &&
        claim.peer === replica.leader &&
        replica.canAttach;
      if (!isTrue) world.broken(`V4: node ${id} is attached by a claim that is not true of it`);
      checkFollowed(world, id, claim.peer, claim.claimNumber);
    }
    for (const peer of world.others(id)) {
      const led = world.sessionOf(id, peer.id)?.led.get(regionId);
      if (led === undefined) continue;
      const isTrue =
        led.term === replica.term && led.replicaId === replica.leadership?.replicaId[peer.id];
      if (!isTrue) world.broken(`node ${id} holds a claim that is not true of its leadership`);
      checkLed(world, id, peer.id, led.claimNumber);
    }
  }
}

/**
 * Repairs the network, lets everything settle, and lets an election happen if nobody leads. Then every
 * follower must be attached, at both ends, and hold what its leader holds: at rest nothing else would
 * bring it.
 */
export function heal(world: World): void {
  for (const { id, replica } of world.nodes) {
    replica.canAttach = true;
    for (const other of world.others(id)) learn(world, id, other.id);
  }
  settle(world);
  if (leaderOfHighestTerm(world) === undefined) {
    for (const { id, claims } of world.nodes) {
      if (claims.isAttached(regionId)) {
        world.broken(`no way back: node ${id} is attached and nobody leads`);
      }
    }
    const ids = world.nodes.map(({ id }) => id);
    elect(world, freshest(world), ids);
    settle(world);
  }
  check(world);
  const leader = leaderOfHighestTerm(world);
  if (leader === undefined) {
    world.broken('nobody leads after healing');
    return;
  }
  for (const { id, claims, replica } of world.others(leader.id)) {
    if (!claims.isAttached(regionId)) world.broken(`node ${id} is unattached after healing`);
    if (!leader.claims.hasClaim(id as NodeId, regionId)) {
      world.broken(`the leader has no claim on node ${id} after healing`);
    }
    const { lastIndex } = leader.replica;
    if (replica.lastIndex !== lastIndex) world.broken(`node ${id} lacks entries at rest`);
    if (replica.commitIndex !== lastIndex) {
      world.broken(`node ${id} knows too little as committed at rest`);
    }
  }
}

/** What a leader holds its follower holds, or will hear of, or has given up on the way here. */
function checkLed(world: World, leader: number, follower: number, claimNumber: number): void {
  if (!isShared(world, leader, follower)) return;
  const followed = world.node(follower).claims.state.followed.get(regionId);
  if (followed?.peer === leader && followed.claimNumber === claimNumber) return;
  if (isQueued(world, leader, follower, (item) => announces(item, claimNumber))) return;
  if (isQueued(world, follower, leader, (item) => ends(item, claimNumber))) return;
  world.broken(`K3: node ${leader} holds a claim that node ${follower} knows not of`);
}

/** What a follower holds its leader holds, or the end of it is on the way here. */
function checkFollowed(world: World, follower: number, leader: number, claimNumber: number): void {
  if (!isShared(world, leader, follower)) return;
  const led = world.sessionOf(leader, follower)?.led.get(regionId);
  if (led?.claimNumber === claimNumber) return;
  if (isQueued(world, leader, follower, (item) => ends(item, claimNumber))) return;
  world.broken(`K2: node ${follower} is attached and node ${leader} has left without a word`);
}

function isShared(world: World, a: number, b: number): boolean {
  const { session } = world.link(a, b);
  return session !== 0 && world.node(a).seen[b] === session && world.node(b).seen[a] === session;
}

function isQueued(
  world: World,
  from: number,
  to: number,
  matches: (item: ControlItem) => boolean,
): boolean {
  return world.queue(from, to).some((sent) => sent.kind === 'control' && matches(sent.item));
}

function ends(item: ControlItem, claimNumber: number): boolean {
  return item.type === 'detach' && item.claimNumber === claimNumber;
}

function announces(item: ControlItem, claimNumber: number): boolean {
  if (item.type === 'attach') return item.claimNumber === claimNumber;
  if (item.type !== 'list') return false;
  return claimNumber >= item.firstNumber && claimNumber < item.firstNumber + item.items.length;
}

/** Connects, delivers and probes until nothing is left to do. */
function settle(world: World): void {
  for (let round = 0; round < roundsMax; round++) {
    const before = world.fingerprint();
    for (const link of world.links) {
      const [a, b] = link.ends;
      if (link.session === 0) world.connect(link);
      for (let i = 0; i < 2; i++) {
        if (world.node(a).seen[b] !== link.session) world.notice(a, b);
        if (world.node(b).seen[a] !== link.session) world.notice(b, a);
      }
    }
    for (const { id, replica } of world.nodes) {
      sync(world, id);
      for (const other of world.others(id)) {
        const isLeader = replica.leadership !== undefined;
        if (isLeader && mayProbe(world, id, other.id)) sendAppend(world, id, other.id);
      }
    }
    for (const { ends } of world.links) drain(world, ends[0], ends[1]);
    if (world.fingerprint() === before) return;
  }
  world.broken('the healed world does not come to rest');
}

function drain(world: World, a: number, b: number): void {
  const link = world.link(a, b);
  for (const [from, to] of [
    [a, b],
    [b, a],
  ] as const) {
    while (link.session !== 0 && world.queue(from, to).length > 0)
      act(world, `deliver ${from} ${to}`);
  }
}

function freshest(world: World): number {
  let best = world.nodes[0]!;
  for (const node of world.nodes) if (isFresh(node.replica, best.replica)) best = node;
  return best.id;
}

function leaderOfHighestTerm(world: World): WorldNode | undefined {
  let leader: WorldNode | undefined;
  for (const node of world.nodes) {
    if (node.replica.leadership === undefined) continue;
    if (leader === undefined || node.replica.term > leader.replica.term) leader = node;
  }
  return leader;
}
