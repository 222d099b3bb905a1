/**
 * From the one figure that is configured, the time within which a silent peer is noticed, to the ticks
 * and limits that keep it.
 */
import type { Lane } from '@moku/region';
import type { SilenceLimits } from '../sockets/silence-watch.js';

/**
 * Ticks in the time within which silence is noticed. The tick that sees the last byte and the one that
 * judges may each come a tick after the fact, so the limit is two ticks less.
 */
const ticksPerSilence = 9;
const ticksPerAlive = 3;
/** The bulk lane may stall for longer: its peer is judged by the control lane. */
const bulkFactor = 5;

/** How often links are looked after. */
export function tickMsFor(silenceMs: number): number {
  return silenceMs / ticksPerSilence;
}

/** Limits under which a control lane that falls silent is noticed within `silenceMs`. */
export function watchLimitsFor(silenceMs: number): Readonly<Record<Lane, SilenceLimits>> {
  const tickMs = tickMsFor(silenceMs);
  const control = { aliveMs: ticksPerAlive * tickMs, silenceMs: silenceMs - 2 * tickMs };
  const bulk = {
    aliveMs: control.aliveMs * bulkFactor,
    silenceMs: control.silenceMs * bulkFactor,
  };
  return { control, bulk };
}
