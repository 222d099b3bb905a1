/**
 * What a host tells about itself: counts for the node, state and reasons for each region (design §6, last
 * rule: each region can say why). Reads only.
 */
import { type NodeId, noNode, type RegionDescriptor } from '@moku/base';
import { confStateOf } from '@moku/raft';
import type { Claims } from './claims/claims.js';
import type { HostStatus, RegionStatus, WhyReason } from './contracts/host.js';
import type { Pairs } from './pairs.js';
import type { Peers } from './peers.js';
import type { Replica } from './replica.js';
import type { SnapshotsIn } from './snapshots-in.js';
import type { SnapshotsOut } from './snapshots-out.js';

export interface StatusParts {
  readonly nodeId: NodeId;
  readonly claims: Claims;
  readonly pairs: Pairs;
  readonly peers: Peers;
  readonly snapshotsIn: SnapshotsIn;
  readonly snapshotsOut: SnapshotsOut;
}

export function peerStatuses(parts: StatusParts, nowMs: number): HostStatus['peers'] {
  const stats = new Map(parts.claims.peerStats().map((peer) => [peer.peer, peer]));
  return [...parts.peers.all()].map(({ nodeId, session }) => {
    const known = stats.get(nodeId);
    const lastHeardMs = known?.lastHeardMs ?? -1;
    return {
      nodeId,
      isOpen: session !== undefined,
      lastHeardMsAgo: lastHeardMs < 0 ? -1 : Math.max(0, nowMs - lastHeardMs),
      claimsLed: known?.claimsLed ?? 0,
      claimsFollowed: known?.claimsFollowed ?? 0,
    };
  });
}

export function regionStatus(parts: StatusParts, replica: Replica): RegionStatus {
  const { raft, log, machine, descriptor } = replica;
  const isLeader = replica.state === 'running' && raft.role === 'leader';
  const others = descriptor.replicas.filter(({ nodeId }) => nodeId !== parts.nodeId);
  return {
    regionId: replica.regionId,
    keyspaceId: descriptor.keyspaceId,
    replicaId: replica.replicaId,
    role: replica.state === 'running' ? raft.role : 'follower',
    term: raft.term,
    leaderNodeId: replica.state === 'running' ? replica.leaderNodeId() : noNode,
    firstIndex: log.firstIndex(),
    lastIndex: log.lastIndex(),
    commitIndex: raft.commitIndex,
    appliedIndex: machine.appliedIndex,
    logBytes: log.bytes(),
    confState: raft.confState,
    peers: isLeader
      ? others.map(({ replicaId, nodeId }) => ({
          replicaId,
          nodeId,
          matchIndex: raft.progress(replicaId)?.matchIndex ?? 0,
          isAttached: parts.claims.hasClaim(nodeId, replica.regionId),
        }))
      : [],
    why: why(parts, replica),
    failure: replica.failure?.message,
  };
}

/** Status of a replica that could not be opened. */
export function failedOpenStatus(
  descriptor: RegionDescriptor,
  replicaId: Replica['replicaId'],
  failure: Error,
): RegionStatus {
  return {
    regionId: descriptor.regionId,
    keyspaceId: descriptor.keyspaceId,
    replicaId,
    role: 'follower',
    term: 0,
    leaderNodeId: noNode,
    firstIndex: 0,
    lastIndex: 0,
    commitIndex: 0,
    appliedIndex: 0,
    logBytes: 0,
    confState: confStateOf([]),
    peers: [],
    why: ['failed'],
    failure: failure.message,
  };
}

/** Why the replica is not at rest, or does not serve; empty at rest. */
function why(parts: StatusParts, replica: Replica): WhyReason[] {
  if (replica.state !== 'running') return ['failed'];
  const { raft, regionId } = replica;
  const reasons: WhyReason[] = [];
  if (raft.role === 'leader') {
    for (const { nodeId } of replica.pairs ?? []) {
      const reason = parts.claims.isReachable(nodeId) ? 'peerUnattached' : 'peerDown';
      if (!reasons.includes(reason)) reasons.push(reason);
    }
  } else {
    if (raft.role !== 'follower') reasons.push('electing');
    if (raft.leaderId === 0) reasons.push('noLeader');
    if (!parts.claims.isAttached(regionId)) reasons.push('unattached');
  }
  if (replica.proposals !== undefined) reasons.push('proposalsInFlight');
  if (replica.reads !== undefined) reasons.push('readsInFlight');
  if (replica.machine.appliedIndex < raft.commitIndex) reasons.push('applyBehind');
  if (parts.snapshotsOut.isSending(replica)) reasons.push('snapshotSending');
  if (replica.install !== undefined || parts.snapshotsIn.isTakingIn(regionId)) {
    reasons.push('snapshotInstalling');
  }
  return reasons;
}
