/** What the search rests on: equal states are one, numbers of nodes do not matter, tables grow. */
import { describe, expect, it } from 'vitest';
import { explore } from '../../src/explore/explore.js';
import { rangesOf } from '../../src/explore/forms.js';
import { Parts, renumberings } from '../../src/explore/parts.js';
import { StateTable } from '../../src/explore/state-table.js';
import {
  canonical,
  eventText,
  parseEvent,
  renumberedEvent,
  type State,
  stateLength,
  World,
} from '../../src/explore/world.js';

const { bounds } = rangesOf.gate[0]!;

describe('a table of states', () => {
  it('holds each once, in the order of coming, however many', () => {
    const table = new StateTable();
    const count = 20_000;
    for (let i = 0; i < count; i++) expect(table.add(stateOf(i), i - 1, i + 5)).toBe(true);
    for (let i = 0; i < count; i += 7) {
      expect(table.add(stateOf(i), 0, 0)).toBe(false);
      expect(table.at(i)).toEqual(stateOf(i));
      expect([table.parentOf(i), table.eventOf(i)]).toEqual([i - 1, i + 5]);
    }
    expect(table.has(stateOf(count))).toBe(false);
    expect(table.size).toBe(count);
  });
});

describe('numbers of nodes', () => {
  const way = [
    'connect 1 2',
    'notice 1 2',
    'notice 2 1',
    'elect 1 2',
    'deliver 1 2',
    'deliver 2 1',
  ];

  it('do not matter: the same way under other numbers leads to the same state', () => {
    const world = new World(new Parts('none', false), bounds);
    const reached = renumberings.map((names) => {
      const state = walked(
        world,
        way.map((text) => renumberedEvent(parseEvent(text), names)),
      );
      return [...canonical(world.parts, state).least];
    });
    for (const other of reached) expect(other).toEqual(reached[0]);
  });

  it('that another event took lead to another state', () => {
    const world = new World(new Parts('none', false), bounds);
    const events = way.map(parseEvent);
    const one = canonical(world.parts, walked(world, events)).least;
    const other = canonical(world.parts, walked(world, events.slice(0, -1))).least;
    expect(one).not.toEqual(other);
  });

  it('stand in the text of an event', () => {
    for (const text of [...way, 'sync 2', 'restart 3']) {
      expect(eventText(parseEvent(text))).toBe(text);
    }
  });
});

describe('a report', () => {
  it('is red for a range that was given up', () => {
    const lines: string[] = [];
    let nowMs = 0;
    const report = explore({
      form: 'gate',
      statesMax: 500,
      nowMs: () => ++nowMs,
      print: (line) => lines.push(line),
    });
    expect(report.isGreen).toBe(false);
    expect(report.ranges.map(({ isComplete }) => isComplete)).not.toContain(true);
    expect(lines.at(-1)).toMatch(/^RED/);
  }, 60_000);
});

function stateOf(i: number): State {
  const state = new Int32Array(stateLength);
  state.set([i % 7, i % 11, i % 13, 3, 0, i >> 4, i]);
  return state;
}

function walked(world: World, events: readonly number[]): State {
  let state = world.first();
  for (const event of events) state = world.after(state, event, false)!;
  return state;
}
