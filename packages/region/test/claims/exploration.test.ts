/**
 * Walks the states of a small world around the claims module (see `world/world.ts`): from every state
 * safety holds and a healed network comes to rest with equal sets. Each rule, dropped, is missed.
 */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { act } from './world/actions.js';
import { heal } from './world/checks.js';
import { exploreBreadthFirst, walk } from './world/explore.js';
import { type DroppedRule, rules, type WorldBounds } from './world/rules.js';
import { World } from './world/world.js';

const narrow: WorldBounds = {
  termMax: 4,
  indexMax: 4,
  sessionsMax: 3,
  heartbeatsMax: 2,
  restartsMax: 1,
  replacementsMax: 1,
  failuresMax: 1,
  isDiskSlow: true,
};
const wide: WorldBounds = {
  termMax: 12,
  indexMax: 20,
  sessionsMax: 12,
  heartbeatsMax: 5,
  restartsMax: 2,
  replacementsMax: 1,
  failuresMax: 3,
  isDiskSlow: true,
};
/** Bounds of one exploration, of a random way, and of what is random about it. */
const statesMax = 1_500;
const stepsMax = 60;
const seed = 20_251;

interface Situation {
  readonly nodes: number;
  /** From rest, the last node leading. */
  readonly actions: readonly string[];
}

/** Moments from which the rules' reasons are few steps away. */
const situations = {
  'two nodes at rest': { nodes: 2, actions: [] },
  'three nodes at rest': { nodes: 3, actions: [] },
  'an acknowledgement is under way before a follower leaves': {
    nodes: 2,
    actions: ['propose 2', 'deliver 2 1', 'sync 1', 'fail 1', 'recover 1'],
  },
  'a heartbeat is answered after its follower left': {
    nodes: 3,
    actions: ['beat 3 1', 'elect 1 2'],
  },
  'a session ended before what was committed could be told': {
    nodes: 3,
    actions: [
      ...['propose 3', 'deliver 3 1', 'deliver 3 2', 'sync 2', 'reset 1 3', 'deliver 2 3'],
      ...['connect 1 3', 'notice 3 1', 'notice 3 1', 'notice 1 3', 'notice 1 3'],
      ...['deliver 3 1', 'deliver 1 3', 'sync 1'],
    ],
  },
  'a session ended with an append under way': {
    nodes: 3,
    actions: [
      ...['propose 3', 'deliver 3 1', 'propose 3', 'reset 1 3'],
      ...['deliver 3 2', 'deliver 3 2', 'sync 2', 'deliver 2 3'],
      ...['connect 1 3', 'notice 3 1', 'notice 3 1', 'notice 1 3', 'notice 1 3'],
      ...['deliver 3 1', 'deliver 1 3', 'sync 1'],
    ],
  },
  'a list is under way': {
    nodes: 3,
    actions: [
      ...['reset 1 3', 'connect 1 3'],
      ...['notice 3 1', 'notice 3 1', 'notice 1 3', 'notice 1 3'],
    ],
  },
  'a follower has an entry that its leader does not know it has': {
    nodes: 2,
    actions: ['propose 2', 'deliver 2 1', 'sync 1'],
  },
} as const satisfies Record<string, Situation>;

type SituationName = keyof typeof situations;

/** Where each dropped rule is missed first. */
const missedIn: Record<(typeof rules)[number], SituationName> = {
  'an answer stays behind queued detaches': 'a heartbeat is answered after its follower left',
  'a follower that leaves says so': 'three nodes at rest',
  'a leader that leaves says so': 'three nodes at rest',
  'a refused claim is answered by a detach': 'two nodes at rest',
  'a listed pair of other content is refused':
    'a follower has an entry that its leader does not know it has',
  'only pairs known to be equal are listed':
    'a follower has an entry that its leader does not know it has',
  'a claim ends with its session': 'two nodes at rest',
  'frames of a former session are dropped': 'two nodes at rest',
  'a detach names one claim': 'an acknowledgement is under way before a follower leaves',
  'a claim of another term is refused': 'a list is under way',
  'a claim on another replica is refused': 'two nodes at rest',
  'an attach tells what is committed': 'a session ended before what was committed could be told',
  'what was under way when a session ended counts as lost':
    'a session ended with an append under way',
};

describe('every state within reach', () => {
  for (const name of Object.keys(situations) as SituationName[]) {
    it(`is safe and heals: ${name}`, () => {
      const { states, finding } = exploreBreadthFirst(begin(name, 'none', narrow), 6, statesMax);
      expect(finding).toBeUndefined();
      expect(states).toBeGreaterThan(1_000);
    });
  }

  it('is safe and heals: nothing connected yet', () => {
    const { finding } = exploreBreadthFirst(new World(2, narrow), 6, statesMax);
    expect(finding).toBeUndefined();
  });

  for (const nodes of [2, 3]) {
    it(`is safe and heals along long ways: ${nodes} nodes`, () => {
      const start = begin(nodes === 2 ? 'two nodes at rest' : 'three nodes at rest', 'none', wide);
      const choices = fc.array(fc.nat(), { minLength: 10, maxLength: stepsMax, size: 'max' });
      fc.assert(
        fc.property(choices, (ways) => {
          expect(walk(start, ways)).toBeUndefined();
        }),
        { seed, numRuns: nodes === 2 ? 600 : 300 },
      );
    });
  }
});

describe('without the rule that', () => {
  for (const rule of rules) {
    it(`${rule}, a check fails`, () => {
      const start = begin(missedIn[rule], rule, narrow);
      const { finding } = exploreBreadthFirst(start, 4, statesMax);
      expect(finding?.violations ?? []).not.toEqual([]);
    });
  }
});

function begin(name: SituationName, drop: DroppedRule, bounds: WorldBounds): World {
  const { nodes, actions } = situations[name];
  const world = new World(nodes, bounds, drop);
  heal(world);
  for (const action of actions) act(world, action);
  expect(world.violations).toEqual([]);
  return world;
}
