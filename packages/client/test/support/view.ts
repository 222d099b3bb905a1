/**
 * What nodes tell a client of a cluster with one keyspace `k` of one region, whose leader nobody knows.
 */
import { emptyBytes, type NodeId, noAddress, type RegionId, type ReplicaId } from '@moku/base';
import type { ClusterView } from '@moku/kv';

/** The region has a replica on each of `nodeIds`; node N listens for clients at `nodeN:1`. */
export function viewOf(nodeIds: readonly NodeId[]): ClusterView {
  return {
    clusterId: 'test',
    revision: 1,
    nodes: nodeIds.map((nodeId) => ({
      nodeId,
      peerAddress: noAddress,
      clientAddress: `node${nodeId}:1`,
    })),
    keyspaces: [{ keyspaceId: 1, name: 'k', mode: 'range' }],
    regions: [
      {
        regionId: 1 as RegionId,
        keyspaceId: 1,
        startKey: emptyBytes,
        endKey: undefined,
        epoch: { version: 1, config: 1 },
        replicas: nodeIds.map((nodeId) => ({
          replicaId: nodeId as number as ReplicaId,
          nodeId,
          isLearner: false,
        })),
      },
    ],
    leaders: [],
  };
}
