/**
 * A steady stream of single writes into every region, one under way per region, that remembers what was
 * acknowledged and when.
 */
import { setTimeout as delay } from 'node:timers/promises';
import { type Keyspace, MokuError } from 'moku';
import type { Place } from './places.js';

export interface StreamTarget {
  readonly regionId: number;
  readonly keyspace: Keyspace<Place>;
  /** A loaded key of the region; the stream's keys are this one with a number behind it. */
  readonly nearKey: string;
  readonly place: Place;
}

export interface Acknowledged {
  readonly keyspace: Keyspace<Place>;
  readonly key: string;
  readonly place: Place;
}

interface Moment {
  readonly sentMs: number;
  readonly ackedMs: number;
}

const pauseMs = 4;
/** An acknowledgement that was on its way when the node was killed is not a recovery. */
const settleMs = 20;
const timeoutMs = 20_000;

export class WriteStream {
  readonly acknowledged: Acknowledged[] = [];
  /** Errors of writes that certainly or perhaps failed; they claim nothing. */
  readonly failures: MokuError[] = [];
  private readonly moments = new Map<number, Moment[]>();
  private readonly writers: Promise<void>[];
  private isStopped = false;

  constructor(targets: readonly StreamTarget[]) {
    this.writers = targets.map((target) => this.write(target));
  }

  /**
   * Milliseconds from `sinceMs` until each region acknowledged a write again; missing: not yet. A write
   * under way at `sinceMs` counts when it is acknowledged: it was the cluster that had to recover.
   */
  resumed(sinceMs: number): Map<number, number> {
    const resumed = new Map<number, number>();
    for (const [regionId, moments] of this.moments) {
      const first = moments.find((moment) => moment.ackedMs > sinceMs + settleMs);
      if (first !== undefined) resumed.set(regionId, first.ackedMs - sinceMs);
    }
    return resumed;
  }

  /** Latencies of single writes acknowledged before `untilMs`, ascending. */
  latenciesMs(untilMs: number): number[] {
    const all: number[] = [];
    for (const moments of this.moments.values()) {
      for (const { sentMs, ackedMs } of moments) if (ackedMs < untilMs) all.push(ackedMs - sentMs);
    }
    return all.sort((a, b) => a - b);
  }

  async stop(): Promise<void> {
    this.isStopped = true;
    await Promise.all(this.writers);
  }

  private async write(target: StreamTarget): Promise<void> {
    const { keyspace, nearKey, place } = target;
    const moments: Moment[] = [];
    this.moments.set(target.regionId, moments);
    for (let n = 1; !this.isStopped; n++) {
      const key = `${nearKey}~${n}`;
      const sentMs = performance.now();
      try {
        // One at a time per region: the pause without writes is what is measured.
        await keyspace.put(key, place, { timeoutMs });
        moments.push({ sentMs, ackedMs: performance.now() });
        this.acknowledged.push({ keyspace, key, place });
      } catch (error) {
        if (!(error instanceof MokuError)) throw error;
        // The run was given up: nothing can be written any more.
        if (error.code === 'CLOSED') return;
        this.failures.push(error);
      }
      await delay(pauseMs);
    }
  }
}
