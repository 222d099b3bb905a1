// @hot
/**
 * The binary form of messages: type u8, from, to, term, then the fields of the type in the order of
 * types.ts. A leader's appends carry their entries in the form of a log record (entries.ts).
 */
import { type ByteReader, type ByteWriter, type ReplicaId, unreachable } from '@moku/base';
import type { Message, MessageType } from '../types.js';
import { malformed, readFlag, readReplicaId } from './checks.js';
import { readEntries, writeEntries } from './entries.js';
import { readSnapshotMeta, writeSnapshotMeta } from './states.js';

/** Place = code on the wire; only ever appended to. Code 0 is no message. */
const types: readonly (MessageType | undefined)[] = [
  undefined,
  'append',
  'appendResponse',
  'vote',
  'voteResponse',
  'preVote',
  'preVoteResponse',
  'heartbeat',
  'heartbeatResponse',
  'snapshot',
  'timeoutNow',
  'readIndex',
  'readIndexResponse',
];

/** Appends the message to `writer`. */
export function writeMessage(writer: ByteWriter, message: Message): void {
  writer.u8(types.indexOf(message.type));
  writer.uvarint(message.from);
  writer.uvarint(message.to);
  writer.uvarint(message.term);
  switch (message.type) {
    case 'append':
      writer.uvarint(message.prevLogIndex);
      writer.uvarint(message.prevLogTerm);
      writer.uvarint(message.commitIndex);
      writeEntries(writer, message.entries);
      return;
    case 'appendResponse':
      writer.uvarint(message.index);
      writer.u8(message.isRejected ? 1 : 0);
      writer.uvarint(message.hintIndex);
      writer.uvarint(message.hintTerm);
      return;
    case 'vote':
    case 'preVote':
      writer.uvarint(message.lastLogIndex);
      writer.uvarint(message.lastLogTerm);
      return;
    case 'voteResponse':
    case 'preVoteResponse':
      writer.u8(message.isGranted ? 1 : 0);
      return;
    case 'heartbeat':
      writer.uvarint(message.commitIndex);
      writer.uvarint(message.matchIndex);
      writer.uvarint(message.readRound);
      return;
    case 'heartbeatResponse':
      writer.uvarint(message.readRound);
      return;
    case 'snapshot':
      writeSnapshotMeta(writer, message.snapshot);
      return;
    case 'timeoutNow':
      return;
    case 'readIndex':
      writer.uvarint(message.context);
      return;
    case 'readIndexResponse':
      writer.uvarint(message.context);
      // -1, refused, is 0 here.
      writer.uvarint(message.index + 1);
      return;
    default:
      unreachable(message);
  }
}

/**
 * Reads one message; what follows it stays in `reader`. Data of entries aliases the input. Throws
 * FRAME_MALFORMED naming the field.
 */
export function readMessage(reader: ByteReader): Message {
  const type = types[reader.u8()];
  if (type === undefined) throw malformed('type');
  const from = readReplicaId(reader, 'from');
  const to = readReplicaId(reader, 'to');
  const term = reader.uvarint();
  switch (type) {
    case 'append':
      return readAppend(reader, from, to, term);
    case 'appendResponse':
      return readAppendResponse(reader, from, to, term);
    case 'vote':
    case 'preVote': {
      const lastLogIndex = reader.uvarint();
      return { type, from, to, term, lastLogIndex, lastLogTerm: reader.uvarint() };
    }
    case 'voteResponse':
    case 'preVoteResponse':
      return { type, from, to, term, isGranted: readFlag(reader, 'isGranted') };
    case 'heartbeat': {
      const commitIndex = reader.uvarint();
      const matchIndex = reader.uvarint();
      return { type, from, to, term, commitIndex, matchIndex, readRound: reader.uvarint() };
    }
    case 'heartbeatResponse':
      return { type, from, to, term, readRound: reader.uvarint() };
    case 'snapshot':
      return { type, from, to, term, snapshot: readSnapshotMeta(reader) };
    case 'timeoutNow':
      return { type, from, to, term };
    case 'readIndex':
      return { type, from, to, term, context: reader.uvarint() };
    case 'readIndexResponse': {
      const context = reader.uvarint();
      return { type, from, to, term, context, index: reader.uvarint() - 1 };
    }
    default:
      return unreachable(type);
  }
}

function readAppend(reader: ByteReader, from: ReplicaId, to: ReplicaId, term: number): Message {
  const prevLogIndex = reader.uvarint();
  const prevLogTerm = reader.uvarint();
  const commitIndex = reader.uvarint();
  const entries = readEntries(reader, prevLogIndex + 1);
  const first = entries[0];
  if (first !== undefined && first.term < prevLogTerm) throw malformed('term');
  const last = entries[entries.length - 1];
  if (last !== undefined && last.term > term) throw malformed('term');
  return { type: 'append', from, to, term, prevLogIndex, prevLogTerm, entries, commitIndex };
}

function readAppendResponse(
  reader: ByteReader,
  from: ReplicaId,
  to: ReplicaId,
  term: number,
): Message {
  const index = reader.uvarint();
  const isRejected = readFlag(reader, 'isRejected');
  const hintIndex = reader.uvarint();
  const hintTerm = reader.uvarint();
  return { type: 'appendResponse', from, to, term, index, isRejected, hintIndex, hintTerm };
}
