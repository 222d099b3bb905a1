/** Which events may happen in a state, and which one happens next where nothing goes wrong any more. */
import type { Link, Parts } from './parts.js';
import type { ExploreBounds } from './rules.js';
import { isFresh, type NodeState, nodeNumbers } from './state.js';
import { counterOf, type EventName, eventOf, linkBetween, linkEnds, type State } from './world.js';

/** Everything that may happen now, but for what the bounds forbid after all. */
export function enabledEvents(parts: Parts, bounds: ExploreBounds, state: State): number[] {
  const events: number[] = [];
  const hasFaults = counterOf(state, 'faults') < bounds.faultsMax;
  for (let i = 0; i < 3; i++) addLinkEvents(parts, bounds, state, i, events);
  for (const id of nodeNumbers) {
    const node = nodeOf(parts, state, id);
    const { replica } = node;
    if (replica.leadership === undefined) addElections(parts, bounds, state, id, events);
    else addLeaderEvents(parts, bounds, state, id, events);
    if (replica.unsynced !== undefined) events.push(eventOf('sync', id));
    if (!replica.canAttach) events.push(eventOf('recover', id));
    if (!hasFaults) continue;
    if (replica.leadership === undefined) events.push(eventOf('replace', id));
    if (replica.canAttach) events.push(eventOf('fail', id));
    events.push(eventOf('restart', id));
  }
  return events;
}

/**
 * The next event of a world without faults: failed replicas recover, leaders learn of replaced ones,
 * links connect, everything is delivered and synced, leaders probe, and where nobody leads the freshest
 * is elected. undefined: rest.
 */
export function nextHealing(parts: Parts, state: State): number | undefined {
  for (const id of nodeNumbers) {
    const { replica } = nodeOf(parts, state, id);
    if (!replica.canAttach) return eventOf('recover', id);
    if (replica.leadership === undefined) continue;
    for (const other of nodeNumbers) {
      if (other !== id && mustLearn(parts, state, id, other)) return eventOf('learn', id, other);
    }
  }
  for (let i = 0; i < 3; i++) {
    const event = nextOfLink(linkOf(parts, state, i), linkEnds[i]!);
    if (event !== undefined) return event;
  }
  for (const id of nodeNumbers) {
    const { replica } = nodeOf(parts, state, id);
    if (replica.unsynced !== undefined) return eventOf('sync', id);
  }
  for (const id of nodeNumbers) {
    for (const other of nodeNumbers) {
      if (other !== id && mayProbe(parts, state, id, other)) return eventOf('probe', id, other);
    }
  }
  if (leaderOf(parts, state) !== 0) return undefined;
  let best = 1;
  for (const id of nodeNumbers) {
    const isFresher = isFresh(nodeOf(parts, state, id).replica, nodeOf(parts, state, best).replica);
    if (isFresher) best = id;
  }
  return eventOf('electAll', best);
}

/** The leader of the highest term; 0: none. */
export function leaderOf(parts: Parts, state: State): number {
  let leader = 0;
  let term = -1;
  for (const id of nodeNumbers) {
    const { replica } = nodeOf(parts, state, id);
    if (replica.leadership === undefined || replica.term <= term) continue;
    leader = id;
    term = replica.term;
  }
  return leader;
}

export function nodeOf(parts: Parts, state: State, id: number): NodeState {
  return parts.nodes[state[id - 1]!]!;
}

export function linkOf(parts: Parts, state: State, which: number): Link {
  return parts.links[state[3 + which]!]!;
}

function nextOfLink(link: Link, [a, b]: readonly [number, number]): number | undefined {
  const { isUp, views, queues } = link;
  if (!isUp) return eventOf('connect', a, b);
  if (views[0] !== 1) return eventOf('notice', a, b);
  if (views[1] !== 1) return eventOf('notice', b, a);
  if (queues[0].length > 0) return eventOf('deliver', a, b);
  if (queues[1].length > 0) return eventOf('deliver', b, a);
  return undefined;
}

function addLinkEvents(
  parts: Parts,
  bounds: ExploreBounds,
  state: State,
  which: number,
  events: number[],
): void {
  const link = linkOf(parts, state, which);
  const [a, b] = linkEnds[which]!;
  const hasFaults = counterOf(state, 'faults') < bounds.faultsMax;
  for (const [from, to, end] of [
    [a, b, 1],
    [b, a, 0],
  ] as const) {
    const view = link.views[end];
    const isReadable = view === 1 || (view === 2 && !link.isUp);
    if (isReadable && link.queues[1 - end]!.length > 0) events.push(eventOf('deliver', from, to));
    if (view === 2 || (view === 0 && link.isUp)) events.push(eventOf('notice', to, from));
    if (view !== 0 && hasFaults) events.push(eventOf('silence', to, from));
    if (view !== 0 && mayBeat(parts, bounds, state, to)) events.push(eventOf('beat', to, from));
  }
  if (!link.isUp) events.push(eventOf('connect', a, b));
  else if (hasFaults) events.push(eventOf('reset', a, b));
}

function mayBeat(parts: Parts, bounds: ExploreBounds, state: State, id: number): boolean {
  if (counterOf(state, 'heartbeats') >= bounds.heartbeatsMax) return false;
  return bounds.doAllBeat || nodeOf(parts, state, id).replica.leadership !== undefined;
}

function addElections(
  parts: Parts,
  bounds: ExploreBounds,
  state: State,
  id: number,
  events: number[],
): void {
  const { replica } = nodeOf(parts, state, id);
  for (const other of nodeNumbers) {
    if (other === id) continue;
    const voter = nodeOf(parts, state, other).replica;
    const isPossible = replica.mayVote && voter.mayVote && isFresh(replica, voter);
    if (isPossible && Math.max(replica.term, voter.term) < bounds.termMax) {
      events.push(eventOf('elect', id, other));
    }
  }
}

function addLeaderEvents(
  parts: Parts,
  bounds: ExploreBounds,
  state: State,
  id: number,
  events: number[],
): void {
  const { replica } = nodeOf(parts, state, id);
  const hasFaults = counterOf(state, 'faults') < bounds.faultsMax;
  if (hasFaults) events.push(eventOf('stepDown', id));
  if (replica.lastIndex < bounds.proposeIndexMax) events.push(eventOf('propose', id));
  for (const other of nodeNumbers) {
    if (other === id) continue;
    const hasClaim = parts.facts[state[id - 1]!]!.led[other]! > 0;
    if (hasClaim && hasFaults) addEvent('part', id, other, events);
    if (mayProbe(parts, state, id, other)) addEvent('probe', id, other, events);
    if (mustLearn(parts, state, id, other)) addEvent('learn', id, other, events);
  }
}

function addEvent(name: EventName, id: number, other: number, events: number[]): void {
  events.push(eventOf(name, id, other));
}

/** Whether a leader would probe now: unattached, a session, neither a probe nor its answer under way. */
function mayProbe(parts: Parts, state: State, id: number, other: number): boolean {
  const { led, hasSession } = parts.facts[state[id - 1]!]!;
  if (nodeOf(parts, state, id).replica.leadership === undefined) return false;
  if (led[other]! > 0 || !hasSession[other]) return false;
  const link = linkOf(parts, state, linkBetween(id, other));
  const end = id < other ? 0 : 1;
  if (!link.isUp || link.views[end] !== 1) return false;
  if (nodeOf(parts, state, other).replica.unsynced?.to === id) return false;
  return !link.queues.some((queue) => queue.some((item) => parts.items[item]!.kind === 'raft'));
}

function mustLearn(parts: Parts, state: State, id: number, other: number): boolean {
  const { leadership } = nodeOf(parts, state, id).replica;
  return leadership?.replicaId[other] !== nodeOf(parts, state, other).replica.replicaId;
}
