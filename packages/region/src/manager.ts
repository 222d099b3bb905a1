/**
 * The region manager: owns all replicas of a node and is the one thing that drives them. This file is the
 * composition and the public methods; what a turn does is in turn.ts.
 *
 * Invariants:
 *  R1 Sinks are called from within `turn` or `close`, each exactly once.
 *  R2 After a fatal error nothing is acknowledged any more (P7).
 *  R3 Commands and reads that wait are bounded per region, and commands in bytes per node (P8).
 */
import {
  limits,
  MokuError,
  type NodeId,
  noNode,
  type Prng,
  type RegionDescriptor,
  type RegionId,
  type ReplicaId,
} from '@moku/base';
import type { LogStore, StateMachine } from '@moku/raft';
import { Answers, type ProposeSink, type ReadSink } from './answers.js';
import { completeConfig, type RegionHostConfig } from './config.js';
import type {
  HostCallbacks,
  HostStatus,
  RegionHost,
  RegionStatus,
  TurnReport,
} from './contracts/host.js';
import type { Transport } from './contracts/transport.js';
import { Inbox } from './inbox.js';
import { Opener, type Opening } from './opening.js';
import { compose, type HostParts } from './parts.js';
import { ProposalBudget, ProposalQueue } from './proposals.js';
import { ReadQueue } from './reads.js';
import type { Replica } from './replica.js';
import { failedOpenStatus, peerStatuses, regionStatus } from './status.js';
import { isOnlyVoter } from './ticker.js';
import { transferAll, transferTo } from './transfers.js';
import { Turn } from './turn.js';

export interface RegionHostOptions {
  readonly nodeId: NodeId;
  readonly log: LogStore;
  readonly transport: Transport;
  readonly callbacks: HostCallbacks;
  /** Of this process alone: a restarted node draws anew. */
  readonly prng: Prng;
  /** What differs from `defaultRegionHostConfig`. */
  readonly config?: Partial<RegionHostConfig>;
}

type Phase = 'running' | 'closed' | 'failed';

/** A replica that could not be opened, and why. */
interface FailedOpen {
  readonly descriptor: RegionDescriptor;
  readonly replicaId: ReplicaId;
  readonly failure: Error;
}

class RegionManager implements RegionHost {
  private readonly nodeId: NodeId;
  private readonly callbacks: HostCallbacks;
  private readonly inbox: Inbox;
  private readonly parts: HostParts;
  private readonly opener: Opener;
  private readonly turns: Turn;
  private readonly answers = new Answers();
  private readonly budget = new ProposalBudget();
  private openings: Opening[] = [];
  private readonly opening = new Map<RegionId, Opening>();
  private readonly failedOpens = new Map<RegionId, FailedOpen>();
  private phase: Phase = 'running';

  constructor(options: RegionHostOptions) {
    const { nodeId, log, transport, callbacks, prng } = options;
    const config = completeConfig(options.config ?? {});
    this.nodeId = nodeId;
    this.callbacks = callbacks;
    this.inbox = new Inbox({
      transport,
      onWork: () => callbacks.onWork(),
      onLogFailure: (error) => this.fail(error),
    });
    const parts = compose({ nodeId, log, transport, callbacks, prng, config });
    this.parts = parts;
    this.opener = new Opener({ nodeId, config, log, prng, writer: parts.writer });
    this.turns = new Turn({ ...parts, answers: this.answers, inbox: this.inbox });
    log.subscribe(this.inbox);
    transport.subscribe(this.inbox);
  }

  turn(nowMs: number, wallMs: number): TurnReport {
    if (this.phase !== 'running') return { hasMore: false, nextDueMs: Number.POSITIVE_INFINITY };
    try {
      this.parts.peers.nowMs = nowMs;
      this.openWaiting();
      const report = this.turns.run(nowMs, wallMs);
      return this.openings.length > 0 ? { ...report, hasMore: true } : report;
    } catch (error) {
      this.fail(error instanceof Error ? error : new Error(String(error)));
      return { hasMore: false, nextDueMs: Number.POSITIVE_INFINITY };
    }
  }

  openReplica(descriptor: RegionDescriptor): void {
    this.checkRunning();
    const { regionId } = descriptor;
    if (this.parts.registry.get(regionId) !== undefined || this.opening.has(regionId)) return;
    const replicaId = this.opener.replicaHere(descriptor);
    if (replicaId === undefined) return;
    this.failedOpens.delete(regionId);
    this.callbacks.onWork();
    let machine: StateMachine;
    try {
      machine = this.callbacks.openMachine(descriptor, replicaId);
    } catch (error) {
      this.openFailed(descriptor, replicaId, error);
      return;
    }
    const opening: Opening = { descriptor, replicaId, machine };
    this.openings.push(opening);
    this.opening.set(regionId, opening);
  }

  destroyReplica(regionId: RegionId): void {
    this.checkRunning();
    // What is not open yet is opened first, so that one way of ending serves all.
    if (this.opening.has(regionId)) this.openWaiting();
    const { registry, failures, writer } = this.parts;
    const replica = registry.get(regionId);
    const replicaId = replica?.replicaId ?? this.failedOpens.get(regionId)?.replicaId;
    if (replicaId === undefined) return;
    if (replica !== undefined) failures.end(replica, 'removed', noNode);
    registry.remove(regionId);
    this.failedOpens.delete(regionId);
    this.opener.bury(regionId, replicaId);
    writer.addWrite({ regionId, destroy: { replicaId } });
    writer.commit();
    this.callbacks.dropMachine(regionId);
    this.callbacks.onWork();
  }

  propose(regionId: RegionId, command: Uint8Array, sink: ProposeSink): void {
    this.checkRunning();
    const bytes = command.length;
    if (bytes > limits.commandBytesMax) {
      throw new MokuError('BATCH_TOO_LARGE', { bytes, bound: limits.commandBytesMax });
    }
    this.callbacks.onWork();
    const replica = this.parts.registry.get(regionId);
    if (replica === undefined) {
      this.answers.propose(sink, this.isOpening(regionId) ? notLeader : unknownRegion);
      return;
    }
    if (replica.state !== 'running' || !replica.isLeader()) {
      const leaderNodeId = replica.state === 'running' ? replica.leaderNodeId() : noNode;
      this.answers.propose(sink, { kind: 'notLeader', leaderNodeId });
      return;
    }
    replica.proposals ??= new ProposalQueue(this.budget, this.answers);
    if (replica.proposals.waiting >= limits.proposalsPerRegionMax) {
      const bound = limits.proposalsPerRegionMax;
      this.answers.propose(sink, { kind: 'busy', queue: 'regionProposals', bound });
    } else if (!this.budget.fits(bytes)) {
      const bound = limits.proposalBytesPerNodeMax;
      this.answers.propose(sink, { kind: 'busy', queue: 'nodeProposalBytes', bound });
    } else {
      replica.proposals.add(command, sink);
      this.parts.rest.markDirty(replica);
    }
  }

  read(regionId: RegionId, sink: ReadSink): void {
    this.checkRunning();
    this.callbacks.onWork();
    const replica = this.parts.registry.get(regionId);
    if (replica === undefined) {
      this.answers.read(sink, this.isOpening(regionId) ? notLeader : unknownRegion);
      return;
    }
    if (replica.state !== 'running') {
      this.answers.read(sink, notLeader);
      return;
    }
    replica.reads ??= new ReadQueue(this.answers);
    if (replica.reads.count >= limits.readsPerRegionMax) {
      const bound = limits.readsPerRegionMax;
      this.answers.read(sink, { kind: 'busy', queue: 'regionReads', bound });
      return;
    }
    replica.reads.add(sink);
    this.parts.rest.markDirty(replica);
  }

  machine(regionId: RegionId): StateMachine | undefined {
    return this.parts.registry.get(regionId)?.machine ?? this.opening.get(regionId)?.machine;
  }

  descriptor(regionId: RegionId): RegionDescriptor | undefined {
    return this.parts.registry.get(regionId)?.descriptor ?? this.opening.get(regionId)?.descriptor;
  }

  leaderOf(regionId: RegionId): NodeId {
    return this.parts.registry.running(regionId)?.leaderNodeId() ?? noNode;
  }

  transferLeadership(regionId: RegionId, to: NodeId): boolean {
    this.checkRunning();
    const replica = this.parts.registry.running(regionId);
    if (replica === undefined || !transferTo(this.parts, replica, to)) return false;
    this.callbacks.onWork();
    return true;
  }

  transferAll(): number {
    if (this.phase !== 'running') return 0;
    this.callbacks.onWork();
    return transferAll(this.parts);
  }

  replicaFailed(regionId: RegionId, error: Error): void {
    this.checkRunning();
    const replica = this.parts.registry.running(regionId);
    if (replica === undefined) return;
    this.parts.failures.fail(replica, error);
    this.callbacks.onWork();
  }

  engineFlushed(): void {
    this.parts.truncation.flushed();
    this.callbacks.onWork();
  }

  status(): HostStatus {
    const { registry, schedule, pairs, peers } = this.parts;
    return {
      nodeId: this.nodeId,
      regions: registry.size,
      leaders: registry.leaders,
      awake: schedule.awakeCount,
      unattachedPairs: pairs.count,
      proposalsInFlight: this.budget.commands,
      proposalBytes: this.budget.bytes,
      peers: peerStatuses(this.parts, peers.nowMs),
      counters: { ...this.parts.counters(), turns: this.turns.turns },
    };
  }

  regionIds(): readonly RegionId[] {
    const ids = this.parts.registry.regionIds();
    for (const regionId of this.opening.keys()) ids.push(regionId);
    for (const regionId of this.failedOpens.keys()) ids.push(regionId);
    return ids;
  }

  regionStatus(regionId: RegionId): RegionStatus | undefined {
    const replica = this.parts.registry.get(regionId);
    if (replica !== undefined) return regionStatus(this.parts, replica);
    const failed = this.failedOpens.get(regionId);
    if (failed === undefined) return undefined;
    return failedOpenStatus(failed.descriptor, failed.replicaId, failed.failure);
  }

  close(): void {
    if (this.phase !== 'running') return;
    this.phase = 'closed';
    for (const replica of this.parts.registry.all()) {
      replica.proposals?.end(replica.leaderNodeId());
      replica.reads?.end(replica.leaderNodeId());
    }
    this.parts.snapshotsIn.close();
    this.parts.snapshotsOut.close();
    this.answers.deliver();
  }

  private openWaiting(): void {
    if (this.openings.length === 0) return;
    const openings = this.openings;
    this.openings = [];
    this.opening.clear();
    for (const opened of this.opener.open(openings)) {
      if (opened.kind === 'opened') this.begin(opened.replica);
      else this.openFailed(opened.opening.descriptor, opened.opening.replicaId, opened.error);
    }
  }

  private begin(replica: Replica): void {
    const { registry, peers, rest, ticker } = this.parts;
    registry.add(replica);
    for (const { nodeId } of replica.descriptor.replicas) {
      if (nodeId !== this.nodeId) peers.get(nodeId);
    }
    const isFirst = replica.descriptor.replicas[0]?.nodeId === this.nodeId;
    const isNew = isFirst && replica.raft.lastIndex === 0;
    if (isNew || isOnlyVoter(replica)) ticker.campaignSoon(replica);
    if (replica.log.lastIndex() > 0) this.parts.truncation.touch(replica);
    rest.consider(replica);
  }

  private openFailed(descriptor: RegionDescriptor, replicaId: ReplicaId, error: unknown): void {
    const { regionId } = descriptor;
    const failure = this.parts.failures.openFailed(regionId, error);
    this.failedOpens.set(regionId, { descriptor, replicaId, failure });
  }

  private isOpening(regionId: RegionId): boolean {
    return this.opening.has(regionId) || this.failedOpens.has(regionId);
  }

  private checkRunning(): void {
    if (this.phase !== 'running') throw new MokuError('CLOSED', { field: 'regionHost' });
  }

  /** R2. */
  private fail(error: Error): void {
    if (this.phase !== 'running') return;
    this.phase = 'failed';
    this.answers.drop();
    this.callbacks.onFatal(error);
  }
}

const notLeader: { kind: 'notLeader'; leaderNodeId: NodeId } = {
  kind: 'notLeader',
  leaderNodeId: noNode,
};
const unknownRegion: { kind: 'unknownRegion' } = { kind: 'unknownRegion' };

/** Wires a region host onto its adapters. Throws CONFIG_INVALID naming the field. */
export function createRegionHost(options: RegionHostOptions): RegionHost {
  return new RegionManager(options);
}
