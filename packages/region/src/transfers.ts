/**
 * Handing leaderships over: one to a chosen node, or all before a shutdown. Best effort; the core gives up
 * after an election timeout, and leads on.
 */
import type { NodeId, ReplicaId } from '@moku/base';
import { isVoter } from '@moku/raft';
import type { Claims } from './claims/claims.js';
import type { Peers } from './peers.js';
import type { Registry } from './registry.js';
import type { Replica } from './replica.js';
import type { Rest } from './rest.js';

export interface TransferParts {
  readonly nodeId: NodeId;
  readonly claims: Claims;
  readonly peers: Peers;
  readonly registry: Registry;
  readonly rest: Rest;
}

/** Whether a node may lead what another hands over. */
type IsFit = (nodeId: NodeId) => boolean;

/** Transfers begun by one call of `transferAll`. */
const transfersMax = 1024;

/** Begins to hand the leadership of `replica` to its replica on `to`. False when that is not possible now. */
export function transferTo(parts: TransferParts, replica: Replica, to: NodeId): boolean {
  const replicaId = replica.replicaOn(to);
  if (to === parts.nodeId || replicaId === 0 || parts.peers.session(to) === undefined) return false;
  if (!replica.isLeader() || !replica.raft.transferLeader(replicaId)) return false;
  parts.rest.consider(replica);
  return true;
}

/**
 * Begins to hand over every leadership here, to nodes that are fit; returns how many may still go to
 * somebody.
 */
export function transferAll(parts: TransferParts, isFit: IsFit = everybody): number {
  let begun = 0;
  let remaining = 0;
  for (const replica of parts.registry.all()) {
    if (replica.state !== 'running' || !replica.isLeader()) continue;
    if (hasReachableVoter(parts, replica)) remaining++;
    if (begun >= transfersMax) continue;
    begun++;
    if (replica.raft.isTransferring) continue;
    const to = bestSuccessor(parts, replica, isFit);
    if (to !== undefined) transferTo(parts, replica, to);
  }
  return remaining;
}

/** False when waiting for a successor is in vain: the region is alone, or its other voters are away. */
function hasReachableVoter(
  { nodeId, peers }: TransferParts,
  { raft, descriptor }: Replica,
): boolean {
  for (const replica of descriptor.replicas) {
    if (replica.nodeId === nodeId || peers.session(replica.nodeId) === undefined) continue;
    if (isVoter(raft.confState, replica.replicaId)) return true;
  }
  return false;
}

/** The node whose replica is furthest; among equals they take turns by region. */
function bestSuccessor(parts: TransferParts, replica: Replica, isFit: IsFit): NodeId | undefined {
  const { raft, regionId, descriptor } = replica;
  const { replicas } = descriptor;
  let best: NodeId | undefined;
  let bestIndex = -1;
  for (let i = 0; i < replicas.length; i++) {
    const { replicaId, nodeId } = replicas[(i + regionId) % replicas.length]!;
    if (!isCandidate(parts, replica, replicaId, nodeId) || !isFit(nodeId)) continue;
    const { matchIndex } = raft.progress(replicaId)!;
    if (matchIndex > bestIndex) {
      best = nodeId;
      bestIndex = matchIndex;
    }
  }
  return best;
}

function isCandidate(
  parts: TransferParts,
  replica: Replica,
  replicaId: ReplicaId,
  nodeId: NodeId,
): boolean {
  if (nodeId === parts.nodeId || !parts.claims.hasClaim(nodeId, replica.regionId)) return false;
  const { raft } = replica;
  return isVoter(raft.confState, replicaId) && raft.progress(replicaId) !== undefined;
}

function everybody(): boolean {
  return true;
}
