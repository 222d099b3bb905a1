/**
 * Binary form of a ClusterView. Regions come in key order, so that a region's start is mostly the end
 * of the one before and need not be said: about 30 bytes a region.
 */
import {
  type ByteReader,
  type ByteWriter,
  emptyBytes,
  equalBytes,
  MokuError,
  type NodeDescriptor,
  type RegionDescriptor,
  type ReplicaDescriptor,
  toNodeId,
  toRegionId,
  toReplicaId,
} from '@moku/base';
import type { ClusterView } from '@moku/kv';

/** startKey is the former region's endKey. */
const flagAdjacent = 1;
const flagHasEnd = 2;

/** Appends `view`. */
export function writeView(body: ByteWriter, view: ClusterView): void {
  body.string(view.clusterId);
  body.uvarint(view.revision);
  body.uvarint(view.nodes.length);
  for (const node of view.nodes) {
    body.uvarint(node.nodeId);
    body.string(node.peerAddress);
    body.string(node.clientAddress);
  }
  body.uvarint(view.keyspaces.length);
  for (const keyspace of view.keyspaces) {
    body.uvarint(keyspace.keyspaceId);
    body.string(keyspace.name);
    body.u8(keyspace.mode === 'hash' ? 0 : 1);
  }
  body.uvarint(view.regions.length);
  let formerEnd: Uint8Array | undefined;
  for (const region of view.regions) {
    writeRegion(body, region, formerEnd);
    formerEnd = region.endKey;
  }
  body.uvarint(view.leaders.length);
  for (const { regionId, nodeId } of view.leaders) {
    body.uvarint(regionId);
    body.uvarint(nodeId);
  }
}

function writeRegion(
  body: ByteWriter,
  region: RegionDescriptor,
  formerEnd: Uint8Array | undefined,
): void {
  const { startKey, endKey, epoch, replicas } = region;
  const isAdjacent = formerEnd !== undefined && equalBytes(formerEnd, startKey);
  body.uvarint(region.regionId);
  body.uvarint(region.keyspaceId);
  body.u8((isAdjacent ? flagAdjacent : 0) | (endKey === undefined ? 0 : flagHasEnd));
  if (!isAdjacent) body.bytes(startKey);
  if (endKey !== undefined) body.bytes(endKey);
  body.uvarint(epoch.version);
  body.uvarint(epoch.config);
  body.uvarint(replicas.length);
  for (const replica of replicas) {
    body.uvarint(replica.replicaId);
    body.uvarint(replica.nodeId);
    body.u8(replica.isLearner ? 1 : 0);
  }
}

/** Reads a view whose keys are bytes of their own. Throws FRAME_MALFORMED or INVALID_ARGUMENT. */
export function readView(body: ByteReader): ClusterView {
  const clusterId = body.string();
  const revision = body.uvarint();
  const nodes = readMany(body, readNode);
  const keyspaces = readMany(body, readKeyspace);
  let formerEnd: Uint8Array | undefined;
  const regions = readMany(body, () => {
    const region = readRegion(body, formerEnd);
    formerEnd = region.endKey;
    return region;
  });
  const leaders = readMany(body, () => {
    const regionId = toRegionId(body.uvarint());
    return { regionId, nodeId: body.uvarint() };
  });
  return { clusterId, revision, nodes, keyspaces, regions, leaders };
}

/** As many items as a count in front says; grows with what is really there. */
function readMany<T>(body: ByteReader, read: (body: ByteReader) => T): T[] {
  const count = body.uvarint();
  const items: T[] = [];
  while (items.length < count) items.push(read(body));
  return items;
}

function readNode(body: ByteReader): NodeDescriptor {
  const nodeId = toNodeId(body.uvarint());
  const peerAddress = body.string();
  return { nodeId, peerAddress, clientAddress: body.string() };
}

function readKeyspace(body: ByteReader): ClusterView['keyspaces'][number] {
  const keyspaceId = body.uvarint();
  const name = body.string();
  return { keyspaceId, name, mode: body.u8() === 0 ? 'hash' : 'range' };
}

function readRegion(body: ByteReader, formerEnd: Uint8Array | undefined): RegionDescriptor {
  const regionId = toRegionId(body.uvarint());
  const keyspaceId = body.uvarint();
  const flags = body.u8();
  const startKey = readStart(body, (flags & flagAdjacent) !== 0, formerEnd);
  const endKey = (flags & flagHasEnd) === 0 ? undefined : body.bytes().slice();
  const version = body.uvarint();
  const config = body.uvarint();
  const replicas = readMany(body, readReplica);
  return { regionId, keyspaceId, startKey, endKey, epoch: { version, config }, replicas };
}

function readStart(
  body: ByteReader,
  isAdjacent: boolean,
  formerEnd: Uint8Array | undefined,
): Uint8Array {
  if (isAdjacent) {
    if (formerEnd === undefined) throw new MokuError('FRAME_MALFORMED', { field: 'startKey' });
    return formerEnd;
  }
  const startKey = body.bytes();
  return startKey.length === 0 ? emptyBytes : startKey.slice();
}

function readReplica(body: ByteReader): ReplicaDescriptor {
  const replicaId = toReplicaId(body.uvarint());
  const nodeId = toNodeId(body.uvarint());
  return { replicaId, nodeId, isLearner: body.u8() === 1 };
}
