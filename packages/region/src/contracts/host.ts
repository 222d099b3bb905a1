/**
 * What the region manager offers to the node above it, and what it asks of it. Outcomes are values;
 * each sink is called exactly once, inside a turn, never from within the call that took it.
 */
import type { NodeId, RegionDescriptor, RegionId, ReplicaId } from '@moku/base';
import type { CommandResult, ConfState, Role, StateMachine } from '@moku/raft';

export type ProposeOutcome =
  | {
      readonly kind: 'applied';
      readonly index: number;
      readonly term: number;
      readonly result: CommandResult;
    }
  /** Certainly not proposed here. leaderNodeId 0: not known. */
  | { readonly kind: 'notLeader'; readonly leaderNodeId: NodeId }
  | { readonly kind: 'unknownRegion' }
  | { readonly kind: 'busy'; readonly queue: string; readonly bound: number }
  /** Proposed, then leadership was lost before it was seen applied: it may have happened. */
  | { readonly kind: 'lost'; readonly leaderNodeId: NodeId };

export type ReadOutcome =
  /** The local state machine may now be read: it holds everything acknowledged before the read began. */
  | { readonly kind: 'ready'; readonly appliedIndex: number }
  | { readonly kind: 'notLeader'; readonly leaderNodeId: NodeId }
  | { readonly kind: 'unknownRegion' }
  | { readonly kind: 'busy'; readonly queue: string; readonly bound: number };

/** Why a replica is not at rest, or not serving; empty when it is at rest (design §6, last rule). */
export type WhyReason =
  | 'noLeader'
  | 'electing'
  | 'unattached'
  | 'peerUnattached'
  | 'peerDown'
  | 'proposalsInFlight'
  | 'readsInFlight'
  | 'applyBehind'
  | 'snapshotSending'
  | 'snapshotInstalling'
  | 'logFetching'
  /** It threw (state machine or log), left its claims and is out of service until the next start. */
  | 'failed';

export interface RegionStatus {
  readonly regionId: RegionId;
  readonly keyspaceId: number;
  readonly replicaId: ReplicaId;
  readonly role: Role;
  readonly term: number;
  readonly leaderNodeId: NodeId;
  readonly firstIndex: number;
  readonly lastIndex: number;
  readonly commitIndex: number;
  readonly appliedIndex: number;
  readonly logBytes: number;
  readonly confState: ConfState;
  /** Leaders only: per replica, how far it is and whether it is attached. */
  readonly peers: readonly {
    readonly replicaId: ReplicaId;
    readonly nodeId: NodeId;
    readonly matchIndex: number;
    readonly isAttached: boolean;
  }[];
  readonly why: readonly WhyReason[];
  /** What a failed replica failed with: code and details in words. */
  readonly failure: string | undefined;
}

export interface HostStatus {
  readonly nodeId: NodeId;
  readonly regions: number;
  readonly leaders: number;
  readonly awake: number;
  readonly unattachedPairs: number;
  readonly proposalsInFlight: number;
  readonly proposalBytes: number;
  readonly peers: readonly {
    readonly nodeId: NodeId;
    readonly isOpen: boolean;
    readonly lastHeardMsAgo: number;
    readonly claimsLed: number;
    readonly claimsFollowed: number;
  }[];
  readonly counters: Readonly<Record<string, number>>;
}

export interface TurnReport {
  /** Work is left: run another turn soon. */
  readonly hasMore: boolean;
  /** Monotonic time of the next due tick or heartbeat. */
  readonly nextDueMs: number;
}

/** What the manager asks of the node. */
export interface HostCallbacks {
  /** Something arrived: run a turn soon. May be called often; coalesce. */
  onWork(): void;
  /** State machine of a new or recovered replica (its engine replica exists or is made by this call). */
  openMachine(descriptor: RegionDescriptor, replicaId: ReplicaId): StateMachine;
  /** Drops the state of a destroyed replica. */
  dropMachine(regionId: RegionId): void;
  /** False while the engine is full: applies wait for `engineFlushed`. Absent: never full. */
  canApply?(): boolean;
  /** The manager cannot go on (log failure, broken invariant): stop the process with this reason (P7). */
  onFatal(error: Error): void;
  /** A replica failed alone and is out of service until the next start; the node and all others go on. */
  onReplicaFailed?(regionId: RegionId, error: Error): void;
  /** Leadership of a region changed here. */
  onLeaderChange?(regionId: RegionId, isLeader: boolean, leaderNodeId: NodeId): void;
}

export interface RegionHost {
  /**
   * One pass of the loop (design §5). Never called re-entrantly. `nowMs` monotonic, `wallMs` wall clock.
   */
  turn(nowMs: number, wallMs: number): TurnReport;
  /**
   * Brings a replica to life on this node: recovered when the log knows it, else created empty with the
   * descriptor's replicas as voters and learners. Does nothing when it runs already, when the
   * descriptor has no replica on this node, or when its replica id is tombstoned. The replica that the
   * descriptor lists first campaigns at once when its log is empty; the only voter always does.
   */
  openReplica(descriptor: RegionDescriptor): void;
  /** Stops and removes a replica and leaves a tombstone. */
  destroyReplica(regionId: RegionId): void;
  /** Takes a command. The bytes must not be changed afterwards. */
  propose(regionId: RegionId, command: Uint8Array, sink: (outcome: ProposeOutcome) => void): void;
  /** Asks for a linearizable read point (ReadIndex), on a leader or a follower. */
  read(regionId: RegionId, sink: (outcome: ReadOutcome) => void): void;
  /** The state machine of a replica that runs here. */
  machine(regionId: RegionId): StateMachine | undefined;
  descriptor(regionId: RegionId): RegionDescriptor | undefined;
  leaderOf(regionId: RegionId): NodeId;
  /** Asks the leader here to hand its leadership to a replica on `to`. False when not possible now. */
  transferLeadership(regionId: RegionId, to: NodeId): boolean;
  /**
   * Hands over every leadership this node has, best effort, e.g. before a shutdown; returns how many may
   * still go to somebody: those whose other voters are all away, or do not exist, are not worth a wait.
   */
  transferAll(): number;
  /**
   * The state machine of a replica here could not be read: it fails alone, as one that throws by itself
   * does, and leaves its leadership to another. Throws `error` when it is a bug.
   */
  replicaFailed(regionId: RegionId, error: Error): void;
  /** The engine flushed: applies may continue and logs be truncated. */
  engineFlushed(): void;
  status(): HostStatus;
  regionIds(): readonly RegionId[];
  regionStatus(regionId: RegionId): RegionStatus | undefined;
  /** Refuses new work and answers what waits (definite or maybe); turns are no longer needed afterwards. */
  close(): void;
}
