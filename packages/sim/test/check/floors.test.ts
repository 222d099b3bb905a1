/**
 * Too little observed is red, and so is what could not be decided.
 */
import { describe, expect, it } from 'vitest';
import { checkFloors, countHistory } from '../../src/check/floors.js';
import { worstOf } from '../../src/check/verdict.js';
import { listHistory, registerHistory } from './notation.js';

describe('floors', () => {
  it('count what a history of registers shows', () => {
    const events = registerHistory(
      '0-1 w 1; 2-3 r 1; 4-5! w 2; 6-? w 3; 8-9 cas 7 8 refused; 8-9 put 1 refused; 10-11 del none',
    );
    const counts = { invoked: 7, reads: 1, acknowledged: 2, failed: 1, uncertain: 1 };
    expect(countHistory(events)).toEqual(counts);
  });

  it('count reads and acknowledged appends of transactions', () => {
    const events = listHistory('0-1 x+1 x=1 y=; 2-3 x=1; 4-? x+2; 5-6! y+1');
    const counts = { invoked: 4, reads: 3, acknowledged: 1, failed: 1, uncertain: 1 };
    expect(countHistory(events)).toEqual(counts);
  });

  it('are met by what reaches them', () => {
    const verdict = checkFloors({ reads: 10, faults: 3, other: 0 }, { reads: 10, faults: 1 });
    expect(verdict).toEqual({ verdict: 'pass' });
  });

  it.each([
    ['reads', { reads: 9, faults: 1 }],
    ['faults', { reads: 10, faults: 0 }],
    ['faults', { reads: 10 }],
    ['faults', { reads: 10, faults: Number.NaN }],
  ])('are red when too few %s were observed, and name them', (name, observed) => {
    const verdict = checkFloors(observed, { reads: 10, faults: 1 });
    expect(verdict).toMatchObject({
      verdict: 'unknown',
      explanation: expect.stringContaining(name),
    });
  });
});

describe('the worst of verdicts', () => {
  const pass = { verdict: 'pass' } as const;
  const unknown = { verdict: 'unknown', explanation: 'time' } as const;
  const fail = { verdict: 'fail', explanation: 'stale' } as const;

  it('is fail before unknown before pass', () => {
    expect(worstOf([])).toEqual(pass);
    expect(worstOf([pass, pass])).toEqual(pass);
    expect(worstOf([pass, unknown, pass])).toEqual(unknown);
    expect(worstOf([unknown, fail, pass])).toEqual(fail);
  });
});
