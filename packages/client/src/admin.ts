/**
 * Questions to one node about itself, and orders to the cluster that change no data.
 */
import { MokuError, type NodeId, type RegionId } from '@moku/base';
import { decodeQueryOutcome, encodeQuery, storedKey } from '@moku/kv';
import type { RegionStatus } from '@moku/region';
import type { ClientAnswer, ClientRequest } from '@moku/transport';
import { raised } from './answers.js';
import type { Channels } from './channels.js';
import type { CallOptions, Key } from './database.js';
import type { Calls } from './deadline.js';
import { type Router, regionIn } from './router.js';
import { keyBytes } from './values.js';

export interface RegionDigest {
  /** Index up to which this holds: digests of replicas are comparable at equal indexes only. */
  readonly appliedIndex: number;
  readonly records: number;
  readonly digest: string;
}

export interface RegionReport extends RegionStatus {
  /** Stored keys in hex; undefined: without end. */
  readonly startKey: string | undefined;
  readonly endKey: string | undefined;
}

export interface Admin {
  /** What a node says of itself (plain JSON). Asks that node only; no retries. */
  status(nodeId: NodeId, options?: CallOptions): Promise<unknown>;
  /** The replicas that run on a node. */
  regions(nodeId: NodeId, options?: CallOptions): Promise<readonly RegionReport[]>;
  /** Digest over all live data of a replica as it is now on that node. */
  digest(nodeId: NodeId, regionId: RegionId, options?: CallOptions): Promise<RegionDigest>;
  /** The region that holds a key of a keyspace. */
  locate(keyspace: string, key: Key, options?: CallOptions): Promise<RegionId>;
  /** Asks the region's leader to hand over to the replica on `to`. */
  transferLeadership(regionId: RegionId, to: NodeId, options?: CallOptions): Promise<void>;
}

export class ClusterAdmin implements Admin {
  private readonly calls: Calls;
  private readonly channels: Channels;
  private readonly router: Router;

  constructor(calls: Calls, channels: Channels, router: Router) {
    this.calls = calls;
    this.channels = channels;
    this.router = router;
  }

  async status(nodeId: NodeId, options?: CallOptions): Promise<unknown> {
    return json(await this.ask(nodeId, { kind: 'status' }, options));
  }

  async regions(nodeId: NodeId, options?: CallOptions): Promise<readonly RegionReport[]> {
    const answer = await this.ask(nodeId, { kind: 'regions', withWhy: true }, options);
    return json(answer) as readonly RegionReport[];
  }

  async digest(nodeId: NodeId, regionId: RegionId, options?: CallOptions): Promise<RegionDigest> {
    const query = encodeQuery({ type: 'digest' });
    const answer = await this.ask(nodeId, { kind: 'inspect', regionId, query }, options);
    if (answer.kind !== 'bytes') throw raised(answer);
    const outcome = decodeQueryOutcome(answer.bytes);
    if (outcome.type !== 'digest')
      throw new MokuError('MALFORMED_REQUEST', { answer: outcome.type });
    const { appliedIndex, records, digest } = outcome;
    return { appliedIndex, records, digest };
  }

  async locate(keyspace: string, key: Key, options?: CallOptions): Promise<RegionId> {
    const cached = this.router.cached(keyspace);
    const routes =
      cached ?? (await this.calls.run(options, (deadline) => this.router.find(keyspace, deadline)));
    if (routes === undefined)
      throw new MokuError('KEYSPACE_UNKNOWN', { field: 'keyspace', name: keyspace });
    return regionIn(routes, storedKey(routes.keyspace.mode, keyBytes(key))).regionId;
  }

  async transferLeadership(regionId: RegionId, to: NodeId, options?: CallOptions): Promise<void> {
    const leader = this.router.leaderOf(regionId);
    if (leader === undefined) throw new MokuError('NOT_LEADER', { regionId, leaderNodeId: 0 });
    json(await this.ask(leader, { kind: 'transferLeadership', regionId, to }, options));
  }

  private ask(
    nodeId: NodeId,
    request: ClientRequest,
    options?: CallOptions,
  ): Promise<ClientAnswer> {
    return this.calls.run(options, async (deadline) => {
      if (!this.channels.knows(nodeId)) await this.router.view('', deadline);
      const channel = await deadline.within(this.channels.to(nodeId));
      return channel.request(request, deadline.signal);
    });
  }
}

function json(answer: ClientAnswer): unknown {
  if (answer.kind !== 'json') throw raised(answer);
  return answer.value;
}
