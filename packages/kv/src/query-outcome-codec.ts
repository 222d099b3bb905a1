// @hot
/**
 * Binary form of a query's outcome. Hostile on the client's side: an outcome is at most one request
 * frame long, and counts are bounded by what is left of it before anything is allocated.
 *
 *   outcome := kind u8, body
 *   record  := flags u8 key version [expiresAtMs f64] value     flags: bit 0 present, bit 1 expires
 */
import {
  ByteReader,
  ByteWriter,
  emptyBytes,
  limits,
  MokuError,
  type Timestamp,
  unreachable,
} from '@moku/base';
import { checkSize, malformed, readBoolean, readCount, readTimestamp } from './codec-checks.js';
import type { QueryOutcome, RecordFound } from './commands.js';

const kindFound = 1;
const kindPage = 2;
const kindDigest = 3;
const kindRefused = 4;
const kindExpired = 5;

const flagPresent = 1;
const flagExpires = 2;

type QueryRefusal = Extract<QueryOutcome, { type: 'refused' }>['reason'];

/** Position + 1 is the code; append only. */
const refusals: readonly QueryRefusal[] = ['epochMismatch', 'invalid', 'keyOutsideRegion'];

const digestCharactersMax = 64;
const scratch = new ByteWriter(64 * 1024);

/** The result is a copy. */
export function encodeQueryOutcome(outcome: QueryOutcome): Uint8Array {
  scratch.reset();
  switch (outcome.type) {
    case 'found':
      scratch.u8(kindFound);
      writeRecords(outcome.records);
      break;
    case 'page':
      scratch.u8(kindPage);
      scratch.u8(outcome.hasMore ? 1 : 0);
      scratch.u8(outcome.lastKey === undefined ? 0 : 1);
      if (outcome.lastKey !== undefined) scratch.bytes(outcome.lastKey);
      writeRecords(outcome.records);
      break;
    case 'digest':
      scratch.u8(kindDigest);
      scratch.uvarint(outcome.appliedIndex);
      scratch.uvarint(outcome.records);
      scratch.string(outcome.digest);
      break;
    case 'refused':
      scratch.u8(kindRefused);
      scratch.u8(refusals.indexOf(outcome.reason) + 1);
      break;
    case 'expired':
      scratch.u8(kindExpired);
      scratch.uvarint(outcome.keys.length);
      for (let i = 0; i < outcome.keys.length; i++) {
        scratch.bytes(outcome.keys[i]!.key);
        scratch.uvarint(outcome.keys[i]!.version);
      }
      break;
    default:
      return unreachable(outcome);
  }
  return scratch.take();
}

/** The outcome in `bytes`; keys and values alias it. Throws FRAME_MALFORMED or FRAME_TOO_LARGE. */
export function decodeQueryOutcome(bytes: Uint8Array): QueryOutcome {
  checkSize(bytes.length, limits.requestBytesMax, 'outcome', 'FRAME_TOO_LARGE');
  const reader = new ByteReader(bytes);
  const outcome = readOutcome(reader);
  reader.finish();
  return outcome;
}

function writeRecords(records: readonly (RecordFound | undefined)[]): void {
  scratch.uvarint(records.length);
  for (let i = 0; i < records.length; i++) {
    const record = records[i];
    if (record === undefined) {
      scratch.u8(0);
      continue;
    }
    scratch.u8(record.expiresAtMs === undefined ? flagPresent : flagPresent | flagExpires);
    scratch.bytes(record.key);
    scratch.uvarint(record.version);
    if (record.expiresAtMs !== undefined) scratch.f64(record.expiresAtMs);
    scratch.bytes(record.value);
  }
}

function readOutcome(reader: ByteReader): QueryOutcome {
  const kind = reader.u8();
  switch (kind) {
    case kindFound:
      return { type: 'found', records: readRecords(reader) };
    case kindPage:
      return readPage(reader);
    case kindDigest: {
      const appliedIndex = reader.uvarint();
      const records = reader.uvarint();
      const digest = reader.string();
      checkSize(digest.length, digestCharactersMax, 'digest', 'FRAME_MALFORMED');
      return { type: 'digest', appliedIndex, records, digest };
    }
    case kindRefused: {
      const code = reader.u8();
      const reason = refusals[code - 1];
      if (reason === undefined) throw malformed('reason', code);
      return { type: 'refused', reason };
    }
    case kindExpired:
      return readExpired(reader);
    default:
      throw malformed('outcome', kind);
  }
}

function readPage(reader: ByteReader): QueryOutcome {
  const hasMore = readBoolean(reader, 'hasMore');
  const lastKey = readBoolean(reader, 'lastKey') ? reader.bytes() : undefined;
  const found = readRecords(reader);
  const records: RecordFound[] = [];
  for (let i = 0; i < found.length; i++) {
    const record = found[i];
    if (record === undefined) throw malformed('record', 0);
    records.push(record);
  }
  return { type: 'page', records, hasMore, lastKey };
}

function readRecords(reader: ByteReader): (RecordFound | undefined)[] {
  const count = readCount(reader, 1, limits.batchOpsMax, 'records');
  const records: (RecordFound | undefined)[] = [];
  for (let i = 0; i < count; i++) records.push(readRecord(reader));
  return records;
}

function readRecord(reader: ByteReader): RecordFound | undefined {
  const flags = reader.u8();
  if (flags === 0) return undefined;
  if (flags !== flagPresent && flags !== (flagPresent | flagExpires)) {
    throw malformed('record', flags);
  }
  const key = reader.bytes();
  const version = readTimestamp(reader);
  const expiresAtMs = (flags & flagExpires) === 0 ? undefined : reader.f64();
  if (expiresAtMs !== undefined && !(Number.isSafeInteger(expiresAtMs) && expiresAtMs >= 0)) {
    throw new MokuError('FRAME_MALFORMED', { field: 'expiresAtMs', value: expiresAtMs });
  }
  const value = reader.bytes();
  return { key, version, value: value.length === 0 ? emptyBytes : value, expiresAtMs };
}

function readExpired(reader: ByteReader): QueryOutcome {
  const count = readCount(reader, 2, limits.batchOpsMax, 'keys');
  const keys: { key: Uint8Array; version: Timestamp }[] = [];
  for (let i = 0; i < count; i++) {
    const key = reader.bytes();
    keys.push({ key, version: readTimestamp(reader) });
  }
  return { type: 'expired', keys };
}
