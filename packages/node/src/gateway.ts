/**
 * Clients' requests on this node: checked, handed to the region host, answered. The gateway keeps
 * nothing between requests; retries and routing are the client's.
 *
 * Invariant Y1: an answer says `definite` only when nothing was proposed, or what was proposed is known
 * to have had no effect (P5).
 */
import {
  type Clock,
  type ErrorCode,
  type ErrorDetails,
  isMokuError,
  MokuError,
  metaRegionId,
  type NodeDescriptor,
  type NodeId,
  type RegionId,
  unreachable,
} from '@moku/base';
import {
  type ClusterView,
  decodeCommand,
  decodeQuery,
  encodeCommand,
  encodeQueryOutcome,
  type KvMachine,
  type MetaMachine,
  type Query,
  type QueryOutcome,
} from '@moku/kv';
import type { ProposeOutcome, ReadOutcome, RegionHost } from '@moku/region';
import type { ClientAnswer, ClientRequest, RequestHandler } from '@moku/transport';

export interface GatewayOptions {
  readonly host: RegionHost;
  /** Where nodes listen, until meta knows. */
  readonly roster: readonly NodeDescriptor[];
  readonly meta: () => MetaMachine;
  /** State machine of a local replica. */
  readonly machine: (regionId: RegionId) => KvMachine | undefined;
  readonly clock: Clock;
  readonly status: () => unknown;
}

/** Rounds of settling expired keys for one read before the client is told to come again. */
const expiryRoundsMax = 16;

export class Gateway implements RequestHandler {
  private readonly options: GatewayOptions;
  private isClosed = false;

  constructor(options: GatewayOptions) {
    this.options = options;
  }

  /** Further requests are refused with CLOSED (definite), which sends clients elsewhere. */
  close(): void {
    this.isClosed = true;
  }

  async handle(request: ClientRequest, signal: AbortSignal): Promise<ClientAnswer> {
    try {
      if (this.isClosed) throw new MokuError('CLOSED', { field: 'node' });
      return await this.dispatch(request, signal);
    } catch (error) {
      return errorAnswer(error);
    }
  }

  private dispatch(
    request: ClientRequest,
    signal: AbortSignal,
  ): ClientAnswer | Promise<ClientAnswer> {
    switch (request.kind) {
      case 'execute':
        return this.execute(request.regionId, request.command);
      case 'query':
        return this.query(request.regionId, decodeQuery(request.query), signal);
      case 'inspect':
        return this.inspect(request.regionId, decodeQuery(request.query));
      case 'describe':
        return this.describe(request.keyspace);
      case 'status':
        return { kind: 'json', value: this.options.status() };
      case 'regions':
        return { kind: 'json', value: this.regions() };
      case 'transferLeadership':
        return this.transfer(request.regionId, request.to);
    }
  }

  /**
   * What is known here of a keyspace may be old, which later answers tell. That there is none is said only
   * at a linearizable point of meta: a node that just started has not applied its log yet.
   */
  private async describe(keyspace: string | undefined): Promise<ClientAnswer> {
    const view = this.view(keyspace);
    const isMissing = keyspace !== undefined && keyspace !== '' && view.keyspaces.length === 0;
    if (!isMissing) return { kind: 'view', view };
    const point = await new Promise<ReadOutcome>((resolve) =>
      this.options.host.read(metaRegionId, resolve),
    );
    if (point.kind !== 'ready') throw hostError(metaRegionId, point).withOutcome('definite');
    return { kind: 'view', view: this.view(keyspace) };
  }

  private view(keyspace: string | undefined): ClusterView {
    const { host, meta } = this.options;
    const view = meta().view(keyspace);
    const leaders = [{ regionId: metaRegionId, nodeId: host.leaderOf(metaRegionId) as number }];
    for (const { regionId } of view.regions) {
      const nodeId = host.leaderOf(regionId);
      if (nodeId !== 0) leaders.push({ regionId, nodeId });
    }
    const nodes = view.nodes.length === 0 ? this.options.roster : view.nodes;
    return { ...view, nodes, leaders };
  }

  private async execute(regionId: RegionId, command: Uint8Array): Promise<ClientAnswer> {
    const { type } = decodeCommand(command);
    // Expiry and the roster are the nodes' own business.
    if (type === 'expire' || type === 'registerNode') {
      throw new MokuError('INVALID_ARGUMENT', { field: 'command', type });
    }
    const outcome = await this.propose(regionId, command);
    if (outcome.kind === 'applied') return { kind: 'bytes', bytes: outcome.result };
    throw hostError(regionId, outcome);
  }

  private propose(regionId: RegionId, command: Uint8Array): Promise<ProposeOutcome> {
    return new Promise((resolve) => this.options.host.propose(regionId, command, resolve));
  }

  private async query(
    regionId: RegionId,
    query: Query,
    signal: AbortSignal,
  ): Promise<ClientAnswer> {
    for (let round = 0; round < expiryRoundsMax && !signal.aborted; round++) {
      // Each round needs the outcome of the one before.
      const point = await new Promise<ReadOutcome>((resolve) =>
        this.options.host.read(regionId, resolve),
      );
      if (point.kind !== 'ready') throw hostError(regionId, point);
      const outcome = this.answerOrFail(regionId, query);
      if (outcome.type !== 'expired') return { kind: 'bytes', bytes: encodeQueryOutcome(outcome) };
      const settled = await this.propose(
        regionId,
        encodeCommand({ type: 'expire', keys: outcome.keys }),
      );
      // The read itself has no effect, whatever became of the expiry.
      if (settled.kind !== 'applied') throw hostError(regionId, settled).withOutcome('definite');
    }
    throw new MokuError('BUSY', { queue: 'expiry', bound: expiryRoundsMax });
  }

  /**
   * What this replica cannot read another may have: it goes out of service, and the client asks there. The
   * only replica says what is wrong, and serves what it can.
   */
  private answerOrFail(regionId: RegionId, query: Query): QueryOutcome {
    try {
      return this.answer(regionId, query);
    } catch (error) {
      if (!isMokuError(error, 'ENGINE_CORRUPT')) throw error;
      const { host } = this.options;
      if (host.descriptor(regionId)?.replicas.length === 1) throw error;
      host.replicaFailed(regionId, error);
      throw new MokuError('NOT_LEADER', { regionId, leaderNodeId: 0 }, { cause: error });
    }
  }

  private inspect(regionId: RegionId, query: Query): ClientAnswer {
    return { kind: 'bytes', bytes: encodeQueryOutcome(this.answer(regionId, query)) };
  }

  private answer(regionId: RegionId, query: Query): QueryOutcome {
    const machine = this.options.machine(regionId);
    if (machine === undefined) throw new MokuError('REGION_UNKNOWN', { regionId });
    return machine.query(query, this.options.clock.wallMs());
  }

  private regions(): unknown {
    const { host } = this.options;
    return host.regionIds().map((regionId) => ({
      ...host.regionStatus(regionId),
      startKey: hex(host.descriptor(regionId)?.startKey),
      endKey: hex(host.descriptor(regionId)?.endKey),
    }));
  }

  private transfer(regionId: RegionId, to: NodeId): ClientAnswer {
    const { host } = this.options;
    if (host.regionStatus(regionId) === undefined)
      throw new MokuError('REGION_UNKNOWN', { regionId });
    if (host.transferLeadership(regionId, to)) return { kind: 'json', value: { started: true } };
    throw new MokuError('NOT_LEADER', { regionId, leaderNodeId: host.leaderOf(regionId) });
  }
}

function hex(bytes: Uint8Array | undefined): string | undefined {
  return bytes === undefined ? undefined : Buffer.from(bytes).toString('hex');
}

type Failed =
  | Exclude<ProposeOutcome, { kind: 'applied' }>
  | Exclude<ReadOutcome, { kind: 'ready' }>;

function hostError(regionId: RegionId, outcome: Failed): MokuError {
  switch (outcome.kind) {
    case 'notLeader':
      return new MokuError('NOT_LEADER', { regionId, leaderNodeId: outcome.leaderNodeId });
    case 'unknownRegion':
      return new MokuError('REGION_UNKNOWN', { regionId });
    case 'busy':
      return new MokuError('BUSY', { regionId, queue: outcome.queue, bound: outcome.bound });
    case 'lost':
      return new MokuError('PROPOSAL_LOST', { regionId, leaderNodeId: outcome.leaderNodeId });
    default:
      return unreachable(outcome);
  }
}

/** The wire form of an error: coded ones as they are, all else as INTERNAL (maybe). */
function errorAnswer(error: unknown): ClientAnswer {
  const coded =
    error instanceof MokuError
      ? error
      : new MokuError('INTERNAL', {
          message: error instanceof Error ? error.message : String(error),
        });
  const code: ErrorCode = coded.code;
  return {
    kind: 'error',
    code,
    outcome: coded.outcome,
    message: coded.message,
    details: plain(coded.details),
  };
}

/** Only values that every codec carries. */
function plain(details: ErrorDetails): ErrorDetails {
  const out: Record<string, unknown> = {};
  for (const [name, value] of Object.entries(details)) {
    out[name] =
      typeof value === 'number' || typeof value === 'boolean' || value === null
        ? value
        : String(value);
  }
  return out;
}
