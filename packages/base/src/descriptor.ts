/**
 * What the cluster knows of its regions: plain data, kept by region 0, cached by everybody.
 * A region's keys are those with startKey <= stored key < endKey (undefined: without end).
 */
import type { NodeId, RegionId, ReplicaId } from './ids.js';

export type KeyspaceMode = 'hash' | 'range';

export interface KeyspaceDescriptor {
  /** 1 … 2^32 - 1, never reused; 0 is meta's. */
  readonly keyspaceId: number;
  readonly name: string;
  readonly mode: KeyspaceMode;
}

export interface ReplicaDescriptor {
  readonly replicaId: ReplicaId;
  readonly nodeId: NodeId;
  readonly isLearner: boolean;
}

/** Raised by a change of the range (version) or of the membership (config). */
export interface Epoch {
  readonly version: number;
  readonly config: number;
}

export interface RegionDescriptor {
  readonly regionId: RegionId;
  readonly keyspaceId: number;
  readonly startKey: Uint8Array;
  readonly endKey: Uint8Array | undefined;
  readonly epoch: Epoch;
  readonly replicas: readonly ReplicaDescriptor[];
}

/** Address of a socket that a node does not open. */
export const noAddress = 'none';

export interface NodeDescriptor {
  readonly nodeId: NodeId;
  /** host:port of the peer socket, or noAddress. */
  readonly peerAddress: string;
  /** host:port of the client socket, or noAddress. */
  readonly clientAddress: string;
}
