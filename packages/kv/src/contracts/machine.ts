/**
 * The state machines of this package as the node above sees them: a region of keys, and meta (region 0).
 * Both are `StateMachine`s (apply, snapshot, install) that also answer queries. Synchronous and
 * deterministic: equal entries in equal order give equal states, digests included, on every replica.
 */
import type { KeyspaceMode, NodeDescriptor, RegionDescriptor, ReplicaId } from '@moku/base';
import type { StateMachine } from '@moku/raft';
import type { ClusterView, Query, QueryOutcome } from '../commands.js';
import type { Engine } from './engine.js';

export interface KvMachine extends StateMachine {
  /**
   * Answers a query from the state as it is now. Linearizable only after a ReadIndex point; without
   * one it is an inspection. `wallMs`: the asking node's wall clock, for keys past their time (they are
   * answered as `expired`, never hidden: expiry is an entry).
   */
  query(query: Query, wallMs: number): QueryOutcome;
}

export interface KvMachineOptions {
  /** The region as it is now; a function when it may change. Its range and epoch are checked at apply. */
  readonly descriptor: RegionDescriptor | (() => RegionDescriptor);
  readonly replicaId: ReplicaId;
  /** The region's replica in it is created when missing, and replaced when it has a smaller id. */
  readonly engine: Engine;
  /** Sessions remembered; equal on every replica. Default limits.sessionsPerRegionMax. */
  readonly sessionsMax?: number;
}

/** What an entry, or an installed snapshot, changed in meta. */
export interface MetaChange {
  /** New or changed regions; after a snapshot: all. */
  readonly descriptors: readonly RegionDescriptor[];
  /** New or changed nodes; after a snapshot: all. */
  readonly nodes: readonly NodeDescriptor[];
}

export interface KeyspaceView {
  readonly keyspaceId: number;
  readonly name: string;
  readonly mode: KeyspaceMode;
}

/** Region 0. Answers the digest query only. */
export interface MetaMachine extends KvMachine {
  /**
   * The roster, and the keyspace of this name (none when unknown) or all, with their regions in key
   * order. `leaders` is empty: the node fills it. The arrays must not be changed.
   */
  view(keyspace: string | undefined): ClusterView;
  /** All regions but region 0, by keyspace in order of creation, then in key order. */
  descriptors(): readonly RegionDescriptor[];
  nodes(): readonly NodeDescriptor[];
}

export interface MetaMachineOptions {
  readonly replicaId: ReplicaId;
  readonly engine: Engine;
  /** Told to clients in every view. Default empty. */
  readonly clusterId?: string;
  /**
   * Called once per entry or installed snapshot that changed something, from within `apply` or
   * `finish`: collect here, act after the turn. Not called for what was recovered at opening.
   */
  readonly onChange?: (change: MetaChange) => void;
}
