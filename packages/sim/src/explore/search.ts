/**
 * The breadth-first search. Every state within the bounds is visited once (up to renumbering of the
 * nodes), judged, and healed: without further faults it must come to rest as it should. A way to rest
 * that was walked once is known, so that healing costs a visited state few steps beyond the search.
 *
 * Invariant S1: the search is complete exactly when it ends by having no state left to visit.
 */
import { violationAtRest, violationOf } from './checks.js';
import { enabledEvents, nextHealing } from './enabled.js';
import { Parts, renumberings } from './parts.js';
import type { DroppedRule, ExploreBounds } from './rules.js';
import { nodeNumbers } from './state.js';
import { StateTable } from './state-table.js';
import {
  canonical,
  events as eventNames,
  eventText,
  parseEvent,
  renumberedEvent,
  type State,
  uncounted,
  World,
} from './world.js';

/** Steps within which a world without faults comes to rest. */
const healingStepsMax = 400;
/** How often a delivery is chosen in a long way, other events being chosen once. */
const deliveryWeight = 6;

export interface Finding {
  /** The shortest way; each step as `parseEvent` reads it. From the situation's start. */
  readonly trace: readonly string[];
  readonly violation: string;
}

export interface SearchOptions {
  readonly bounds: ExploreBounds;
  readonly drop: DroppedRule;
  /** Events from rest (node 3 leads, term 1), not counted against bounds, that lead to the start. */
  readonly situation: readonly string[];
  /** Visited states at which the search gives up. */
  readonly statesMax: number;
  /** Called at times with what was done so far. */
  readonly onProgress: (progress: Progress) => void;
}

export interface Progress {
  readonly states: number;
  readonly transitions: number;
  readonly depth: number;
  /** States on the ways to rest that were walked beyond those known. */
  readonly healingStates: number;
  /** Distinct steps of single nodes that the module took. */
  readonly nodeSteps: number;
  readonly tableBytes: number;
}

export interface SearchResult extends Progress {
  /** S1. False with a finding, too. */
  readonly isComplete: boolean;
  readonly finding: Finding | undefined;
}

export class Search {
  readonly world: World;
  private readonly options: SearchOptions;
  private readonly visited = new StateTable();
  private readonly healing = new StateTable();
  private depth = 0;
  private transitions = 0;

  constructor(options: SearchOptions) {
    this.options = options;
    this.world = new World(new Parts(options.drop, options.bounds.isDiskSlow), options.bounds);
  }

  run(): SearchResult {
    const { parts } = this.world;
    const start = this.start();
    if (start.violation !== undefined)
      return this.result({ trace: [], violation: start.violation });
    this.visited.add(canonical(parts, start.state).least, -1, 0);
    let levelEnd = 1;
    for (let index = 0; index < this.visited.size; index++) {
      if (index === levelEnd) {
        this.depth += 1;
        levelEnd = this.visited.size;
        this.options.onProgress(this.progress());
      }
      const finding = this.expand(index);
      if (finding !== undefined) return this.result(finding);
      if (this.visited.size >= this.options.statesMax) return this.result(undefined);
    }
    return { ...this.progress(), isComplete: true, finding: undefined };
  }

  /** Lets the events of `trace` happen from the start. Returns what they, or healing, break. */
  replay(trace: readonly string[]): string | undefined {
    const { world } = this;
    let { state, violation } = this.start();
    for (const text of trace) {
      if (violation !== undefined) return violation;
      if (text === 'heal') break;
      state = world.after(state, parseEvent(text), false)!;
      violation = world.violation ?? violationOf(world.parts, state);
    }
    return violation ?? this.heal(canonical(world.parts, state).least);
  }

  /**
   * One long way from the start: number c takes enabled event number c modulo their number, deliveries
   * counted several times since they keep the world going. Returns what it, or healing, breaks.
   */
  walk(choices: readonly number[]): Finding | undefined {
    const { world } = this;
    const { parts, bounds } = world;
    const trace: string[] = [];
    let { state } = this.start();
    for (const choice of choices) {
      const enabled = enabledEvents(parts, bounds, state);
      const deliveries = enabled.filter((event) => eventNames[event >> 4] === 'deliver');
      for (let i = 1; i < deliveryWeight; i++) enabled.push(...deliveries);
      const event = enabled[choice % enabled.length];
      if (event === undefined) break;
      const after = world.after(state, event, true);
      if (after === undefined) continue;
      trace.push(eventText(event));
      const violation = world.violation ?? violationOf(parts, after);
      if (violation !== undefined) return { trace, violation };
      state = after;
    }
    const unhealed = this.heal(state);
    return unhealed === undefined ? undefined : { trace: [...trace, 'heal'], violation: unhealed };
  }

  private progress(): Progress {
    return {
      states: this.visited.size,
      transitions: this.transitions,
      depth: this.depth,
      healingStates: this.healing.size,
      nodeSteps: this.world.parts.stepCount,
      tableBytes: this.visited.bytes + this.healing.bytes,
    };
  }

  private result(finding: Finding | undefined): SearchResult {
    return { ...this.progress(), isComplete: false, finding };
  }

  private start(): { state: State; violation: string | undefined } {
    const { world } = this;
    const { state: rest, violation } = this.walkToRest(world.first());
    let state = rest;
    if (violation !== undefined) return { state, violation };
    for (const text of this.options.situation) {
      const after = world.after(state, parseEvent(text), false)!;
      if (world.violation !== undefined) return { state: after, violation: world.violation };
      state = after;
    }
    return { state: uncounted(state), violation: undefined };
  }

  /** Visits what follows state `index`. */
  private expand(index: number): Finding | undefined {
    const { world, visited } = this;
    const { parts, bounds } = world;
    const state = visited.at(index);
    for (const event of enabledEvents(parts, bounds, state)) {
      const after = world.after(state, event, true);
      if (after === undefined) continue;
      this.transitions += 1;
      if (world.violation !== undefined) return this.finding(index, event, world.violation, false);
      const { least } = canonical(parts, after);
      if (!visited.add(least, index, event)) continue;
      const violation = violationOf(parts, least);
      if (violation !== undefined) return this.finding(index, event, violation, false);
      const unhealed = this.heal(least);
      if (unhealed !== undefined) return this.finding(index, event, unhealed, true);
    }
    return undefined;
  }

  /** Walks to rest, or to a state whose way to rest is known. Returns what is broken on the way. */
  private heal(from: State): string | undefined {
    const { parts } = this.world;
    const way: State[] = [];
    let state = canonical(parts, uncounted(from)).least;
    while (!this.healing.has(state)) {
      way.push(state);
      if (way.length > healingStepsMax) return 'the healed world does not come to rest';
      const event = nextHealing(parts, state);
      if (event === undefined) {
        const violation = violationAtRest(parts, state);
        if (violation !== undefined) return violation;
        break;
      }
      const violation = this.violationBefore(state, event);
      if (violation !== undefined) return violation;
      const after = this.world.after(state, event, false)!;
      if (this.world.violation !== undefined) return this.world.violation;
      const broken = violationOf(parts, after);
      if (broken !== undefined) return broken;
      state = canonical(parts, after).least;
    }
    for (const known of way) this.healing.add(known, -1, 0);
    return undefined;
  }

  /** Who is attached to nobody's leader campaigns never: an election must not be what helps. */
  private violationBefore(state: State, event: number): string | undefined {
    if (eventNames[event >> 4] !== 'electAll') return undefined;
    for (const id of nodeNumbers) {
      const { followedPeer } = this.world.parts.facts[state[id - 1]!]!;
      if (followedPeer !== 0) return `no way back: node ${id} is attached and nobody leads`;
    }
    return undefined;
  }

  /** The way of healing, with the numbers of the nodes as they are. */
  private walkToRest(from: State): { state: State; violation: string | undefined } {
    const { world } = this;
    let state = from;
    for (let steps = 0; steps < healingStepsMax; steps++) {
      const event = nextHealing(world.parts, state);
      if (event === undefined) return { state, violation: violationAtRest(world.parts, state) };
      state = world.after(state, event, false)!;
      if (world.violation !== undefined) return { state, violation: world.violation };
    }
    return { state, violation: 'the first start does not come to rest' };
  }

  /** The way to a finding, with the numbers of the nodes as they are at the start. */
  private finding(index: number, event: number, violation: string, isHealing: boolean): Finding {
    const { parts } = this.world;
    const steps = [event];
    for (let at = index; at > 0; at = this.visited.parentOf(at)) {
      steps.push(this.visited.eventOf(at));
    }
    const trace: string[] = [];
    let { state } = this.start();
    for (const step of steps.reverse()) {
      const names = renumberings[canonical(parts, state).which]!;
      const back = names.map((_, id) => names.indexOf(id));
      const meant = renumberedEvent(step, back);
      trace.push(eventText(meant));
      // Bounds count on, so that queues overflow as they did.
      state = this.world.after(state, meant, true) ?? state;
    }
    return { trace: isHealing ? [...trace, 'heal'] : trace, violation };
  }
}
