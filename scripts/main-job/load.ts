/**
 * Loads all places into both keyspaces, many slices at a time, and measures each request.
 */
import type { Keyspace } from 'moku';
import type { Place, PlaceRecord } from './places.js';
import type { Progress } from './progress.js';

export interface Spaces {
  readonly places: Keyspace<Place>;
  readonly names: Keyspace<Place>;
}

export interface LoadResult {
  readonly records: number;
  readonly writes: number;
  readonly seconds: number;
  /** Latency of a request of `sliceRecords` writes, ascending. */
  readonly latenciesMs: readonly number[];
}

/** Large slices give each region many records a request, which is what throughput hangs on. */
export const sliceRecords = 4_000;
const slicesInFlight = 4;

export async function load(
  spaces: Spaces,
  records: readonly PlaceRecord[],
  progress: Progress,
): Promise<LoadResult> {
  const latenciesMs: number[] = [];
  let next = 0;
  let done = 0;
  const startMs = performance.now();
  const worker = async (): Promise<void> => {
    while (next < records.length) {
      const slice = records.slice(next, next + sliceRecords);
      next += slice.length;
      const sentMs = performance.now();
      // Each worker waits for its slice: that is what bounds the load.
      await Promise.all([
        spaces.places.putMany(slice.map((r) => [r.placeKey, r.place] as const)),
        spaces.names.putMany(slice.map((r) => [r.nameKey, r.place] as const)),
      ]);
      latenciesMs.push(performance.now() - sentMs);
      done += slice.length;
      progress.step('loading places', done, records.length);
    }
  };
  await Promise.all(Array.from({ length: slicesInFlight }, worker));
  const seconds = (performance.now() - startMs) / 1000;
  latenciesMs.sort((a, b) => a - b);
  return { records: done, writes: done * 2, seconds, latenciesMs };
}

/** The value below which `share` of the ascending `values` lie; 0 when there are none. */
export function quantile(values: readonly number[], share: number): number {
  return values[Math.min(values.length - 1, Math.floor(values.length * share))] ?? 0;
}
