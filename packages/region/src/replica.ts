// @hot
/**
 * One replica on this node as its host sees it: the core, the state machine, and what waits for them.
 * Parts that only a busy replica needs are absent at rest, so that an idle replica stays small (P10).
 *
 * Invariants:
 *  H1 Nothing but a turn changes a replica.
 *  H2 `pairs` is present only on a leader; it lists exactly its peers on which no claim stands.
 *  H3 A replica that failed or was removed is not driven any more and acknowledges nothing.
 */
import {
  type NodeId,
  noNode,
  type RegionDescriptor,
  type RegionId,
  type ReplicaId,
} from '@moku/base';
import type { ConfState, Entry, Raft, RegionLog, Role, StateMachine } from '@moku/raft';
import type { Install } from './install.js';
import type { ProposalQueue } from './proposals.js';
import type { ReadQueue } from './reads.js';

/** A peer on which the leader here holds no claim: to be probed (design §6, "unattached"). */
export interface UnattachedPair {
  readonly replicaId: ReplicaId;
  readonly nodeId: NodeId;
  dueTick: number;
  backoffTicks: number;
}

export type ReplicaState = 'running' | 'failed' | 'removed';

export class Replica {
  readonly regionId: RegionId;
  readonly replicaId: ReplicaId;
  readonly descriptor: RegionDescriptor;
  readonly machine: StateMachine;
  readonly raft: Raft;
  readonly log: RegionLog;
  state: ReplicaState = 'running';
  failure: Error | undefined = undefined;

  /** What the claims were last told. */
  seenTerm: number;
  seenRole: Role = 'follower';
  seenLeaderId: ReplicaId;

  /** In the queue of the dirty. */
  isDirty = false;
  /** Place among the awake; -1: at rest. */
  awakeAt = -1;
  /** Looked at by the next housekeeping. */
  isTouched = false;
  /** lastIndex when it was last looked at; unchanged since: idle. */
  lookedIndex = -1;
  /** Proposals wait until the log has room. */
  isStalled = false;

  proposals: ProposalQueue | undefined = undefined;
  reads: ReadQueue | undefined = undefined;
  pairs: UnattachedPair[] | undefined = undefined;
  /** Committed and not applied, from `applyAt` on. */
  toApply: Entry[] | undefined = undefined;
  applyAt = 0;
  /** A snapshot that was taken in and is not the log's start yet. */
  install: Install | undefined = undefined;
  /** To be written with the next batch; 0: nothing. */
  truncateTo = 0;
  confToWrite: { readonly index: number; readonly confState: ConfState } | undefined = undefined;

  constructor(parts: {
    readonly descriptor: RegionDescriptor;
    readonly replicaId: ReplicaId;
    readonly machine: StateMachine;
    readonly raft: Raft;
    readonly log: RegionLog;
  }) {
    this.regionId = parts.descriptor.regionId;
    this.descriptor = parts.descriptor;
    this.replicaId = parts.replicaId;
    this.machine = parts.machine;
    this.raft = parts.raft;
    this.log = parts.log;
    this.seenTerm = parts.raft.term;
    this.seenLeaderId = parts.raft.leaderId;
  }

  /** Node of a replica of this region; 0 when the descriptor does not know it. */
  nodeOf(replicaId: ReplicaId): NodeId {
    const { replicas } = this.descriptor;
    for (let i = 0; i < replicas.length; i++) {
      if (replicas[i]!.replicaId === replicaId) return replicas[i]!.nodeId;
    }
    return noNode;
  }

  /** Replica of this region on `nodeId`; 0 when there is none. */
  replicaOn(nodeId: NodeId): ReplicaId {
    const { replicas } = this.descriptor;
    for (let i = 0; i < replicas.length; i++) {
      if (replicas[i]!.nodeId === nodeId) return replicas[i]!.replicaId;
    }
    return 0 as ReplicaId;
  }

  leaderNodeId(): NodeId {
    return this.nodeOf(this.raft.leaderId);
  }

  isLeader(): boolean {
    return this.raft.role === 'leader';
  }

  hasToApply(): boolean {
    return this.toApply !== undefined && this.applyAt < this.toApply.length;
  }
}
