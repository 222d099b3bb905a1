import { createPrng, type RegionId, type ReplicaId, type Timestamp } from '@moku/base';
import { createMemoryEngine } from '@moku/kv';
import { type LogStore, MemoryLogStore, type RegionWrite } from '@moku/raft';
import { describe, expect, it } from 'vitest';
import { SimCluster } from '../src/run/cluster.js';
import { drawProfile } from '../src/run/profile.js';
import { engineWithPoints, logWithPoints } from '../src/world/crash-points.js';

const regionId = 7 as RegionId;
const replicaId = 1 as ReplicaId;
const confState = {
  voters: [replicaId],
  votersOutgoing: [],
  learners: [],
  learnersNext: [],
  autoLeave: false,
};
const create: RegionWrite = {
  regionId,
  create: { replicaId, confState, truncatedIndex: 0, truncatedTerm: 0 },
};

function logOf(): LogStore {
  const log = new MemoryLogStore({ monotonicMs: () => 0 });
  log.subscribe({ onDurable: () => {}, onFetched: () => {}, onFailure: () => {} });
  return log;
}

describe('a process that has ended', () => {
  it('writes nothing to its log any more', () => {
    const log = logOf();
    const ended = logWithPoints(log, () => false);
    expect(ended.write([create])).toBeGreaterThan(0);
    expect(log.region(regionId)).toBeUndefined();
    logWithPoints(log, () => true).write([create]);
    expect(log.region(regionId)).toBeDefined();
  });

  it('applies nothing any more, and takes in no snapshot', () => {
    const engine = createMemoryEngine({ overlayBytesMax: 1_000_000, schedule: () => {} });
    let isLive = true;
    const tapped = engineWithPoints(engine, () => isLive);
    tapped.createReplica(regionId, replicaId);
    const install = tapped.install(regionId);
    const put = { key: Uint8Array.of(1), timestamp: 5 as Timestamp, value: Uint8Array.of(2) };
    isLive = false;
    tapped.write({ regionId, appliedIndex: 1, appliedTerm: 1, puts: [put], removes: [] });
    install.put([put]);
    install.commit({ appliedIndex: 9, appliedTerm: 1 });
    expect(engine.replica(regionId)?.appliedIndex).toBe(0);
    isLive = true;
    tapped.write({ regionId, appliedIndex: 1, appliedTerm: 1, puts: [put], removes: [] });
    expect(engine.replica(regionId)?.appliedIndex).toBe(1);
  });

  it('ended between the consequences of one event, leaves no trace of the others, and starts again', async () => {
    const profile = {
      ...drawProfile('network', createPrng(3)),
      nodes: 3,
      regions: 2,
      hasRealLinks: false,
      hasSqlDisks: false,
    };
    const sent: number[] = [];
    const cluster = new SimCluster({
      profile,
      prng: createPrng(3),
      observer: { onSend: (node) => sent.push(node.nodeId) },
    });
    await cluster.guarded(async () => {
      for (const node of cluster.nodes) node.start();
      const [victim] = cluster.nodes;
      const isReady = (): boolean =>
        cluster.nodes.every((node) => node.running?.isReady() === true);
      await cluster.until(isReady, 20_000, () => 'not ready');
      let ends = 0;
      victim!.crashWithin(20, () => {
        ends += 1;
        expect(victim!.isRunning).toBe(false);
        sent.length = 0;
      });
      await cluster.until(
        () => ends > 0,
        60_000,
        () => 'still alive',
      );
      await cluster.advance(() => cluster.scheduler.nowMs > 61_000);
      expect(ends).toBe(1);
      expect(sent.filter((nodeId) => nodeId === victim!.nodeId)).toEqual([]);
      expect(sent.length).toBeGreaterThan(0);
      victim!.start();
      await cluster.until(isReady, 120_000, () => 'not ready again');
    });
    expect(cluster.failure).toBeUndefined();
  });
});
