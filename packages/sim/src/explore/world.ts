/**
 * A state of the explored world as seven integers, and how one event changes it. [0..2]: the nodes,
 * [3..5]: the links 1–2, 1–3, 2–3 (numbers of `parts.ts`), [6]: what counts against the bounds and the
 * last term in which anybody has committed, four bits each.
 */

import { newNode } from './node-run.js';
import type { Parts, Step, View } from './parts.js';
import { type inputs, type Link, renumberings } from './parts.js';
import type { ExploreBounds } from './rules.js';
import { newReplica, nodeNumbers } from './state.js';

export type State = Int32Array;
export const stateLength = 7;
export const linkEnds: readonly (readonly [number, number])[] = [
  [1, 2],
  [1, 3],
  [2, 3],
];

export const events = [
  'deliver',
  'notice',
  'silence',
  'beat',
  'reset',
  'connect',
  'elect',
  'electAll',
  'propose',
  'probe',
  'sync',
  'stepDown',
  'learn',
  'part',
  'restart',
  'replace',
  'fail',
  'recover',
] as const;
export type EventName = (typeof events)[number];

/** Counters in state[6], by place. */
const place = {
  faults: 0,
  crashes: 1,
  replacements: 2,
  failures: 3,
  committedTerm: 4,
  heartbeats: 5,
} as const;
type Counter = keyof typeof place;

/** An event as a number: name, and up to two nodes. */
export function eventOf(name: EventName, x: number, y = 0): number {
  return (events.indexOf(name) * 4 + x) * 4 + y;
}

export function eventText(event: number): string {
  const y = event & 3;
  const name = events[event >> 4]!;
  return y === 0 ? `${name} ${(event >> 2) & 3}` : `${name} ${(event >> 2) & 3} ${y}`;
}

export function parseEvent(text: string): number {
  const [name, x, y] = text.split(' ');
  return eventOf(name as EventName, Number(x), Number(y ?? 0));
}

/** The event under other numbers of the nodes. */
export function renumberedEvent(event: number, names: readonly number[]): number {
  const x = names[(event >> 2) & 3]!;
  const y = names[event & 3]!;
  return ((event >> 4) * 4 + x) * 4 + y;
}

export function counterOf(state: State, counter: Counter): number {
  return (state[6]! >> (place[counter] * 4)) & 15;
}

/** The state without what counts against bounds. */
export function uncounted(state: State): State {
  const copy = state.slice();
  copy[6] = counterOf(state, 'committedTerm') << (place.committedTerm * 4);
  return copy;
}

/** Number of the link between two nodes; state[3 + it]. */
export function linkBetween(a: number, b: number): number {
  return a + b - 3;
}

export class World {
  readonly parts: Parts;
  readonly bounds: ExploreBounds;
  /** What the last event broke. */
  violation: string | undefined;
  private state: State = new Int32Array(stateLength);
  private readonly links: (Link | undefined)[] = [undefined, undefined, undefined];
  private isBounded = true;
  private isPruned = false;

  constructor(parts: Parts, bounds: ExploreBounds) {
    this.parts = parts;
    this.bounds = bounds;
  }

  /** Nodes that know nothing, nothing connected. */
  first(): State {
    const state = new Int32Array(stateLength);
    for (const id of nodeNumbers) {
      state[id - 1] = this.parts.nodeNumber(newNode(id, newReplica(1)));
    }
    const link: Link = { isUp: false, views: [0, 0], queues: [[], []] };
    state.fill(this.parts.linkNumber(link), 3, 6);
    return state;
  }

  /** The state after `event`, or undefined where it would pass a bound. Sets `violation`. */
  after(before: State, event: number, isBounded: boolean): State | undefined {
    this.state = before.slice();
    this.links.fill(undefined);
    this.violation = undefined;
    this.isPruned = false;
    this.isBounded = isBounded;
    this.happen(events[event >> 4]!, (event >> 2) & 3, event & 3);
    if (this.isPruned) return undefined;
    for (let i = 0; i < 3; i++) {
      const link = this.links[i];
      if (link !== undefined) this.state[3 + i] = this.parts.linkNumber(link);
      const { lastNumberMax } = this.parts.facts[this.state[i]!]!;
      if (isBounded && lastNumberMax > this.bounds.claimsMax) return undefined;
    }
    return this.state;
  }

  private happen(name: EventName, x: number, y: number): void {
    switch (name) {
      case 'deliver':
        this.deliver(x, y);
        break;
      case 'notice':
        this.notice(x, y);
        break;
      case 'beat':
        this.count('heartbeats');
        this.step(x, 'beat', y, counterOf(this.state, 'committedTerm'));
        break;
      case 'reset':
        this.count('faults');
        this.reset(x, y);
        break;
      case 'connect':
        this.connect(x, y);
        break;
      case 'elect':
        this.elect(x, [y]);
        break;
      case 'electAll': {
        const voters = nodeNumbers.filter((id) => id !== x);
        this.elect(x, voters);
        break;
      }
      case 'restart':
        this.restart(x);
        break;
      case 'learn':
        this.step(x, 'learn', y, this.parts.nodes[this.state[y - 1]!]!.replica.replicaId);
        break;
      case 'propose':
      case 'probe':
      case 'sync':
      case 'recover':
        this.step(x, name, y, 0);
        break;
      default:
        this.disturb(name, x, y);
    }
  }

  private disturb(
    name: 'silence' | 'stepDown' | 'part' | 'replace' | 'fail',
    id: number,
    other: number,
  ): void {
    this.count('faults');
    if (name === 'replace') this.count('replacements');
    if (name === 'fail') this.count('failures');
    this.step(id, name, other, 0);
  }

  private count(counter: Exclude<Counter, 'committedTerm'>): void {
    if (!this.isBounded) return;
    if (counterOf(this.state, counter) >= this.bounds[`${counter}Max`]) this.isPruned = true;
    else this.state[6]! += 1 << (place[counter] * 4);
  }

  /** Lets a node take a step, and its consequences for the links. */
  private step(id: number, kind: (typeof inputs)[number], peer: number, arg: number): void {
    const step: Step = this.parts.step(this.state[id - 1]!, kind, peer, arg);
    this.state[id - 1] = step.node;
    this.violation ??= step.violation;
    if (step.committedTerm > counterOf(this.state, 'committedTerm')) {
      const shift = place.committedTerm * 4;
      this.state[6] = (this.state[6]! & ~(15 << shift)) | (step.committedTerm << shift);
    }
    for (const other of step.closed) this.endClosed(id, other);
    for (const { to, item } of step.sent) this.enqueue(id, to, item);
  }

  private deliver(from: number, to: number): void {
    const item = this.link(from, to).queues[from < to ? 0 : 1].shift()!;
    this.step(to, 'deliver', from, item);
  }

  /** One end learns that its session is over or, when it has none, that there is one. */
  private notice(id: number, other: number): void {
    const link = this.link(id, other);
    const end = id < other ? 0 : 1;
    if (link.views[end] !== 0) {
      this.leaveSession(link, end);
      this.step(id, 'closed', other, 0);
    } else {
      link.views[end] = 1;
      this.step(id, 'opened', other, this.parts.nodes[this.state[other - 1]!]!.incarnation);
    }
  }

  /** The session is over. What was on its way to an end that takes it for open may still arrive there. */
  private reset(a: number, b: number): void {
    const link = this.link(a, b);
    if (!link.isUp) return;
    link.isUp = false;
    for (const end of [0, 1] as const) {
      if (link.views[end] !== 1) this.clear(link, end);
      else link.views[end] = 2;
    }
  }

  private connect(a: number, b: number): void {
    const link = this.link(a, b);
    link.isUp = true;
    this.clear(link, 0);
    this.clear(link, 1);
  }

  /** One end has closed its session by itself. */
  private endClosed(id: number, other: number): void {
    const link = this.link(id, other);
    const end = id < other ? 0 : 1;
    const isPresent = link.views[end] === 1;
    if (isPresent && this.parts.drop !== 'silence closes the session') this.reset(id, other);
    this.leaveSession(link, end);
  }

  private leaveSession(link: Link, end: 0 | 1): void {
    link.views[end] = 0 satisfies View;
    if (!link.isUp) this.clear(link, end);
  }

  /** Nothing arrives at `end` any more. */
  private clear(link: Link, end: 0 | 1): void {
    if (this.parts.drop === 'frames of a former session are dropped') return;
    link.queues[end === 0 ? 1 : 0].length = 0;
  }

  private enqueue(from: number, to: number, item: number): void {
    const link = this.link(from, to);
    const end = from < to ? 0 : 1;
    if (!link.isUp || link.views[end] !== 1) return;
    const queue = link.queues[end];
    if (this.isBounded && queue.length >= this.bounds.queueMax) {
      if (this.parts.drop === 'nothing is dropped inside a session') return;
      this.count('faults');
      this.reset(from, to);
      return;
    }
    queue.splice(this.placeIn(queue, item), 0, item);
  }

  private placeIn(queue: readonly number[], item: number): number {
    if (this.parts.drop !== 'an answer stays behind queued detaches') return queue.length;
    const isAnswer = (streamItem: number, ...types: readonly string[]): boolean => {
      const sent = this.parts.items[streamItem]!;
      return sent.kind === 'control' && types.includes(sent.item.type);
    };
    if (!isAnswer(item, 'heartbeatAnswer')) return queue.length;
    return queue.findLastIndex((behind) => isAnswer(behind, 'heartbeatAnswer', 'list')) + 1;
  }

  private elect(id: number, voters: readonly number[]): void {
    let term = this.parts.nodes[this.state[id - 1]!]!.replica.term;
    let replicaIds = 0;
    for (const node of nodeNumbers) {
      const { replica } = this.parts.nodes[this.state[node - 1]!]!;
      if (voters.includes(node)) term = Math.max(term, replica.term);
      replicaIds = (replicaIds << 2) | replica.replicaId;
    }
    term += 1;
    for (const voter of voters) this.step(voter, 'adopt', 0, term);
    this.step(id, 'lead', 0, (term << 6) | replicaIds);
  }

  private restart(id: number): void {
    this.count('faults');
    this.count('crashes');
    for (const other of nodeNumbers) {
      if (other === id) continue;
      this.reset(id, other);
      this.leaveSession(this.link(id, other), id < other ? 0 : 1);
    }
    this.step(id, 'restart', 0, 0);
  }

  /** The link, to be changed. */
  private link(a: number, b: number): Link {
    const which = linkBetween(a, b);
    const known = this.links[which];
    if (known !== undefined) return known;
    const { isUp, views, queues } = this.parts.links[this.state[3 + which]!]!;
    const link: Link = { isUp, views: [...views], queues: [[...queues[0]], [...queues[1]]] };
    this.links[which] = link;
    return link;
  }
}

/**
 * The least of the states that differ from `state` in the numbers of the nodes only. Nothing in the
 * world depends on these numbers, so that one of them stands for all. `which`: the renumbering taken.
 */
export function canonical(parts: Parts, state: State): { least: State; which: number } {
  let least = state;
  let which = 0;
  for (let i = 1; i < renumberings.length; i++) {
    const other = renumberedState(parts, state, i);
    if (isLess(other, least)) {
      least = other;
      which = i;
    }
  }
  return { least, which };
}

function renumberedState(parts: Parts, state: State, which: number): State {
  const names = renumberings[which]!;
  const other = new Int32Array(stateLength);
  for (const id of nodeNumbers) {
    other[names[id]! - 1] = parts.renumberedNode(state[id - 1]!, which);
  }
  for (let i = 0; i < 3; i++) {
    const [a, b] = linkEnds[i]!;
    const link = state[3 + i]!;
    const x = names[a]!;
    const y = names[b]!;
    other[3 + linkBetween(x, y)] = x < y ? link : parts.turnedLink(link);
  }
  other[6] = state[6]!;
  return other;
}

function isLess(a: State, b: State): boolean {
  for (let i = 0; i < stateLength; i++) {
    if (a[i] !== b[i]) return a[i]! < b[i]!;
  }
  return false;
}
