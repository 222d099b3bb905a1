/**
 * The log stores that the conformance suite runs on, behind one way to open, settle, restart, crash and
 * damage them.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { hash64, type RegionId, type ReplicaId } from '@moku/base';
import {
  type ConfState,
  type Entry,
  type LogStore,
  MemoryLogStore,
  type RegionWrite,
} from '@moku/raft';
import { openLogStore, type SqliteLogStore } from '@moku/storage';
import { expect, vi } from 'vitest';

export const waitOptions = { timeout: 20_000, interval: 1 };

/** What a store reported, in order. */
export interface Reports {
  readonly durable: number[];
  readonly fetched: RegionId[];
  readonly failures: Error[];
}

export interface Disk {
  /** Bytes of all rows, and of what lives in them. */
  readonly rowBytes: number;
  readonly liveBytes: number;
  readonly rows: number;
  readonly fileBytes: number;
  /** Rows read back since the store was opened. */
  readonly rowsRead: number;
}

export interface LogHost {
  readonly store: LogStore;
  /** Of the store as opened last. */
  readonly reports: Reports;
  /** Makes everything handed over durable. */
  settle(): Promise<void>;
  /** Lets what goes on in the background (fetches) come a step further. */
  progress(): void;
  /** Closes the store in good order and opens it again: nothing is in memory then. */
  reopen(): Promise<void>;
  /** Loses power: a prefix of the batches survives, at least the durable ones. */
  crash(): Promise<void>;
  /** Closes the store, damages the entry's data and opens it again. */
  reopenDamaged(regionId: RegionId, entry: Entry): Promise<void>;
  /** The next commit meets an error of the disk. */
  breakDisk(): Promise<void>;
  /** Rewrites rows until none is worth it; undefined where no rows are rewritten. */
  readonly compact: (() => Promise<void>) | undefined;
  readonly disk: (() => Promise<Disk>) | undefined;
  dispose(): Promise<void>;
}

export interface LogAdapter {
  readonly name: string;
  /** `rewritesRows`: rows of which little lives are rewritten at the first occasion; else never. */
  open(options?: { readonly rewritesRows?: boolean }): Promise<LogHost>;
}

function reportsOf(store: LogStore): Reports {
  const reports: Reports = { durable: [], fetched: [], failures: [] };
  store.subscribe({
    onDurable: (batchNumber) => reports.durable.push(batchNumber),
    onFetched: (regionId) => reports.fetched.push(regionId),
    onFailure: (error) => reports.failures.push(error),
  });
  return reports;
}

/** The real store; where its files are and how their disk fails is the subclass's. */
export abstract class SqlHost implements LogHost {
  store!: SqliteLogStore;
  reports!: Reports;
  readonly compact: (() => Promise<void>) | undefined;
  protected readonly common: { clusterId: string; nodeId: number; garbageBytesMin: number };

  constructor(rewritesRows: boolean) {
    const garbageBytesMin = rewritesRows ? 0 : Number.MAX_SAFE_INTEGER;
    this.common = { clusterId: 'conformance', nodeId: 1, garbageBytesMin };
    this.compact = rewritesRows ? () => this.rewriteAll() : undefined;
  }

  protected abstract openStore(): Promise<SqliteLogStore>;

  /** Of the closed store. */
  protected abstract rawDatabase(): RawDatabase;

  abstract crash(): Promise<void>;

  abstract breakDisk(): Promise<void>;

  async open(): Promise<void> {
    this.store = await this.openStore();
    this.reports = reportsOf(this.store);
    expect(this.store.amnesia).toBe('');
  }

  async settle(): Promise<void> {
    await vi.waitFor(() => expect(this.store.health().batchesInFlight).toBe(0), waitOptions);
  }

  progress(): void {}

  async reopen(): Promise<void> {
    await this.store.close();
    await this.open();
  }

  async reopenDamaged(_regionId: RegionId, entry: Entry): Promise<void> {
    await this.store.close();
    const database = this.rawDatabase();
    const rows = database.prepare('SELECT seq, bytes FROM batch').all();
    let damaged = 0;
    for (const { seq, bytes } of rows as { seq: number; bytes: Buffer }[]) {
      const at = bytes.indexOf(entry.data);
      if (at < 0) continue;
      bytes[at] = bytes[at]! ^ 0x40;
      database.prepare('UPDATE batch SET bytes = ? WHERE seq = ?').run(bytes, seq);
      damaged += 1;
    }
    database.close();
    expect(damaged).toBe(1);
    await this.open();
  }

  private async rewriteAll(): Promise<void> {
    const { store } = this;
    store.write([]);
    await vi.waitFor(async () => {
      const { rowBytes, liveBytes } = await store.stats();
      expect(rowBytes - liveBytes).toBeLessThanOrEqual(liveBytes);
    }, waitOptions);
    await this.settle();
  }

  readonly disk = (): Promise<Disk> => this.store.stats();

  async dispose(): Promise<void> {
    await this.store.close();
  }
}

class FileHost extends SqlHost {
  private readonly dir = mkdtempSync(join(tmpdir(), 'moku-log-'));
  private fileBytesMax: number | undefined;

  protected openStore(): Promise<SqliteLogStore> {
    const { dir, fileBytesMax, common } = this;
    const bound = fileBytesMax === undefined ? {} : { fileBytesMax };
    return openLogStore({ dir, ...common, ...bound });
  }

  protected rawDatabase(): RawDatabase {
    return openDatabase(join(this.dir, 'log.db'));
  }

  async crash(): Promise<void> {
    await this.store.abandon();
    await this.open();
  }

  async breakDisk(): Promise<void> {
    const { fileBytes } = await this.store.stats();
    await this.store.close();
    this.fileBytesMax = fileBytes;
    await this.open();
  }

  override async dispose(): Promise<void> {
    await super.dispose();
    rmSync(this.dir, { recursive: true });
  }
}

interface RawDatabase {
  prepare(sql: string): {
    all(): unknown[];
    run(...values: (number | Uint8Array)[]): unknown;
  };
  close(): unknown;
}

/** better-sqlite3 as the storage package has it. */
function openDatabase(path: string): RawDatabase {
  const require = createRequire(import.meta.resolve('@moku/storage/package.json'));
  const Database = require('better-sqlite3') as new (path: string) => RawDatabase;
  return new Database(path);
}

class MemoryHost implements LogHost {
  store = new MemoryLogStore();
  reports: Reports = reportsOf(this.store);
  readonly compact = undefined;
  readonly disk = undefined;

  async settle(): Promise<void> {
    this.store.sync();
  }

  progress(): void {
    this.store.fetch();
  }

  async reopen(): Promise<void> {
    this.store.sync();
    await this.crash();
    for (const { regionId } of this.store.recovered().regions) this.store.evict(regionId);
  }

  async crash(): Promise<void> {
    this.store = this.store.crash();
    this.reports = reportsOf(this.store);
  }

  async reopenDamaged(regionId: RegionId, entry: Entry): Promise<void> {
    await this.reopen();
    this.store.corrupt(regionId, entry.index);
  }

  async breakDisk(): Promise<void> {
    this.store.fail(new Error('the disk is broken'));
  }

  async dispose(): Promise<void> {}
}

const sqlite: LogAdapter = {
  name: 'sqlite',
  async open(options = {}) {
    const host = new FileHost(options.rewritesRows ?? false);
    await host.open();
    return host;
  },
};

const memory: LogAdapter = {
  name: 'memory',
  async open() {
    return new MemoryHost();
  },
};

export const logAdapters: readonly LogAdapter[] = [sqlite, memory];

export const regionA = 1 as RegionId;
export const regionB = 2 as RegionId;
export const replica1 = 1 as ReplicaId;
export const replica2 = 2 as ReplicaId;

export const confState: ConfState = {
  voters: [replica1],
  votersOutgoing: [],
  learners: [],
  learnersNext: [],
  autoLeave: false,
};

export function create(
  regionId: RegionId,
  options: {
    readonly replicaId?: ReplicaId;
    readonly behind?: number;
    readonly term?: number;
  } = {},
): RegionWrite {
  const { replicaId = replica1, behind = 0, term = 0 } = options;
  const truncated = { truncatedIndex: behind, truncatedTerm: term };
  return { regionId, create: { replicaId, confState, ...truncated } };
}

/** Entries of one term, with data that occurs nowhere else, filled up to `bytes`. */
export function entriesOf(
  regionId: RegionId,
  from: number,
  to: number,
  options: { readonly term?: number; readonly bytes?: number } = {},
): Entry[] {
  const { term = 1, bytes = 40 } = options;
  const entries: Entry[] = [];
  for (let index = from; index <= to; index++) {
    const head = `<region ${regionId} index ${index} term ${term}>`;
    entries.push({
      term,
      index,
      kind: 'normal',
      data: new Uint8Array(Buffer.from(head.padEnd(bytes, '.'))),
    });
  }
  return entries;
}

/** Entries `from` … `to`, fetched if need be; read in as many pieces as the store gives. */
export async function readAll(
  host: LogHost,
  regionId: RegionId,
  from: number,
  to: number,
): Promise<Entry[]> {
  const log = host.store.region(regionId);
  if (log === undefined) throw new Error(`region ${regionId} has no log`);
  const all: Entry[] = [];
  while (all.length < to - from + 1) {
    const piece = log.entries(from + all.length, to + 1, 1 << 20);
    if (piece === 'fetching') await fetched(host, regionId);
    else all.push(...piece);
  }
  return all;
}

/** Waits until a fetch that is under way for the region is reported. */
export async function fetched(host: LogHost, regionId: RegionId): Promise<void> {
  const seen = host.reports.fetched.length;
  host.progress();
  await vi.waitFor(() => expect(host.reports.fetched.slice(seen)).toContain(regionId), waitOptions);
}

/** What a log says of itself: floor, last index, and every term. */
export function shape(host: LogHost, regionId: RegionId): string {
  const log = host.store.region(regionId);
  if (log === undefined) return 'none';
  const terms: (number | undefined)[] = [];
  for (let i = log.firstIndex() - 1; i <= log.lastIndex(); i++) terms.push(log.term(i));
  return `${log.firstIndex()}..${log.lastIndex()} terms ${terms.join(',')}`;
}

/** Entries in a form that is quick to compare. */
export function brief(entries: readonly Entry[]): string[] {
  return entries.map(
    ({ index, term, kind, data }) => `${index} ${term} ${kind} ${data.length} ${hash64(data)}`,
  );
}
