/**
 * The bounds of one group, taken from base's table; tests may narrow them.
 */
import { limits } from '@moku/base';

export interface RaftLimits {
  /** Entries of one append message. */
  readonly appendEntriesMax: number;
  /** Entry bytes of one append message (at least one entry is always sent). */
  readonly appendBytesMax: number;
  /** Appends with entries under way to one replica. */
  readonly inflightMessagesMax: number;
  /** Their bytes. */
  readonly inflightBytesMax: number;
  /** Bytes proposed in this term and not yet handed out for apply; beyond, proposals are `busy`. */
  readonly uncommittedBytesMax: number;
  /** Bytes of committed entries handed out by one Ready (at least one entry). */
  readonly committedBytesPerReadyMax: number;
  /** Bytes of committed entries handed out and not yet reported applied; beyond, the next wait. */
  readonly applyingBytesMax: number;
  /** Reads waiting for their round, or for the leader's answer. */
  readonly readsMax: number;
}

export const defaultRaftLimits: RaftLimits = Object.freeze({
  appendEntriesMax: limits.appendEntriesMax,
  appendBytesMax: limits.appendBytesMax,
  inflightMessagesMax: limits.inflightMessagesMax,
  inflightBytesMax: limits.inflightBytesMax,
  uncommittedBytesMax: limits.uncommittedBytesMax,
  committedBytesPerReadyMax: 1024 * 1024,
  applyingBytesMax: 8 * 1024 * 1024,
  readsMax: limits.readsPerRegionMax,
});
