/**
 * What may happen in a world, as texts: a name and up to two numbers, so that a trace can be read and
 * replayed.
 */
import type { NodeId } from '@moku/base';
import {
  elect,
  fail,
  learn,
  mayProbe,
  part,
  propose,
  replace,
  restart,
  sendAppend,
  stepDown,
  stepRaft,
  sync,
} from './raft.js';
import { isFresh, type Link, regionId, type WorldNode } from './state.js';
import type { World } from './world.js';

/** Everything that may happen now. */
export function enabledActions(world: World): string[] {
  const actions: string[] = [];
  for (const link of world.links) addLinkActions(world, link, actions);
  for (const node of world.nodes) addReplicaActions(world, node, actions);
  return actions;
}

/** Lets `action` happen. */
export function act(world: World, action: string): void {
  const [name, ...numbers] = action.split(' ');
  const step = steps[name!];
  if (step === undefined) throw new Error(`no such action: ${action}`);
  step(world, Number(numbers[0]), Number(numbers[1]));
}

const steps: Readonly<Record<string, (world: World, x: number, y: number) => void>> = {
  deliver: (world, from, to) => {
    const message = world.deliver(from, to);
    if (message !== undefined) stepRaft(world, to, from, message);
  },
  notice: (world, id, other) => world.notice(id, other),
  silence: (world, id, other) => world.silence(id, other),
  beat: (world, id, other) => world.beat(id, other),
  reset: (world, a, b) => world.reset(world.link(a, b)),
  connect: (world, a, b) => world.connect(world.link(a, b)),
  elect: (world, id, voter) => elect(world, id, [voter]),
  propose,
  probe: sendAppend,
  sync,
  stepDown,
  learn,
  part,
  restart: (world, id) => {
    world.restarts += 1;
    restart(world, id);
  },
  replace: (world, id) => {
    world.replacements += 1;
    replace(world, id);
  },
  fail: (world, id) => {
    world.failures += 1;
    fail(world, id);
  },
  recover: (world, id) => {
    world.node(id).replica.canAttach = true;
  },
};

function addLinkActions(world: World, link: Link, actions: string[]): void {
  const [a, b] = link.ends;
  for (const [from, to] of [
    [a, b],
    [b, a],
  ] as const) {
    const seen = world.node(to).seen[from]!;
    const isOpen = link.session !== 0 && seen === link.session;
    if (isOpen && world.queue(from, to).length > 0) actions.push(`deliver ${from} ${to}`);
    if (seen !== link.session) actions.push(`notice ${to} ${from}`);
    if (seen !== 0) actions.push(`silence ${to} ${from}`);
    const sent = world.sessionOf(to, from)?.sentSequence ?? world.bounds.heartbeatsMax;
    if (sent < world.bounds.heartbeatsMax) actions.push(`beat ${to} ${from}`);
  }
  if (link.session !== 0) actions.push(`reset ${a} ${b}`);
  else if (link.sessionsMade < world.bounds.sessionsMax) actions.push(`connect ${a} ${b}`);
}

function addReplicaActions(world: World, node: WorldNode, actions: string[]): void {
  const { id, replica } = node;
  const { bounds } = world;
  if (replica.leadership !== undefined) {
    addLeaderActions(world, node, actions);
  } else {
    for (const voter of world.others(id)) {
      const term = Math.max(replica.term, voter.replica.term);
      const mayVote = replica.mayVote && voter.replica.mayVote && term < bounds.termMax;
      if (mayVote && isFresh(replica, voter.replica)) actions.push(`elect ${id} ${voter.id}`);
    }
    if (world.replacements < bounds.replacementsMax) actions.push(`replace ${id}`);
  }
  if (world.restarts < bounds.restartsMax) actions.push(`restart ${id}`);
  if (replica.unsynced !== undefined) actions.push(`sync ${id}`);
  if (!replica.canAttach) actions.push(`recover ${id}`);
  else if (world.failures < bounds.failuresMax) actions.push(`fail ${id}`);
}

function addLeaderActions(world: World, node: WorldNode, actions: string[]): void {
  const { id, replica, claims } = node;
  actions.push(`stepDown ${id}`);
  if (replica.lastIndex < world.bounds.indexMax) actions.push(`propose ${id}`);
  for (const other of world.others(id)) {
    if (claims.hasClaim(other.id as NodeId, regionId)) actions.push(`part ${id} ${other.id}`);
    if (mayProbe(world, id, other.id)) actions.push(`probe ${id} ${other.id}`);
    if (replica.leadership!.replicaId[other.id] !== other.replica.replicaId) {
      actions.push(`learn ${id} ${other.id}`);
    }
  }
}
