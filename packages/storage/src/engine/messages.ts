/**
 * What the loop's thread and the writer's thread say to each other. Tables of numbers travel as typed
 * arrays; versions travel as locations in shared chunks.
 *
 * A flush is: `begin`, any number of `rows` in (store, key, timestamp descending) order, `end`; it is
 * answered by one `flushed`. Nothing else comes between `begin` and `end` but `chunk`.
 */
import type { ErrorCode, ErrorDetails } from '@moku/base';

/** Numbers per replica in `begin.replicas` and `ready.replicas`. */
export const replicaFields = 6;
/** Their order. */
export const replicaField = {
  regionId: 0,
  replicaId: 1,
  storeId: 2,
  appliedIndex: 3,
  appliedTerm: 4,
  /** Newest timestamp ever put in the store; -1: none. */
  timestampMax: 5,
} as const;

export type ToWriter =
  | { readonly type: 'chunk'; readonly slot: number; readonly memory: SharedArrayBuffer }
  | {
      readonly type: 'begin';
      /** Rows of replicas created or changed. */
      readonly replicas: Float64Array;
      /** Regions whose replica is gone. */
      readonly dropped: Float64Array;
      /** Stores to reclaim once this flush is in. */
      readonly orphans: Float64Array;
    }
  | {
      readonly type: 'rows';
      /** Runs: `counts[i]` locations belong to `storeIds[i]`; a run may go on in the next message. */
      readonly storeIds: Float64Array;
      readonly counts: Int32Array;
      readonly locations: Int32Array;
    }
  | { readonly type: 'end' }
  | { readonly type: 'close' };

export type FromWriter =
  | {
      readonly type: 'ready';
      readonly replicas: Float64Array;
      /** Above every store id in the file. */
      readonly nextStoreId: number;
    }
  | {
      readonly type: 'flushed';
      /** Applied indexes read back after the sync, in the order of `begin.replicas`; -1: no row. */
      readonly appliedIndexes: Float64Array;
      readonly stats: FlushStats;
    }
  | {
      readonly type: 'failed';
      readonly code: ErrorCode;
      readonly details: ErrorDetails;
    }
  | { readonly type: 'closed' };

export interface FlushStats {
  readonly rows: number;
  readonly transactions: number;
  /** Frames in the write-ahead log when the flush ended. */
  readonly walFrames: number;
  /** `checkpoint`: everything is in data.db, synced. `wal`: a picture held the checkpoint up, so the write-ahead log was synced instead. */
  readonly syncedBy: 'checkpoint' | 'wal';
}
