/**
 * What regions at rest cost (P10): three node processes, more and more regions; frames, bytes and CPU of a
 * node per second while nobody writes, and memory. Run: `pnpm bench idle [REGIONS …]`.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { connect, type Database } from 'moku';
import { DevCluster } from 'moku/dev';

interface Sample {
  readonly regions: number;
  readonly awake: number;
  readonly unattached: number;
  readonly frames: number;
  readonly bytes: number;
  readonly cpuMs: number;
  readonly rssMb: number;
}

interface Status {
  readonly node: {
    readonly regions: number;
    readonly awake: number;
    readonly unattachedPairs: number;
    readonly counters: Readonly<Record<string, number>>;
  };
  readonly process: { readonly rssBytes: number; readonly cpuMs: number };
}

const restWithinMs = 120_000;
const sampleMs = 10_000;

async function sample(db: Database, cluster: DevCluster): Promise<Sample[]> {
  return Promise.all(
    cluster.nodes.map(async ({ nodeId }) => {
      const { node, process } = (await db.admin.status(nodeId)) as Status;
      return {
        regions: node.regions,
        awake: node.awake,
        unattached: node.unattachedPairs,
        frames: node.counters['framesSent'] ?? 0,
        bytes: node.counters['frameBytesSent'] ?? 0,
        cpuMs: process.cpuMs,
        rssMb: process.rssBytes / 2 ** 20,
      };
    }),
  );
}

async function atRest(db: Database, cluster: DevCluster, regions: number): Promise<number> {
  const startMs = performance.now();
  while (performance.now() - startMs < restWithinMs) {
    const samples = await sample(db, cluster);
    if (samples.every((s) => s.regions >= regions && s.awake === 0 && s.unattached === 0)) break;
    await delay(100);
  }
  return performance.now() - startMs;
}

async function measure(db: Database, cluster: DevCluster, regions: number): Promise<string> {
  const restMs = await atRest(db, cluster, regions);
  const before = await sample(db, cluster);
  await delay(sampleMs);
  const after = await sample(db, cluster);
  const perSecond = (of: (s: Sample) => number): number =>
    after.reduce((sum, s, i) => sum + of(s) - of(before[i] ?? s), 0) /
    after.length /
    (sampleMs / 1000);
  const rssMb = Math.max(...after.map((s) => s.rssMb));
  return [
    `${regions} regions`.padEnd(16),
    `at rest after ${(restMs / 1000).toFixed(1)} s`.padEnd(24),
    `${perSecond((s) => s.frames).toFixed(1)} frames/s`.padStart(15),
    `${perSecond((s) => s.bytes).toFixed(0)} bytes/s`.padStart(15),
    `${(perSecond((s) => s.cpuMs) / 10).toFixed(2)} % CPU`.padStart(12),
    `${rssMb.toFixed(0)} MiB`.padStart(9),
    `awake ${Math.max(...after.map((s) => s.awake))}`.padStart(9),
  ].join(' ');
}

const steps = process.argv.slice(2).map(Number);
const dir = mkdtempSync(join(tmpdir(), 'moku-idle-'));
const cluster = await DevCluster.start({ nodes: 3, dir });
const db = connect({ nodes: cluster.clientAddresses });
try {
  let total = 1;
  process.stdout.write('per node, three nodes, nobody writes\n');
  process.stdout.write(`${await measure(db, cluster, total)}\n`);
  for (const regions of steps.length > 0 ? steps : [10, 1_000, 5_000]) {
    await db.keyspace(`idle-${total}`, {
      mode: 'hash',
      regions: regions - total,
      timeoutMs: 60_000,
    });
    total = regions;
    process.stdout.write(`${await measure(db, cluster, total)}\n`);
  }
} finally {
  await db.close();
  await cluster.stop();
  rmSync(dir, { recursive: true, force: true });
}
