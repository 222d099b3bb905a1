/**
 * Replicas brought to life: recovered when the log knows them, else created with the descriptor's
 * replicas as configuration. What is opened between two turns is created in one batch of the next.
 *
 * Invariants:
 *  N1 A replica id that is tombstoned, or older than the recovered one, never lives here again.
 *  N2 A state ahead of its log came from a snapshot whose log was not restarted yet: the log is
 *     restarted behind it, since what is applied is committed. Nothing is acknowledged or voted on what a
 *     repaired or created log says before that is synced.
 */
import {
  MokuError,
  type NodeId,
  noReplica,
  type Prng,
  present,
  type RegionDescriptor,
  type RegionId,
} from '@moku/base';
import {
  type ConfState,
  confStateOf,
  type HardState,
  type LogStore,
  Raft,
  type RecoveredRegion,
  type RegionWrite,
  type StateMachine,
} from '@moku/raft';
import { CampaignOrder } from './campaign-order.js';
import type { RegionHostConfig } from './config.js';
import type { LogWriter } from './log-writer.js';
import { Replica } from './replica.js';

export interface Opening {
  readonly descriptor: RegionDescriptor;
  readonly replicaId: Replica['replicaId'];
  readonly machine: StateMachine;
}

export type Opened =
  | { readonly kind: 'opened'; readonly replica: Replica }
  | { readonly kind: 'failed'; readonly opening: Opening; readonly error: unknown };

/** How one replica begins. */
interface Plan {
  /** What the log has to be told before the core can stand on it. */
  readonly write: RegionWrite | undefined;
  readonly hardState: HardState;
  readonly confState: ConfState;
  readonly confStateIndex: number;
}

const noHardState: HardState = { term: 0, votedFor: noReplica, commitIndex: 0 };

export class Opener {
  private readonly nodeId: NodeId;
  private readonly config: RegionHostConfig;
  private readonly log: LogStore;
  private readonly order: CampaignOrder;
  private readonly writer: LogWriter;
  private readonly recovered = new Map<RegionId, RecoveredRegion>();
  private readonly tombstones = new Map<RegionId, number>();

  constructor(parts: {
    readonly nodeId: NodeId;
    readonly config: RegionHostConfig;
    readonly log: LogStore;
    readonly prng: Prng;
    readonly writer: LogWriter;
  }) {
    this.nodeId = parts.nodeId;
    this.config = parts.config;
    this.log = parts.log;
    this.order = new CampaignOrder(parts.prng);
    this.writer = parts.writer;
    const { regions, tombstones } = parts.log.recovered();
    for (const region of regions) this.recovered.set(region.regionId, region);
    for (const { regionId, replicaId } of tombstones) this.tombstones.set(regionId, replicaId);
  }

  /** The replica that `descriptor` wants here; undefined when there is none or it must not live (N1). */
  replicaHere(descriptor: RegionDescriptor): Replica['replicaId'] | undefined {
    const { regionId } = descriptor;
    const here = descriptor.replicas.find((replica) => replica.nodeId === this.nodeId);
    if (here === undefined) return undefined;
    const { replicaId } = here;
    const buried = this.tombstones.get(regionId) ?? 0;
    const former = this.recovered.get(regionId)?.replicaId ?? 0;
    return replicaId > buried && replicaId >= former ? replicaId : undefined;
  }

  /** A replica was destroyed: its id never lives here again. */
  bury(regionId: RegionId, replicaId: Replica['replicaId']): void {
    this.tombstones.set(regionId, Math.max(this.tombstones.get(regionId) ?? 0, replicaId));
    this.recovered.delete(regionId);
  }

  /** Opens `openings`, writing to the log in one batch. One that fails fails alone. */
  open(openings: readonly Opening[]): Opened[] {
    const plans: { opening: Opening; plan: Plan }[] = [];
    const opened: Opened[] = [];
    for (const opening of openings) {
      try {
        const plan = this.plan(opening);
        if (plan.write !== undefined) this.writer.addWrite(plan.write);
        plans.push({ opening, plan });
      } catch (error) {
        opened.push({ kind: 'failed', opening, error });
      }
    }
    this.writer.commit();
    for (const { opening, plan } of plans) {
      try {
        opened.push({ kind: 'opened', replica: this.bringUp(opening, plan) });
      } catch (error) {
        opened.push({ kind: 'failed', opening, error });
      }
    }
    return opened;
  }

  private plan(opening: Opening): Plan {
    const { machine, replicaId, descriptor } = opening;
    const recovered = this.recovered.get(descriptor.regionId);
    if (recovered?.replicaId === replicaId) return this.planRecovered(recovered, machine);
    const { regionId, replicas } = descriptor;
    if (machine.appliedIndex > 0) {
      throw new MokuError('LOG_CORRUPT', {
        regionId,
        appliedIndex: machine.appliedIndex,
        bound: 0,
      });
    }
    const ids = (isLearner: boolean): Replica['replicaId'][] =>
      replicas.filter((r) => r.isLearner === isLearner).map((r) => r.replicaId);
    const confState = confStateOf(ids(false), ids(true));
    const create = { replicaId, confState, truncatedIndex: 0, truncatedTerm: 0 };
    return { write: { regionId, create }, hardState: noHardState, confState, confStateIndex: 0 };
  }

  private planRecovered(recovered: RecoveredRegion, machine: StateMachine): Plan {
    const { regionId, hardState, confState, confStateIndex } = recovered;
    const { appliedIndex, appliedTerm } = machine;
    if (appliedIndex < recovered.truncatedIndex) {
      const { truncatedIndex } = recovered;
      const rule = 'the engine is older than the log allows';
      throw new MokuError('ENGINE_CORRUPT', { regionId, appliedIndex, truncatedIndex, rule });
    }
    const isAhead =
      appliedIndex > recovered.truncatedIndex &&
      this.log.region(regionId)?.term(appliedIndex) !== appliedTerm;
    if (!isAhead) return { write: undefined, hardState, confState, confStateIndex };
    // N2
    const isKnownTerm = hardState.term >= appliedTerm;
    const repaired: HardState = {
      term: isKnownTerm ? hardState.term : appliedTerm,
      votedFor: isKnownTerm ? hardState.votedFor : noReplica,
      commitIndex: appliedIndex,
    };
    const restart = { index: appliedIndex, term: appliedTerm, confState };
    const write = { regionId, hardState: repaired, restart };
    return { write, hardState: repaired, confState, confStateIndex: appliedIndex };
  }

  private bringUp(opening: Opening, plan: Plan): Replica {
    const { descriptor, machine, replicaId } = opening;
    const log = present(this.log.region(descriptor.regionId), 'the log of a created region exists');
    const raft = new Raft({
      replicaId,
      electionTicks: this.config.electionTicks,
      heartbeatTicks: 0,
      prng: this.order.prngFor(descriptor, this.nodeId),
      log,
      hardState: plan.hardState,
      confState: plan.confState,
      confStateIndex: plan.confStateIndex,
      appliedIndex: machine.appliedIndex,
      isLogUnsynced: plan.write !== undefined,
    });
    return new Replica({ descriptor, replicaId, machine, raft, log });
  }
}
