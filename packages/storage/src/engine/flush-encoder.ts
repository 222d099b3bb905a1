// @hot
/**
 * Puts a frozen overlay into words for the writer's thread, a bounded slice at a time (P9). The versions
 * themselves are not copied: the writer reads them in the shared chunks.
 */
import type { RegionId } from '@moku/base';
import { replicaField, replicaFields, type ToWriter } from './messages.js';
import type { Overlay, ReplicaRecord, StoreState } from './overlay.js';

/** Locations in one slice: well under a millisecond of work. */
const locationsPerSlice = 4_096;

export class FlushEncoder {
  /** Stores with versions, by id; changed replicas, in the order of `begin.replicas`. */
  private readonly stores: readonly StoreState[];
  private readonly changed: readonly ReplicaRecord[];
  private storeAt = 0;
  private locations: Iterator<readonly [number, undefined]> | undefined = undefined;

  constructor(stores: readonly StoreState[], changed: readonly ReplicaRecord[]) {
    this.stores = stores;
    this.changed = changed;
  }

  begin(overlay: Overlay): ToWriter {
    const replicas = new Float64Array(this.changed.length * replicaFields);
    for (let i = 0; i < this.changed.length; i++) {
      const { regionId, replicaId, store, appliedIndex, appliedTerm } = this.changed[i]!;
      const at = i * replicaFields;
      replicas[at + replicaField.regionId] = regionId;
      replicas[at + replicaField.replicaId] = replicaId;
      replicas[at + replicaField.storeId] = store.storeId;
      replicas[at + replicaField.appliedIndex] = appliedIndex;
      replicas[at + replicaField.appliedTerm] = appliedTerm;
      replicas[at + replicaField.timestampMax] = Math.max(
        store.storedTimestampMax,
        store.frozenTimestampMax,
      );
    }
    const orphans = new Float64Array(overlay.orphans.length);
    for (let i = 0; i < orphans.length; i++) orphans[i] = overlay.orphans[i]!.storeId;
    return {
      type: 'begin',
      replicas,
      dropped: Float64Array.from<RegionId>(overlay.dropped),
      orphans,
    };
  }

  /** The next slice; undefined at the end. */
  next(): ToWriter | undefined {
    const storeIds: number[] = [];
    const counts: number[] = [];
    const locations = new Int32Array(locationsPerSlice);
    let filled = 0;
    while (filled < locationsPerSlice && this.storeAt < this.stores.length) {
      const store = this.stores[this.storeAt]!;
      this.locations ??= store.frozen!.entries(undefined, [0, undefined]);
      const from = filled;
      while (filled < locationsPerSlice) {
        const { done, value } = this.locations.next();
        if (done === true) {
          this.locations = undefined;
          this.storeAt += 1;
          break;
        }
        locations[filled++] = value[0];
      }
      if (filled > from) {
        storeIds.push(store.storeId);
        counts.push(filled - from);
      }
    }
    if (filled === 0) return undefined;
    return {
      type: 'rows',
      storeIds: Float64Array.from(storeIds),
      counts: Int32Array.from(counts),
      locations: filled === locationsPerSlice ? locations : locations.slice(0, filled),
    };
  }
}
