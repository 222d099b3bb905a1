/**
 * Answers queries from the engine: get and scan. Work and answer are bounded per query, whatever it
 * asks for. A key whose time has passed by the asking node's clock is neither shown nor hidden: the
 * answer is `expired`, the gateway settles these keys through the log, then asks again.
 *
 * Invariant Q1: an answer that holds records was not influenced by any clock.
 */
import {
  compareBytes,
  emptyBytes,
  limits,
  present,
  type RegionDescriptor,
  type RegionId,
  type Timestamp,
} from '@moku/base';
import type { Query, QueryOutcome, RecordFound } from './commands.js';
import type { Engine, ScanResult, VersionedValue } from './contracts/engine.js';
import { contains, hashPrefixBytes, successor } from './keys.js';
import { engineKey, expiryOf, newest, payloadOf, storedKeyOf, userSpaceEnd } from './records.js';

type GetQuery = Extract<Query, { type: 'get' }>;
type ScanQuery = Extract<Query, { type: 'scan' }>;

/** Of a record in an answer, beside key and value. */
const recordOverheadBytes = 24;
/** Records and bytes that one scan looks at, also when a filter leaves them out. */
const lookedRecordsMax: number = limits.scanPageRecordsMax;
const lookedBytesMax: number = 4 * limits.scanPageBytesMax;
/**
 * Keys past their time that a query met. They count towards the page like all others, so that they fit
 * one `expire` command: limits.scanPageBytesMax, and a record more, is below limits.commandBytesMax.
 */
type ExpiredKeys = { readonly key: Uint8Array; readonly version: Timestamp }[];

export function answerGet(
  engine: Engine,
  region: RegionDescriptor,
  query: GetQuery,
  wallMs: number,
): QueryOutcome {
  if (query.epochVersion !== region.epoch.version) {
    return { type: 'refused', reason: 'epochMismatch' };
  }
  const records: (RecordFound | undefined)[] = [];
  const expired: ExpiredKeys = [];
  let bytes = 0;
  for (let i = 0; i < query.keys.length; i++) {
    const key = query.keys[i]!;
    if (!contains(region, key)) return { type: 'refused', reason: 'keyOutsideRegion' };
    const found = engine.get(region.regionId, engineKey(key), newest);
    if (found === undefined || found.value === undefined) {
      bytes += recordOverheadBytes;
      records.push(undefined);
      continue;
    }
    const record = recordFound(key, found, query.withValues);
    if (isOver(record, wallMs)) expired.push({ key, version: found.timestamp });
    bytes += record.key.length + record.value.length + recordOverheadBytes;
    if (bytes > limits.scanPageBytesMax && i > 0) break;
    records.push(record);
  }
  if (expired.length > 0) return { type: 'expired', keys: expired };
  return { type: 'found', records };
}

export function answerScan(
  engine: Engine,
  region: RegionDescriptor,
  query: ScanQuery,
  wallMs: number,
): QueryOutcome {
  if (query.epochVersion !== region.epoch.version) {
    return { type: 'refused', reason: 'epochMismatch' };
  }
  return new RegionScan(engine, region, query, wallMs).run();
}

/** One page of a scan; short-lived. */
class RegionScan {
  private readonly engine: Engine;
  private readonly regionId: RegionId;
  private readonly query: ScanQuery;
  private readonly wallMs: number;
  private readonly expired: ExpiredKeys = [];
  private readonly records: RecordFound[] = [];
  /** Engine keys; what is left to look at. */
  private start: Uint8Array;
  private end: Uint8Array;
  private lastKey: Uint8Array | undefined;
  private bytes = 0;
  private lookedRecords = 0;
  private lookedBytes = 0;

  constructor(engine: Engine, region: RegionDescriptor, query: ScanQuery, wallMs: number) {
    this.engine = engine;
    this.regionId = region.regionId;
    this.query = query;
    this.wallMs = wallMs;
    const isLater = compareBytes(query.start, region.startKey) > 0;
    const end = lesserEnd(query.end, region.endKey);
    this.start = engineKey(isLater ? query.start : region.startKey);
    this.end = end === undefined ? userSpaceEnd : engineKey(end);
  }

  run(): QueryOutcome {
    let hasMore = compareBytes(this.start, this.end) < 0;
    while (hasMore && !this.isSpent()) {
      const page = this.nextPage();
      if (!this.take(page)) break;
      hasMore = page.hasMore;
      if (!hasMore) break;
      this.moveBehind(present(page.lastKey, 'a page that has more has looked at a key'));
    }
    if (this.expired.length > 0) return { type: 'expired', keys: this.expired };
    return { type: 'page', records: this.records, hasMore, lastKey: this.lastKey };
  }

  private isSpent(): boolean {
    return (
      this.records.length >= this.query.recordsMax ||
      this.bytes >= this.query.bytesMax ||
      this.lookedRecords >= lookedRecordsMax ||
      this.lookedBytes >= lookedBytesMax
    );
  }

  private nextPage(): ScanResult {
    return this.engine.scan(this.regionId, {
      start: this.start,
      end: this.end,
      isReverse: this.query.isReverse,
      at: newest,
      recordsMax: Math.min(
        this.query.recordsMax - this.records.length,
        lookedRecordsMax - this.lookedRecords,
      ),
      bytesMax: limits.scanPageBytesMax,
    });
  }

  /** Adds what matches; false when the page's budget was reached before its end. */
  private take(page: ScanResult): boolean {
    for (const version of page.records) {
      const value = present(version.value, 'a scan leaves deletions out');
      const key = storedKeyOf(version.key);
      this.lookedRecords += 1;
      this.lookedBytes += version.key.length + value.length;
      if (hasUserPrefix(key, this.query.userPrefix)) {
        const record = recordFound(key, version, this.query.withValues);
        const bytes = key.length + record.value.length + recordOverheadBytes;
        if (this.records.length > 0 && this.bytes + bytes > this.query.bytesMax) return false;
        if (isOver(record, this.wallMs)) this.expired.push({ key, version: version.timestamp });
        this.bytes += bytes;
        this.records.push(record);
      }
      this.lastKey = key;
    }
    return true;
  }

  private moveBehind(lastEngineKey: Uint8Array): void {
    this.lastKey = storedKeyOf(lastEngineKey);
    if (this.query.isReverse) this.end = lastEngineKey;
    else this.start = successor(lastEngineKey);
  }
}

function recordFound(key: Uint8Array, found: VersionedValue, withValues: boolean): RecordFound {
  const record = present(found.value, 'a deletion is not found');
  return {
    key,
    version: found.timestamp,
    value: withValues ? payloadOf(record) : emptyBytes,
    expiresAtMs: expiryOf(record),
  };
}

function isOver(record: RecordFound, wallMs: number): boolean {
  return record.expiresAtMs !== undefined && record.expiresAtMs <= wallMs;
}

function hasUserPrefix(stored: Uint8Array, prefix: Uint8Array): boolean {
  if (prefix.length === 0) return true;
  if (stored.length < hashPrefixBytes + prefix.length) return false;
  for (let i = 0; i < prefix.length; i++) {
    if (stored[hashPrefixBytes + i] !== prefix[i]) return false;
  }
  return true;
}

function lesserEnd(a: Uint8Array | undefined, b: Uint8Array | undefined): Uint8Array | undefined {
  if (a === undefined || b === undefined) return a ?? b;
  return compareBytes(a, b) < 0 ? a : b;
}
