/**
 * What meta keeps in the engine, as machine records of region 0:
 *
 *   'mc'               counters: next keyspace id, next region id, revision
 *   'mk' keyspace u64  a keyspace's recipe: its settings, and the nodes it was placed on
 *   'mn' node u64      a node of the roster
 *
 * A keyspace's regions are not stored one by one: they follow from the recipe (`regionsOf`), so that a
 * hundred thousand of them are one small record.
 */
import {
  ByteReader,
  ByteWriter,
  type KeyspaceMode,
  limits,
  MokuError,
  type NodeDescriptor,
  type NodeId,
  type RegionDescriptor,
  type RegionId,
  type ReplicaDescriptor,
  type ReplicaId,
  toNodeId,
} from '@moku/base';
import { readCount } from '../codec-checks.js';
import { readNode, writeNode } from '../command-codec.js';
import { startKeysOf } from '../keys.js';
import { machineKey } from '../records.js';
import { firstEpoch } from './bootstrap.js';

export interface MetaCounters {
  readonly nextKeyspaceId: number;
  readonly nextRegionId: number;
  /** Index of the last entry that changed something. */
  readonly revision: number;
}

export interface KeyspaceRecord {
  readonly keyspaceId: number;
  readonly name: string;
  readonly mode: KeyspaceMode;
  readonly regions: number;
  /** As asked for; 0: min(3, nodes). */
  readonly replicationAsked: number;
  readonly replication: number;
  /** The regions' ids are consecutive. */
  readonly firstRegionId: number;
  /** The roster at creation, ascending: regions are placed round-robin on it. */
  readonly placement: readonly NodeId[];
  /** Range: the split keys. */
  readonly bounds: readonly Uint8Array[];
}

export const metaCountersKey: Uint8Array = machineKey('mc');
export const keyspaceSpaceStart: Uint8Array = machineKey('mk');
export const keyspaceSpaceEnd: Uint8Array = machineKey('ml');
export const nodeSpaceStart: Uint8Array = machineKey('mn');
export const nodeSpaceEnd: Uint8Array = machineKey('mo');

export function keyspaceKey(keyspaceId: number): Uint8Array {
  return numbered('mk', keyspaceId);
}

export function nodeKey(nodeId: number): Uint8Array {
  return numbered('mn', nodeId);
}

/** Big-endian, so that records are in the order of their numbers. */
function numbered(name: string, value: number): Uint8Array {
  const prefix = machineKey(name);
  const key = new Uint8Array(prefix.length + 8);
  key.set(prefix);
  new DataView(key.buffer).setBigUint64(prefix.length, BigInt(value), false);
  return key;
}

export function encodeMetaCounters(counters: MetaCounters): Uint8Array {
  const writer = new ByteWriter(32);
  writer.uvarint(counters.nextKeyspaceId);
  writer.uvarint(counters.nextRegionId);
  writer.uvarint(counters.revision);
  return writer.take();
}

export function decodeMetaCounters(record: Uint8Array): MetaCounters {
  const reader = new ByteReader(record);
  const nextKeyspaceId = reader.uvarint();
  const nextRegionId = reader.uvarint();
  const revision = reader.uvarint();
  reader.finish();
  return { nextKeyspaceId, nextRegionId, revision };
}

export function encodeNode(node: NodeDescriptor): Uint8Array {
  const writer = new ByteWriter(128);
  writeNode(writer, node);
  return writer.take();
}

export function decodeNode(record: Uint8Array): NodeDescriptor {
  const reader = new ByteReader(record);
  const node = readNode(reader);
  reader.finish();
  return node;
}

export function encodeKeyspace(keyspace: KeyspaceRecord): Uint8Array {
  const writer = new ByteWriter(1024);
  writer.uvarint(keyspace.keyspaceId);
  writer.string(keyspace.name);
  writer.u8(keyspace.mode === 'hash' ? 0 : 1);
  writer.uvarint(keyspace.regions);
  writer.uvarint(keyspace.replicationAsked);
  writer.uvarint(keyspace.replication);
  writer.uvarint(keyspace.firstRegionId);
  writer.uvarint(keyspace.placement.length);
  for (const nodeId of keyspace.placement) writer.uvarint(nodeId);
  writer.uvarint(keyspace.bounds.length);
  for (const bound of keyspace.bounds) writer.bytes(bound);
  return writer.take();
}

/** The bounds alias `record`. Throws ENGINE_CORRUPT. */
export function decodeKeyspace(record: Uint8Array): KeyspaceRecord {
  try {
    const reader = new ByteReader(record);
    const keyspace = readKeyspace(reader);
    reader.finish();
    return keyspace;
  } catch (cause) {
    throw new MokuError('ENGINE_CORRUPT', { record: 'keyspace', bytes: record.length }, { cause });
  }
}

function readKeyspace(reader: ByteReader): KeyspaceRecord {
  const keyspaceId = reader.uvarint();
  const name = reader.string();
  const mode = reader.u8() === 0 ? 'hash' : 'range';
  const regions = reader.uvarint();
  const replicationAsked = reader.uvarint();
  const replication = reader.uvarint();
  const firstRegionId = reader.uvarint();
  const nodes = readCount(reader, 1, limits.nodesMax, 'placement');
  const placement: NodeId[] = [];
  for (let i = 0; i < nodes; i++) placement.push(toNodeId(reader.uvarint()));
  const count = readCount(reader, 2, limits.regionsPerKeyspaceMax, 'bounds');
  const bounds: Uint8Array[] = [];
  for (let i = 0; i < count; i++) bounds.push(reader.bytes());
  return {
    keyspaceId,
    name,
    mode,
    regions,
    replicationAsked,
    replication,
    firstRegionId,
    placement,
    bounds,
  };
}

/**
 * The regions of a keyspace in key order. Region r has its replicas on `replication` consecutive nodes
 * of the placement, from position r mod nodes on: replicas spread evenly, and so do the first-listed
 * ones, which campaign first.
 */
export function regionsOf(keyspace: KeyspaceRecord): RegionDescriptor[] {
  const { keyspaceId, placement, firstRegionId } = keyspace;
  const starts = startKeysOf(keyspace.mode, keyspace.regions, keyspace.bounds);
  const rotations = placement.map((_, first) => replicasFrom(keyspace, first));
  const regions: RegionDescriptor[] = [];
  for (let i = 0; i < starts.length; i++) {
    const regionId = (firstRegionId + i) as RegionId;
    regions.push({
      regionId,
      keyspaceId,
      startKey: starts[i]!,
      endKey: starts[i + 1],
      epoch: firstEpoch,
      replicas: rotations[regionId % placement.length]!,
    });
  }
  return regions;
}

function replicasFrom(keyspace: KeyspaceRecord, first: number): readonly ReplicaDescriptor[] {
  const replicas: ReplicaDescriptor[] = [];
  for (let i = 0; i < keyspace.replication; i++) {
    const nodeId = keyspace.placement[(first + i) % keyspace.placement.length]!;
    replicas.push({ replicaId: (i + 1) as ReplicaId, nodeId, isLearner: false });
  }
  return replicas;
}
