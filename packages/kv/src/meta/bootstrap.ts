/**
 * Region 0 before anything is replicated: its replicas follow from the initial roster alone, so every
 * node that is configured with the same roster derives the same descriptor.
 */
import {
  type Epoch,
  emptyBytes,
  MokuError,
  metaRegionId,
  type NodeDescriptor,
  type RegionDescriptor,
  type ReplicaId,
} from '@moku/base';
import type { ClusterView } from '../commands.js';

/** Epoch of a region that was never split, merged or moved. */
export const firstEpoch: Epoch = { version: 1, config: 1 };

const metaVotersMax = 5;

/**
 * Descriptor of region 0 for the initial roster: voters are the first 1, 3 or 5 nodes by id (the
 * greatest odd number that the roster has), learners all others; replica ids are positions + 1. Throws
 * INVALID_ARGUMENT when two nodes have one id.
 */
export function bootstrapMetaDescriptor(nodes: readonly NodeDescriptor[]): RegionDescriptor {
  const roster = [...nodes].sort((a, b) => a.nodeId - b.nodeId);
  for (let i = 1; i < roster.length; i++) {
    if (roster[i]!.nodeId === roster[i - 1]!.nodeId) {
      throw new MokuError('INVALID_ARGUMENT', { field: 'nodes', nodeId: roster[i]!.nodeId });
    }
  }
  const odd = roster.length % 2 === 0 ? roster.length - 1 : roster.length;
  const voters = Math.min(metaVotersMax, odd);
  return {
    regionId: metaRegionId,
    keyspaceId: 0,
    startKey: emptyBytes,
    endKey: undefined,
    epoch: firstEpoch,
    replicas: roster.map((node, i) => ({
      replicaId: (i + 1) as ReplicaId,
      nodeId: node.nodeId,
      isLearner: i >= voters,
    })),
  };
}

/** Region 0 as a client may address it: on the nodes of a view. For routing only. */
export function metaDescriptorOf(view: ClusterView): RegionDescriptor {
  return bootstrapMetaDescriptor(view.nodes);
}
