/**
 * What the shared log costs: entries per second of 1,000 regions through one row per group commit, the
 * loop's own time for it, reading back, opening, and the memory of an idle region.
 * Run: pnpm bench log
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { cpus, tmpdir } from 'node:os';
import { join } from 'node:path';
import type { RegionId, ReplicaId } from '@moku/base';
import type { ConfState, RegionWrite } from '@moku/raft';
import { openLogStore, type SqliteLogStore } from '@moku/storage';

const regionCount = 1_000;
const batchesInFlightMax = 8;
const confState: ConfState = {
  voters: [1 as ReplicaId],
  votersOutgoing: [],
  learners: [],
  learnersNext: [],
  autoLeave: false,
};

interface Load {
  readonly name: string;
  readonly batches: number;
  readonly entriesPerRegion: number;
  readonly entryBytes: number;
}

const loads: readonly Load[] = [
  {
    name: '1 entry of 100 B per region and batch',
    batches: 300,
    entriesPerRegion: 1,
    entryBytes: 100,
  },
  {
    name: '8 entries of 100 B per region and batch',
    batches: 150,
    entriesPerRegion: 8,
    entryBytes: 100,
  },
  {
    name: '1 entry of 4 KiB per region and batch',
    batches: 60,
    entriesPerRegion: 1,
    entryBytes: 4096,
  },
];

function regionOf(i: number): RegionId {
  return (i + 1) as RegionId;
}

function creates(count: number): RegionWrite[] {
  const writes: RegionWrite[] = [];
  for (let i = 0; i < count; i++) {
    const truncated = { truncatedIndex: 0, truncatedTerm: 0 };
    const create = { replicaId: 1 as ReplicaId, confState, ...truncated };
    writes.push({ regionId: regionOf(i), create });
  }
  return writes;
}

function batchOf(load: Load, batch: number, data: Uint8Array): RegionWrite[] {
  const { entriesPerRegion } = load;
  const first = batch * entriesPerRegion + 1;
  const truncateTo = first - 10 * entriesPerRegion - 1;
  const writes: RegionWrite[] = [];
  for (let i = 0; i < regionCount; i++) {
    const entries = [];
    for (let k = 0; k < entriesPerRegion; k++) {
      entries.push({ term: 1, index: first + k, kind: 'normal' as const, data });
    }
    // As a node does: now and then, a few regions at a time.
    const isDue = truncateTo > 0 && (batch + i) % 20 === 0;
    const truncate = isDue ? { truncate: { index: truncateTo, term: 1 } } : {};
    writes.push({ regionId: regionOf(i), entries, ...truncate });
  }
  return writes;
}

/** Writes all batches of a load, some in flight at once; milliseconds of the whole and of `write` alone. */
async function run(store: SqliteLogStore, load: Load, onDurable: Set<() => void>) {
  const data = new Uint8Array(load.entryBytes).fill(0x61);
  const startMs = performance.now();
  let loopMs = 0;
  for (let batch = 0; batch < load.batches; batch++) {
    const writes = batchOf(load, batch, data);
    const fromMs = performance.now();
    store.write(writes);
    loopMs += performance.now() - fromMs;
    while (store.health().batchesInFlight >= batchesInFlightMax) {
      await new Promise<void>((resolve) => onDurable.add(resolve));
    }
  }
  while (store.health().batchesInFlight > 0) {
    await new Promise<void>((resolve) => onDurable.add(resolve));
  }
  return { totalMs: performance.now() - startMs, loopMs };
}

async function open(dir: string): Promise<{ store: SqliteLogStore; onDurable: Set<() => void> }> {
  const store = await openLogStore({ dir, clusterId: 'bench', nodeId: 1 });
  const onDurable = new Set<() => void>();
  const wake = (): void => {
    const waiting = [...onDurable];
    onDurable.clear();
    for (const resolve of waiting) resolve();
  };
  store.subscribe({
    onDurable: wake,
    onFetched() {},
    onFailure(error) {
      throw error;
    },
  });
  return { store, onDurable };
}

async function measure(load: Load): Promise<void> {
  const dir = mkdtempSync(join(tmpdir(), 'moku-bench-log-'));
  const first = await open(dir);
  first.store.write(creates(regionCount));
  const { totalMs, loopMs } = await run(first.store, load, first.onDurable);
  const stats = await first.store.stats();
  await first.store.close();
  const openFromMs = performance.now();
  const second = await open(dir);
  const openMs = performance.now() - openFromMs;
  await second.store.close();
  rmSync(dir, { recursive: true });
  const entries = load.batches * regionCount * load.entriesPerRegion;
  const written = (entries * load.entryBytes) / 2 ** 20;
  console.log(load.name);
  console.log(
    `  ${Math.round((entries / totalMs) * 1000).toLocaleString('en')} entries/s, ` +
      `${((written / totalMs) * 1000).toFixed(0)} MiB/s of data, ${stats.commits} commits of ${load.batches + 1} batches, ` +
      `loop ${((loopMs / load.batches / regionCount) * 1e6).toFixed(0)} ns per region and batch`,
  );
  console.log(
    `  live ${(stats.liveBytes / 2 ** 20).toFixed(1)} MiB, rows ${(stats.rowBytes / 2 ** 20).toFixed(1)} MiB, ` +
      `file ${(stats.fileBytes / 2 ** 20).toFixed(1)} MiB of which free ${(stats.freeBytes / 2 ** 20).toFixed(1)}, ` +
      `reopened in ${openMs.toFixed(0)} ms`,
  );
}

/** Heap of a region that is idle: created, its log truncated to nothing. */
async function measureIdle(): Promise<void> {
  const count = 20_000;
  const dir = mkdtempSync(join(tmpdir(), 'moku-bench-log-'));
  const { store } = await open(dir);
  globalThis.gc?.();
  const before = process.memoryUsage().heapUsed;
  store.write(creates(count));
  await store.stats();
  globalThis.gc?.();
  const perRegion = (process.memoryUsage().heapUsed - before) / count;
  const how = globalThis.gc === undefined ? ' (no --expose-gc: garbage included)' : '';
  console.log(`idle region: ${perRegion.toFixed(0)} B of heap${how}`);
  await store.close();
  rmSync(dir, { recursive: true });
}

console.log(
  `log: ${regionCount} regions, Node ${process.version}, ${cpus().length} × ${cpus()[0]?.model}`,
);
for (const load of loads) await measure(load);
await measureIdle();
