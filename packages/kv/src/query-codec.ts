// @hot
/**
 * Binary form of queries. Input is hostile: every count, size and number is bounded before anything is
 * allocated for it, and what is decoded satisfies `validateQuery`.
 *
 *   query := kind u8, body
 *   get   := epochVersion withValues u8 count key*
 *   scan  := epochVersion flags u8 start [end] recordsMax bytesMax userPrefix
 *   flags := bit 0 reverse; bit 1 with values; bit 2 has an end
 */
import { ByteReader, ByteWriter, limits, MokuError, unreachable } from '@moku/base';
import {
  checkInteger,
  checkKey,
  checkRangeBound,
  checkSize,
  malformed,
  readBoolean,
  readCount,
} from './codec-checks.js';
import type { Query } from './commands.js';

const kindGet = 1;
const kindScan = 2;
const kindDigest = 3;

const flagReverse = 1;
const flagValues = 2;
const flagEnd = 4;
const scanFlagsKnown = 7;

const scratch = new ByteWriter(1024);

/** Throws like `validateQuery`. The result is a copy. */
export function encodeQuery(query: Query): Uint8Array {
  validateQuery(query);
  scratch.reset();
  writeQuery(scratch, query);
  checkSize(scratch.length, limits.commandBytesMax, 'query', 'BATCH_TOO_LARGE');
  return scratch.take();
}

/** The query in `bytes`; keys alias it. Throws FRAME_MALFORMED, and what `validateQuery` throws. */
export function decodeQuery(bytes: Uint8Array): Query {
  checkSize(bytes.length, limits.commandBytesMax, 'query', 'BATCH_TOO_LARGE');
  const reader = new ByteReader(bytes);
  const query = readQuery(reader);
  reader.finish();
  validateQuery(query);
  return query;
}

/**
 * Throws unless `query` may be asked: KEY_EMPTY, KEY_TOO_LARGE, BATCH_TOO_LARGE, INVALID_ARGUMENT, each
 * with the field and the bound.
 */
export function validateQuery(query: Query): void {
  switch (query.type) {
    case 'get':
      checkInteger(query.epochVersion, 0, Number.MAX_SAFE_INTEGER, 'epochVersion');
      if (query.keys.length === 0) {
        throw new MokuError('INVALID_ARGUMENT', { field: 'keys', value: 0, min: 1 });
      }
      checkSize(query.keys.length, limits.batchOpsMax, 'keys', 'BATCH_TOO_LARGE');
      for (let i = 0; i < query.keys.length; i++) checkKey(query.keys[i]!, 'key');
      return;
    case 'scan':
      checkInteger(query.epochVersion, 0, Number.MAX_SAFE_INTEGER, 'epochVersion');
      checkRangeBound(query.start, 'start');
      if (query.end !== undefined) checkRangeBound(query.end, 'end');
      checkInteger(query.recordsMax, 1, limits.scanPageRecordsMax, 'recordsMax');
      checkInteger(query.bytesMax, 1, limits.scanPageBytesMax, 'bytesMax');
      checkSize(query.userPrefix.length, limits.keyBytesMax, 'userPrefix', 'KEY_TOO_LARGE');
      return;
    case 'digest':
      return;
    default:
      unreachable(query);
  }
}

function writeQuery(writer: ByteWriter, query: Query): void {
  switch (query.type) {
    case 'get':
      writer.u8(kindGet);
      writer.uvarint(query.epochVersion);
      writer.u8(query.withValues ? 1 : 0);
      writer.uvarint(query.keys.length);
      for (let i = 0; i < query.keys.length; i++) writer.bytes(query.keys[i]!);
      return;
    case 'scan': {
      let flags = 0;
      if (query.isReverse) flags |= flagReverse;
      if (query.withValues) flags |= flagValues;
      if (query.end !== undefined) flags |= flagEnd;
      writer.u8(kindScan);
      writer.uvarint(query.epochVersion);
      writer.u8(flags);
      writer.bytes(query.start);
      if (query.end !== undefined) writer.bytes(query.end);
      writer.uvarint(query.recordsMax);
      writer.uvarint(query.bytesMax);
      writer.bytes(query.userPrefix);
      return;
    }
    case 'digest':
      writer.u8(kindDigest);
      return;
    default:
      unreachable(query);
  }
}

function readQuery(reader: ByteReader): Query {
  const kind = reader.u8();
  switch (kind) {
    case kindGet:
      return readGet(reader);
    case kindScan:
      return readScan(reader);
    case kindDigest:
      return { type: 'digest' };
    default:
      throw malformed('query', kind);
  }
}

function readGet(reader: ByteReader): Query {
  const epochVersion = reader.uvarint();
  const withValues = readBoolean(reader, 'withValues');
  const count = readCount(reader, 2, limits.batchOpsMax, 'keys', 'BATCH_TOO_LARGE');
  const keys: Uint8Array[] = [];
  for (let i = 0; i < count; i++) keys.push(reader.bytes());
  return { type: 'get', epochVersion, keys, withValues };
}

function readScan(reader: ByteReader): Query {
  const epochVersion = reader.uvarint();
  const flags = reader.u8();
  if (flags > scanFlagsKnown) throw malformed('flags', flags);
  const start = reader.bytes();
  const end = (flags & flagEnd) === 0 ? undefined : reader.bytes();
  const recordsMax = reader.uvarint();
  const bytesMax = reader.uvarint();
  const userPrefix = reader.bytes();
  const isReverse = (flags & flagReverse) !== 0;
  const withValues = (flags & flagValues) !== 0;
  return {
    type: 'scan',
    epochVersion,
    start,
    end,
    isReverse,
    recordsMax,
    bytesMax,
    withValues,
    userPrefix,
  };
}
