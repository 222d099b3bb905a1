/**
 * Binary forms of hard state, configuration and snapshot meta: records of the log and parts of messages.
 */
import type { ByteReader, ByteWriter, ReplicaId } from '@moku/base';
import { replicasPerGroupMax } from '../conf-change.js';
import type { ConfState, HardState, SnapshotMeta } from '../types.js';
import { malformed, readFlag, readReplicaId, readReplicaIdOrNone } from './checks.js';

export function writeHardState(writer: ByteWriter, hardState: HardState): void {
  writer.uvarint(hardState.term);
  writer.uvarint(hardState.votedFor);
  writer.uvarint(hardState.commitIndex);
}

/** Throws FRAME_MALFORMED. */
export function readHardState(reader: ByteReader): HardState {
  const term = reader.uvarint();
  const votedFor = readReplicaIdOrNone(reader, 'votedFor');
  const commitIndex = reader.uvarint();
  return { term, votedFor, commitIndex };
}

export function writeConfState(writer: ByteWriter, confState: ConfState): void {
  writeIds(writer, confState.voters);
  writeIds(writer, confState.votersOutgoing);
  writeIds(writer, confState.learners);
  writeIds(writer, confState.learnersNext);
  writer.u8(confState.autoLeave ? 1 : 0);
}

/** Throws FRAME_MALFORMED: a list too long, or ids that do not ascend. */
export function readConfState(reader: ByteReader): ConfState {
  const voters = readIds(reader, 'voters');
  const votersOutgoing = readIds(reader, 'votersOutgoing');
  const learners = readIds(reader, 'learners');
  const learnersNext = readIds(reader, 'learnersNext');
  const autoLeave = readFlag(reader, 'autoLeave');
  return { voters, votersOutgoing, learners, learnersNext, autoLeave };
}

export function writeSnapshotMeta(writer: ByteWriter, meta: SnapshotMeta): void {
  writer.uvarint(meta.index);
  writer.uvarint(meta.term);
  writeConfState(writer, meta.confState);
}

/** Throws FRAME_MALFORMED. */
export function readSnapshotMeta(reader: ByteReader): SnapshotMeta {
  const index = reader.uvarint();
  const term = reader.uvarint();
  const confState = readConfState(reader);
  return { index, term, confState };
}

function writeIds(writer: ByteWriter, ids: readonly ReplicaId[]): void {
  writer.uvarint(ids.length);
  for (let i = 0; i < ids.length; i++) writer.uvarint(ids[i]!);
}

function readIds(reader: ByteReader, field: string): readonly ReplicaId[] {
  const count = reader.uvarint();
  if (count > replicasPerGroupMax || count > reader.remaining) throw malformed(field);
  const ids: ReplicaId[] = [];
  let last = 0;
  for (let i = 0; i < count; i++) {
    const id = readReplicaId(reader, field);
    if (id <= last) throw malformed(field);
    last = id;
    ids.push(id);
  }
  return ids;
}
