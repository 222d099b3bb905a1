import { createPrng } from '@moku/base';
import { describe, expect, it } from 'vitest';
import { forbidRealTime } from '../src/real-time.js';
import { Scheduler } from '../src/scheduler.js';

describe('virtual time', () => {
  it('runs events in order of time, then of their making', () => {
    const scheduler = new Scheduler();
    const prng = createPrng(7);
    const ran: { atMs: number; order: number }[] = [];
    for (let order = 0; order < 500; order++) {
      const atMs = prng.below(40);
      scheduler.at(atMs, () => ran.push({ atMs, order }));
    }
    while (scheduler.step()) expect(scheduler.nowMs).toBe(ran.at(-1)?.atMs);
    const sorted = [...ran].sort((a, b) => a.atMs - b.atMs || a.order - b.order);
    expect(ran).toEqual(sorted);
    expect(ran).toHaveLength(500);
  });

  it('leaves out what was cancelled', () => {
    const scheduler = new Scheduler();
    const ran: string[] = [];
    scheduler.after(1, () => ran.push('cancelled')).cancel();
    scheduler.after(2, () => ran.push('kept'));
    while (scheduler.step());
    expect(ran).toEqual(['kept']);
  });

  it('refuses real time and real chance until it is over', () => {
    const used: string[] = [];
    const restore = forbidRealTime((name) => used.push(name));
    try {
      expect(() => Date.now()).toThrow('Date.now');
      expect(() => new Date()).toThrow('new Date()');
      expect(new Date(0).getTime()).toBe(0);
      expect(() => Math.random()).toThrow('random');
      expect(() => performance.now()).toThrow('now');
      expect(() => globalThis.setImmediate(() => {})).toThrow('setImmediate');
    } finally {
      restore();
    }
    expect(used).toEqual(['Date.now', 'new Date()', 'random', 'now', 'setImmediate']);
    expect(Date.now()).toBeGreaterThan(0);
  });
});
