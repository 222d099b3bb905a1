// @hot
/**
 * Binary form of a piece of a snapshot's stream: regionId, from, to, term, streamId, sequence, isLast,
 * meta, chunk. The chunk aliases the frame when read.
 */
import { assert, type ByteReader, type ByteWriter, limits } from '@moku/base';
import { readSnapshotMeta, writeSnapshotMeta } from '@moku/raft';
import { malformed, readPositive, readRegionId, readReplicaId } from './fields.js';
import type { SnapshotChunk } from './types.js';

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
