/**
 * The LogStore on SQLite (design §7): indexes and the newest entries in memory on the loop's thread,
 * the file in a thread of its own. Contract and invariants L1–L5: raft/contracts/log-store.ts.
 *
 * Invariants:
 *  L6 A row is dropped or rewritten only in or after the transaction that stores the floors which make its
 *     dead records dead.
 */
import { assert, type Clock, MokuError, present, type RegionId } from '@moku/base';
import type {
  LogStore,
  LogStoreEvents,
  LogStoreHealth,
  RecoveredRegion,
  RegionLog,
  RegionWrite,
  Tombstone,
} from '@moku/raft';
import { BatchBuilder } from './batch-builder.js';
import { Compactor } from './compactor.js';
import { InFlight } from './in-flight.js';
import type { CommitMessage, FetchedRow, FileStats, FromThread, RowBytes } from './protocol.js';
import type { RecoveredLogs } from './recovery.js';
import type { LogParts } from './region-log.js';
import { RegionTable } from './region-table.js';
import { errorOf, type LogLink } from './thread-link.js';

/** Sizes of the log, in bytes unless named otherwise. */
export interface LogStats extends FileStats {
  readonly regions: number;
  readonly rows: number;
  /** Bytes of all rows, and of what lives in them. */
  readonly rowBytes: number;
  readonly liveBytes: number;
  readonly cachedBytes: number;
}

/** What the opening found and made; handed to the constructor. */
export interface OpenedLog {
  readonly link: LogLink;
  readonly parts: LogParts;
  readonly recovered: RecoveredLogs;
  readonly metas: Map<string, Uint8Array>;
  readonly incarnation: number;
  readonly storeId: string;
  readonly amnesia: string;
  readonly garbageBytesMin: number;
  readonly clock: Clock;
  /** Requests of the row reader go through here once the store is open. */
  readonly reads: { request(seqs: readonly number[]): void };
}

type Phase =
  | { readonly kind: 'open' }
  | { readonly kind: 'closing' }
  | { readonly kind: 'failed'; readonly error: MokuError }
  | { readonly kind: 'closed' };

export class SqliteLogStore implements LogStore {
  /** Raised and synced at each opening of the directory; 1 at the first. */
  readonly incarnation: number;
  /** 16 hex digits, made with the directory: tells a wiped or copied one from the old one. */
  readonly storeId: string;
  private readonly link: LogLink;
  private readonly parts: LogParts;
  private readonly clock: Clock;
  private readonly metas: Map<string, Uint8Array>;
  private readonly found: ReturnType<LogStore['recovered']>;
  private readonly builder: BatchBuilder;
  private readonly regions: RegionTable;
  private readonly compactor: Compactor;
  private readonly inFlight = new InFlight();
  private readonly requests = new Map<number, (rows: readonly FetchedRow[]) => void>();
  private readonly statsWaiters: ((stats: FileStats) => void)[] = [];
  private readonly amnesiaWaiters: (() => void)[] = [];
  private stagedMetas: { readonly key: string; readonly value: Uint8Array }[] = [];
  private events: LogStoreEvents | undefined;
  private phase: Phase = { kind: 'open' };
  private amnesiaReason: string;
  private batchNumber = 0;
  private serial = 0;
  private durableSerial = 0;
  private compactionSerial = 0;
  private requestId = 0;
  private isReportDue = false;

  constructor(opened: OpenedLog) {
    this.incarnation = opened.incarnation;
    this.storeId = opened.storeId;
    this.amnesiaReason = opened.amnesia;
    this.link = opened.link;
    this.parts = opened.parts;
    this.clock = opened.clock;
    this.metas = opened.metas;
    this.builder = new BatchBuilder(opened.parts.table, opened.recovered.nextSeq);
    this.regions = new RegionTable(opened.recovered, opened.parts, this.builder);
    this.found = this.regions.recovered();
    this.compactor = new Compactor(opened.parts.table, this.regions.logs, opened.garbageBytesMin);
    opened.reads.request = (seqs) => this.fetch(seqs, (rows) => this.onRows(rows));
    this.link.listen({
      onMessage: (message) => this.onMessage(message),
      onBroken: (error) => this.onBroken(error),
    });
    // Rows that the recovery found dead go at once, unless what is missing makes them look so.
    if (opened.recovered.loss === '') this.send(0);
  }

  /** True when synced data may be missing: the node must not vote until `clearAmnesia` (P6). */
  get isAmnesiac(): boolean {
    return this.amnesiaReason !== '';
  }

  /** Why the store is amnesiac; empty when it is not. */
  get amnesia(): string {
    return this.amnesiaReason;
  }

  /** The peers have made this node safe: it may vote again, also after a restart. Durable when it resolves. */
  async clearAmnesia(): Promise<void> {
    if (!this.isAmnesiac) return;
    this.assertOpen();
    const cleared = new Promise<void>((resolve) => this.amnesiaWaiters.push(resolve));
    this.link.post({ type: 'clearAmnesia' });
    await this.orEnded(cleared);
    this.amnesiaReason = '';
  }

  /** A peer has shown that synced data is missing: amnesiac from now on. Durable when it resolves. */
  async noteAmnesia(reason: string): Promise<void> {
    if (this.isAmnesiac) return;
    this.assertOpen();
    this.amnesiaReason = reason;
    const noted = new Promise<void>((resolve) => this.amnesiaWaiters.push(resolve));
    this.link.post({ type: 'noteAmnesia', loss: reason });
    await this.orEnded(noted);
  }

  recovered(): {
    readonly regions: readonly RecoveredRegion[];
    readonly tombstones: readonly Tombstone[];
  } {
    return this.found;
  }

  subscribe(events: LogStoreEvents): void {
    assert(this.events === undefined, 'L1: events go to one place');
    this.events = events;
  }

  region(regionId: RegionId): RegionLog | undefined {
    return this.regions.logs.get(regionId);
  }

  write(writes: readonly RegionWrite[]): number {
    assert(this.events !== undefined, 'L1: subscribe comes before the first write');
    if (this.phase.kind === 'closing' || this.phase.kind === 'closed') {
      throw new MokuError('CLOSED', { field: 'log' });
    }
    this.batchNumber += 1;
    this.builder.begin();
    for (const write of writes) this.regions.apply(write);
    this.send(this.batchNumber);
    return this.batchNumber;
  }

  health(): LogStoreHealth {
    const since = this.inFlight.oldestSinceMs();
    return {
      batchesInFlight: this.inFlight.batches,
      bytesInFlight: this.inFlight.bytes,
      oldestUnsyncedMs: since === undefined ? 0 : this.clock.monotonicMs() - since,
    };
  }

  getMeta(key: string): Uint8Array | undefined {
    return this.metas.get(key);
  }

  setMeta(key: string, value: Uint8Array): void {
    const copy = value.slice();
    this.metas.set(key, copy);
    this.stagedMetas.push({ key, value: copy });
  }

  /** Sizes, for metrics and tests. Throws CLOSED when the store is not open. */
  async stats(): Promise<LogStats> {
    this.assertOpen();
    const answered = new Promise<FileStats>((resolve) => this.statsWaiters.push(resolve));
    this.link.post({ type: 'stats' });
    const file = await this.orEnded(answered);
    const { table, cache } = this.parts;
    return {
      ...file,
      regions: this.regions.logs.size,
      rows: table.count,
      rowBytes: table.totalBytes,
      liveBytes: table.liveBytes,
      cachedBytes: cache.bytes,
    };
  }

  /** Waits until everything handed over is synced and reported, then gives the directory free. */
  async close(): Promise<void> {
    if (this.phase.kind === 'open') {
      this.regions.stageStale();
      this.send(0);
      this.phase = { kind: 'closing' };
      this.link.post({ type: 'close' });
    }
    await this.link.ended;
  }

  /** Ends the thread where it stands, as a crash would: for a process that must stop (P7), and for tests. */
  async abandon(): Promise<void> {
    this.phase = { kind: 'closed' };
    await this.link.terminate();
  }

  /** Hands what is gathered to the thread, as batch `batchNumber`, or as the store's own for 0. */
  private send(batchNumber: number, replaces: readonly RowBytes[] = []): void {
    const inserts = this.builder.finish();
    const drops = this.parts.table.takeDead();
    const states = this.regions.takeStates();
    const metas = this.stagedMetas;
    this.stagedMetas = [];
    let bytes = states?.length ?? 0;
    const transfer: ArrayBuffer[] = states === undefined ? [] : [states.buffer];
    for (const row of inserts) bytes += addTransfer(transfer, row);
    for (const row of replaces) bytes += addTransfer(transfer, row);
    const isEmpty = transfer.length === 0 && drops.length === 0 && metas.length === 0;
    if (!isEmpty && this.phase.kind !== 'failed') {
      this.serial += 1;
      const { serial } = this;
      const message: CommitMessage = {
        type: 'commit',
        serial,
        bytes,
        states,
        metas,
        inserts,
        replaces,
        drops,
      };
      this.link.post(message, transfer);
    }
    if (batchNumber > 0) {
      this.inFlight.push(batchNumber, this.serial, bytes, this.clock.monotonicMs());
      if (this.serial === this.durableSerial) this.reportSoon();
      this.compact();
    }
  }

  /** A batch with nothing to write is durable with what came before it, but never within `write`. */
  private reportSoon(): void {
    if (this.isReportDue) return;
    this.isReportDue = true;
    this.clock.soon(() => {
      this.isReportDue = false;
      this.reportDurable();
    });
  }

  private reportDurable(): void {
    if (this.phase.kind === 'failed' || this.phase.kind === 'closed') return;
    const batchNumber = this.inFlight.takeDurable(this.durableSerial);
    if (batchNumber > 0) this.events?.onDurable(batchNumber);
  }

  private compact(): void {
    if (this.phase.kind !== 'open') return;
    const seqs = this.compactor.begin();
    if (seqs.length === 0) return;
    this.fetch(seqs, (rows) => {
      const replaces = this.compactor.rewrite(rows);
      if (this.phase.kind !== 'open' || replaces.length === 0) {
        this.compactor.end();
        return;
      }
      this.send(0, replaces);
      this.compactionSerial = this.serial;
    });
  }

  private fetch(seqs: readonly number[], take: (rows: readonly FetchedRow[]) => void): void {
    if (this.phase.kind !== 'open') return;
    this.requestId += 1;
    this.requests.set(this.requestId, take);
    this.link.post({ type: 'fetch', requestId: this.requestId, seqs });
  }

  private onRows(rows: readonly FetchedRow[]): void {
    for (const regionId of this.parts.reader.onRows(rows)) this.events?.onFetched(regionId);
  }

  private onMessage(message: FromThread): void {
    switch (message.type) {
      case 'durable':
        this.durableSerial = message.serial;
        this.reportDurable();
        if (this.compactionSerial > 0 && message.serial >= this.compactionSerial) {
          this.compactionSerial = 0;
          this.compactor.end();
          this.compact();
        }
        return;
      case 'fetched': {
        const take = present(this.requests.get(message.requestId), 'F1: rows were asked for');
        this.requests.delete(message.requestId);
        take(message.rows);
        return;
      }
      case 'stats':
        this.statsWaiters.shift()?.(message.stats);
        return;
      case 'amnesia':
        this.amnesiaWaiters.shift()?.();
        return;
      case 'failed':
        this.fail(errorOf(message.error));
        return;
      case 'closed':
        this.phase = { kind: 'closed' };
        return;
      default:
        assert(false, 'the thread says nothing of the opening any more');
    }
  }

  private onBroken(error: MokuError): void {
    if (this.phase.kind !== 'closed') this.fail(error);
  }

  /** L5. */
  private fail(error: MokuError): void {
    if (this.phase.kind === 'failed' || this.phase.kind === 'closed') return;
    this.phase = { kind: 'failed', error };
    this.events?.onFailure(error);
  }

  private assertOpen(): void {
    if (this.phase.kind === 'failed') throw this.phase.error;
    if (this.phase.kind !== 'open') throw new MokuError('CLOSED', { field: 'log' });
  }

  /** What the thread answers, or CLOSED when it ended first. */
  private orEnded<T>(answer: Promise<T>): Promise<T> {
    const ended = this.link.ended.then((): never => {
      throw new MokuError('CLOSED', { field: 'log' });
    });
    return Promise.race([answer, ended]);
  }
}

function addTransfer(transfer: ArrayBuffer[], row: RowBytes): number {
  transfer.push(row.bytes.buffer);
  return row.bytes.length;
}
