// @hot
/**
 * Binary form of a piece of a snapshot's stream: regionId, from, to, term, streamId, sequence, isLast,
 * meta, chunk. The chunk aliases the frame when read. And of what its ends tell each other: regionId, from,
 * to, streamId, kind, sequence.
 */
import { assert, type ByteReader, type ByteWriter, limits } from '@moku/base';
import { readSnapshotMeta, writeSnapshotMeta } from '@moku/raft';
import { malformed, readPositive, readRegionId, readReplicaId } from './fields.js';
import type { SnapshotChunk, SnapshotSignal, SnapshotSignalKind } from './types.js';

/** A kind's code is its place: never reordered. */
const kinds: readonly SnapshotSignalKind[] = [
  'taken',
  'busy',
  'installing',
  'unwanted',
  'broken',
  'unknown',
  'ended',
];

/** Appends the fields of `chunk`. */
export function writeSnapshotChunk(writer: ByteWriter, chunk: SnapshotChunk): void {
  assert(chunk.chunk.length <= limits.snapshotChunkBytesMax, 'W2: a chunk is within its bound');
  writer.uvarint(chunk.regionId);
  writer.uvarint(chunk.from);
  writer.uvarint(chunk.to);
  writer.uvarint(chunk.term);
  writer.uvarint(chunk.streamId);
  writer.uvarint(chunk.sequence);
  writer.u8(chunk.isLast ? 1 : 0);
  writeSnapshotMeta(writer, chunk.meta);
  writer.bytes(chunk.chunk);
}

/** Reads the fields of one chunk. Throws FRAME_MALFORMED naming the field. */
export function readSnapshotChunk(reader: ByteReader): SnapshotChunk {
  const regionId = readRegionId(reader);
  const from = readReplicaId(reader, 'snapshot.from');
  const to = readReplicaId(reader, 'snapshot.to');
  const term = readPositive(reader, 'snapshot.term');
  const streamId = reader.uvarint();
  const sequence = reader.uvarint();
  const isLast = reader.u8();
  if (isLast > 1) throw malformed('snapshot.isLast');
  const meta = readSnapshotMeta(reader);
  const chunk = reader.bytes();
  if (chunk.length > limits.snapshotChunkBytesMax) throw malformed('snapshot.chunk');
  return {
    regionId,
    from,
    to,
    term,
    streamId,
    sequence,
    isLast: isLast === 1,
    meta,
    chunk,
  };
}

/** Appends the fields of `signal`. */
export function writeSnapshotSignal(writer: ByteWriter, signal: SnapshotSignal): void {
  writer.uvarint(signal.regionId);
  writer.uvarint(signal.from);
  writer.uvarint(signal.to);
  writer.uvarint(signal.streamId);
  writer.u8(kinds.indexOf(signal.kind));
  writer.uvarint(signal.sequence);
}

/** Reads the fields of one signal. Throws FRAME_MALFORMED naming the field. */
export function readSnapshotSignal(reader: ByteReader): SnapshotSignal {
  const regionId = readRegionId(reader);
  const from = readReplicaId(reader, 'snapshotSignal.from');
  const to = readReplicaId(reader, 'snapshotSignal.to');
  const streamId = reader.uvarint();
  const kind = kinds[reader.u8()];
  if (kind === undefined) throw malformed('snapshotSignal.kind');
  const sequence = reader.uvarint();
  if (kind !== 'taken' && sequence !== 0) throw malformed('snapshotSignal.sequence');
  return { regionId, from, to, streamId, kind, sequence };
}
