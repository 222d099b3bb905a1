/**
 * The replicas of this node as the claims module asks about them: of this very moment, never cached.
 */
import { type NodeId, noNode, type RegionId } from '@moku/base';
import type { ClaimsReplicas, FollowerView, ListItem } from './claims/types.js';
import type { Registry } from './registry.js';
import type { Replica } from './replica.js';

export class ClaimsView implements ClaimsReplicas {
  private readonly registry: Registry;

  constructor(registry: Registry) {
    this.registry = registry;
  }

  follower(regionId: RegionId): FollowerView | undefined {
    const replica = this.registry.get(regionId);
    if (replica === undefined) return undefined;
    const { raft } = replica;
    return {
      replicaId: replica.replicaId,
      term: raft.term,
      leaderNodeId: raft.role === 'follower' ? replica.leaderNodeId() : noNode,
      lastIndex: raft.lastIndex,
      commitIndex: raft.commitIndex,
      canAttach: replica.state === 'running' && replica.install === undefined,
    };
  }

  *ledPairs(peer: NodeId): Iterable<ListItem> {
    for (const replica of this.registry.ledWith(peer).values()) {
      const item = listItem(replica, peer);
      if (item !== undefined) yield item;
    }
  }
}

/** The pair with `peer` when it has acknowledged everything its leader has. */
function listItem(replica: Replica, peer: NodeId): ListItem | undefined {
  const { raft, regionId } = replica;
  if (replica.state !== 'running' || raft.role !== 'leader') return undefined;
  const replicaId = replica.replicaOn(peer);
  const progress = raft.progress(replicaId);
  const { lastIndex, commitIndex, term } = raft;
  if (progress === undefined || progress.matchIndex !== lastIndex) return undefined;
  return { regionId, term, replicaId, lastIndex, commitIndex };
}
