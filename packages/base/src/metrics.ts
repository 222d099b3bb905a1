/**
 * Counters and gauges that floors 0–3 own; floor 5 exposes them. Plain numbers, so that counting
 * costs an addition.
 */

export class Counter {
  value = 0;

  add(n = 1): void {
    this.value += n;
  }
}

/** A fixed set of log2 buckets: bucket i counts values v with 2^(i-1) <= v < 2^i; no allocation. */
export class Histogram {
  readonly buckets: Float64Array = new Float64Array(48);
  count = 0;
  sum = 0;

  record(value: number): void {
    const v = value < 0 ? 0 : value;
    const bucket = v < 1 ? 0 : Math.min(47, Math.floor(Math.log2(v)) + 1);
    this.buckets[bucket]! += 1;
    this.count += 1;
    this.sum += v;
  }
}
