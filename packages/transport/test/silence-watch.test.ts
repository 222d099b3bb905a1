import { describe, expect, it } from 'vitest';
import { tickMsFor, watchLimitsFor } from '../src/links/silence.js';
import { SilenceWatch } from '../src/sockets/silence-watch.js';
import { Ticker } from '../src/sockets/ticker.js';
import { ManualClock } from './support/manual-clock.js';

const limits = { aliveMs: 300, silenceMs: 900 };

describe('a silence watch', () => {
  it('calls a peer silent once nothing was received for silenceMs', () => {
    const watch = new SilenceWatch(limits, 0);
    for (let now = 100; now < 900; now += 100) expect(watch.tick(now, 0, 0, now)).toBe('fine');
    expect(watch.tick(900, 0, 0, 900)).toBe('silent');
  });

  it('counts any received byte as a sign of life', () => {
    const watch = new SilenceWatch(limits, 0);
    for (let now = 100; now < 5_000; now += 100) {
      const received = Math.floor(now / 800);
      expect(watch.tick(now, 0, received, now)).toBe('fine');
    }
    expect(watch.heardMsAgo(4_900)).toBe(100);
  });

  it('asks for a sign of life when nothing was sent for aliveMs', () => {
    const watch = new SilenceWatch(limits, 0);
    expect(watch.tick(200, 0, 1, 0)).toBe('fine');
    expect(watch.tick(300, 0, 2, 0)).toBe('sendAlive');
    expect(watch.tick(400, 0, 3, 1)).toBe('fine');
    expect(watch.tick(600, 0, 4, 1)).toBe('fine');
    expect(watch.tick(700, 0, 5, 1)).toBe('sendAlive');
  });

  it('judges nobody by a tick that came late, and does not count the lateness as silence', () => {
    const watch = new SilenceWatch(limits, 0);
    watch.tick(100, 0, 1, 1);
    expect(watch.tick(5_100, 4_900, 1, 2)).not.toBe('silent');
    // 100 ms of the peer's silence have been seen so far; 800 more are needed.
    for (let now = 5_200; now < 5_900; now += 100) expect(watch.tick(now, 0, 1, now)).toBe('fine');
    expect(watch.tick(5_900, 0, 1, 5_900)).toBe('silent');
  });
});

describe('a late tick', () => {
  it('never is the one that judges, even when the silence before it was nearly long enough', () => {
    const watch = new SilenceWatch(limits, 0);
    for (let now = 100; now <= 800; now += 100) expect(watch.tick(now, 0, 0, now)).toBe('fine');
    expect(watch.tick(1_400, 500, 0, 1_400)).toBe('fine');
    expect(watch.tick(1_500, 0, 0, 1_500)).toBe('silent');
  });
});

describe('the limits of a control lane', () => {
  it('let silence be noticed within the time set, wherever between two ticks it begins', () => {
    const silenceMs = 900;
    for (let lastByteMs = 0; lastByteMs < 300; lastByteMs += 7) {
      const clock = new ManualClock();
      const startMs = clock.monotonicMs();
      const watch = new SilenceWatch(watchLimitsFor(silenceMs).control, startMs);
      let noticedMs: number | undefined;
      const ticker = new Ticker(clock, tickMsFor(silenceMs), (nowMs, lateMs) => {
        const received = nowMs - startMs >= lastByteMs ? 1 : 0;
        if (watch.tick(nowMs, lateMs, received, nowMs) === 'silent') noticedMs ??= nowMs - startMs;
      });
      clock.advance(3_000);
      ticker.stop();
      expect(noticedMs).toBeGreaterThan(lastByteMs + 600);
      expect(noticedMs).toBeLessThanOrEqual(lastByteMs + silenceMs);
    }
  });
});

describe('a ticker', () => {
  it('tells how late a tick was, when by more than a period', () => {
    const clock = new ManualClock();
    const late: number[] = [];
    const ticker = new Ticker(clock, 100, (_nowMs, lateMs) => late.push(lateMs));
    clock.advance(200);
    clock.pause(150);
    clock.pause(2_100);
    clock.advance(100);
    expect(late).toEqual([0, 0, 0, 2_000, 0]);
    ticker.stop();
    clock.advance(1_000);
    expect(late).toHaveLength(5);
  });

  it('may be stopped from within a tick', () => {
    const clock = new ManualClock();
    let ticks = 0;
    const ticker = new Ticker(clock, 100, () => {
      ticks += 1;
      ticker.stop();
    });
    clock.advance(1_000);
    expect(ticks).toBe(1);
  });
});
