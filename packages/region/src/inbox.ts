// @hot
/**
 * What arrived between turns, in the order of its arrival. Callbacks of log and transport only put it
 * here; the turn takes it out (H1).
 *
 * Invariants:
 *  X1 Per peer, opening, frames and closing of sessions come out in the order in which they came.
 *  X2 Frames held are bounded in bytes; a session that would exceed the bound is closed, nothing of an
 *     open session is dropped.
 */
import { limits, type RegionId } from '@moku/base';
import type { LogStoreEvents } from '@moku/raft';
import type { Lane, LinkSession, Transport, TransportEvents } from './contracts/transport.js';

export type Arrival =
  | { readonly kind: 'frame'; readonly session: LinkSession; readonly bytes: Uint8Array }
  | { readonly kind: 'open'; readonly session: LinkSession }
  | { readonly kind: 'close'; readonly session: LinkSession };

/** Bytes of received frames that may wait. */
const inboxBytesMax = limits.linkBufferedBytesMax * 8;

export class Inbox implements TransportEvents, LogStoreEvents {
  private readonly transport: Transport;
  private readonly onWork: () => void;
  private readonly onLogFailure: (error: Error) => void;
  private arrivals: Arrival[] = [];
  private head = 0;
  private fetched: RegionId[] = [];
  private readonly overrun = new Set<string>();
  bytes = 0;
  durableBatch = 0;

  constructor(parts: {
    readonly transport: Transport;
    readonly onWork: () => void;
    readonly onLogFailure: (error: Error) => void;
  }) {
    this.transport = parts.transport;
    this.onWork = parts.onWork;
    this.onLogFailure = parts.onLogFailure;
  }

  get length(): number {
    return this.arrivals.length - this.head;
  }

  /** The oldest arrival; undefined when nothing is left. */
  take(): Arrival | undefined {
    if (this.head === this.arrivals.length) return undefined;
    const arrival = this.arrivals[this.head]!;
    this.head++;
    if (arrival.kind === 'frame') this.bytes -= arrival.bytes.length;
    if (this.head === this.arrivals.length) {
      this.arrivals = [];
      this.head = 0;
    }
    return arrival;
  }

  /** Regions whose entries came from disk since the last call. */
  takeFetched(): readonly RegionId[] {
    const { fetched } = this;
    if (fetched.length > 0) this.fetched = [];
    return fetched;
  }

  // ---- TransportEvents

  onSessionOpen(session: LinkSession): void {
    this.arrivals.push({ kind: 'open', session });
    this.onWork();
  }

  onFrame(session: LinkSession, _lane: Lane, bytes: Uint8Array): void {
    if (this.overrun.has(session.sessionId)) return;
    if (this.bytes + bytes.length > inboxBytesMax) {
      this.overrun.add(session.sessionId);
      this.transport.closeSession(session, 'PEER_OVERRUN');
      return;
    }
    this.bytes += bytes.length;
    this.arrivals.push({ kind: 'frame', session, bytes });
    this.onWork();
  }

  onSessionClose(session: LinkSession, _reason: string): void {
    this.overrun.delete(session.sessionId);
    this.arrivals.push({ kind: 'close', session });
    this.onWork();
  }

  // ---- LogStoreEvents

  onDurable(batchNumber: number): void {
    if (batchNumber > this.durableBatch) this.durableBatch = batchNumber;
    this.onWork();
  }

  onFetched(regionId: RegionId): void {
    this.fetched.push(regionId);
    this.onWork();
  }

  onFailure(error: Error): void {
    this.onLogFailure(error);
  }
}
