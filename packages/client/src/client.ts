/**
 * A Database over request channels: what `connect()` and `open()` give. Composition only.
 */
import {
  type Clock,
  emptyBytes,
  type KeyspaceDescriptor,
  limits,
  MokuError,
  metaRegionId,
  type NodeId,
  type Prng,
  type RegionDescriptor,
  type ReplicaId,
  utf8,
} from '@moku/base';
import type { ClusterView, Command, SessionRef } from '@moku/kv';
import type { RequestChannel } from '@moku/transport';
import { type Admin, ClusterAdmin } from './admin.js';
import { Attempts } from './attempts.js';
import { Channels } from './channels.js';
import type { ClientCore } from './core.js';
import type { CallOptions, Database, Keyspace, KeyspaceOptions } from './database.js';
import { Calls, type Deadline } from './deadline.js';
import { RemoteKeyspace } from './keyspace.js';
import { Reads } from './reads.js';
import { Router } from './router.js';
import { Sessions } from './sessions.js';
import { keyBytes, valueCodec } from './values.js';
import { refusalError, Writes } from './writes.js';

const closeGraceMs = 5_000;

export interface ClientOptions {
  readonly clock: Clock;
  readonly prng: Prng;
  readonly dial: (address: string) => Promise<RequestChannel>;
  /** host:port of some nodes' client sockets; the others are learned. */
  readonly seeds: readonly string[];
  readonly local?: { readonly nodeId: NodeId; readonly channel: RequestChannel };
  /** Ends what belongs to the database beside its connections (the embedded node). */
  readonly onClose?: () => Promise<void>;
}

export class ClientDatabase implements Database {
  readonly admin: Admin;
  private readonly options: ClientOptions;
  private readonly channels: Channels;
  private readonly core: ClientCore;
  private closing: Promise<void> | undefined;

  constructor(options: ClientOptions) {
    const { clock } = options;
    this.options = options;
    this.channels = new Channels(options);
    const router = new Router(this.channels);
    const attempts = new Attempts(this.channels, router, clock);
    const calls = new Calls(clock, options.prng);
    this.admin = new ClusterAdmin(calls, this.channels, router);
    this.core = {
      calls,
      router,
      writes: new Writes(attempts, new Sessions()),
      reads: new Reads(attempts),
    };
  }

  async keyspace<T = unknown>(
    name: string,
    options: KeyspaceOptions & CallOptions = {},
  ): Promise<Keyspace<T>> {
    checkName(name);
    const forms = { values: valueCodec(options.values ?? 'json'), keys: options.keys ?? 'utf8' };
    const descriptor = await this.core.calls.run(options, (deadline) =>
      this.resolve(name, options, deadline),
    );
    return new RemoteKeyspace<T>(this.core, descriptor, forms);
  }

  view(options?: CallOptions): Promise<ClusterView> {
    return this.core.calls.run(options, (deadline) => this.core.router.view(undefined, deadline));
  }

  close(options: { readonly graceMs?: number } = {}): Promise<void> {
    this.closing ??= this.end(options.graceMs ?? closeGraceMs);
    return this.closing;
  }

  private async end(graceMs: number): Promise<void> {
    await this.core.calls.close(graceMs);
    await this.channels.close();
    await this.options.onClose?.();
  }

  private async resolve(
    name: string,
    options: KeyspaceOptions,
    deadline: Deadline,
  ): Promise<KeyspaceDescriptor> {
    const existing = await this.core.router.refresh(name, deadline);
    if (options.mode === undefined) {
      if (existing === undefined)
        throw new MokuError('KEYSPACE_UNKNOWN', { field: 'keyspace', name });
      return existing.keyspace;
    }
    if (existing !== undefined) {
      checkSame(existing.keyspace, existing.regions.length, options);
      return existing.keyspace;
    }
    await this.create(name, options, deadline);
    return this.created(name, deadline);
  }

  private async create(name: string, options: KeyspaceOptions, deadline: Deadline): Promise<void> {
    const { mode = 'hash' } = options;
    const bounds = (options.bounds ?? []).map((key) => keyBytes(key, 'bounds'));
    const regions = options.regions ?? (mode === 'hash' ? 16 : bounds.length + 1);
    checkCount('regions', regions, 1, limits.regionsPerKeyspaceMax);
    const replication = options.replication ?? 0;
    checkCount('replication', replication, 0, 7);
    const outcome = await this.core.writes.run(
      {
        region: (d) => this.metaRegion(d),
        refresh: async () => {},
        command: (_region: RegionDescriptor, session: SessionRef): Command => ({
          type: 'createKeyspace',
          session,
          name,
          mode,
          regions,
          bounds,
          replication,
        }),
      },
      deadline,
    );
    if (outcome.type === 'refused') {
      throw refusalError(outcome.reason, {
        field: 'keyspace',
        name,
        mode,
        regions,
        bounds: bounds.length,
      });
    }
  }

  /** The node that is asked may be behind the one that applied the command. */
  private async created(name: string, deadline: Deadline): Promise<KeyspaceDescriptor> {
    while (!deadline.isOver) {
      const routes = await this.core.router.refresh(name, deadline);
      if (routes !== undefined) return routes.keyspace;
      await deadline.wait(20);
    }
    throw deadline.error(true, undefined);
  }

  private async metaRegion(deadline: Deadline): Promise<RegionDescriptor> {
    const view = await this.core.router.view('', deadline);
    return metaRegionOf(view);
  }
}

/** Every node holds a replica of meta; who leads it is learned from the answers. */
function metaRegionOf(view: ClusterView): RegionDescriptor {
  return {
    regionId: metaRegionId,
    keyspaceId: 0,
    startKey: emptyBytes,
    endKey: undefined,
    epoch: { version: 1, config: 1 },
    replicas: view.nodes.map((node, i) => ({
      replicaId: (i + 1) as ReplicaId,
      nodeId: node.nodeId,
      isLearner: false,
    })),
  };
}

function checkName(name: string): void {
  if (typeof name !== 'string' || name.length === 0) {
    throw new MokuError('INVALID_ARGUMENT', {
      field: 'keyspace',
      rule: 'a name that is not empty',
    });
  }
  const bytes = utf8(name).length;
  if (bytes > limits.keyspaceNameBytesMax) {
    throw new MokuError('INVALID_ARGUMENT', {
      field: 'keyspace',
      bytes,
      max: limits.keyspaceNameBytesMax,
    });
  }
}

function checkCount(field: string, value: number, min: number, max: number): void {
  if (!Number.isSafeInteger(value) || value < min || value > max) {
    throw new MokuError('INVALID_ARGUMENT', { field, value, min, max });
  }
}

/** Settings that were given must be those of the keyspace that exists. */
function checkSame(existing: KeyspaceDescriptor, regions: number, options: KeyspaceOptions): void {
  const { name, mode } = existing;
  if (options.mode !== mode)
    throw new MokuError('KEYSPACE_EXISTS', {
      field: 'mode',
      name,
      value: options.mode,
      existing: mode,
    });
  const wanted = options.regions;
  if (wanted !== undefined && wanted !== regions) {
    throw new MokuError('KEYSPACE_EXISTS', {
      field: 'regions',
      name,
      value: wanted,
      existing: regions,
    });
  }
}
