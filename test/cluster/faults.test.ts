/**
 * Real processes, real disks, real kills: what was acknowledged stays (P1), whoever dies.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { connect, type Database, isMokuError, type Keyspace } from 'moku';
import { DevCluster, type DevNode } from 'moku/dev';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

type NodeId = DevNode['nodeId'];

interface Writer {
  readonly acknowledged: Map<string, number>;
  stop(): Promise<void>;
}

/** Writes without pause, four at a time, each key once; only what was acknowledged is remembered. */
function writeOn(space: Keyspace<number>, prefix: string): Writer {
  const acknowledged = new Map<string, number>();
  let isStopped = false;
  const lane = async (number: number): Promise<void> => {
    for (let n = number; !isStopped; n += 4) {
      try {
        await space.put(`${prefix}${n}`, n, { timeoutMs: 60_000 });
        acknowledged.set(`${prefix}${n}`, n);
      } catch (error) {
        if (!isMokuError(error)) throw error;
      }
    }
  };
  const lanes = [0, 1, 2, 3].map(lane);
  return {
    acknowledged,
    stop: async () => {
      isStopped = true;
      await Promise.all(lanes);
    },
  };
}

async function lostOf(space: Keyspace<number>, writers: readonly Writer[]): Promise<string[]> {
  const lost: string[] = [];
  for (const { acknowledged } of writers) {
    const keys = [...acknowledged.keys()];
    const values = await space.getMany(keys, { timeoutMs: 60_000 });
    keys.forEach((key, i) => {
      if (values[i] !== acknowledged.get(key)) lost.push(key);
    });
  }
  return lost;
}

describe('three node processes', () => {
  const dir = mkdtempSync(join(tmpdir(), 'moku-faults-'));
  let cluster: DevCluster;
  let db: Database;
  let space: Keyspace<number>;

  beforeAll(async () => {
    cluster = await DevCluster.start({ nodes: 3, dir });
    db = connect({ nodes: cluster.clientAddresses });
    space = await db.keyspace<number>('faults', { mode: 'hash', regions: 12 });
  });

  afterAll(async () => {
    await db.close();
    await cluster.stop();
    rmSync(dir, { recursive: true, force: true });
  });

  async function restart(nodeId: NodeId): Promise<void> {
    cluster.spawn(nodeId);
    await cluster.ready(nodeId);
  }

  async function atLeast(writer: Writer, count: number): Promise<void> {
    const target = writer.acknowledged.size + count;
    await expect.poll(() => writer.acknowledged.size, { timeout: 30_000 }).toBeGreaterThan(target);
  }

  it('lose nothing when one after the other is killed while writes go on', async () => {
    const writer = writeOn(space, 'rolling/');
    for (const { nodeId } of cluster.nodes) {
      await atLeast(writer, 50);
      await cluster.kill(nodeId, 'SIGKILL');
      await atLeast(writer, 50);
      await restart(nodeId);
    }
    await writer.stop();
    expect(await lostOf(space, [writer])).toEqual([]);
  });

  it('lose nothing when all are killed at once', async () => {
    const writer = writeOn(space, 'all/');
    await atLeast(writer, 200);
    await Promise.all(cluster.nodes.map(({ nodeId }) => cluster.kill(nodeId, 'SIGKILL')));
    for (const { nodeId } of cluster.nodes) cluster.spawn(nodeId);
    await Promise.all(cluster.nodes.map(({ nodeId }) => cluster.ready(nodeId)));
    await atLeast(writer, 20);
    await writer.stop();
    expect(await lostOf(space, [writer])).toEqual([]);
  });

  it('take no writes without a majority, say so, and go on when it is back', async () => {
    const [first, second] = cluster.nodes;
    if (first === undefined || second === undefined) throw new Error('three nodes');
    await cluster.kill(first.nodeId, 'SIGKILL');
    await cluster.kill(second.nodeId, 'SIGKILL');
    const refused = await space
      .put('minority', 1, { timeoutMs: 3_000 })
      .catch((error: unknown) => error);
    expect(isMokuError(refused, 'TIMEOUT')).toBe(true);
    await Promise.all([restart(first.nodeId), restart(second.nodeId)]);
    await space.put('minority', 2, { timeoutMs: 30_000 });
    expect(await space.get('minority')).toBe(2);
  });

  it('go on without a node that is stopped, and take it back when it wakes', async () => {
    const writer = writeOn(space, 'stopped/');
    await atLeast(writer, 50);
    const [victim] = cluster.nodes;
    if (victim === undefined) throw new Error('three nodes');
    await cluster.kill(victim.nodeId, 'SIGSTOP');
    await atLeast(writer, 100);
    await cluster.kill(victim.nodeId, 'SIGCONT');
    await atLeast(writer, 100);
    await writer.stop();
    expect(await lostOf(space, [writer])).toEqual([]);
  });

  it('hand over their leaderships when ended in order: exit code 0 and no pause in writes', async () => {
    const writer = writeOn(space, 'orderly/');
    await atLeast(writer, 50);
    const [, , victim] = cluster.nodes;
    if (victim === undefined) throw new Error('three nodes');
    await cluster.kill(victim.nodeId, 'SIGTERM');
    expect(await cluster.ended(victim.nodeId)).toBe('exit code 0');
    await atLeast(writer, 50);
    await restart(victim.nodeId);
    await writer.stop();
    expect(await lostOf(space, [writer])).toEqual([]);
  });

  it('end with equal replicas', async () => {
    const view = await db.view();
    for (const region of view.regions) {
      const digests = (): Promise<Set<string>> =>
        Promise.all(
          region.replicas.map(({ nodeId }) => db.admin.digest(nodeId, region.regionId)),
        ).then(
          (all) => new Set(all.map(({ appliedIndex, digest }) => `${appliedIndex} ${digest}`)),
        );
      await expect.poll(async () => (await digests()).size, { timeout: 20_000 }).toBe(1);
    }
  });
});
