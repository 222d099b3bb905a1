/**
 * Long histories are judged with little work, and what would take too much is `unknown`, never `pass`.
 */
import { describe, expect, it } from 'vitest';
import { checkLinearizable } from '../../src/check/linearizable.js';
import { checkListAppend } from '../../src/check/list-append.js';
import { rightListHistory, rightRegisterHistory } from './generate.js';
import { listHistory, registerHistory } from './notation.js';

const seed = 77;

describe('a long history', () => {
  it('of reads and of writes that differ needs no search', () => {
    const wish = { seed, operations: 20_000, clients: 20, keys: 2, uncertainPercent: 2 };
    const report = checkLinearizable(rightRegisterHistory(wish, ['read', 'write']));
    expect(report).toMatchObject({ verdict: { verdict: 'pass' }, keysByFastPath: 2 });
    expect(report).toMatchObject({ operations: 20_000, configurations: 0 });
  });

  it('of all operations is searched with a few configurations for each', () => {
    const wish = { seed, operations: 8_000, clients: 10, keys: 4, uncertainPercent: 2 };
    const report = checkLinearizable(rightRegisterHistory(wish));
    expect(report).toMatchObject({ verdict: { verdict: 'pass' }, keysByFastPath: 0 });
    expect(report.configurations).toBeLessThan(20 * report.operations);
  });

  it('of transactions passes', () => {
    const wish = { seed, operations: 2_000, clients: 10, keys: 40, uncertainPercent: 2 };
    const report = checkListAppend(rightListHistory(wish));
    expect(report.verdict).toEqual({ verdict: 'pass' });
    expect(report.transactions).toBe(2_001);
  });
});

describe('a history that takes too much', () => {
  // Any subset of these may have happened in any order, and none explains the last read.
  const lost = Array.from({ length: 16 }, (_, n) => `0-? cas ${n} ${(n * 7 + 1) % 16}`);
  const writes = Array.from({ length: 16 }, (_, n) => `${n * 2}-? w ${n}`);
  const events = registerHistory([...lost, ...writes, '50-51 r 3; 52-53 r 99'].join('; '));

  it('is unknown when its configurations are spent', () => {
    const report = checkLinearizable(events, { configurationsMax: 2_000 });
    expect(report.configurations).toBe(2_000);
    const explanation = expect.stringContaining('undecided after 2000 configurations');
    expect(report.verdict).toEqual({ verdict: 'unknown', explanation });
  });

  it('is unknown when its time is up', () => {
    let nowMs = 0;
    const time = { nowMs: () => nowMs++, msMax: 10 };
    const report = checkLinearizable(events, { time });
    expect(report.verdict.verdict).toBe('unknown');
    expect(report.configurations).toBeLessThan(5_000);
  });
});

describe('an explanation', () => {
  it('says where the history went wrong, and what could have been read there', () => {
    const history = '0-1 w 1; 2-3 w 2 existed; 4-5 r 2; 6-7 r 1; 8-9 w 3; 10-11 r 3';
    const { verdict } = checkLinearizable(registerHistory(history));
    expect(verdict).toEqual({
      verdict: 'fail',
      explanation: [
        'key x: no order explains the lines up to 8: lines 7–8, process 3: read → ok 1',
        '  at that point the register could hold: 2',
        '  lines 1–2, process 0: write 1 → ok null',
        '  lines 3–4, process 1: write 2 → ok true',
        '  lines 5–6, process 2: read → ok 2',
        '  lines 7–8, process 3: read → ok 1',
      ].join('\n'),
    });
  });

  it('names the zones that exclude each other', () => {
    const history = '0-1 w 1; 2-3 w 2; 4-5 r 1';
    const { verdict } = checkLinearizable(registerHistory(history));
    expect(verdict).toEqual({
      verdict: 'fail',
      explanation:
        'key x: the register held 1 all through lines 2–5, yet 2 was written or read within lines 3–4',
    });
  });

  it('shows the shortest cycle, edge by edge', () => {
    const history = '0-9 x= y+1; 0-9 y= z+1; 0-9 z= y= x+1; 10-11 x=1 y=1 z=1';
    const { anomalies } = checkListAppend(listHistory(history));
    expect(anomalies).toHaveLength(1);
    expect(anomalies[0]?.name).toBe('G2');
    expect(anomalies[0]?.explanation.split('\n')).toHaveLength(3);
    expect(anomalies[0]?.explanation).toContain(
      'is before T3 (lines 3–6): rw x: up to [], without 1',
    );
  });
});
