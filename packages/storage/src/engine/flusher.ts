/**
 * Turns overlays into rows of data.db, in the background: when enough has gathered, when it has waited
 * long enough, or on request; one flush at a time.
 *
 * Owns the active and the frozen overlay and the timer. Invariants: O1, O2, and
 *  F1 A flush that is wanted begins at the latest when the one before it ends: log truncation needs it.
 *  F2 A replica's durableIndex is set only from what the writer read back after a sync (G2).
 */
import { type Clock, MokuError, type TimerHandle } from '@moku/base';
import type { Chunk, ChunkTable } from './chunks.js';
import { FlushEncoder } from './flush-encoder.js';
import type { FlushStats } from './messages.js';
import { Overlay, type ReplicaRecord, type StoreState } from './overlay.js';
import type { Flushed, WriterThread } from './writer-thread.js';

export interface FlushLimits {
  /** Overlay bytes at which a flush begins. */
  readonly flushBytes: number;
  /** Age of the oldest unflushed change at which a flush begins, milliseconds. */
  readonly flushAgeMs: number;
}

export interface FlusherEvents {
  onFlushed(): void;
  onFailure(error: MokuError): void;
}

type Phase =
  | { readonly kind: 'idle'; readonly timer: TimerHandle | undefined }
  | {
      readonly kind: 'flushing';
      readonly overlay: Overlay;
      readonly stores: readonly StoreState[];
      readonly changed: readonly ReplicaRecord[];
      readonly appliedIndexes: Float64Array;
      readonly startedMs: number;
    }
  | { readonly kind: 'failed'; readonly error: MokuError };

interface Waiter {
  readonly overlayNumber: number;
  readonly resolve: () => void;
  readonly reject: (error: Error) => void;
}

/** After a flush by age the writer rests this many times as long as the flush took, at most `restMsMax`. */
const restFactor = 2;
const restMsMax = 5_000;

export class Flusher {
  active: Overlay;
  /** Flushes done, the length of the last one, and what the writer said of it. */
  flushes = 0;
  flushMsLast = 0;
  statsLast: FlushStats | undefined = undefined;
  private readonly thread: WriterThread;
  private readonly table: ChunkTable;
  private readonly clock: Clock;
  private readonly flushLimits: FlushLimits;
  private readonly events: FlusherEvents;
  private readonly sentSlots = new Set<number>();
  private phase: Phase = { kind: 'idle', timer: undefined };
  private isStartScheduled = false;
  private isRequested = false;
  private endedMs = 0;
  private waiters: Waiter[] = [];

  constructor(options: {
    readonly thread: WriterThread;
    readonly table: ChunkTable;
    readonly clock: Clock;
    readonly flushLimits: FlushLimits;
    readonly events: FlusherEvents;
  }) {
    this.thread = options.thread;
    this.table = options.table;
    this.clock = options.clock;
    this.flushLimits = options.flushLimits;
    this.events = options.events;
    this.active = new Overlay(1, this.table);
    this.thread.subscribe({
      onFlushed: (message) => this.onFlushed(message),
      onFailed: (error) => this.fail(error),
    });
  }

  get frozen(): Overlay | undefined {
    return this.phase.kind === 'flushing' ? this.phase.overlay : undefined;
  }

  /** Bytes in both overlays. */
  get bytes(): number {
    return this.active.bytes + (this.frozen?.bytes ?? 0);
  }

  /** To be called after every change of the active overlay. */
  noteChange(): void {
    const { phase } = this;
    if (phase.kind !== 'idle') return;
    if (this.active.bytes >= this.flushLimits.flushBytes) this.startSoon();
    else if (phase.timer === undefined) this.arm();
  }

  /** Begins a flush soon, or as soon as the present one has ended. */
  request(): void {
    if (this.phase.kind === 'flushing') this.isRequested = true;
    else this.startSoon();
  }

  /** Resolves when everything written so far is durable; rejects when that cannot be any more. */
  async flush(): Promise<void> {
    if (this.phase.kind === 'failed') throw this.phase.error;
    const overlay = this.active.isEmpty ? this.frozen : this.active;
    if (overlay === undefined) return;
    const done = new Promise<void>((resolve, reject) => {
      this.waiters.push({ overlayNumber: overlay.number, resolve, reject });
    });
    this.request();
    await done;
  }

  /** No flush begins or ends after this. */
  stop(error: MokuError): void {
    if (this.phase.kind === 'idle') this.phase.timer?.cancel();
    if (this.phase.kind !== 'failed') this.phase = { kind: 'failed', error };
    const { waiters } = this;
    this.waiters = [];
    for (const waiter of waiters) waiter.reject(error);
  }

  private fail(error: MokuError): void {
    if (this.phase.kind === 'failed') return;
    this.stop(error);
    this.events.onFailure(error);
  }

  private arm(): void {
    const nowMs = this.clock.monotonicMs();
    const restMs = Math.min(restMsMax, this.flushMsLast * restFactor);
    const delayMs = Math.max(this.flushLimits.flushAgeMs, this.endedMs + restMs - nowMs);
    this.phase = { kind: 'idle', timer: this.clock.after(delayMs, () => this.start()) };
  }

  private startSoon(): void {
    if (this.isStartScheduled) return;
    this.isStartScheduled = true;
    this.clock.soon(() => {
      this.isStartScheduled = false;
      this.start();
    });
  }

  private start(): void {
    const { phase } = this;
    if (phase.kind !== 'idle') return;
    phase.timer?.cancel();
    if (this.active.isEmpty) {
      this.phase = { kind: 'idle', timer: undefined };
      return;
    }
    const overlay = this.active;
    this.active = new Overlay(overlay.number + 1, this.table);
    const stores = freeze(overlay);
    const changed = overlay.changed.filter((replica) => replica.isLive);
    const appliedIndexes = Float64Array.from(changed, (replica) => replica.appliedIndex);
    const startedMs = this.clock.monotonicMs();
    this.phase = { kind: 'flushing', overlay, stores, changed, appliedIndexes, startedMs };
    this.isRequested = false;
    for (const chunk of overlay.chunks()) this.send(chunk);
    const encoder = new FlushEncoder(stores, changed);
    this.thread.post(encoder.begin(overlay));
    this.encode(encoder);
  }

  /** One slice, then the next one after the loop's other work. */
  private encode(encoder: FlushEncoder): void {
    if (this.phase.kind !== 'flushing') return;
    const slice = encoder.next();
    if (slice === undefined) {
      this.thread.post({ type: 'end' });
      return;
    }
    this.thread.post(slice);
    this.clock.soon(() => this.encode(encoder));
  }

  private send(chunk: Chunk): void {
    if (this.sentSlots.has(chunk.slot)) return;
    this.sentSlots.add(chunk.slot);
    this.thread.post({ type: 'chunk', slot: chunk.slot, memory: chunk.memory });
  }

  private onFlushed({ appliedIndexes, stats }: Flushed): void {
    const { phase } = this;
    if (phase.kind !== 'flushing') return;
    const { overlay, stores, changed } = phase;
    for (let i = 0; i < changed.length; i++) {
      const appliedIndex = appliedIndexes[i];
      if (appliedIndex === undefined || appliedIndex !== phase.appliedIndexes[i]) {
        const { regionId } = changed[i]!;
        this.fail(
          new MokuError('ENGINE_CORRUPT', { field: 'appliedIndex', regionId, found: appliedIndex }),
        );
        return;
      }
      changed[i]!.durableIndex = appliedIndex; // F2
    }
    for (const store of stores) {
      store.frozen = undefined;
      store.storedTimestampMax = Math.max(store.storedTimestampMax, store.frozenTimestampMax);
      store.frozenTimestampMax = -1;
    }
    overlay.unpin();
    this.endedMs = this.clock.monotonicMs();
    this.flushMsLast = this.endedMs - phase.startedMs;
    this.flushes += 1;
    this.statsLast = stats;
    this.phase = { kind: 'idle', timer: undefined };
    this.goOn();
    this.settle(overlay.number);
    this.events.onFlushed();
  }

  /** F1 */
  private goOn(): void {
    if (this.active.isEmpty) return;
    if (this.isRequested || this.active.bytes >= this.flushLimits.flushBytes) this.startSoon();
    else this.arm();
  }

  private settle(overlayNumber: number): void {
    const { waiters } = this;
    this.waiters = waiters.filter((waiter) => waiter.overlayNumber > overlayNumber);
    for (const waiter of waiters) {
      if (waiter.overlayNumber <= overlayNumber) waiter.resolve();
    }
  }
}

/** Makes the active trees of `overlay` the frozen ones; returns their stores by id. */
function freeze(overlay: Overlay): readonly StoreState[] {
  const stores: StoreState[] = [];
  for (const store of overlay.stores) {
    if (store.active === undefined) continue; // dropped since
    store.frozen = store.active;
    store.frozenTimestampMax = store.activeTimestampMax;
    store.active = undefined;
    store.activeTimestampMax = -1;
    stores.push(store);
  }
  return stores.sort((a, b) => a.storeId - b.storeId);
}
