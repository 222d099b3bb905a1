/**
 * What the store's thread and the loop's thread say to each other. Messages are handled in the order
 * sent; bytes are transferred, not copied.
 */
import type { ErrorCode, ErrorDetails } from '@moku/base';

export interface ThreadOptions {
  readonly dir: string;
  readonly clusterId: string;
  readonly nodeId: number;
  /** Commits that wait are joined into one transaction up to this many bytes. */
  readonly commitBytesMax: number;
  /** Bytes of the write-ahead log after which it is copied into the file. */
  readonly checkpointBytes: number;
  /** Bound of the file, in bytes; beyond it a write fails with LOG_IO. 0: none. */
  readonly fileBytesMax: number;
}

/** One atomic change of the file. Serials ascend by one. */
export interface CommitMessage {
  readonly type: 'commit';
  readonly serial: number;
  readonly bytes: number;
  /** Buffer of `appendState`. */
  readonly states: Uint8Array | undefined;
  readonly metas: readonly { readonly key: string; readonly value: Uint8Array }[];
  readonly inserts: readonly RowBytes[];
  /** Rows rewritten in their place. */
  readonly replaces: readonly RowBytes[];
  /** Rows to delete. */
  readonly drops: readonly number[];
}

export interface RowBytes {
  readonly seq: number;
  readonly bytes: Uint8Array<ArrayBuffer>;
}

export type ToThread =
  | CommitMessage
  | { readonly type: 'fetch'; readonly requestId: number; readonly seqs: readonly number[] }
  | { readonly type: 'noteAmnesia'; readonly loss: string }
  | { readonly type: 'clearAmnesia' }
  | { readonly type: 'stats' }
  /** Commits what came before, then ends the thread in an orderly way. */
  | { readonly type: 'close' };

/** A row as read: its bytes, or why it cannot be read. */
export interface FetchedRow {
  readonly seq: number;
  readonly bytes: Uint8Array<ArrayBuffer> | undefined;
  readonly problem: string;
}

/** Records of several rows, newest row first. */
export interface RecoveredRows {
  readonly type: 'rows';
  readonly seqs: readonly number[];
  readonly rowBytes: readonly number[];
  readonly recordCounts: readonly number[];
  readonly isComplete: readonly boolean[];
  /** `Toc.items` of the rows, joined. */
  readonly items: Float64Array<ArrayBuffer>;
}

export interface FileStats {
  readonly fileBytes: number;
  readonly freeBytes: number;
  readonly walBytes: number;
  readonly commits: number;
  readonly commitsJoined: number;
  readonly rowsRead: number;
}

export type FromThread =
  | {
      readonly type: 'states';
      readonly states: Uint8Array;
      readonly metas: readonly { readonly key: string; readonly value: Uint8Array }[];
      readonly incarnation: number;
      readonly storeId: string;
      /** Why synced data may be missing; empty: nothing speaks for it. */
      readonly amnesia: string;
    }
  | RecoveredRows
  | { readonly type: 'opened' }
  | { readonly type: 'refused'; readonly error: ErrorForm }
  | { readonly type: 'durable'; readonly serial: number }
  | { readonly type: 'fetched'; readonly requestId: number; readonly rows: readonly FetchedRow[] }
  /** The amnesia is noted or cleared, durably. */
  | { readonly type: 'amnesia' }
  | { readonly type: 'stats'; readonly stats: FileStats }
  | { readonly type: 'failed'; readonly error: ErrorForm }
  | { readonly type: 'closed' };

/** A MokuError on its way between threads. */
export interface ErrorForm {
  readonly code: ErrorCode;
  readonly details: ErrorDetails;
  readonly cause: string;
}
