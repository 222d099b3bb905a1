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
  | { readonly type: 'delete'; readonly key: Uint8Array; readonly condition: Condition | undefined };

/** Identifies a request for deduplication (P4). */
export interface SessionRef {
  /** Issued by the region's `openSession`; the log index of that entry. 0: not deduplicated, never retried. */
  readonly sessionId: number;
  /** 1, 2, … within the session. */
  readonly sequence: number;
  /** Every sequence below this was answered: its result may be forgotten. */
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
  | { readonly type: 'expire'; readonly keys: readonly { readonly key: Uint8Array; readonly version: Timestamp }[] }
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

export type WriteRefusal = 'conditionFailed' | 'epochMismatch' | 'sessionUnknown' | 'invalid' | 'keyspaceExists' | 'keyspaceConflict' | 'keyOutsideRegion';

export type CommandOutcome =
  | { readonly type: 'sessionOpened'; readonly sessionId: number }
  /** version: timestamp of the new versions (of the last operation). existed: per operation, whether the key was there before. */
  | { readonly type: 'written'; readonly version: Timestamp; readonly existed: readonly boolean[] }
  | {
      readonly type: 'refused';
      readonly reason: WriteRefusal;
      /** conditionFailed: which operation, and the newest version it met (0: absent). */
      readonly operation: number;
      readonly version: Timestamp;
    }
  | { readonly type: 'keyspaceCreated'; readonly keyspaceId: number }
  | { readonly type: 'done' };

export type Query =
  | { readonly type: 'get'; readonly epochVersion: number; readonly keys: readonly Uint8Array[]; readonly withValues: boolean }
  | {
      readonly type: 'scan';
      readonly epochVersion: number;
      readonly start: Uint8Array;
      readonly end: Uint8Array | undefined;
      readonly isReverse: boolean;
      readonly recordsMax: number;
      readonly bytesMax: number;
      readonly withValues: boolean;
      /** Only keys whose user part starts with this (hash keyspaces filter by it); empty: all. */
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
  /** One per key asked, undefined when absent. */
  | { readonly type: 'found'; readonly records: readonly (RecordFound | undefined)[] }
  | {
      readonly type: 'page';
      readonly records: readonly RecordFound[];
      readonly hasMore: boolean;
      /** Where to go on: the last key looked at. */
      readonly lastKey: Uint8Array | undefined;
    }
  | { readonly type: 'digest'; readonly appliedIndex: number; readonly records: number; readonly digest: string }
  | { readonly type: 'refused'; readonly reason: 'epochMismatch' | 'invalid' | 'keyOutsideRegion' }
  /** Keys past their time were met: propose `expire` for these, then ask again. */
  | { readonly type: 'expired'; readonly keys: readonly { readonly key: Uint8Array; readonly version: Timestamp }[] };

/** The answer to `describe`: everything a client needs to route. */
export interface ClusterView {
  readonly clusterId: string;
  /** Raised by every change of meta (its applied index). */
  readonly revision: number;
  readonly nodes: readonly NodeDescriptor[];
  readonly keyspaces: readonly { readonly keyspaceId: number; readonly name: string; readonly mode: KeyspaceMode }[];
  /** Regions of the keyspaces asked for, in key order. */
  readonly regions: readonly import('@moku/base').RegionDescriptor[];
  /** Best knowledge of who leads: pairs of region and node; may be stale. */
  readonly leaders: readonly { readonly regionId: RegionId; readonly nodeId: number }[];
}
