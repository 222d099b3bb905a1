import { describe, expect, it } from 'vitest';
import { BoundedLogger } from '../src/logger.js';
import { ManualClock } from './support/manual-clock.js';

describe('a bounded logger', () => {
  it('passes a burst of warnings on up to its bound, then says how many it left out', () => {
    const clock = new ManualClock();
    const lines: object[] = [];
    const logger = new BoundedLogger(
      { info: () => {}, warn: (fields) => lines.push(fields) },
      clock,
    );
    for (let i = 0; i < 100; i++) logger.warn({ i }, 'refused');
    expect(lines).toHaveLength(20);
    clock.advance(9_999);
    logger.warn({ i: 100 }, 'refused');
    expect(lines).toHaveLength(20);
    clock.advance(1);
    logger.warn({ i: 101 }, 'refused');
    logger.warn({ i: 102 }, 'refused');
    expect(lines.slice(20)).toEqual([{ i: 101, leftOut: 81 }, { i: 102 }]);
  });

  it('passes everything else on', () => {
    const lines: string[] = [];
    const sink = { info: (_: object, message: string) => lines.push(message), warn: () => {} };
    const logger = new BoundedLogger(sink, new ManualClock());
    for (let i = 0; i < 100; i++) logger.info({}, 'open');
    expect(lines).toHaveLength(100);
  });
});
