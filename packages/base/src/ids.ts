/**
 * Branded ids. A number of one kind cannot be passed where another is wanted.
 */
import { MokuError } from './errors.js';

/** A process with a directory and links. 1 … 65,535; 0 means none. Never reused in a cluster. */
export type NodeId = number & { readonly __brand: 'NodeId' };
/** A key range with its Raft group. 0 is meta; others 1 … 2^48. Never reused in a cluster. */
export type RegionId = number & { readonly __brand: 'RegionId' };
/** One copy of a region on one node. 1 … 2^32 - 1; 0 means none. Never reused within its region. */
export type ReplicaId = number & { readonly __brand: 'ReplicaId' };

export const noNode: NodeId = 0 as NodeId;
export const noReplica: ReplicaId = 0 as ReplicaId;
export const metaRegionId: RegionId = 0 as RegionId;

const nodeIdMax = 0xffff;
const regionIdMax = 2 ** 48;
const replicaIdMax = 0xffff_ffff;

function checked(value: number, min: number, max: number, field: string): number {
  if (!Number.isSafeInteger(value) || value < min || value > max) {
    throw new MokuError('INVALID_ARGUMENT', { field, value, min, max });
  }
  return value;
}

/** Node id from an untrusted number. Throws INVALID_ARGUMENT outside 1 … 65,535. */
export function toNodeId(value: number): NodeId {
  return checked(value, 1, nodeIdMax, 'nodeId') as NodeId;
}

/** Region id from an untrusted number. Throws INVALID_ARGUMENT outside 0 … 2^48. */
export function toRegionId(value: number): RegionId {
  return checked(value, 0, regionIdMax, 'regionId') as RegionId;
}

/** Replica id from an untrusted number. Throws INVALID_ARGUMENT outside 1 … 2^32 - 1. */
export function toReplicaId(value: number): ReplicaId {
  return checked(value, 1, replicaIdMax, 'replicaId') as ReplicaId;
}
