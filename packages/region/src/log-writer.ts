// @hot
/**
 * What a turn hands to the log: one batch for all replicas; and what waits for its sync: the cores that
 * are owed `persisted`, and messages that promise something.
 *
 * Invariants:
 *  W1 messagesAfterPersist of a Ready leave only after its batch, and every earlier one, is durable.
 *  W2 `persisted` is told per core in the order of its Readies, each once.
 *  W3 Nothing of a replica that failed or was removed leaves, and no answer of a term it has left.
 */
import { limits } from '@moku/base';
import type {
  ConfState,
  Entry,
  HardState,
  LogStore,
  Message,
  Ready,
  RegionWrite,
} from '@moku/raft';
import type { Replica } from './replica.js';

/** A RegionWrite while it is put together. */
interface WriteDraft {
  regionId: Replica['regionId'];
  hardState?: HardState;
  confState?: { readonly index: number; readonly confState: ConfState };
  entries?: readonly Entry[];
  truncate?: { readonly index: number; readonly term: number };
}

/** A replica whose Ready is on its way to the disk. */
export interface Unsynced {
  readonly batch: number;
  readonly replica: Replica;
  /** Owed to the core; 0: nothing is. */
  readonly readyNumber: number;
  readonly messages: readonly Message[];
}

export class LogWriter {
  private readonly log: LogStore;
  private drafts: RegionWrite[] = [];
  private unsynced: Unsynced[] = [];
  private head = 0;
  private lastBatch = 0;
  private durableBatch = 0;
  batches = 0;

  constructor(log: LogStore) {
    this.log = log;
  }

  /** Whether proposals and other large things should wait for the disk. */
  isFull(): boolean {
    const { batchesInFlight, bytesInFlight } = this.log.health();
    return (
      batchesInFlight >= limits.logBatchesInFlightMax || bytesInFlight >= limits.logBytesInFlightMax
    );
  }

  /** Adds what `ready` and the host want written of `replica`. Returns the bytes of entries. */
  add(replica: Replica, ready: Ready): number {
    const { hardState, entries } = ready;
    const { confToWrite, truncateTo } = replica;
    const draft: WriteDraft = { regionId: replica.regionId };
    let isEmpty = true;
    if (hardState !== undefined) {
      draft.hardState = hardState;
      isEmpty = false;
    }
    if (confToWrite !== undefined) {
      draft.confState = confToWrite;
      replica.confToWrite = undefined;
      isEmpty = false;
    }
    let bytes = 0;
    if (entries.length > 0) {
      draft.entries = entries;
      for (let i = 0; i < entries.length; i++) bytes += entries[i]!.data.length;
      isEmpty = false;
    }
    if (truncateTo > 0) {
      replica.truncateTo = 0;
      const term = replica.log.term(truncateTo);
      if (term !== undefined && truncateTo >= replica.log.firstIndex()) {
        draft.truncate = { index: truncateTo, term };
        isEmpty = false;
      }
    }
    if (!isEmpty) this.drafts.push(draft);
    return bytes;
  }

  /** Adds a write that is no replica's Ready: creation and removal. */
  addWrite(write: RegionWrite): void {
    this.drafts.push(write);
  }

  /** Hands the batch over, if there is one. */
  commit(): void {
    if (this.drafts.length === 0) return;
    const drafts = this.drafts;
    this.drafts = [];
    this.lastBatch = this.log.write(drafts);
    this.batches++;
  }

  /** After `commit`: what has to wait until the batch is synced. */
  await(replica: Replica, ready: Ready): void {
    if (!ready.mustSync && ready.messagesAfterPersist.length === 0) return;
    this.unsynced.push({
      batch: this.lastBatch,
      replica,
      readyNumber: ready.mustSync ? ready.number : 0,
      messages: ready.messagesAfterPersist,
    });
  }

  /** The log synced everything up to `batch`. */
  durable(batch: number): void {
    if (batch > this.durableBatch) this.durableBatch = batch;
  }

  hasSynced(): boolean {
    return this.head < this.unsynced.length && this.unsynced[this.head]!.batch <= this.durableBatch;
  }

  /** The next of what is synced by now; undefined when there is none. */
  takeSynced(): Unsynced | undefined {
    while (this.hasSynced()) {
      const synced = this.unsynced[this.head]!;
      this.head++;
      if (this.head === this.unsynced.length) {
        this.unsynced = [];
        this.head = 0;
      } else if (this.head >= 1024 && this.head * 2 >= this.unsynced.length) {
        this.unsynced.splice(0, this.head);
        this.head = 0;
      }
      if (synced.replica.state === 'running') return synced;
    }
    return undefined;
  }
}

/** W3: of messages that waited for the disk, those that still say what the replica stands for. */
export function ofPresentTerm(replica: Replica, messages: readonly Message[]): readonly Message[] {
  const { term } = replica.raft;
  for (let i = 0; i < messages.length; i++) {
    if (messages[i]!.term < term) return presentOnly(messages, term);
  }
  return messages;
}

function presentOnly(messages: readonly Message[], term: number): readonly Message[] {
  const present: Message[] = [];
  for (let i = 0; i < messages.length; i++) {
    if (messages[i]!.term >= term) present.push(messages[i]!);
  }
  return present;
}
