/**
 * Deterministic histories: what region `r` writes at index `i` follows from the two alone, so that
 * a parent can tell what a killed child must have left.
 */
import { createPrng, type RegionId, type Timestamp, utf8 } from '@moku/base';
import type { EngineWrite, VersionedValue } from '@moku/kv';

const keysPerRegion = 60;

/** The write of `regionId` at `index`: a few new versions, and the removal of an earlier one. */
export function writeAt(regionId: RegionId, index: number): EngineWrite {
  const prng = createPrng(regionId * 1_000_003 + index);
  const puts: VersionedValue[] = [];
  for (let i = 0; i < 4; i++) {
    const isDeletion = prng.below(8) === 0;
    puts.push({
      key: utf8(`key-${prng.below(keysPerRegion)}`),
      timestamp: (index * 4 + i) as Timestamp,
      value: isDeletion ? undefined : utf8(`${index}:${'x'.repeat(prng.below(200))}`),
    });
  }
  const removes = index > 20 ? puttersOf(regionId, index - 20) : [];
  return { regionId, appliedIndex: index, appliedTerm: 1, puts, removes };
}

function puttersOf(regionId: RegionId, index: number): { key: Uint8Array; timestamp: Timestamp }[] {
  const prng = createPrng(regionId * 1_000_003 + index);
  prng.below(8);
  return [{ key: utf8(`key-${prng.below(keysPerRegion)}`), timestamp: (index * 4) as Timestamp }];
}

/** The versions that install number `n` brings. */
export function installedVersions(n: number): VersionedValue[] {
  const versions: VersionedValue[] = [];
  for (let i = 0; i < 3_000; i++) {
    versions.push({
      key: utf8(`install-${n}-${i}`),
      timestamp: (n * 10_000 + i) as Timestamp,
      value: utf8(`${n}`.repeat(1 + (i % 20))),
    });
  }
  return versions;
}

/** All versions of `regionId` after its writes 1 … `index`, as sorted text. */
export function stateAt(regionId: RegionId, index: number): string[] {
  const versions = new Map<string, string>();
  for (let i = 1; i <= index; i++) {
    const { puts, removes } = writeAt(regionId, i);
    for (const { key, timestamp } of removes) versions.delete(named(key, timestamp));
    for (const one of puts) versions.set(named(one.key, one.timestamp), shown(one));
  }
  return [...versions.values()].sort();
}

export function shown({ key, timestamp, value }: VersionedValue): string {
  return `${named(key, timestamp)}=${value === undefined ? '(deleted)' : Buffer.from(value)}`;
}

function named(key: Uint8Array, timestamp: number): string {
  return `${Buffer.from(key)}@${timestamp}`;
}
