/**
 * Deterministic random numbers: xoshiro128** (Blackman and Vigna, 2018), seeded by splitmix32.
 * Not for secrets.
 */

export interface Prng {
  /** Uniform integer in 0 … 2^32 - 1. */
  next(): number;
  /** Uniform integer in 0 … bound - 1; `bound` in 1 … 2^32. */
  below(bound: number): number;
  /** Uniform in [0, 1). */
  unit(): number;
  /** An independent stream for one concern: further draws here do not shift that stream. */
  split(): Prng;
}

function rotateLeft(x: number, k: number): number {
  return ((x << k) | (x >>> (32 - k))) >>> 0;
}

class Xoshiro128 implements Prng {
  private readonly s = new Uint32Array(4);

  constructor(seed: number) {
    // splitmix32 over both halves of the seed, so that seeds above 2^32 differ too.
    let state = (seed ^ Math.imul(Math.floor(seed / 2 ** 32), 0x85ebca6b)) >>> 0;
    for (let i = 0; i < 4; i++) {
      state = (state + 0x9e3779b9) >>> 0;
      let z = state;
      z = Math.imul(z ^ (z >>> 16), 0x21f0aaad);
      z = Math.imul(z ^ (z >>> 15), 0x735a2d97);
      this.s[i] = (z ^ (z >>> 15)) >>> 0;
    }
    if ((this.s[0]! | this.s[1]! | this.s[2]! | this.s[3]!) === 0) this.s[0] = 1;
  }

  next(): number {
    const s = this.s;
    const result = Math.imul(rotateLeft(Math.imul(s[1]!, 5) >>> 0, 7), 9) >>> 0;
    const t = s[1]! << 9;
    s[2]! ^= s[0]!;
    s[3]! ^= s[1]!;
    s[1]! ^= s[2]!;
    s[0]! ^= s[3]!;
    s[2]! ^= t;
    s[3] = rotateLeft(s[3]!, 11);
    return result;
  }

  below(bound: number): number {
    return Math.floor((this.next() / 2 ** 32) * bound);
  }

  unit(): number {
    return this.next() / 2 ** 32;
  }

  split(): Prng {
    return new Xoshiro128(this.next() + this.next() * 2 ** 20);
  }
}

/** A generator whose whole sequence is decided by `seed` (a safe non-negative integer). */
export function createPrng(seed: number): Prng {
  return new Xoshiro128(seed);
}
