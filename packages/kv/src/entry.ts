// @hot
/**
 * Data of one log entry: what the proposer decided, and the commands.
 *
 *   entry := format u8, timestamp uvarint, count uvarint, (length uvarint, command)*
 *
 * Command i of an entry gets the timestamp base + i, all operations of one command share it. The base
 * is decided at apply: the entry's timestamp, or one more than the region's greatest.
 *
 * Invariant N1: versions of a region ascend in log order, whatever the proposers' clocks did.
 */
import {
  assert,
  ByteReader,
  ByteWriter,
  limits,
  MokuError,
  type Timestamp,
  timestampOf,
  zeroTimestamp,
} from '@moku/base';
import { readCount } from './codec-checks.js';

const format = 1;

/**
 * No proposal carries a greater timestamp (the year 2086), so that a clock that ran away leaves room
 * for 2^43 further commands (N1).
 */
export const proposedTimestampMax: Timestamp = (Number.MAX_SAFE_INTEGER - 2 ** 43) as Timestamp;

export interface DecodedEntry {
  /** The proposer's clock, at most proposedTimestampMax. */
  readonly timestamp: Timestamp;
  /** Encoded commands; they alias the entry. */
  readonly commands: readonly Uint8Array[];
}

const scratch = new ByteWriter(64 * 1024);

/** Timestamp of a wall clock that may be anything, NaN and infinite included. */
export function proposedTimestamp(wallMs: number): Timestamp {
  if (Number.isNaN(wallMs)) return zeroTimestamp;
  const timestamp = timestampOf(wallMs);
  return timestamp < proposedTimestampMax ? timestamp : proposedTimestampMax;
}

/** Copies 1 … limits.entryCommandsMax commands into the data of one entry. */
export function encodeEntry(commands: readonly Uint8Array[], wallMs: number): Uint8Array {
  const count = commands.length;
  assert(count >= 1 && count <= limits.entryCommandsMax, 'an entry holds 1 … 4,096 commands');
  scratch.reset();
  scratch.u8(format);
  scratch.uvarint(proposedTimestamp(wallMs));
  scratch.uvarint(count);
  for (let i = 0; i < count; i++) scratch.bytes(commands[i]!);
  return scratch.take();
}

/**
 * Throws VERSION_MISMATCH for a newer format and FRAME_MALFORMED for what is no entry: the log is
 * checksummed, so this is no command's fault and the replica cannot go on.
 */
export function decodeEntry(data: Uint8Array): DecodedEntry {
  const reader = new ByteReader(data);
  const found = reader.u8();
  if (found !== format) throw new MokuError('VERSION_MISMATCH', { field: 'entry', found, format });
  const timestamp = reader.uvarint() as Timestamp;
  if (timestamp > proposedTimestampMax) {
    throw new MokuError('FRAME_MALFORMED', { field: 'timestamp', value: timestamp });
  }
  const count = readCount(reader, 1, limits.entryCommandsMax, 'commands');
  const commands: Uint8Array[] = [];
  for (let i = 0; i < count; i++) commands.push(reader.bytes());
  reader.finish();
  return { timestamp, commands };
}
