import { type Clock, createPrng, isMokuError } from '@moku/base';
import { describe, expect, it } from 'vitest';
import { Calls, type Deadline } from '../src/deadline.js';

/** Time that passes when the test says so. */
class TestClock implements Clock {
  private nowMs = 0;
  private readonly timers = new Set<{ dueMs: number; task: () => void }>();

  monotonicMs(): number {
    return this.nowMs;
  }
  wallMs(): number {
    return this.nowMs;
  }
  soon(task: () => void): void {
    this.after(0, task);
  }
  after(delayMs: number, task: () => void): { cancel: () => void } {
    const timer = { dueMs: this.nowMs + delayMs, task };
    this.timers.add(timer);
    return { cancel: () => void this.timers.delete(timer) };
  }
  get pending(): number {
    return this.timers.size;
  }
  pass(ms: number): void {
    this.nowMs += ms;
    for (const timer of [...this.timers]) {
      if (timer.dueMs > this.nowMs || !this.timers.delete(timer)) continue;
      timer.task();
    }
  }
}

function forever(deadline: Deadline): Promise<never> {
  return new Promise((_, reject) =>
    deadline.signal.addEventListener('abort', () => reject(deadline.error(true, undefined))),
  );
}

describe('a call', () => {
  it('ends at its timeout, with a maybe when something may have happened', async () => {
    const clock = new TestClock();
    const call = new Calls(clock, createPrng(1)).run({ timeoutMs: 50 }, forever);
    clock.pass(50);
    const error = await call.catch((cause: unknown) => cause);
    expect(isMokuError(error, 'TIMEOUT') && error.outcome).toBe('maybe');
    expect(clock.pending).toBe(0);
  });

  it('ends when its caller aborts it', async () => {
    const controller = new AbortController();
    const calls = new Calls(new TestClock(), createPrng(1));
    const call = calls.run({ signal: controller.signal }, forever);
    controller.abort(new Error('enough'));
    const error = await call.catch((cause: unknown) => cause);
    expect(isMokuError(error, 'ABORTED')).toBe(true);
    expect((error as Error).cause).toEqual(new Error('enough'));
  });

  it('refuses a timeout out of bounds', async () => {
    const calls = new Calls(new TestClock(), createPrng(1));
    for (const timeoutMs of [0, -1, Number.NaN, 1e9]) {
      await expect(calls.run({ timeoutMs }, async () => 1)).rejects.toThrow('timeoutMs');
    }
  });

  it('is waited for at the close, and refused after it', async () => {
    const clock = new TestClock();
    const calls = new Calls(clock, createPrng(1));
    const order: string[] = [];
    const call = calls.run({ timeoutMs: 30 }, forever).catch(() => order.push('call'));
    const closed = calls.close(1_000).then(() => order.push('closed'));
    await expect(calls.run({}, async () => 1)).rejects.toThrow('CLOSED');
    expect(order).toEqual([]);
    clock.pass(30);
    await Promise.all([call, closed]);
    expect(order.sort()).toEqual(['call', 'closed']);
    expect(clock.pending).toBe(0);
  });

  it('pauses longer before each further attempt, by half at random', async () => {
    const clock = new TestClock();
    const pauses: number[] = [];
    await new Calls(clock, createPrng(4)).run({}, async (deadline) => {
      for (const attempt of [1, 2, 3, 20]) {
        const startMs = clock.monotonicMs();
        const pause = deadline.pause(attempt);
        while (clock.pending > 1) clock.pass(1);
        await pause;
        pauses.push(clock.monotonicMs() - startMs);
      }
    });
    const bounds = [10, 20, 40, 400];
    pauses.forEach((ms, i) => {
      expect(ms).toBeGreaterThanOrEqual((bounds[i] ?? 0) / 2);
      expect(ms).toBeLessThanOrEqual((bounds[i] ?? 0) + 1);
    });
  });
});
