// @hot
/**
 * Binary form of the control items (`claims/types.ts`). Integers are uvarints, digests three u32, so
 * that a heartbeat and its answer are as long for ten claims as for a hundred thousand.
 *
 * Invariant W1: what is read is what some well-formed item says, within the bounds of its fields;
 * anything else throws FRAME_MALFORMED naming the field, before memory is taken for it.
 */
import { assert, type ByteReader, type ByteWriter, unreachable } from '@moku/base';
import {
  type ClaimKey,
  type ControlItem,
  type Digest,
  type ListItem,
  listItemsMax,
  type NumberedClaim,
  repairBuckets,
  repairClaimsMax,
} from '../claims/types.js';
import { malformed, readCount, readPositive, readRegionId, readReplicaId } from './fields.js';

/** Tags of the items, below `controlTagsEnd`; those of other kinds of items are in `frame.ts`. */
const tagList = 1;
const tagAttach = 2;
const tagDetach = 3;
const tagHeartbeat = 4;
const tagHeartbeatAnswer = 5;
const tagRepairDigests = 6;
const tagRepairClaims = 7;
export const controlTagsEnd = 16;

const flagByFollower = 1;
const flagRelease = 2;

const listBound = { field: 'list.items', max: listItemsMax, bytesMin: 5 } as const;
const claimsBound = { field: 'repairClaims.claims', max: repairClaimsMax, bytesMin: 4 } as const;
const digestsBound = { field: 'repairDigests.digests', max: repairBuckets, bytesMin: 12 } as const;

/** Appends tag and fields of `item`. */
export function writeControl(writer: ByteWriter, item: ControlItem): void {
  switch (item.type) {
    case 'list':
      writeList(writer, item);
      break;
    case 'attach':
      writer.u8(tagAttach);
      writeKey(writer, item);
      writer.uvarint(item.claimNumber);
      writer.uvarint(item.lastIndex);
      writer.uvarint(item.commitIndex);
      break;
    case 'detach':
      writer.u8(tagDetach);
      writer.u8((item.by === 'follower' ? flagByFollower : 0) | (item.isRelease ? flagRelease : 0));
      writeKey(writer, item);
      writer.uvarint(item.claimNumber);
      break;
    case 'heartbeat':
      writer.u8(tagHeartbeat);
      writer.uvarint(item.sequence);
      writer.uvarint(item.oldestUnsyncedMs);
      break;
    case 'heartbeatAnswer':
      writer.u8(tagHeartbeatAnswer);
      writer.uvarint(item.sequence);
      writeDigest(writer, item.digest);
      break;
    case 'repairDigests':
      writer.u8(tagRepairDigests);
      writer.uvarint(item.repairId);
      writer.uvarint(item.digests.length);
      for (let i = 0; i < item.digests.length; i++) writeDigest(writer, item.digests[i]!);
      break;
    case 'repairClaims':
      writeRepairClaims(writer, item);
      break;
    default:
      unreachable(item);
  }
}

/** Reads the fields of the item whose `tag` was read before. */
export function readControl(reader: ByteReader, tag: number): ControlItem {
  switch (tag) {
    case tagList:
      return readList(reader);
    case tagAttach:
      return readAttach(reader);
    case tagDetach:
      return readDetach(reader);
    case tagHeartbeat:
      return {
        type: 'heartbeat',
        sequence: readPositive(reader, 'heartbeat.sequence'),
        oldestUnsyncedMs: reader.uvarint(),
      };
    case tagHeartbeatAnswer:
      return {
        type: 'heartbeatAnswer',
        sequence: readPositive(reader, 'heartbeatAnswer.sequence'),
        digest: readDigest(reader),
      };
    case tagRepairDigests:
      return readRepairDigests(reader);
    case tagRepairClaims:
      return readRepairClaims(reader);
    default:
      throw malformed('tag');
  }
}

function writeList(writer: ByteWriter, item: ControlItem & { readonly type: 'list' }): void {
  assert(item.items.length <= listItemsMax, 'W1: a list item is within its bound');
  writer.u8(tagList);
  writer.u8(item.isLast ? 1 : 0);
  writer.uvarint(item.firstNumber);
  writer.uvarint(item.items.length);
  for (let i = 0; i < item.items.length; i++) {
    const listed = item.items[i]!;
    writeKey(writer, listed);
    writer.uvarint(listed.lastIndex);
    writer.uvarint(listed.commitIndex);
  }
}

function readList(reader: ByteReader): ControlItem {
  const isLast = reader.u8();
  if (isLast > 1) throw malformed('list.isLast');
  const firstNumber = readPositive(reader, 'list.firstNumber');
  const count = readCount(reader, listBound);
  const items: ListItem[] = [];
  for (let i = 0; i < count; i++) {
    const regionId = readRegionId(reader);
    const term = readPositive(reader, 'list.term');
    const replicaId = readReplicaId(reader, 'list.replicaId');
    const lastIndex = reader.uvarint();
    const commitIndex = readCommitIndex(reader, lastIndex);
    items.push({ regionId, term, replicaId, lastIndex, commitIndex });
  }
  return { type: 'list', firstNumber, items, isLast: isLast === 1 };
}

function readAttach(reader: ByteReader): ControlItem {
  const regionId = readRegionId(reader);
  const term = readPositive(reader, 'attach.term');
  const replicaId = readReplicaId(reader, 'attach.replicaId');
  const claimNumber = readPositive(reader, 'attach.claimNumber');
  const lastIndex = reader.uvarint();
  const commitIndex = readCommitIndex(reader, lastIndex);
  return { type: 'attach', regionId, term, replicaId, claimNumber, lastIndex, commitIndex };
}

function readDetach(reader: ByteReader): ControlItem {
  const flags = reader.u8();
  if (flags > (flagByFollower | flagRelease)) throw malformed('detach.flags');
  const by = (flags & flagByFollower) === 0 ? 'leader' : 'follower';
  const isRelease = (flags & flagRelease) !== 0;
  const regionId = readRegionId(reader);
  const term = readPositive(reader, 'detach.term');
  const replicaId = readReplicaId(reader, 'detach.replicaId');
  const claimNumber = reader.uvarint();
  // Only a leader that leads no more speaks of no claim in particular, and only a leader releases.
  if (by === 'follower' && isRelease) throw malformed('detach.flags');
  if (claimNumber === 0 && !isRelease) throw malformed('detach.claimNumber');
  return { type: 'detach', by, regionId, term, replicaId, claimNumber, isRelease };
}

function readRepairDigests(reader: ByteReader): ControlItem {
  const repairId = readPositive(reader, 'repairDigests.repairId');
  const count = readCount(reader, digestsBound);
  const digests: Digest[] = [];
  for (let i = 0; i < count; i++) digests.push(readDigest(reader));
  return { type: 'repairDigests', repairId, digests };
}

function writeRepairClaims(
  writer: ByteWriter,
  item: ControlItem & { readonly type: 'repairClaims' },
): void {
  assert(item.claims.length <= repairClaimsMax, 'W1: a repair item is within its bound');
  writer.u8(tagRepairClaims);
  writer.uvarint(item.repairId);
  writer.uvarint(item.bucket);
  writer.uvarint(item.claims.length);
  for (let i = 0; i < item.claims.length; i++) {
    const claim = item.claims[i]!;
    writeKey(writer, claim);
    writer.uvarint(claim.claimNumber);
  }
}

function readRepairClaims(reader: ByteReader): ControlItem {
  const repairId = readPositive(reader, 'repairClaims.repairId');
  const bucket = reader.uvarint();
  if (bucket >= repairBuckets) throw malformed('repairClaims.bucket');
  const count = readCount(reader, claimsBound);
  const claims: NumberedClaim[] = [];
  for (let i = 0; i < count; i++) {
    const regionId = readRegionId(reader);
    const term = readPositive(reader, 'repairClaims.term');
    const replicaId = readReplicaId(reader, 'repairClaims.replicaId');
    const claimNumber = readPositive(reader, 'repairClaims.claimNumber');
    claims.push({ regionId, term, replicaId, claimNumber });
  }
  return { type: 'repairClaims', repairId, bucket, claims };
}

function writeKey(writer: ByteWriter, key: ClaimKey): void {
  writer.uvarint(key.regionId);
  writer.uvarint(key.term);
  writer.uvarint(key.replicaId);
}

function readCommitIndex(reader: ByteReader, lastIndex: number): number {
  const commitIndex = reader.uvarint();
  if (commitIndex > lastIndex) throw malformed('commitIndex');
  return commitIndex;
}

function writeDigest(writer: ByteWriter, digest: Digest): void {
  writer.u32(digest.count);
  writer.u32(digest.sumHigh);
  writer.u32(digest.sumLow);
}

function readDigest(reader: ByteReader): Digest {
  const count = reader.u32();
  const sumHigh = reader.u32();
  const sumLow = reader.u32();
  return { count, sumHigh, sumLow };
}
