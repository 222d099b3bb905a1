// @hot
/**
 * Binary form of a command's outcome: what `apply` answers, what a session remembers, what a client
 * gets. Input is hostile on the client's side; counts are bounded before anything is allocated.
 *
 *   outcome := kind u8, body; written := version uvarint, count uvarint, one bit per operation
 */
import {
  ByteReader,
  ByteWriter,
  limits,
  type Timestamp,
  unreachable,
  zeroTimestamp,
} from '@moku/base';
import { malformed, readCount, readTimestamp } from './codec-checks.js';
import type { CommandOutcome, WriteRefusal } from './commands.js';

const kindSessionOpened = 1;
const kindWritten = 2;
const kindRefused = 3;
const kindKeyspaceCreated = 4;
const kindDone = 5;

/** Position + 1 is the code; append only. */
const refusals: readonly WriteRefusal[] = [
  'conditionFailed',
  'epochMismatch',
  'sessionUnknown',
  'invalid',
  'keyspaceConflict',
  'keyOutsideRegion',
  'limitReached',
];

const scratch = new ByteWriter(64);

export function encodeCommandOutcome(outcome: CommandOutcome): Uint8Array {
  scratch.reset();
  switch (outcome.type) {
    case 'sessionOpened':
      scratch.u8(kindSessionOpened);
      scratch.uvarint(outcome.sessionId);
      return scratch.take();
    case 'written':
      return encodeWritten(outcome.version, bitsOf(outcome.existed), outcome.existed.length);
    case 'refused':
      return encodeRefused(outcome.reason, outcome.operation, outcome.version);
    case 'keyspaceCreated':
      scratch.u8(kindKeyspaceCreated);
      scratch.uvarint(outcome.keyspaceId);
      return scratch.take();
    case 'done':
      scratch.u8(kindDone);
      return scratch.take();
    default:
      return unreachable(outcome);
  }
}

/** The encoded outcome `written`; `existed` holds 0 or 1 for each of `count` operations. */
export function encodeWritten(version: Timestamp, existed: Uint8Array, count: number): Uint8Array {
  scratch.reset();
  scratch.u8(kindWritten);
  scratch.uvarint(version);
  scratch.uvarint(count);
  for (let at = 0; at < count; at += 8) {
    let bits = 0;
    const end = at + 8 < count ? at + 8 : count;
    for (let i = at; i < end; i++) bits |= existed[i]! << (i - at);
    scratch.u8(bits);
  }
  return scratch.take();
}

/** The encoded outcome `refused`. */
export function encodeRefused(
  reason: WriteRefusal,
  operation = 0,
  version: Timestamp = zeroTimestamp,
): Uint8Array {
  scratch.reset();
  scratch.u8(kindRefused);
  scratch.u8(refusals.indexOf(reason) + 1);
  scratch.uvarint(operation);
  scratch.uvarint(version);
  return scratch.take();
}

function bitsOf(existed: readonly boolean[]): Uint8Array {
  const bits = new Uint8Array(existed.length);
  for (let i = 0; i < existed.length; i++) if (existed[i] === true) bits[i] = 1;
  return bits;
}

/** Throws FRAME_MALFORMED for what is no outcome. */
export function decodeCommandOutcome(bytes: Uint8Array): CommandOutcome {
  const reader = new ByteReader(bytes);
  const outcome = readOutcome(reader);
  reader.finish();
  return outcome;
}

function readOutcome(reader: ByteReader): CommandOutcome {
  const kind = reader.u8();
  switch (kind) {
    case kindSessionOpened:
      return { type: 'sessionOpened', sessionId: reader.uvarint() };
    case kindWritten:
      return readWritten(reader);
    case kindRefused: {
      const code = reader.u8();
      const reason = refusals[code - 1];
      if (reason === undefined) throw malformed('reason', code);
      const operation = reader.uvarint();
      return { type: 'refused', reason, operation, version: readTimestamp(reader) };
    }
    case kindKeyspaceCreated:
      return { type: 'keyspaceCreated', keyspaceId: reader.uvarint() };
    case kindDone:
      return { type: 'done' };
    default:
      throw malformed('outcome', kind);
  }
}

function readWritten(reader: ByteReader): CommandOutcome {
  const version = readTimestamp(reader);
  const count = readCount(reader, 1 / 8, limits.batchOpsMax, 'existed');
  const existed: boolean[] = [];
  let bits = 0;
  for (let i = 0; i < count; i++) {
    if ((i & 7) === 0) bits = reader.u8();
    existed.push((bits & (1 << (i & 7))) !== 0);
  }
  return { type: 'written', version, existed };
}
