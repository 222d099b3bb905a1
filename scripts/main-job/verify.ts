/**
 * The proof: every acknowledged write is there with the right bytes, and replicas agree.
 */
import { setTimeout as delay } from 'node:timers/promises';
import type { Database, Keyspace } from 'moku';
import type { PlaceRecord } from './places.js';
import type { Progress } from './progress.js';
import type { Acknowledged } from './stream.js';

const sliceKeys = 2_000;

interface Expected {
  readonly key: string;
  readonly bytes: Buffer;
}

function expected(key: string, value: unknown): Expected {
  return { key, bytes: Buffer.from(JSON.stringify(value)) };
}

async function missing(
  keyspace: Keyspace<Uint8Array>,
  all: readonly Expected[],
  done: (n: number) => void,
) {
  let lost = 0;
  for (let from = 0; from < all.length; from += sliceKeys) {
    const slice = all.slice(from, from + sliceKeys);
    // One slice after the other keeps the reader's memory bounded.
    const values = await keyspace.getMany(slice.map((record) => record.key));
    slice.forEach((record, i) => {
      const value = values[i];
      if (value === undefined || !record.bytes.equals(value)) lost += 1;
    });
    done(slice.length);
  }
  return lost;
}

/** How many of the acknowledged writes are missing or differ in a byte. */
export async function countLost(
  db: Database,
  records: readonly PlaceRecord[],
  streamed: readonly Acknowledged[],
  progress: Progress,
): Promise<number> {
  const total = records.length * 2 + streamed.length;
  let checked = 0;
  let lost = 0;
  for (const name of ['places', 'names'] as const) {
    const keyspace = await db.keyspace<Uint8Array>(name, { values: 'bytes' });
    const all = records.map((r) => expected(name === 'places' ? r.placeKey : r.nameKey, r.place));
    for (const { keyspace: of, key, place } of streamed)
      if (of.name === name) all.push(expected(key, place));
    lost += await missing(keyspace, all, (n) => {
      checked += n;
      progress.step('checking writes', checked, total);
    });
  }
  return lost;
}

export interface DigestResult {
  readonly regions: number;
  readonly replicas: number;
  /** Regions whose replicas differ at an equal applied index, or never came to one. */
  readonly unequal: readonly number[];
}

/** Compares the digests of all replicas of all regions at equal applied index. */
export async function compareDigests(
  db: Database,
  withinMs: number,
  progress: Progress,
): Promise<DigestResult> {
  const view = await db.view();
  const dueMs = performance.now() + withinMs;
  const unequal: number[] = [];
  let replicas = 0;
  let done = 0;
  for (const region of view.regions) {
    // Region by region: a digest reads all of a region's data.
    if (!(await areEqual(db, region, dueMs))) unequal.push(region.regionId);
    replicas += region.replicas.length;
    progress.step('comparing replicas', ++done, view.regions.length);
  }
  return { regions: view.regions.length, replicas, unequal };
}

type Region = Awaited<ReturnType<Database['view']>>['regions'][number];

async function areEqual(db: Database, region: Region, dueMs: number): Promise<boolean> {
  while (true) {
    const digests = await Promise.all(
      region.replicas.map(({ nodeId }) => db.admin.digest(nodeId, region.regionId)),
    );
    const [first] = digests;
    if (first !== undefined && digests.every((d) => d.appliedIndex === first.appliedIndex)) {
      return digests.every((d) => d.digest === first.digest && d.records === first.records);
    }
    if (performance.now() > dueMs) return false;
    await delay(20);
  }
}
