/**
 * How long a cluster with many regions is without some of its leaders after a node is killed: three node
 * processes; time until the survivors lead every region, and what it cost the log.
 * Run: `pnpm bench failover [REGIONS]`.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { connect } from 'moku';
import { DevCluster, type DevNode } from 'moku/dev';

interface Status {
  readonly node: {
    readonly regions: number;
    readonly leaders: number;
    readonly awake: number;
    readonly counters: Readonly<Record<string, number>>;
  };
}

const regions = Number(process.argv[2] ?? 3_000);
const boundMs = 60_000;
const dir = mkdtempSync(join(tmpdir(), 'moku-failover-'));
const cluster = await DevCluster.start({ nodes: 3, dir });
const db = connect({ nodes: cluster.clientAddresses });

async function statusOf({ nodeId }: DevNode): Promise<Status['node']> {
  return ((await db.admin.status(nodeId)) as Status).node;
}

async function until(
  nodes: readonly DevNode[],
  isDone: (all: readonly Status['node'][]) => boolean,
) {
  const startMs = performance.now();
  while (performance.now() - startMs < boundMs) {
    if (isDone(await Promise.all(nodes.map(statusOf)))) return performance.now() - startMs;
    await delay(10);
  }
  throw new Error(`not within ${boundMs} ms`);
}

function sum(all: readonly Status['node'][], of: (status: Status['node']) => number): number {
  return all.reduce((total, status) => total + of(status), 0);
}

try {
  await db.keyspace('failover', { mode: 'hash', regions, timeoutMs: 60_000 });
  await until(
    cluster.nodes,
    (all) => sum(all, (s) => s.leaders) > regions && sum(all, (s) => s.awake) === 0,
  );
  const [victim, ...survivors] = cluster.nodes;
  if (victim === undefined) throw new Error('no node');
  const before = await Promise.all(survivors.map(statusOf));
  const led = (await statusOf(victim)).leaders;
  await cluster.kill(victim.nodeId, 'SIGKILL');
  const ms = await until(survivors, (all) => sum(all, (s) => s.leaders) > regions);
  const after = await Promise.all(survivors.map(statusOf));
  const risen = (name: string): number =>
    sum(after, (s) => s.counters[name] ?? 0) - sum(before, (s) => s.counters[name] ?? 0);
  process.stdout.write(
    `${regions} regions, ${led} led by the killed node: all led again after ${Math.round(ms)} ms; ` +
      `${risen('campaigns')} campaigns, ${risen('batchesWritten')} log batches, ${risen('framesSent')} frames\n`,
  );
} finally {
  await db.close();
  await cluster.stop();
  rmSync(dir, { recursive: true, force: true });
}
