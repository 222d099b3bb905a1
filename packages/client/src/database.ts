/**
 * The one interface of a Moku database, however it was reached: `open()` (a node in this process) or
 * `connect()` (nodes elsewhere). Outcomes that a caller must handle are values; everything else is a
 * MokuError with a code and an outcome, `definite` (certainly no effect) or `maybe` (P5).
 */
import type { KeyspaceMode } from '@moku/base';
import type { ClusterView } from '@moku/kv';
import type { Admin } from './admin.js';

/** A key: 1 … limits.keyBytesMax bytes; strings stand for their UTF-8. */
export type Key = string | Uint8Array;

export interface CallOptions {
  /** Ends the wait; the error ABORTED says whether the call may have had its effect. */
  readonly signal?: AbortSignal | undefined;
  /** Milliseconds for the whole call, retries included; 1 … limits.timeoutMsMax. Default 30,000. */
  readonly timeoutMs?: number | undefined;
}

export type ValueEncoding = 'bytes' | 'utf8' | 'json' | 'msgpack';

export interface KeyspaceOptions {
  /** Must match when the keyspace exists. Without `mode` an existing keyspace is opened, else KEYSPACE_UNKNOWN. */
  readonly mode?: KeyspaceMode;
  /** Regions at creation: 1 … limits.regionsPerKeyspaceMax. Default 16 for hash, 1 for range. */
  readonly regions?: number;
  /** range only: the keys at which regions begin, ascending, regions - 1 of them. */
  readonly bounds?: readonly Key[];
  /** Replicas of each region; default min(3, nodes). */
  readonly replication?: number;
  /** How values are stored. Default 'json'. */
  readonly values?: ValueEncoding;
  /** How keys are given back. Default 'utf8'. */
  readonly keys?: 'utf8' | 'bytes';
}

export interface Conditions {
  /** Write only if the key is absent. */
  readonly ifAbsent?: boolean;
  /** Write only if the key is present. */
  readonly ifPresent?: boolean;
  /** Write only if the key's version is this one; 0: absent. */
  readonly ifVersion?: number;
}

export interface PutOptions extends CallOptions, Conditions {
  /** Milliseconds to live; 1 … limits.ttlMsMax. Default: for ever. */
  readonly ttlMs?: number;
}

export interface DeleteOptions extends CallOptions, Conditions {}

export type WriteResult =
  /** existed: whether the key was there before. */
  | { readonly applied: true; readonly version: number; readonly existed: boolean }
  /** A condition did not hold; version is the newest one met, 0 when absent. Nothing was written. */
  | { readonly applied: false; readonly version: number };

export type BatchOperation<T> =
  | ({
      readonly type: 'put';
      readonly key: Key;
      readonly value: T;
      readonly ttlMs?: number;
    } & Conditions)
  | ({ readonly type: 'delete'; readonly key: Key } & Conditions);

export type BatchResult =
  | { readonly applied: true; readonly version: number; readonly existed: readonly boolean[] }
  /** operation: position of the first one whose condition did not hold. */
  | { readonly applied: false; readonly operation: number; readonly version: number };

export interface Found<T> {
  /** A string, or bytes in a keyspace opened with keys: 'bytes'. */
  readonly key: Key;
  readonly value: T;
  readonly version: number;
  readonly expiresAtMs: number | undefined;
}

export interface ScanOptions extends CallOptions {
  /** Only keys that start with this. In a hash keyspace every region is asked and order is by hash. */
  readonly prefix?: Key;
  /** First key, inclusive. range keyspaces only. */
  readonly start?: Key;
  /** Last key, exclusive. range keyspaces only. */
  readonly end?: Key;
  /** hash only: one bucket (a prefix that ends with '/'), in key order, from one region. */
  readonly bucket?: Key;
  readonly reverse?: boolean;
  /** Records in all. */
  readonly limit?: number;
  /** Records fetched at a time; 1 … limits.scanPageRecordsMax. Default 500. */
  readonly pageSize?: number;
}

export interface ScanPage<T> {
  readonly records: readonly Found<T>[];
  /** Where to go on; undefined at the end. Valid for the same options. */
  readonly cursor: string | undefined;
}

export interface Keyspace<T> {
  readonly name: string;
  readonly mode: KeyspaceMode;
  get(key: Key, options?: CallOptions): Promise<T | undefined>;
  /** Value with version and expiry. */
  getRecord(key: Key, options?: CallOptions): Promise<Found<T> | undefined>;
  has(key: Key, options?: CallOptions): Promise<boolean>;
  put(key: Key, value: T, options?: PutOptions): Promise<WriteResult>;
  delete(key: Key, options?: DeleteOptions): Promise<WriteResult>;
  /** Atomic within one region; keys of several regions give BATCH_SPANS_REGIONS. */
  batch(operations: readonly BatchOperation<T>[], options?: CallOptions): Promise<BatchResult>;
  /** Over regions; each key linearizable, no common picture. In the order of `keys`. */
  getMany(keys: readonly Key[], options?: CallOptions): Promise<(T | undefined)[]>;
  /**
   * Over regions, many keys a request; not atomic as a whole. When it fails, some may have been written
   * (`maybe`); the error's details say how many certainly were.
   */
  putMany(
    records: Iterable<readonly [Key, T]>,
    options?: CallOptions,
  ): Promise<{ readonly written: number }>;
  /** One page; each page is linearizable by itself. */
  scanPage(options?: ScanOptions & { readonly cursor?: string | undefined }): Promise<ScanPage<T>>;
  /** All pages, one at a time. */
  scan(options?: ScanOptions): AsyncIterable<Found<T>>;
}

export interface Database {
  /** Opens a keyspace, creating it when `mode` is given and it does not exist. */
  keyspace<T = unknown>(
    name: string,
    options?: KeyspaceOptions & CallOptions,
  ): Promise<Keyspace<T>>;
  /** Questions to single nodes: status, regions, digests. */
  readonly admin: Admin;
  /** The cluster as the client knows it, freshly asked. */
  view(options?: CallOptions): Promise<ClusterView>;
  /** Waits for what is under way (at most `graceMs`, default 5,000), then ends the connections. */
  close(options?: { readonly graceMs?: number }): Promise<void>;
}
