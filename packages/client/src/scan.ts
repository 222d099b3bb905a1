/**
 * Scans: pages over the regions of a keyspace, one region at a time, with a cursor that says where to
 * go on. A range keyspace is scanned in key order; a hash keyspace region by region in the order of the
 * stored keys (buckets stay together), or one bucket in key order.
 *
 * Invariant N1: a cursor is a boundary in stored keys: everything before it (behind it, in reverse) was
 * looked at, nothing else was; so no key present throughout is missed or given twice.
 */
import {
  compareBytes,
  concatBytes,
  limits,
  MokuError,
  prefixEnd,
  type RegionDescriptor,
} from '@moku/base';
import { type Query, type RecordFound, storedKey, userKey } from '@moku/kv';
import type { Found, Key, ScanOptions, ScanPage } from './database.js';
import type { Deadline } from './deadline.js';
import type { RemoteKeyspace } from './keyspace.js';
import { keyBytes, keyFrom } from './values.js';

const pageSizeDefault = 500;
const noBytes = new Uint8Array(0);

/** Stored keys still to be looked at: start inclusive, end exclusive (undefined: none). */
interface Span {
  readonly start: Uint8Array;
  readonly end: Uint8Array | undefined;
  readonly userPrefix: Uint8Array;
}

export async function scanPage<T>(
  keyspace: RemoteKeyspace<T>,
  options: ScanOptions & { readonly cursor?: string | undefined },
  deadline: Deadline,
): Promise<ScanPage<T>> {
  const recordsMax = pageRecords(options);
  const isReverse = options.reverse === true;
  let span = resumed(spanOf(keyspace, options), options.cursor, isReverse);
  const records: Found<T>[] = [];
  while (span !== undefined && records.length < recordsMax) {
    const page = await regionPage(keyspace, span, isReverse, recordsMax - records.length, deadline);
    for (const record of page.records) records.push(found(keyspace, record));
    span = page.rest;
    // A page that was cut by bytes is given out as it is.
    if (page.isCut) break;
  }
  return { records, cursor: span === undefined ? undefined : encodeCursor(span, isReverse) };
}

interface RegionPage {
  readonly records: readonly RecordFound[];
  readonly rest: Span | undefined;
  readonly isCut: boolean;
}

/** What one region holds of the span, up to `recordsMax`, and the span that is left. */
async function regionPage<T>(
  keyspace: RemoteKeyspace<T>,
  span: Span,
  isReverse: boolean,
  recordsMax: number,
  deadline: Deadline,
): Promise<RegionPage> {
  const { reads, router } = keyspace.core;
  const { region, outcome } = await reads.routed(
    () => regionAt(keyspace, span, isReverse, deadline),
    (target) => regionQuery(target, span, isReverse, recordsMax),
    () => router.refresh(keyspace.name, deadline),
    deadline,
  );
  if (outcome.type !== 'page') throw new MokuError('MALFORMED_REQUEST', { answer: outcome.type });
  const { records, hasMore, lastKey } = outcome;
  if (hasMore && lastKey !== undefined) {
    return { records, rest: advance(span, lastKey, isReverse), isCut: true };
  }
  return { records, rest: behindRegion(span, region, isReverse), isCut: false };
}

async function regionAt<T>(
  keyspace: RemoteKeyspace<T>,
  span: Span,
  isReverse: boolean,
  deadline: Deadline,
): Promise<RegionDescriptor> {
  if (!isReverse) return keyspace.regionOf(span.start, deadline);
  const routes = await keyspace.core.router.find(keyspace.name, deadline);
  if (routes === undefined)
    throw new MokuError('KEYSPACE_UNKNOWN', { field: 'keyspace', name: keyspace.name });
  const { end } = span;
  // The last region that begins before the span's end.
  for (let i = routes.regions.length - 1; i >= 0; i--) {
    const region = routes.regions[i];
    if (region !== undefined && (end === undefined || compareBytes(region.startKey, end) < 0))
      return region;
  }
  throw new MokuError('REGION_UNKNOWN', { keyspace: keyspace.name });
}

function regionQuery(
  region: RegionDescriptor,
  span: Span,
  isReverse: boolean,
  recordsMax: number,
): Query {
  const start = compareBytes(span.start, region.startKey) > 0 ? span.start : region.startKey;
  return {
    type: 'scan',
    epochVersion: region.epoch.version,
    start,
    end: lesserEnd(span.end, region.endKey),
    isReverse,
    recordsMax,
    bytesMax: limits.scanPageBytesMax,
    withValues: true,
    userPrefix: span.userPrefix,
  };
}

function lesserEnd(a: Uint8Array | undefined, b: Uint8Array | undefined): Uint8Array | undefined {
  if (a === undefined || b === undefined) return a ?? b;
  return compareBytes(a, b) < 0 ? a : b;
}

function behindRegion(span: Span, region: RegionDescriptor, isReverse: boolean): Span | undefined {
  if (isReverse) return shrunk(span, span.start, region.startKey);
  return region.endKey === undefined ? undefined : shrunk(span, region.endKey, span.end);
}

/** The span behind (before, in reverse) `key`. */
function advance(span: Span, key: Uint8Array, isReverse: boolean): Span | undefined {
  // The next key in bytewise order is the key with a zero byte behind it.
  return isReverse
    ? shrunk(span, span.start, key)
    : shrunk(span, concatBytes([key, new Uint8Array(1)]), span.end);
}

function shrunk(span: Span, start: Uint8Array, end: Uint8Array | undefined): Span | undefined {
  if (end !== undefined && compareBytes(start, end) >= 0) return undefined;
  return { start, end, userPrefix: span.userPrefix };
}

function spanOf<T>(keyspace: RemoteKeyspace<T>, options: ScanOptions): Span {
  const { prefix, start, end, bucket } = options;
  if (keyspace.mode === 'range') {
    refuse(bucket, 'bucket', 'range');
    return rangeSpan(prefix, start, end);
  }
  refuse(start, 'start', 'hash');
  refuse(end, 'end', 'hash');
  const userPrefix = prefix === undefined ? noBytes : keyBytes(prefix, 'prefix');
  if (bucket === undefined) return { start: noBytes, end: undefined, userPrefix };
  const bytes = keyBytes(bucket, 'bucket');
  if (bytes[bytes.length - 1] !== 0x2f) {
    throw new MokuError('INVALID_ARGUMENT', {
      field: 'bucket',
      value: String(bucket),
      rule: "ends with '/'",
    });
  }
  // All keys of a bucket share the hash of their routing prefix, which is the bucket's own name.
  const stored = storedKey('hash', bytes);
  return { start: stored, end: prefixEnd(stored), userPrefix };
}

function rangeSpan(prefix: Key | undefined, start: Key | undefined, end: Key | undefined): Span {
  const prefixBytes = prefix === undefined ? noBytes : keyBytes(prefix, 'prefix');
  const startBytes = start === undefined ? noBytes : keyBytes(start, 'start');
  const endBytes = end === undefined ? undefined : keyBytes(end, 'end');
  const prefixStop = prefixBytes.length === 0 ? undefined : prefixEnd(prefixBytes);
  return {
    start: compareBytes(startBytes, prefixBytes) > 0 ? startBytes : prefixBytes,
    end: lesserEnd(endBytes, prefixStop),
    userPrefix: noBytes,
  };
}

function refuse(value: Key | undefined, field: string, mode: string): void {
  if (value !== undefined)
    throw new MokuError('INVALID_ARGUMENT', { field, rule: `not in ${mode} keyspaces` });
}

function pageRecords(options: ScanOptions): number {
  const pageSize = options.pageSize ?? pageSizeDefault;
  if (!Number.isSafeInteger(pageSize) || pageSize < 1 || pageSize > limits.scanPageRecordsMax) {
    throw new MokuError('INVALID_ARGUMENT', {
      field: 'pageSize',
      value: pageSize,
      min: 1,
      max: limits.scanPageRecordsMax,
    });
  }
  const limit = options.limit ?? Number.POSITIVE_INFINITY;
  if (Number.isNaN(limit) || limit < 0) {
    throw new MokuError('INVALID_ARGUMENT', { field: 'limit', value: limit, min: 0 });
  }
  return Math.min(pageSize, limit);
}

function found<T>(keyspace: RemoteKeyspace<T>, record: RecordFound): Found<T> {
  const key = keyFrom(userKey(keyspace.mode, record.key), keyspace.forms.keys);
  return {
    key,
    value: keyspace.value(record),
    version: record.version,
    expiresAtMs: record.expiresAtMs,
  };
}

/** The boundary of what is left: its start, or in reverse its end. */
function encodeCursor(rest: Span, isReverse: boolean): string {
  const boundary = isReverse ? (rest.end ?? noBytes) : rest.start;
  return (isReverse ? 'r' : 'f') + Buffer.from(boundary).toString('base64url');
}

function resumed(span: Span, cursor: string | undefined, isReverse: boolean): Span | undefined {
  if (cursor === undefined) return shrunk(span, span.start, span.end);
  const form = isReverse ? /^r[\w-]+$/ : /^f[\w-]*$/;
  if (typeof cursor !== 'string' || !form.test(cursor)) {
    throw new MokuError('CURSOR_INVALID', {
      field: 'cursor',
      rule: 'from a page of the same options',
    });
  }
  const boundary = new Uint8Array(Buffer.from(cursor.slice(1), 'base64url'));
  if (isReverse) return shrunk(span, span.start, lesserEnd(span.end, boundary));
  return shrunk(span, compareBytes(boundary, span.start) > 0 ? boundary : span.start, span.end);
}
