/**
 * Kills the node that leads most regions while writes go on, and follows the cluster back to full strength.
 */
import { setTimeout as delay } from 'node:timers/promises';
import type { Database } from 'moku';
import type { DevCluster, DevNode } from 'moku/dev';
import type { Progress } from './progress.js';
import type { WriteStream } from './stream.js';

type NodeId = DevNode['nodeId'];

export interface NodeLoad {
  readonly nodeId: NodeId;
  readonly regions: number;
  /** Ids of the regions that it leads. */
  readonly led: readonly number[];
}

/** Regions and leaders of each node, as the nodes say. */
export async function nodeLoads(db: Database, cluster: DevCluster): Promise<NodeLoad[]> {
  return Promise.all(
    cluster.nodes.map(async ({ nodeId }) => {
      const regions = await db.admin.regions(nodeId);
      const led = regions.filter((region) => region.role === 'leader');
      return { nodeId, regions: regions.length, led: led.map((region) => region.regionId) };
    }),
  );
}

export interface Failover {
  readonly killed: NodeId;
  /** Regions that it led, meta included. */
  readonly ledRegions: number;
  /** Milliseconds until each region that it led took writes again, ascending. */
  readonly ledResumedMs: readonly number[];
  /** Milliseconds until each region took writes again, ascending. */
  readonly resumedMs: readonly number[];
  /** Regions that did not within the bound. */
  readonly stuck: readonly number[];
  /** From the restart until the node held everything that was committed. */
  readonly catchUpMs: number;
  /** Latencies of single writes before the kill, ascending. */
  readonly steadyMs: readonly number[];
}

const steadyPhaseMs = 2_000;
const resumeWithinMs = 30_000;
const catchUpWithinMs = 60_000;

export async function failover(
  db: Database,
  cluster: DevCluster,
  stream: WriteStream,
  regionIds: readonly number[],
  progress: Progress,
): Promise<Failover> {
  await delay(steadyPhaseMs);
  const loads = await nodeLoads(db, cluster);
  const victim = loads.reduce((most, load) => (load.led.length > most.led.length ? load : most));
  const killedMs = performance.now();
  const steadyMs = stream.latenciesMs(killedMs);
  progress.say(`killing node ${victim.nodeId} (SIGKILL), which leads ${victim.led.length} regions`);
  await cluster.kill(victim.nodeId, 'SIGKILL');
  let resumed = stream.resumed(killedMs);
  while (
    resumed.size < regionIds.length &&
    performance.now() - killedMs < resumeWithinMs &&
    !cluster.isStopping
  ) {
    progress.step('regions that take writes again', resumed.size, regionIds.length);
    await delay(50);
    resumed = stream.resumed(killedMs);
  }
  progress.step('regions that take writes again', resumed.size, regionIds.length);
  const restartMs = performance.now();
  progress.say(`restarting node ${victim.nodeId}`);
  cluster.spawn(victim.nodeId);
  await cluster.ready(victim.nodeId);
  await caughtUp(db, cluster, victim.nodeId);
  return {
    killed: victim.nodeId,
    ledRegions: victim.led.length,
    ledResumedMs: victim.led.flatMap((regionId) => resumed.get(regionId) ?? []).sort(ascending),
    resumedMs: [...resumed.values()].sort(ascending),
    stuck: regionIds.filter((regionId) => !resumed.has(regionId)),
    catchUpMs: performance.now() - restartMs,
    steadyMs,
  };
}

function ascending(a: number, b: number): number {
  return a - b;
}

/** Waits until the node has applied what was committed elsewhere at some moment after its restart. */
async function caughtUp(db: Database, cluster: DevCluster, nodeId: NodeId): Promise<void> {
  const target = new Map<number, number>();
  for (const other of cluster.nodes) {
    if (other.nodeId === nodeId) continue;
    for (const { regionId, commitIndex } of await db.admin.regions(other.nodeId)) {
      target.set(regionId, Math.max(commitIndex, target.get(regionId) ?? 0));
    }
  }
  const dueMs = performance.now() + catchUpWithinMs;
  while (performance.now() < dueMs) {
    const regions = await db.admin.regions(nodeId);
    const applied = new Map(
      regions.map((region) => [region.regionId as number, region.appliedIndex]),
    );
    const isBehind = [...target].some(([regionId, index]) => (applied.get(regionId) ?? 0) < index);
    if (!isBehind) return;
    await delay(25);
  }
  throw new Error(`node ${nodeId} did not catch up within ${catchUpWithinMs} ms`);
}
