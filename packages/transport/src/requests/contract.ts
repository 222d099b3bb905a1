/**
 * Requests of clients to nodes: the contract between `client` and `node`. A channel carries many
 * requests at once; answers come in any order. The same contract is met by a WebSocket channel and by
 * a node in the same process.
 */
import type { ErrorCode, NodeId, RegionId } from '@moku/base';

export type ClientRequest =
  /** Cluster view with the regions of `keyspace` (all keyspaces' when undefined). Answered by any node. */
  | { readonly kind: 'describe'; readonly keyspace: string | undefined }
  /** Encoded Command for a region; answered after it was applied, by the leader only (else NOT_LEADER). */
  | { readonly kind: 'execute'; readonly regionId: RegionId; readonly command: Uint8Array }
  /** Encoded Query; linearizable on any replica of the region (ReadIndex). */
  | { readonly kind: 'query'; readonly regionId: RegionId; readonly query: Uint8Array }
  /** Encoded Query of the local replica as it is now, not linearizable: for digests and diagnosis. */
  | { readonly kind: 'inspect'; readonly regionId: RegionId; readonly query: Uint8Array }
  | { readonly kind: 'status' }
  | { readonly kind: 'regions'; readonly withWhy: boolean }
  | { readonly kind: 'transferLeadership'; readonly regionId: RegionId; readonly to: NodeId };

/** 'bytes': an encoded CommandOutcome or QueryOutcome. 'json': status and the like. 'error': coded. */
export type ClientAnswer =
  | { readonly kind: 'view'; readonly view: import('@moku/kv').ClusterView }
  | { readonly kind: 'bytes'; readonly bytes: Uint8Array }
  | { readonly kind: 'json'; readonly value: unknown }
  | {
      readonly kind: 'error';
      readonly code: ErrorCode;
      readonly outcome: 'definite' | 'maybe';
      readonly message: string;
      /** Plain values only. NOT_LEADER carries leaderNodeId (0: not known). */
      readonly details: Readonly<Record<string, unknown>>;
    };

export interface RequestChannel {
  /**
   * Sends a request and gives its answer. Rejects with CONNECTION_LOST (maybe) when the channel ends
   * after it was sent, UNAVAILABLE (definite) when it was never sent, ABORTED (maybe) when `signal` aborts
   * after it was sent (definite before), BUSY (definite) past limits.requestsInFlightMax.
   */
  request(request: ClientRequest, signal?: AbortSignal): Promise<ClientAnswer>;
  readonly isOpen: boolean;
  close(): Promise<void>;
}

/** What a node implements for its clients. Resolves always; refusals are answers of kind 'error'. */
export interface RequestHandler {
  handle(request: ClientRequest, signal: AbortSignal): Promise<ClientAnswer>;
}
