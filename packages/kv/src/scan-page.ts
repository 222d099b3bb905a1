// @hot
/**
 * One page of a scan: takes keys in order until a limit is met. Engines differ in where versions come
 * from; what belongs on a page and where the next one begins is decided here only.
 *
 * Invariants:
 *  S1 A page looks at one key at least, whatever its limits, so that a scan always gets on.
 *  S2 A page looks at a bounded number of deletions, so that a range of deleted keys delays nobody long (P9).
 */
import { assert } from '@moku/base';
import type { ScanRange, ScanResult, VersionedValue } from './contracts/engine.js';

/** Deletions that one page passes over before it ends, with fewer records than asked for. */
export const scanDeletionsMax = 2_048;

export class ScanPage {
  private readonly recordsMax: number;
  private readonly bytesMax: number;
  private readonly records: VersionedValue[] = [];
  private bytes = 0;
  private deletions = 0;
  private lastKey: Uint8Array | undefined = undefined;
  private hasMore = false;

  constructor(range: ScanRange) {
    assert(range.recordsMax >= 1, 'S1: recordsMax >= 1');
    this.recordsMax = range.recordsMax;
    this.bytesMax = range.bytesMax;
  }

  /**
   * Offers the newest visible version of the next key in order. False when the page is full: the key
   * was not looked at, and the page has more. Bytes are those of key and value.
   */
  take(version: VersionedValue): boolean {
    if (this.records.length >= this.recordsMax || this.deletions >= scanDeletionsMax) {
      this.hasMore = true;
      return false;
    }
    if (version.value === undefined) {
      this.deletions += 1;
    } else {
      const bytes = this.bytes + version.key.length + version.value.length;
      if (bytes > this.bytesMax && this.lastKey !== undefined) {
        this.hasMore = true;
        return false;
      }
      this.bytes = bytes;
      this.records.push(version);
    }
    this.lastKey = version.key;
    return true;
  }

  result(): ScanResult {
    return { records: this.records, hasMore: this.hasMore, lastKey: this.lastKey };
  }
}
