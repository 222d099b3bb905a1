/**
 * How long a dialer waits before it tries again: doubling from `minMs` to `maxMs`, each wait drawn from
 * the upper half, so that nodes that failed together do not return together.
 */
import type { Prng } from '@moku/base';

export class Backoff {
  private readonly minMs: number;
  private readonly maxMs: number;
  private readonly prng: Prng;
  private ceilingMs: number;

  constructor({ minMs, maxMs, prng }: { minMs: number; maxMs: number; prng: Prng }) {
    this.minMs = minMs;
    this.maxMs = maxMs;
    this.prng = prng;
    this.ceilingMs = minMs;
  }

  /** The next wait in milliseconds, within [minMs / 2, maxMs]. */
  next(): number {
    const ceilingMs = this.ceilingMs;
    this.ceilingMs = Math.min(this.maxMs, ceilingMs * 2);
    return ceilingMs / 2 + (this.prng.unit() * ceilingMs) / 2;
  }

  /** From now on waits are as long as they get: what was refused will not change soon. */
  despair(): void {
    this.ceilingMs = this.maxMs;
  }

  /** Begins anew, after the peer was well for a while. */
  reset(): void {
    this.ceilingMs = this.minMs;
  }
}
