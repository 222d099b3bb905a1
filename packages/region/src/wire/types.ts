/**
 * What a link's frame carries: control items of the claims module, Raft messages, snapshot chunks.
 */
import type { RegionId, ReplicaId } from '@moku/base';
import type { Message, SnapshotMeta } from '@moku/raft';
import type { ControlItem } from '../claims/types.js';

/** A piece of a snapshot's stream, on the bulk lane. Pieces of one stream come in ascending sequence. */
export interface SnapshotChunk {
  readonly regionId: RegionId;
  readonly from: ReplicaId;
  readonly to: ReplicaId;
  /** The sending leader's. */
  readonly term: number;
  /** Chosen by the sender, unique among its streams to this peer within a session. */
  readonly streamId: number;
  /** 0, 1, … */
  readonly sequence: number;
  /** What the content stands for. */
  readonly meta: SnapshotMeta;
  /** At most limits.snapshotChunkBytesMax; aliases the frame when decoded. May be empty. */
  readonly chunk: Uint8Array;
  readonly isLast: boolean;
}

export type FrameItem =
  | { readonly kind: 'control'; readonly item: ControlItem }
  | { readonly kind: 'raft'; readonly regionId: RegionId; readonly message: Message }
  | { readonly kind: 'snapshot'; readonly chunk: SnapshotChunk };

/** Takes a frame's items in order, after the whole frame was found well-formed. */
export interface FrameVisitor {
  onControl(item: ControlItem): void;
  onRaft(regionId: RegionId, message: Message): void;
  onSnapshot(chunk: SnapshotChunk): void;
}
