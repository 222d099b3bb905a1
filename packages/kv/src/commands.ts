/**
 * Commands (change a region through its log) and queries (read it at a ReadIndex point), as plain data.
 * Their binary forms are in `command-codec.ts` and `query-codec.ts`. Keys here are stored keys: for a
 * hash keyspace already prefixed (see `keys.ts`).
 */
import type { KeyspaceMode, NodeDescriptor, RegionId, Timestamp } from '@moku/base';

/** What must hold of a key's newest version; checked when the command is applied. */
export type Condition =
  | { readonly type: 'ifAbsent' }
  | { readonly type: 'ifPresent' }
  /** Version 0 means absent. */
  | { readonly type: 'ifVersion'; readonly version: Timestamp };

export type Operation =
  | {
      readonly type: 'put';
      readonly key: Uint8Array;
      readonly value: Uint8Array;
      readonly condition: Condition | undefined;
      /** Milliseconds from the entry's timestamp until the key expires; undefined: never. */
      readonly ttlMs: number | undefined;
    }
  | {
      readonly type: 'delete';
      readonly key: Uint8Array;
      readonly condition: Condition | undefined;
    };

/** Identifies a request for deduplication (P4). */
export interface SessionRef {
  /**
   * Issued by the region's `openSession`: the timestamp of that command, unique in the region for ever
   * (several may be opened by one entry). 0: not deduplicated, never retried.
   */
  readonly sessionId: number;
  /** 1, 2, … within the session. */
  readonly sequence: number;
  /** Every sequence below this was answered: its result may be forgotten. 1 … sequence. */
  readonly answeredBelow: number;
}

export type Command =
  /** Begins a session of one client in this region; the result carries its id. */
  | { readonly type: 'openSession' }
  /** Applied atomically: all conditions hold, or nothing happens. */
  | {
      readonly type: 'write';
      readonly session: SessionRef;
      /** epoch.version of the region as the client knows it; another one is a certain no-op. */
      readonly epochVersion: number;
      readonly operations: readonly Operation[];
    }
  /** Settles keys whose time has passed, met by a read (design §8: expiry is an entry). */
  | {
      readonly type: 'expire';
      readonly keys: readonly { readonly key: Uint8Array; readonly version: Timestamp }[];
    }
  // Meta, region 0 only.
  | {
      readonly type: 'createKeyspace';
      readonly session: SessionRef;
      readonly name: string;
      readonly mode: KeyspaceMode;
      readonly regions: number;
      /** range: regions - 1 ascending split keys; hash: empty. */
      readonly bounds: readonly Uint8Array[];
      /** Replicas of each region: 1 … nodes; 0: min(3, nodes). */
      readonly replication: number;
    }
  | { readonly type: 'registerNode'; readonly node: NodeDescriptor };

/** Why a command had no effect. All are certain no-ops of this attempt; only conditionFailed is remembered. */
export type WriteRefusal =
  | 'conditionFailed'
  /** The region has another epoch: look it up anew, then send the same sequence again. */
  | 'epochMismatch'
  /** The session was dropped, or the sequence is below its floor: an earlier attempt may have been applied. */
  | 'sessionUnknown'
  | 'invalid'
  /** createKeyspace: the name stands with other settings. */
  | 'keyspaceConflict'
  | 'keyOutsideRegion'
  /** A bound of limits.ts: unanswered results of the session, keyspaces, regions or nodes of the cluster. */
  | 'limitReached';

export type CommandOutcome =
  | { readonly type: 'sessionOpened'; readonly sessionId: number }
  /** version: timestamp of the new versions (of the last operation). existed: per operation, whether the key was there before. */
  | { readonly type: 'written'; readonly version: Timestamp; readonly existed: readonly boolean[] }
  | {
      readonly type: 'refused';
      readonly reason: WriteRefusal;
      /**
       * conditionFailed: which operation, and the newest version it met (0: absent); of a key that the
       * same batch wrote before, that is the batch's own, which then never came to be.
       */
      readonly operation: number;
      readonly version: Timestamp;
    }
  | { readonly type: 'keyspaceCreated'; readonly keyspaceId: number }
  | { readonly type: 'done' };

export type Query =
  | {
      readonly type: 'get';
      readonly epochVersion: number;
      readonly keys: readonly Uint8Array[];
      readonly withValues: boolean;
    }
  | {
      readonly type: 'scan';
      readonly epochVersion: number;
      readonly start: Uint8Array;
      readonly end: Uint8Array | undefined;
      readonly isReverse: boolean;
      readonly recordsMax: number;
      readonly bytesMax: number;
      readonly withValues: boolean;
      /**
       * Hash keyspaces only: keys whose user part (behind the 8 bytes of the hash) starts with this;
       * empty: all. Range keyspaces express a prefix by start and end.
       */
      readonly userPrefix: Uint8Array;
    }
  /** xxHash64 over all live versions of the region in order, with the applied index it holds for. */
  | { readonly type: 'digest' };

export interface RecordFound {
  readonly key: Uint8Array;
  readonly version: Timestamp;
  /** Empty when withValues is false. */
  readonly value: Uint8Array;
  /** Wall-clock milliseconds when it expires; undefined: never. */
  readonly expiresAtMs: number | undefined;
}

export type QueryOutcome =
  /**
   * One per key asked, in order, undefined when absent. Fewer than asked (at least one) when the next
   * record would pass limits.scanPageBytesMax: ask again for the rest.
   */
  | { readonly type: 'found'; readonly records: readonly (RecordFound | undefined)[] }
  /**
   * The range asked for, cut to the region. May hold no record and yet `hasMore`: work is bounded also
   * when a filter leaves everything out.
   */
  | {
      readonly type: 'page';
      readonly records: readonly RecordFound[];
      readonly hasMore: boolean;
      /** Where to go on: the last key looked at. */
      readonly lastKey: Uint8Array | undefined;
    }
  | {
      readonly type: 'digest';
      readonly appliedIndex: number;
      readonly records: number;
      readonly digest: string;
    }
  | { readonly type: 'refused'; readonly reason: 'epochMismatch' | 'invalid' | 'keyOutsideRegion' }
  /** Keys past their time were met: propose `expire` for these, then ask again. */
  | {
      readonly type: 'expired';
      readonly keys: readonly { readonly key: Uint8Array; readonly version: Timestamp }[];
    };

/** The answer to `describe`: everything a client needs to route. */
export interface ClusterView {
  readonly clusterId: string;
  /** Raised by every change of meta (its applied index). */
  readonly revision: number;
  readonly nodes: readonly NodeDescriptor[];
  readonly keyspaces: readonly {
    readonly keyspaceId: number;
    readonly name: string;
    readonly mode: KeyspaceMode;
  }[];
  /** Regions of the keyspaces asked for, in key order. */
  readonly regions: readonly import('@moku/base').RegionDescriptor[];
  /** Best knowledge of who leads: pairs of region and node; may be stale. */
  readonly leaders: readonly { readonly regionId: RegionId; readonly nodeId: number }[];
}
