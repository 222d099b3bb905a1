/**
 * One number for everything a replica holds: xxHash64, chained in blocks, over all versions in key
 * order, the machine's own records included. Replicas with equal digests at equal applied index agree.
 */
import { ByteWriter, hash64, present, type RegionId } from '@moku/base';
import type { Engine } from './contracts/engine.js';
import { successor } from './keys.js';
import { isUserKey, newest } from './records.js';

const blockBytes = 64 * 1024;
const pageRecordsMax = 2_000;
const pageBytesMax = 1024 * 1024;

export interface StoreDigest {
  /** The user's records; the machine's own are in the digest but not counted. */
  readonly records: number;
  /** 16 hexadecimal digits. */
  readonly digest: string;
}

/** Reads the whole store: work in proportion to it, memory of one page. */
export function digestStore(engine: Engine, regionId: RegionId): StoreDigest {
  const block = new ByteWriter(2 * blockBytes);
  let hash = 0n;
  let records = 0;
  let start: Uint8Array = new Uint8Array(0);
  for (;;) {
    const page = engine.scan(regionId, {
      start,
      end: undefined,
      isReverse: false,
      at: newest,
      recordsMax: pageRecordsMax,
      bytesMax: pageBytesMax,
    });
    for (const record of page.records) {
      if (isUserKey(record.key)) records += 1;
      block.bytes(record.key);
      block.uvarint(record.timestamp);
      block.bytes(present(record.value, 'a scan leaves deletions out'));
      if (block.length >= blockBytes) {
        hash = hash64(block.view(), hash);
        block.reset();
      }
    }
    if (!page.hasMore) break;
    start = successor(present(page.lastKey, 'a page that has more has looked at a key'));
  }
  hash = hash64(block.view(), hash);
  return { records, digest: hash.toString(16).padStart(16, '0') };
}
