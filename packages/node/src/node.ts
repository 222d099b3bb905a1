/**
 * The one place where a node is wired, for production and for tests alike: region host, state machines,
 * gateway and loop over the adapters it is given.
 *
 * Invariants:
 *  D1 Region 0 runs on every node, with the initial roster's descriptor; all other replicas follow from
 *     what meta says.
 *  D2 Replicas are opened between turns, a bounded number at a time.
 *  D3 After a fatal error nothing more is answered: the process ends (P7).
 */
import {
  type Clock,
  InvariantError,
  MokuError,
  metaRegionId,
  type NodeId,
  type Prng,
  type RegionDescriptor,
  type RegionId,
  type ReplicaId,
} from '@moku/base';
import {
  bootstrapMetaDescriptor,
  createKvMachine,
  createMetaMachine,
  type Engine,
  encodeCommand,
  type KvMachine,
  type MetaMachine,
} from '@moku/kv';
import type { LogStore, StateMachine } from '@moku/raft';
import {
  createRegionHost,
  type HostCallbacks,
  type RegionHost,
  type Transport,
} from '@moku/region';
import type { RequestHandler } from '@moku/transport';
import { checkNodeConfig, type NodeConfig } from './config.js';
import { Gateway } from './gateway.js';
import { Loop } from './loop.js';
import { type NodeStatus, nodeStatus } from './status.js';

export type NodeEvent = 'leaderChange' | 'nodeRegistered' | 'replicaFailed';

export interface NodeAdapters {
  readonly clock: Clock;
  readonly prng: Prng;
  readonly log: LogStore;
  readonly engine: Engine;
  readonly transport: Transport;
  /** The node cannot go on; the owner ends the process (or, embedded, fails every call). */
  readonly onFatal: (error: Error) => void;
  /** What the adapters say of themselves, as plain JSON: shown with the node's own status. */
  readonly adapterStatus?: () => Readonly<Record<string, unknown>>;
  /** What operators and tests may want to know; never called per request. */
  readonly onEvent?: (event: NodeEvent, details: Readonly<Record<string, unknown>>) => void;
}

export interface MokuNode {
  readonly nodeId: NodeId;
  readonly handler: RequestHandler;
  readonly host: RegionHost;
  status(): NodeStatus;
  /** True when every local replica knows its leader and meta has been applied here. */
  isReady(): boolean;
  /** Hands over leaderships (bounded by `graceMs`), refuses new work, answers what waits. */
  close(graceMs: number): Promise<void>;
}

/** Replicas opened before one turn. */
const opensPerTurnMax = 256;

class Node implements MokuNode {
  readonly nodeId: NodeId;
  readonly handler: RequestHandler;
  readonly host: RegionHost;
  private readonly config: NodeConfig;
  private readonly adapters: NodeAdapters;
  private readonly gateway: Gateway;
  private readonly loop: Loop;
  private readonly machines = new Map<RegionId, KvMachine>();
  private meta: MetaMachine | undefined;
  /** Why there is none. */
  private metaFailure: Error | undefined;
  private toOpen: RegionDescriptor[] = [];
  private fatal: Error | undefined;
  private closing: Promise<void> | undefined;

  constructor(config: NodeConfig, adapters: NodeAdapters) {
    checkNodeConfig(config);
    this.config = config;
    this.adapters = adapters;
    this.nodeId = config.nodeId;
    const { clock, prng, log, engine, transport } = adapters;
    this.loop = new Loop({
      clock,
      host: () => this.host,
      beforeTurn: () => this.openSome(),
      onBug: (error) =>
        this.fail(error instanceof Error ? error : new InvariantError(String(error))),
    });
    this.host = createRegionHost({
      nodeId: config.nodeId,
      log,
      transport,
      prng,
      callbacks: this.callbacks(),
      config: { ...config.timings },
    });
    engine.subscribe({
      onFlushed: () => {
        this.host.engineFlushed();
        this.loop.wake();
      },
      onFailure: (error) => this.fail(error),
    });
    this.gateway = new Gateway({
      host: this.host,
      roster: config.roster,
      meta: () => this.metaMachine(),
      machine: (regionId) => this.machines.get(regionId),
      clock,
      status: () => this.status(),
    });
    this.handler = this.gateway;
    try {
      this.host.openReplica(bootstrapMetaDescriptor(config.roster));
      // Without meta it knows of no region: it does not start.
      if (this.meta === undefined && this.metaFailure !== undefined) throw this.metaFailure;
      this.toOpen = [...this.metaMachine().descriptors()];
    } catch (error) {
      // The adapters call the host already; nobody else could end its turns.
      this.loop.stop();
      throw error;
    }
    this.loop.wake();
  }

  status(): NodeStatus {
    const { log, adapterStatus } = this.adapters;
    const status = nodeStatus(this.config, this.host, this.metaMachine(), log.health());
    return { ...status, ...adapterStatus?.() };
  }

  isReady(): boolean {
    if (this.fatal !== undefined || this.closing !== undefined || this.toOpen.length > 0)
      return false;
    return this.host.regionIds().every((regionId) => this.host.leaderOf(regionId) !== 0);
  }

  close(graceMs: number): Promise<void> {
    this.closing ??= this.end(graceMs);
    return this.closing;
  }

  private async end(graceMs: number): Promise<void> {
    const { clock } = this.adapters;
    const dueMs = clock.monotonicMs() + graceMs;
    // Leaders elsewhere serve at once what this one would leave to an election.
    while (this.fatal === undefined && this.host.transferAll() > 0 && clock.monotonicMs() < dueMs) {
      this.loop.wake();
      await new Promise<void>((resolve) => clock.after(20, resolve));
    }
    this.gateway.close();
    this.host.close();
    this.loop.stop();
  }

  private callbacks(): HostCallbacks {
    return {
      onWork: this.loop.wake,
      canApply: () => !this.adapters.engine.isFull(),
      openMachine: (descriptor, replicaId) => this.openMachine(descriptor, replicaId),
      dropMachine: (regionId) => {
        this.machines.delete(regionId);
        this.adapters.engine.dropReplica(regionId);
      },
      onFatal: (error) => this.fail(error),
      onReplicaFailed: (regionId, error) => {
        if (regionId === metaRegionId) this.metaFailure = error;
        this.adapters.onEvent?.('replicaFailed', { regionId, err: error });
      },
      onLeaderChange: (regionId, isLeader, leaderNodeId) => {
        if (regionId === metaRegionId && isLeader) this.registerRoster();
        this.adapters.onEvent?.('leaderChange', { regionId, isLeader, leaderNodeId });
      },
    };
  }

  private openMachine(descriptor: RegionDescriptor, replicaId: ReplicaId): StateMachine {
    const { engine } = this.adapters;
    if (descriptor.regionId === metaRegionId) {
      const meta = createMetaMachine({
        replicaId,
        engine,
        clusterId: this.config.clusterId,
        onChange: (change) => {
          for (const changed of change.descriptors) this.toOpen.push(changed);
          this.loop.wake();
        },
      });
      this.meta = meta;
      this.machines.set(metaRegionId, meta);
      return meta;
    }
    const machine = createKvMachine({ descriptor, replicaId, engine });
    this.machines.set(descriptor.regionId, machine);
    return machine;
  }

  /**
   * The leader of meta writes down whom its configuration names, ahead of every client's command. What
   * does not get through is proposed again by the next leader.
   */
  private registerRoster(): void {
    const known = new Map(
      this.metaMachine()
        .nodes()
        .map((node) => [node.nodeId, node]),
    );
    for (const node of this.config.roster) {
      const before = known.get(node.nodeId);
      if (before?.peerAddress === node.peerAddress && before.clientAddress === node.clientAddress)
        continue;
      this.host.propose(metaRegionId, encodeCommand({ type: 'registerNode', node }), (outcome) =>
        this.adapters.onEvent?.('nodeRegistered', { of: node.nodeId, outcome: outcome.kind }),
      );
    }
  }

  private metaMachine(): MetaMachine {
    if (this.meta === undefined) throw new MokuError('UNAVAILABLE', { regionId: metaRegionId });
    return this.meta;
  }

  private openSome(): void {
    if (this.toOpen.length === 0) return;
    const some = this.toOpen.splice(0, opensPerTurnMax);
    for (const descriptor of some) this.host.openReplica(descriptor);
    if (this.toOpen.length > 0) this.loop.wake();
  }

  private fail(error: Error): void {
    if (this.fatal !== undefined) return;
    this.fatal = error;
    this.loop.stop();
    this.gateway.close();
    this.adapters.onFatal(error);
  }
}

/** Wires a node and starts its loop. Throws CONFIG_INVALID and what the adapters throw. */
export function createNode(config: NodeConfig, adapters: NodeAdapters): MokuNode {
  return new Node(config, adapters);
}
