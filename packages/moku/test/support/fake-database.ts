/**
 * A Database in memory, as far as the commands use one. Keys are kept as UTF-8 or hex text, values as
 * they are given: what is tested here is the command line, not the store.
 */
import { MokuError, type NodeId, type RegionId } from '@moku/base';
import type {
  Admin,
  CallOptions,
  Conditions,
  Database,
  Found,
  Key,
  Keyspace,
  KeyspaceOptions,
  PutOptions,
  RegionReport,
  ScanOptions,
  WriteResult,
} from '@moku/client';
import type { ClusterView } from '@moku/kv';

interface Stored {
  readonly value: unknown;
  readonly version: number;
}

function textOf(key: Key): string {
  return typeof key === 'string' ? key : Buffer.from(key).toString('hex');
}

export class FakeKeyspace implements Keyspace<unknown> {
  readonly name: string;
  readonly mode: 'hash' | 'range';
  readonly records = new Map<string, Stored>();
  /** Keys in the order in which they were written. */
  readonly writes: string[] = [];
  /** Thrown by the next write of these keys. */
  readonly failures = new Map<string, MokuError>();
  readonly puts: PutOptions[] = [];
  private version = 100;

  constructor(name: string, mode: 'hash' | 'range') {
    this.name = name;
    this.mode = mode;
  }

  async get(key: Key): Promise<unknown> {
    return this.records.get(textOf(key))?.value;
  }

  async getRecord(key: Key): Promise<Found<unknown> | undefined> {
    if (textOf(key) === '') throw new MokuError('KEY_EMPTY', { field: 'key' });
    const stored = this.records.get(textOf(key));
    return stored === undefined ? undefined : { key, ...stored, expiresAtMs: undefined };
  }

  async has(key: Key): Promise<boolean> {
    return this.records.has(textOf(key));
  }

  async put(key: Key, value: unknown, options: PutOptions = {}): Promise<WriteResult> {
    this.puts.push(options);
    return this.write(key, options, { value, version: ++this.version });
  }

  async delete(key: Key, options: Conditions = {}): Promise<WriteResult> {
    return this.write(key, options, undefined);
  }

  async batch(): Promise<never> {
    throw new MokuError('INTERNAL', { rule: 'no command uses it' });
  }

  async getMany(keys: readonly Key[]): Promise<unknown[]> {
    return keys.map((key) => this.records.get(textOf(key))?.value);
  }

  async putMany(records: Iterable<readonly [Key, unknown]>): Promise<{ readonly written: number }> {
    let written = 0;
    for (const [key, value] of records) {
      const failure = this.failures.get(textOf(key));
      if (failure !== undefined) {
        throw new MokuError(failure.code, { ...failure.details, written });
      }
      // As over a wire: other requests get their turn in between.
      await Promise.resolve();
      await this.put(key, value);
      this.writes.push(textOf(key));
      written += 1;
    }
    return { written };
  }

  async scanPage(): Promise<never> {
    throw new MokuError('INTERNAL', { rule: 'no command uses it' });
  }

  async *scan({ prefix = '', limit = Number.POSITIVE_INFINITY, reverse }: ScanOptions = {}) {
    const keys = [...this.records.keys()].filter((key) => key.startsWith(textOf(prefix))).sort();
    if (reverse === true) keys.reverse();
    for (const key of keys.slice(0, Math.min(limit, keys.length))) {
      const stored = this.records.get(key);
      if (stored !== undefined) yield { key, ...stored, expiresAtMs: undefined };
    }
  }

  private write(key: Key, conditions: Conditions, stored: Stored | undefined): WriteResult {
    const name = textOf(key);
    const before = this.records.get(name);
    const { ifAbsent, ifPresent, ifVersion } = conditions;
    const version = before?.version ?? 0;
    const isRefused =
      (ifAbsent === true && version !== 0) ||
      (ifPresent === true && version === 0) ||
      (ifVersion !== undefined && ifVersion !== version);
    if (isRefused) return { applied: false, version };
    if (stored === undefined) this.records.delete(name);
    else this.records.set(name, stored);
    return { applied: true, version: this.version, existed: version !== 0 };
  }
}

export class FakeDatabase implements Database {
  readonly keyspaces = new Map<string, FakeKeyspace>();
  /** Options of every `keyspace` call. */
  readonly opened: (KeyspaceOptions & CallOptions)[] = [];
  isClosed = false;
  /** Nodes that do not answer. */
  readonly silent = new Set<number>();
  reports: RegionReport[] = [];
  readonly transfers: { regionId: number; to: number }[] = [];
  leaders: { regionId: RegionId; nodeId: number }[] = [];

  async keyspace<T = unknown>(
    name: string,
    options: KeyspaceOptions & CallOptions = {},
  ): Promise<Keyspace<T>> {
    this.opened.push(options);
    const found = this.keyspaces.get(name);
    if (found !== undefined) return found as Keyspace<unknown> as Keyspace<T>;
    if (options.mode === undefined) {
      throw new MokuError('KEYSPACE_UNKNOWN', { field: 'keyspace', name });
    }
    return this.add(name, options.mode) as Keyspace<unknown> as Keyspace<T>;
  }

  add(name: string, mode: 'hash' | 'range' = 'hash'): FakeKeyspace {
    const keyspace = new FakeKeyspace(name, mode);
    this.keyspaces.set(name, keyspace);
    return keyspace;
  }

  async view(): Promise<ClusterView> {
    const keyspaces = [...this.keyspaces.values()].map(({ name, mode }, i) => {
      return { keyspaceId: i + 1, name, mode };
    });
    return {
      clusterId: 'test',
      revision: 1,
      nodes: [1, 2, 3].map((id) => ({
        nodeId: id as NodeId,
        peerAddress: `127.0.0.1:${7500 + id}`,
        clientAddress: `127.0.0.1:${7400 + id}`,
      })),
      keyspaces,
      regions: [],
      leaders: this.leaders,
    };
  }

  readonly admin: Admin = {
    status: async (nodeId) => {
      this.check(nodeId);
      return {
        node: { regions: 5, leaders: 2, awake: 0, unattachedPairs: 0, peers: [{ isOpen: true }] },
        log: { batchesInFlight: 1, bytesInFlight: 2048 },
        process: { rssBytes: 100 * 1024 * 1024, uptimeMs: 61_000 },
      };
    },
    regions: async (nodeId) => {
      this.check(nodeId);
      return this.reports.filter((report) => Number(report.replicaId) === nodeId);
    },
    digest: async () => ({ appliedIndex: 0, records: 0, digest: '' }),
    locate: async () => 1 as RegionId,
    transferLeadership: async (regionId, to) => {
      this.transfers.push({ regionId, to });
      this.leaders = [{ regionId, nodeId: to }];
    },
  };

  async close(): Promise<void> {
    this.isClosed = true;
  }

  private check(nodeId: NodeId): void {
    if (this.silent.has(nodeId)) throw new MokuError('UNAVAILABLE', { nodeId });
  }
}
