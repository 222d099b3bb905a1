/**
 * When flushes begin, what they cost the loop, and what memory they leave.
 */
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import type { Clock, RegionId, ReplicaId, TimerHandle } from '@moku/base';
import { expect, it } from 'vitest';
import { chunkBytes } from '../../src/engine/chunks.js';
import { openEngine } from '../../src/engine/sqlite-engine.js';
import { put, regionId, replicaId, temporaryDirectory, until, version } from './fixtures.js';

/** Time that the test moves; `soon` is the loop's own. Counts the timers. */
class TestClock implements Clock {
  nowMs = 0;
  private readonly timers = new Set<{ readonly atMs: number; readonly task: () => void }>();

  get timersArmed(): number {
    return this.timers.size;
  }

  monotonicMs(): number {
    return this.nowMs;
  }

  wallMs(): number {
    return this.nowMs;
  }

  after(delayMs: number, task: () => void): TimerHandle {
    const timer = { atMs: this.nowMs + delayMs, task };
    this.timers.add(timer);
    return { cancel: () => this.timers.delete(timer) };
  }

  soon(task: () => void): void {
    setImmediate(task);
  }

  advance(ms: number): void {
    this.nowMs += ms;
    for (const timer of [...this.timers]) {
      if (timer.atMs > this.nowMs) continue;
      this.timers.delete(timer);
      timer.task();
    }
  }
}

it('flushes what has waited for flushAgeMs, and arms no timer when nothing waits', async () => {
  const clock = new TestClock();
  const engine = await openEngine({ dir: temporaryDirectory(), clock, flushAgeMs: 1_000 });
  expect(clock.timersArmed).toBe(0);
  engine.createReplica(regionId, replicaId);
  put(engine, 1, version('k', 1, 'v'));
  expect(clock.timersArmed).toBe(1);
  clock.advance(999);
  expect(engine.stats().flushes).toBe(0);
  clock.advance(1);
  await until(() => engine.durableIndex(regionId) === 1);
  expect(clock.timersArmed).toBe(0);
  await engine.close();
});

it('flushes at flushBytes without waiting', async () => {
  const clock = new TestClock();
  const engine = await openEngine({ dir: temporaryDirectory(), clock, flushBytes: 2_000 });
  engine.createReplica(regionId, replicaId);
  put(engine, 1, version('k', 1, 'x'.repeat(3_000)));
  await until(() => engine.durableIndex(regionId) === 1);
  await engine.close();
});

it('begins a requested flush when the one under way has ended', async () => {
  const clock = new TestClock();
  const engine = await openEngine({ dir: temporaryDirectory(), clock });
  engine.createReplica(regionId, replicaId);
  put(engine, 1, version('k', 1, 'v'));
  engine.requestFlush();
  let isSecondWritten = false;
  engine.subscribe({
    onFlushed: () => expect(isSecondWritten).toBe(true),
    onFailure: (error) => expect(error).toBeUndefined(),
  });
  await new Promise((resolve) => setImmediate(resolve));
  put(engine, 2, version('k', 2, 'v'));
  isSecondWritten = true;
  engine.requestFlush();
  await until(() => engine.durableIndex(regionId) === 2);
  expect(engine.stats().flushes).toBe(2);
  await engine.close();
});

it('uses the memory of flushed overlays again', async () => {
  const clock = new TestClock();
  const engine = await openEngine({ dir: temporaryDirectory(), clock });
  engine.createReplica(regionId, replicaId);
  let index = 0;
  for (let round = 0; round < 4; round++) {
    for (let i = 0; i < 200; i++) {
      index += 1;
      const puts = Array.from({ length: 300 }, (_, j) =>
        version(`key-${(index * 7919 + j * 104_729) % 1_000_003}`, index, 'v'.repeat(40)),
      );
      put(engine, index, ...puts);
    }
    await engine.flush();
  }
  const { chunkBytes: memory, flushLast, overlayBytes } = engine.stats();
  expect(flushLast?.rows).toBe(60_000);
  expect(overlayBytes).toBe(0);
  // 60,000 records of about 80 bytes in each round: a few chunks, not four times as many.
  expect(memory).toBeLessThanOrEqual(5 * chunkBytes);
  await engine.close();
});

it('gives the memory of an overlay back only when the last picture of it is closed', async () => {
  const engine = await openEngine({ dir: temporaryDirectory() });
  engine.createReplica(regionId, replicaId);
  const fill = async (index: number): Promise<void> => {
    put(engine, index, version('k', 1, `${index}`.repeat(500_000)));
    await engine.flush();
  };
  put(engine, 1, version('k', 1, '1'.repeat(500_000)));
  const picture = engine.picture(regionId);
  await engine.flush();
  await fill(2);
  await fill(3);
  const [found] = picture.next(1);
  expect(Buffer.from(found?.value ?? []).toString()).toBe('1'.repeat(500_000));
  expect(engine.stats().chunkBytes).toBe(2 * chunkBytes);
  picture.close();
  picture.close();
  await fill(4);
  await fill(5);
  expect(engine.stats().chunkBytes).toBe(2 * chunkBytes);
  await engine.close();
});

it('costs little for replicas that do nothing, in memory, timers and flushed rows', async () => {
  const clock = new TestClock();
  const engine = await openEngine({ dir: temporaryDirectory(), clock });
  setFlagsFromString('--expose-gc');
  const collect = runInNewContext('gc') as () => void;
  collect();
  const before = process.memoryUsage().heapUsed;
  const replicas = 2_000;
  for (let i = 1; i <= replicas; i++) engine.createReplica(i as RegionId, 1 as ReplicaId);
  await engine.flush();
  collect();
  const bytesPerReplica = (process.memoryUsage().heapUsed - before) / replicas;
  expect(bytesPerReplica).toBeLessThan(600);
  expect(clock.timersArmed).toBe(0);
  put(engine, 1, version('k', 1, 'v'));
  await engine.flush();
  expect(engine.stats().flushLast?.rows).toBe(1);
  expect(engine.stats().chunkBytes).toBe(chunkBytes);
  await engine.close();
});
