import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { expect, it } from 'vitest';
import { Cluster } from './support/cluster.js';

setFlagsFromString('--expose_gc');
const collect = runInNewContext('gc') as () => void;

function heapBytes(): number {
  collect();
  collect();
  return process.memoryUsage().heapUsed;
}

it('an idle replica costs at most 2 KiB of heap, its core and claims included', () => {
  const regions = 3_000;
  const cluster = new Cluster({ nodes: 3, regions }).startAll();
  cluster.runUntil(() => cluster.isAtRest() && cluster.allLed(), 10_000, 'led and at rest');
  cluster.run(2_000);
  for (const node of cluster.nodes) expect(node.host!.status().regions).toBe(regions);
  const withHosts = heapBytes();
  cluster.dropHosts();
  const perReplica = (withHosts - heapBytes()) / (regions * 3);
  expect(perReplica).toBeLessThan(2_048);
  // Something was measured: a replica is not free.
  expect(perReplica).toBeGreaterThan(300);
});
