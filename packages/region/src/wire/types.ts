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

/**
 * What the ends of a snapshot's stream tell each other beside its chunks (`snapshot-stream.ts`). All but
 * `ended` come from the receiver.
 */
export type SnapshotSignalKind =
  /** Chunks below `sequence` are handed to the sink; also said now and then while nothing moves. */
  | 'taken'
  /** Not now: all places are taken, or the engine is full. */
  | 'busy'
  /** Not now: another snapshot of this region waits for the engine. */
  | 'installing'
  /** Not from this leader, or not needed: the core has said what it thinks of it. */
  | 'unwanted'
  /** The stream does not hold together here. */
  | 'broken'
  /** The replica does not run here (yet, or any more). */
  | 'unknown'
  /** The sender gave the stream up. */
  | 'ended';

export interface SnapshotSignal {
  readonly regionId: RegionId;
  readonly from: ReplicaId;
  readonly to: ReplicaId;
  readonly streamId: number;
  readonly kind: SnapshotSignalKind;
  /** Of `taken`; else 0. */
  readonly sequence: number;
}

export type FrameItem =
  | { readonly kind: 'control'; readonly item: ControlItem }
  | { readonly kind: 'raft'; readonly regionId: RegionId; readonly message: Message }
  | { readonly kind: 'snapshot'; readonly chunk: SnapshotChunk }
  | { readonly kind: 'snapshotSignal'; readonly signal: SnapshotSignal };

/** Takes a frame's items in order, after the whole frame was found well-formed. */
export interface FrameVisitor {
  onControl(item: ControlItem): void;
  onRaft(regionId: RegionId, message: Message): void;
  onSnapshot(chunk: SnapshotChunk): void;
  onSnapshotSignal(signal: SnapshotSignal): void;
}
