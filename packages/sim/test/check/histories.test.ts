/**
 * Right and wrong histories, written by hand: each goes through its JSON lines.
 */
import { describe, expect, it } from 'vitest';
import { formatHistory, type HistoryEvent, parseHistory } from '../../src/check/history.js';
import { checkLinearizable } from '../../src/check/linearizable.js';
import { checkListAppend } from '../../src/check/list-append.js';
import { rightLists, wrongLists } from './list-histories.js';
import { listHistory, registerHistory } from './notation.js';
import { rightRegisters, wrongRegisters } from './register-histories.js';

function throughLines(events: readonly HistoryEvent[]): HistoryEvent[] {
  const parsed = parseHistory(formatHistory(events));
  expect(parsed).toEqual(events);
  return parsed;
}

/** By the fast path where it fits, and by search. */
function bothWays(history: string): ReturnType<typeof checkLinearizable>[] {
  const events = throughLines(registerHistory(history));
  return [true, false].map((isFastPathUsed) => checkLinearizable(events, { isFastPathUsed }));
}

describe('the linearizability check', () => {
  it.each(rightRegisters)('passes %s', (_name, history) => {
    for (const report of bothWays(history)) expect(report.verdict).toEqual({ verdict: 'pass' });
  });

  it.each(wrongRegisters)('fails %s', (_name, history) => {
    for (const { verdict } of bothWays(history)) {
      expect(verdict).toMatchObject({
        verdict: 'fail',
        explanation: expect.stringContaining('key '),
      });
    }
  });

  it('has at least 40 right and 40 wrong histories', () => {
    expect(rightRegisters.length).toBeGreaterThanOrEqual(40);
    expect(wrongRegisters.length).toBeGreaterThanOrEqual(40);
  });
});

describe('the list-append check', () => {
  it.each(rightLists)('passes %s', (_name, history) => {
    const report = checkListAppend(throughLines(listHistory(history)));
    expect(report.verdict).toEqual({ verdict: 'pass' });
  });

  it.each(wrongLists)('names %s: %s', (name, _story, history) => {
    const report = checkListAppend(throughLines(listHistory(history)));
    expect(report.verdict.verdict).toBe('fail');
    expect([...new Set(report.anomalies.map((anomaly) => anomaly.name))]).toEqual([name]);
  });
});
