/**
 * A checker that cannot fail shows nothing: right histories, written by hand and generated, pass; each
 * one turns red with every way to spoil it.
 */
import { createPrng } from '@moku/base';
import { describe, expect, it } from 'vitest';
import type { HistoryEvent } from '../../src/check/history.js';
import { checkLinearizable } from '../../src/check/linearizable.js';
import { checkListAppend } from '../../src/check/list-append.js';
import type { Verdict } from '../../src/check/verdict.js';
import { rightListHistory, rightRegisterHistory } from './generate.js';
import { rightLists } from './list-histories.js';
import {
  finalReadMutations,
  listMutations,
  type Mutation,
  registerMutations,
  uniqueMutations,
} from './mutations.js';
import { listHistory, registerHistory } from './notation.js';
import { rightRegisters } from './register-histories.js';

type Check = (events: readonly HistoryEvent[]) => Verdict;

const linearizability: Check = (events) => checkLinearizable(events).verdict;
const listAppend: Check = (events) => checkListAppend(events).verdict;

interface Named {
  readonly name: string;
  readonly events: readonly HistoryEvent[];
}

const seeds = Array.from({ length: 12 }, (_, i) => 4_000 + i);
const size = { operations: 120, clients: 5, keys: 2, uncertainPercent: 4 };

function generated(draw: (seed: number) => HistoryEvent[]): Named[] {
  return seeds.map((seed) => ({ name: `seed ${seed}`, events: draw(seed) }));
}

const anyRegisters = generated((seed) => rightRegisterHistory({ ...size, seed }));
const plainRegisters = generated((seed) =>
  rightRegisterHistory({ ...size, seed }, ['read', 'read', 'write']),
);
const lists = generated((seed) => rightListHistory({ ...size, operations: 60, seed }));
const registersByHand = rightRegisters.map(([name, history]) => ({
  name,
  events: registerHistory(history),
}));
const listsByHand = rightLists.map(([name, history]) => ({ name, events: listHistory(history) }));

/** Spoils each history; most must have had something to spoil. */
function expectRed(histories: readonly Named[], mutation: Mutation, check: Check): void {
  let spoiled = 0;
  for (const { name, events } of histories) {
    const wrong = mutation(events, createPrng(seeds[0] ?? 0));
    if (wrong === undefined) continue;
    spoiled += 1;
    expect(check(events), name).toEqual({ verdict: 'pass' });
    expect(check(wrong).verdict, name).toBe('fail');
  }
  expect(spoiled).toBeGreaterThan(histories.length / 2);
}

describe('a right history of registers turns red when', () => {
  const mutations = Object.entries(registerMutations);
  it.each(mutations)('%s', (_name, mutation) => {
    for (const histories of [registersByHand, anyRegisters, plainRegisters]) {
      expectRed(histories, mutation, linearizability);
    }
  });

  it.each(Object.entries(uniqueMutations))('%s', (_name, mutation) => {
    for (const histories of [anyRegisters, plainRegisters]) {
      expectRed(histories, mutation, linearizability);
    }
  });
});

describe('a right history of transactions turns red when', () => {
  it.each(Object.entries(listMutations))('%s', (_name, mutation) => {
    for (const histories of [listsByHand, lists]) expectRed(histories, mutation, listAppend);
  });

  it.each(Object.entries(finalReadMutations))('%s', (_name, mutation) => {
    expectRed(lists, mutation, listAppend);
  });
});
