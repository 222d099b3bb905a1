import { createPrng } from '@moku/base';
import { describe, expect, it } from 'vitest';
import { Scheduler } from '../src/world/scheduler.js';

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
});
