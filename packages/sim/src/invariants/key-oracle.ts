/**
 * What reads may answer, per key with one writer: acknowledged writes are present; a read is at least as
 * new as the last acknowledgement (and the last other read) before it; a request is applied once.
 *
 * A write takes effect between its call and its acknowledgement; one that may have happened, at any time
 * after its call, but before the end of the first read that sees it.
 */
import type { Report } from './invariant.js';
import type { RequestEffects } from './request-effects.js';

interface Write {
  readonly value: string;
  readonly invokedMs: number;
  /** By then it has taken effect; infinite while it may still do so. */
  doneMs: number;
}

const absent = '';

export class KeyOracle {
  reads = 0;
  private readonly report: Report;
  private readonly effects: Pick<RequestEffects, 'acknowledged'> | undefined;
  private readonly keys = new Map<string, Write[]>();
  private readonly shared = new Set<string>();

  constructor(report: Report, effects?: Pick<RequestEffects, 'acknowledged'>) {
    this.report = report;
    this.effects = effects;
  }

  /** A write of `value`, unique for the key, is about to be asked for. Returns what ends it. */
  begin(
    key: string,
    value: string,
    nowMs: number,
  ): { acknowledged(nowMs: number): void; never(): void } {
    const writes = this.writesOf(key);
    const write: Write = { value, invokedMs: nowMs, doneMs: Number.POSITIVE_INFINITY };
    writes.push(write);
    return {
      acknowledged: (doneMs) => {
        write.doneMs = Math.min(write.doneMs, doneMs);
        this.prune(writes);
        this.effects?.acknowledged(key, value);
      },
      never: () => {
        writes.splice(writes.indexOf(write), 1);
      },
    };
  }

  /** A read that began at `invokedMs` ended now with `value`; undefined: absent. */
  observe(key: string, value: string | undefined, invokedMs: number, nowMs: number): void {
    this.reads += 1;
    if (this.shared.has(key)) return;
    const writes = this.writesOf(key);
    const seen = writes.findLast((write) => write.value === (value ?? absent));
    if (seen === undefined) {
      const what = `key ${key}: read ${JSON.stringify(value)}, which is overwritten or was never written`;
      this.report('reads are linearizable', what);
      return;
    }
    seen.doneMs = Math.min(seen.doneMs, nowMs);
    const newer = newerThan(seen, writes, invokedMs);
    if (newer === undefined) return;
    const what = `key ${key}: read ${JSON.stringify(value)} although ${newer.value} was acknowledged or seen at ${newer.doneMs.toFixed(3)}, before the read began at ${invokedMs.toFixed(3)}`;
    this.report('reads are at least as new as the last acknowledgement', what);
  }

  /** The key has several writers: only the history's checker judges what is read. */
  share(key: string): void {
    this.shared.add(key);
  }

  /** A write under a condition that only an earlier attempt of the same request can break. */
  refusedByItself(key: string): void {
    this.report('deduplication', `key ${key}: ifAbsent of a key written once met itself`);
  }

  private writesOf(key: string): Write[] {
    let writes = this.keys.get(key);
    if (writes === undefined) {
      writes = [{ value: absent, invokedMs: -1, doneMs: 0 }];
      this.keys.set(key, writes);
    }
    return writes;
  }

  /** Keeps the list short; reads under way may still see a few that are overwritten. */
  private prune(writes: Write[]): void {
    if (writes.length > 4_000) writes.splice(0, 2_000);
  }
}

/** A write that began after `seen` had taken effect and had taken effect itself before `atMs`. */
function newerThan(seen: Write, writes: readonly Write[], atMs: number): Write | undefined {
  // They stand in the order of their calls; the newest is looked at first, for reads see new ones.
  for (let i = writes.length - 1; i >= 0; i--) {
    const write = writes[i]!;
    if (write.invokedMs <= seen.doneMs) return undefined;
    if (write.doneMs < atMs) return write;
  }
  return undefined;
}
