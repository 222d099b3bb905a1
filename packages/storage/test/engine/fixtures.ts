/**
 * What the engine's tests share: temporary directories, small versions, and deterministic histories
 * that a child process writes and its parent can compute again.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type RegionId, type ReplicaId, type Timestamp, utf8 } from '@moku/base';
import type { Engine, VersionedValue } from '@moku/kv';
import { onTestFinished } from 'vitest';

export const regionId = 1 as RegionId;
export const replicaId = 1 as ReplicaId;
export const latest = Number.MAX_SAFE_INTEGER as Timestamp;

/** A new directory, removed when the test is over. */
export function temporaryDirectory(): string {
  const dir = mkdtempSync(join(tmpdir(), 'moku-engine-'));
  onTestFinished(() => rmSync(dir, { recursive: true, force: true }));
  return dir;
}

export function version(key: string, timestamp: number, value: string): VersionedValue {
  return { key: utf8(key), timestamp: timestamp as Timestamp, value: utf8(value) };
}

export function put(engine: Engine, index: number, ...puts: VersionedValue[]): void {
  engine.write({ regionId, appliedIndex: index, appliedTerm: 1, puts, removes: [] });
}

/** Runs the loop until `predicate` holds; fails after `boundMs`. */
export async function until(predicate: () => boolean, boundMs = 10_000): Promise<void> {
  const endMs = performance.now() + boundMs;
  while (!predicate()) {
    if (performance.now() > endMs) throw new Error(`not within ${boundMs} ms: ${predicate}`);
    await new Promise((resolve) => setImmediate(resolve));
  }
}
