// @hot
/**
 * What follows when a replica's term, role or leader changes: claims are left before anything else of
 * the turn is handled (D1 of claims), waiting sinks are answered, the leader's pairs begin or end.
 *
 * Invariants:
 *  E1 `observe` runs after every call that may change a replica's term, role or leader, before a message
 *     of that replica is queued: so every detach precedes the answers and votes of the new term.
 *  E2 Every exit from leadership tells every peer of the region, whether or not a claim stands.
 *  E3 A claim is made only by a leader, on an acknowledgement that covers an entry of its own term.
 */
import type { NodeId, RegionId, ReplicaId } from '@moku/base';
import type { Claims } from './claims/claims.js';
import type { Pairs } from './pairs.js';
import type { Peers } from './peers.js';
import type { Registry } from './registry.js';
import type { Replica } from './replica.js';

/** Told to the node at the end of the turn. */
export interface LeaderChange {
  readonly regionId: RegionId;
  readonly isLeader: boolean;
  readonly leaderNodeId: NodeId;
}

export interface LeadershipParts {
  readonly nodeId: NodeId;
  readonly claims: Claims;
  readonly pairs: Pairs;
  readonly peers: Peers;
  readonly registry: Registry;
}

export class Leadership {
  private readonly nodeId: NodeId;
  private readonly claims: Claims;
  private readonly pairs: Pairs;
  private readonly peers: Peers;
  private readonly registry: Registry;
  private changes: LeaderChange[] = [];
  /** Leaderships that began or ended here since the start. */
  began = 0;
  ended = 0;

  constructor(parts: LeadershipParts) {
    this.nodeId = parts.nodeId;
    this.claims = parts.claims;
    this.pairs = parts.pairs;
    this.peers = parts.peers;
    this.registry = parts.registry;
  }

  /** Follows what the core of `replica` became. Returns whether anything changed (E1). */
  observe(replica: Replica, tick: number): boolean {
    if (!isChanged(replica)) return false;
    const formerLeaderId = replica.seenLeaderId;
    // Beginning to lead may end it at once, when a quorum is known to be silent.
    while (isChanged(replica)) this.follow(replica, tick);
    if (replica.seenLeaderId !== formerLeaderId) this.noteLeader(replica);
    return true;
  }

  /** A replica fails or is removed: it leaves its claims though its node lives (H3). */
  leave(replica: Replica): void {
    if (replica.seenRole === 'leader') this.end(replica, replica.leaderNodeId());
    else this.claims.leaveFollowed(replica.regionId);
    replica.seenRole = 'follower';
    replica.seenLeaderId = 0 as ReplicaId;
    this.noteLeader(replica);
  }

  /** An acknowledgement of `from` came: claims it when it covers an entry of this leader's term (E3). */
  acknowledged(replica: Replica, from: ReplicaId): void {
    const { raft, regionId } = replica;
    if (replica.pairs === undefined || raft.role !== 'leader') return;
    const progress = raft.progress(from);
    if (progress === undefined || progress.matchIndex < raft.firstIndexOfTerm) return;
    const nodeId = replica.nodeOf(from);
    if (!isPaired(replica, from) || this.peers.session(nodeId) === undefined) return;
    const { term, commitIndex } = raft;
    const lastIndex = progress.matchIndex;
    const isMade = this.claims.claim(nodeId, {
      regionId,
      term,
      replicaId: from,
      lastIndex,
      commitIndex: commitIndex < lastIndex ? commitIndex : lastIndex,
    });
    if (isMade) this.pairs.remove(replica, from);
  }

  /** A pair needs probes though a claim may stand on it: ends the claim. */
  unclaim(replica: Replica, replicaId: ReplicaId, dueTick: number): void {
    const nodeId = replica.nodeOf(replicaId);
    if (replica.raft.role !== 'leader' || nodeId === 0) return;
    this.claims.leaveLed(nodeId, replica.regionId);
    this.pairs.add(replica, replicaId, dueTick);
  }

  /** The configuration changed: newcomers are unattached, who left is let go. */
  reconfigured(replica: Replica, tick: number): void {
    if (this.observe(replica, tick) || replica.raft.role !== 'leader') return;
    const members = replica.raft.peers();
    for (const { replicaId, nodeId } of replica.descriptor.replicas) {
      if (nodeId === this.nodeId) continue;
      if (!members.includes(replicaId)) {
        this.claims.leaveLed(nodeId, replica.regionId);
        this.pairs.remove(replica, replicaId);
      } else if (!this.claims.hasClaim(nodeId, replica.regionId)) {
        this.pairs.add(replica, replicaId, tick);
      }
    }
  }

  /** Takes what the node has to be told. */
  takeChanges(): readonly LeaderChange[] {
    const { changes } = this;
    if (changes.length > 0) this.changes = [];
    return changes;
  }

  hasChanges(): boolean {
    return this.changes.length > 0;
  }

  private follow(replica: Replica, tick: number): void {
    const { raft } = replica;
    const wasLeader = replica.seenRole === 'leader';
    const isSameTerm = raft.term === replica.seenTerm;
    if (wasLeader && !(isSameTerm && raft.role === 'leader')) {
      this.end(replica, replica.leaderNodeId());
    } else if (!wasLeader) {
      const isSameLeader = raft.role === 'follower' && raft.leaderId === replica.seenLeaderId;
      if (!isSameTerm || !isSameLeader) this.claims.leaveFollowed(replica.regionId);
    }
    const begins = raft.role === 'leader' && !(wasLeader && isSameTerm);
    replica.seenTerm = raft.term;
    replica.seenRole = raft.role;
    replica.seenLeaderId = raft.leaderId;
    if (begins) this.begin(replica, tick);
  }

  private begin(replica: Replica, tick: number): void {
    this.began++;
    this.registry.leads(replica, this.nodeId);
    this.pairs.began(replica, tick);
    const { replicas } = replica.descriptor;
    for (let i = 0; i < replicas.length; i++) {
      const { replicaId, nodeId } = replicas[i]!;
      if (this.peers.find(nodeId)?.isSilent === true) replica.raft.setPeerSilent(replicaId, true);
    }
  }

  private end(replica: Replica, leaderNodeId: NodeId): void {
    this.ended++;
    this.registry.leadsNoMore(replica, this.nodeId);
    this.pairs.ended(replica);
    this.claims.leadershipEnded(replica.regionId, replica.seenTerm, this.otherReplicas(replica));
    replica.proposals?.leadershipLost(replica.raft.commitIndex, leaderNodeId);
  }

  private otherReplicas(replica: Replica): { peer: NodeId; replicaId: ReplicaId }[] {
    const others: { peer: NodeId; replicaId: ReplicaId }[] = [];
    const { replicas } = replica.descriptor;
    for (let i = 0; i < replicas.length; i++) {
      const { replicaId, nodeId } = replicas[i]!;
      if (nodeId !== this.nodeId) others.push({ peer: nodeId, replicaId });
    }
    return others;
  }

  private noteLeader(replica: Replica): void {
    this.changes.push({
      regionId: replica.regionId,
      isLeader: replica.seenRole === 'leader',
      leaderNodeId: replica.nodeOf(replica.seenLeaderId),
    });
  }
}

function isChanged(replica: Replica): boolean {
  const { raft } = replica;
  return (
    raft.term !== replica.seenTerm ||
    raft.role !== replica.seenRole ||
    raft.leaderId !== replica.seenLeaderId
  );
}

function isPaired(replica: Replica, replicaId: ReplicaId): boolean {
  const pairs = replica.pairs!;
  for (let i = 0; i < pairs.length; i++) if (pairs[i]!.replicaId === replicaId) return true;
  return false;
}
