/**
 * The checkers against those that try every order, on tiny random histories, right and wrong.
 */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { HistoryEvent } from '../../src/check/history.js';
import type { Json, OperationName } from '../../src/check/history-values.js';
import { checkLinearizable } from '../../src/check/linearizable.js';
import { checkListAppend } from '../../src/check/list-append.js';
import { isLinearizable, isStrictlySerializable } from './brute-force.js';

const seed = 20_261_122;

interface Drawn {
  readonly start: number;
  readonly length: number;
  readonly outcome: 'ok' | 'fail' | 'info';
  readonly f: OperationName;
  readonly key: string | null;
  readonly argument: Json;
  readonly result: Json;
}

/** Starts and ends at drawn moments; those of one moment in the order of drawing. */
function eventsOf(drawn: readonly Drawn[]): HistoryEvent[] {
  const moments: (HistoryEvent & { readonly rank: number })[] = [];
  drawn.forEach(({ start, length, outcome, f, key, argument, result }, process) => {
    const event = { process, f, key };
    moments.push({ ...event, value: argument, type: 'invoke', time: start, rank: process });
    const value = outcome === 'ok' ? result : argument;
    moments.push({ ...event, value, type: outcome, time: start + length, rank: process + 0.5 });
  });
  moments.sort((a, b) => a.time - b.time || a.rank - b.rank);
  return moments.map(({ rank: _rank, ...event }) => event);
}

const moment = fc.integer({ min: 0, max: 12 });
const length = fc.integer({ min: 1, max: 6 });
const outcome = fc.constantFrom('ok', 'ok', 'ok', 'ok', 'info', 'fail') as fc.Arbitrary<
  Drawn['outcome']
>;
const when = { start: moment, length, outcome, key: fc.constantFrom('x', 'x', 'x', 'y') };

function register(
  f: OperationName,
  argument: fc.Arbitrary<Json>,
  result: fc.Arbitrary<Json>,
): fc.Arbitrary<Drawn> {
  return fc.record({ ...when, f: fc.constant(f), argument, result });
}

const nothing = fc.constant(null);
const value = fc.integer({ min: 1, max: 3 });
const present = fc.constantFrom(null, null, true, false);
const isApplied = fc.constantFrom(null, true, false);
const found = fc.constantFrom(null, 1, 2, 3);

const anyOperation = fc.oneof(
  { arbitrary: register('read', nothing, found), weight: 3 },
  { arbitrary: register('write', value, present), weight: 3 },
  { arbitrary: register('cas', fc.tuple(found, value), isApplied), weight: 2 },
  { arbitrary: register('delete', nothing, present), weight: 1 },
  { arbitrary: register('putIfAbsent', value, isApplied), weight: 1 },
);

/** Each write another value. */
const uniqueWrites = fc
  .array(
    fc.oneof(
      { arbitrary: register('read', nothing, found), weight: 3 },
      { arbitrary: register('write', value, nothing), weight: 2 },
    ),
    { minLength: 1, maxLength: 7 },
  )
  .map((drawn) => {
    let next = 0;
    return drawn.map((one) => (one.f === 'write' ? { ...one, argument: ++next } : one));
  });

/** Both kinds must be drawn often: what never fails shows nothing about failing. */
function compareRegisters(histories: fc.Arbitrary<readonly Drawn[]>, runs: number): void {
  let right = 0;
  let fast = 0;
  const property = fc.property(histories, (drawn) => {
    const events = eventsOf(drawn);
    const expected = isLinearizable(events) ? 'pass' : 'fail';
    if (expected === 'pass') right += 1;
    const report = checkLinearizable(events);
    fast += report.keysByFastPath;
    expect(report.verdict.verdict).toBe(expected);
    const searched = checkLinearizable(events, { isFastPathUsed: false });
    expect(searched.verdict.verdict).toBe(expected);
  });
  fc.assert(property, { seed, numRuns: runs });
  expect(right).toBeGreaterThan(runs / 20);
  expect(right).toBeLessThan((runs * 19) / 20);
  expect(fast).toBeGreaterThan(runs / 20);
}

interface DrawnTransaction extends Pick<Drawn, 'start' | 'length' | 'outcome'> {
  readonly steps: readonly {
    readonly isRead: boolean;
    readonly key: string;
    /** Elements that a read misses; below 0: that it sees too early. */
    readonly age: number;
  }[];
  /** On y it comes to pass before the one drawn before it. */
  readonly isSwapped: boolean;
}

const listKeys = ['x', 'y'];
const lists = fc
  .array(
    fc.record({
      start: moment,
      length,
      outcome: fc.constantFrom('ok', 'ok', 'ok', 'ok', 'ok', 'info', 'fail') as typeof outcome,
      steps: fc.array(
        fc.record({
          isRead: fc.boolean(),
          key: fc.constantFrom(...listKeys),
          age: fc.constantFrom(0, 0, 0, 0, 0, 0, 1, -1),
        }),
        { minLength: 1, maxLength: 3 },
      ),
      isSwapped: fc.constantFrom(false, false, false, true),
    }),
    { minLength: 2, maxLength: 5 },
  )
  .map(runOnLists);

interface Element {
  readonly writer: number;
  readonly value: number;
}

/**
 * Transactions come to pass in the order of drawing, whatever their times; some answers are wrong. At
 * the end all is read, so that the order of all elements is known.
 */
function runOnLists(drawn: readonly DrawnTransaction[]): Drawn[] {
  const finals = new Map(listKeys.map((key) => [key, finalList(drawn, key)]));
  const ran = drawn.map(({ start, length: duration, outcome: ended, steps }, index): Drawn => {
    const argument: Json[] = [];
    const result: Json[] = [];
    const own = new Map<string, number>();
    for (const { isRead, key, age } of steps) {
      const final = finals.get(key) ?? [];
      if (!isRead) {
        const element = elementOf(index, sum(own));
        own.set(key, (own.get(key) ?? 0) + 1);
        argument.push(['append', key, element]);
        result.push(['append', key, element]);
        continue;
      }
      const rank = rankOn(key, drawn, index);
      const before = final.filter(({ writer }) => rankOn(key, drawn, writer) < rank).length;
      const others = final.filter(({ writer }) => writer !== index);
      const seen = others.slice(0, Math.max(before - age, 0));
      const mine = result.flatMap((step) => appendedTo(key, step));
      argument.push(['r', key, null]);
      result.push(['r', key, [...seen.map((element) => element.value), ...mine]]);
    }
    const form = { f: 'txn', key: null, argument, result } as const;
    return { start, length: duration, outcome: ended, ...form };
  });
  const argument = listKeys.map((key) => ['r', key, null]);
  const all = (key: string): Json => (finals.get(key) ?? []).map((element) => element.value);
  const result = listKeys.map((key) => ['r', key, all(key)]);
  const form = { f: 'txn', key: null, argument, result } as const;
  return [...ran, { start: 100, length: 1, outcome: 'ok', ...form }];
}

function finalList(drawn: readonly DrawnTransaction[], key: string): Element[] {
  const elements: Element[] = [];
  drawn.forEach(({ outcome: ended, steps }, writer) => {
    steps
      .filter((step) => !step.isRead)
      .forEach((step, n) => {
        if (step.key !== key || ended === 'fail') return;
        elements.push({ writer, value: elementOf(writer, n) });
      });
  });
  return elements.sort((a, b) => rankOn(key, drawn, a.writer) - rankOn(key, drawn, b.writer));
}

function rankOn(key: string, drawn: readonly DrawnTransaction[], index: number): number {
  return key === 'y' && drawn[index]?.isSwapped === true ? index - 1.5 : index;
}

/** The n-th element of a transaction. */
function elementOf(writer: number, n: number): number {
  return writer * 10 + n;
}

function sum(counts: ReadonlyMap<string, number>): number {
  return [...counts.values()].reduce((total, count) => total + count, 0);
}

function appendedTo(key: string, step: Json): Json[] {
  const [type, stepKey, element = null] = step as readonly Json[];
  return type === 'append' && stepKey === key ? [element] : [];
}

describe('tiny random histories are judged as by trying everything:', () => {
  it('registers with every operation', () => {
    compareRegisters(fc.array(anyOperation, { minLength: 1, maxLength: 6 }), 2_000);
  });

  it('registers of which each value is written once', () => {
    compareRegisters(uniqueWrites, 1_500);
  });

  it('transactions over lists', () => {
    const runs = 1_500;
    let right = 0;
    const names = new Set<string>();
    const property = fc.property(lists, (drawn) => {
      const events = eventsOf(drawn);
      const isRight = isStrictlySerializable(events);
      if (isRight) right += 1;
      const report = checkListAppend(events);
      for (const { name } of report.anomalies) names.add(name);
      expect(report.verdict.verdict).toBe(isRight ? 'pass' : 'fail');
    });
    fc.assert(property, { seed, numRuns: runs });
    expect(right).toBeGreaterThan(runs / 20);
    expect(right).toBeLessThan((runs * 19) / 20);
    for (const name of ['G0', 'G1b', 'G1c', 'G-single', 'G2']) expect(names).toContain(name);
    for (const name of ['G0', 'G1c', 'G-single']) expect(names).toContain(`${name}-realtime`);
  });
});
