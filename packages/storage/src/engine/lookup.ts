// @hot
/**
 * Reads of one store over its layers: active overlay, frozen overlay, data.db (O1).
 */
import type { Timestamp } from '@moku/base';
import { ScanPage, type ScanRange, type ScanResult, type VersionedValue } from '@moku/kv';
import { type ChunkTable, removalLength } from './chunks.js';
import {
  closeCursors,
  firstCursor,
  OverlayCursor,
  passKey,
  type VersionCursor,
} from './cursors.js';
import { newestLocation, type StoreState } from './overlay.js';
import type { Reader } from './reader.js';

export class Lookup {
  private readonly table: ChunkTable;
  private readonly reader: Reader;

  constructor(table: ChunkTable, reader: Reader) {
    this.table = table;
    this.reader = reader;
  }

  /**
   * The newest version of `key` at or before `at`, deletions included; undefined when there is none.
   * The version's key is `key` itself.
   */
  get(store: StoreState, key: Uint8Array, at: number): VersionedValue | undefined {
    const { table } = this;
    let upTo = at;
    while (upTo >= 0) {
      const active = newestLocation(table, store.active, key, upTo);
      const frozen = newestLocation(table, store.frozen, key, upTo);
      let location = active ?? frozen;
      if (active !== undefined && frozen !== undefined) {
        location = table.timestamp(frozen) > table.timestamp(active) ? frozen : active;
      }
      const timestamp = location === undefined ? -1 : table.timestamp(location);
      // The file is asked only when it can hold something newer.
      if (store.storedTimestampMax > timestamp && timestamp !== upTo) {
        const stored = this.reader.get(store.storeId, key, upTo);
        if (stored !== undefined && stored.timestamp > timestamp) return stored;
      }
      if (location === undefined) return undefined;
      if (table.valueLength(location) !== removalLength) {
        return { key, timestamp: timestamp as Timestamp, value: table.value(location) };
      }
      upTo = timestamp - 1;
    }
    return undefined;
  }

  scan(store: StoreState, range: ScanRange): ScanResult {
    const page = new ScanPage(range);
    const cursors: VersionCursor[] = [];
    try {
      if (store.active !== undefined) {
        cursors.push(new OverlayCursor(this.table, store.active, range));
      }
      if (store.frozen !== undefined) {
        cursors.push(new OverlayCursor(this.table, store.frozen, range));
      }
      if (store.storedTimestampMax >= 0) cursors.push(this.reader.scan(store.storeId, range));
      for (;;) {
        const first = firstCursor(cursors, range.isReverse);
        if (first === undefined) break;
        const key = first.key;
        // Below a removal an older version may show; such keys are rare and looked up one by one.
        const version = first.isRemoval
          ? this.get(store, key, first.timestamp - 1)
          : first.version();
        if (version !== undefined && !page.take(version)) break;
        passKey(cursors, key);
      }
    } finally {
      closeCursors(cursors);
    }
    return page.result();
  }
}
