/**
 * One random run: a seed decides a cluster, its clients, its faults and everything that happens. First
 * safety under all faults, then a quorum is healed and the cluster is held to its promises of liveness.
 */
import { createPrng, type Prng } from '@moku/base';
import { countHistory } from '../check/floors.js';
import { checkLinearizable } from '../check/linearizable.js';
import { StaleClient } from '../clients/stale-client.js';
import { Workload } from '../clients/workload.js';
import type { FaultClass } from '../faults/classes.js';
import { Faults } from '../faults/faults.js';
import { MachineRoom } from '../sql/machine.js';
import { type Failure, SimCluster } from './cluster.js';
import { chooseDead, isServing, unequalRegions, whyUnwell } from './converge.js';
import { judgeRun } from './floors.js';
import { drawProfile, type Profile, type ProfileName } from './profile.js';

export interface SimulationOptions {
  /** Safe non-negative integer. */
  readonly seed: number;
  readonly profile?: ProfileName;
  /** Takes the place of what the seed draws, so that runs of one size can be measured. */
  readonly shape?: Partial<Profile>;
  /** Gets every line of the trace. */
  readonly print?: (line: string) => void;
}

export interface SimulationResult {
  readonly seed: number;
  readonly failure: Failure | undefined;
  readonly traceHash: string;
  readonly lastEvents: readonly string[];
  readonly simulatedMs: number;
  readonly events: number;
  /** Delivered between nodes. */
  readonly frames: number;
  readonly operations: number;
  /** Answered. */
  readonly reads: number;
  /** Changes that clients know to have happened. */
  readonly acknowledged: number;
  readonly leaderChanges: number;
  readonly crashes: number;
  readonly faultsByClass: Readonly<Record<FaultClass, number>>;
}

/** Within this much virtual time after the last fault everything is well again. */
const livenessMs = 60_000;
const settleTimeoutMs = 50_000;
const keysPerClient = 4;
/** Before the first fault. */
const calmMs = 1_000;
/** Bound of the check for linearizability per key. */
const configurationsMax = 200_000;

/** Runs one seed. Resolves also when an invariant is broken; rejects for bugs of the simulator. */
export async function simulate(options: SimulationOptions): Promise<SimulationResult> {
  const simulation = new Simulation(options, await MachineRoom.open());
  await simulation.cluster.guarded(() => simulation.run());
  return simulation.result();
}

class Simulation {
  readonly cluster: SimCluster;
  private readonly seed: number;
  private readonly faults: Faults;
  private readonly workload: Workload;
  private readonly staleClient: StaleClient;
  private readonly endings: Prng;

  constructor({ seed, profile = 'swarm', shape, print }: SimulationOptions, room: MachineRoom) {
    const root = createPrng(seed);
    this.seed = seed;
    const drawn = { ...drawProfile(profile, root.split()), ...shape };
    const restarts = root.split();
    if (drawn.hasSqlDisks) room.begin(createPrng(seed));
    this.cluster = new SimCluster({
      profile: drawn,
      prng: root.split(),
      print,
      room: drawn.hasSqlDisks ? room : undefined,
      onGaveUp: (node) => this.faults.restartLater(node, restarts),
    });
    this.faults = new Faults({ cluster: this.cluster, prng: root.split() });
    const { world, clients } = this.cluster;
    const { thinkMs } = drawn;
    this.workload = new Workload({ world, clients, prng: root.split(), keysPerClient, thinkMs });
    this.endings = root.split();
    this.staleClient = new StaleClient(world, root.split(), this.cluster.report);
  }

  async run(): Promise<void> {
    const { cluster, workload } = this;
    const { profile, scheduler, trace, watch, report } = cluster;
    trace.note(`profile ${JSON.stringify({ ...profile, classes: [...profile.classes] })}`);
    for (const node of cluster.nodes) node.start();
    workload.start();
    this.staleClient.start();
    scheduler.after(calmMs, () => this.faults.start());
    await cluster.advance(() => scheduler.nowMs >= profile.safetyMs);
    await this.converge();
    watch.check(true);
    if (workload.unexpected !== undefined) {
      report('clients see coded errors', String(workload.unexpected));
    }
    this.checkHistory();
    this.checkFloors();
    if (cluster.failure !== undefined) watch.describe();
    trace.note(`end ${this.operations()} ${scheduler.eventsRun}`);
  }

  /** What cannot be decided counts as broken. */
  private checkHistory(): void {
    const { failure, world, nodes, watch, report } = this.cluster;
    if (failure !== undefined) return;
    const { verdict } = checkLinearizable(world.history.events, { configurationsMax });
    if (verdict.verdict !== 'pass') report('linearizability', JSON.stringify(verdict));
    watch.effects.checkHistory(world.history.events, nodes);
  }

  /** Without a quorum there may be nothing to see. */
  private checkFloors(): void {
    const { cluster, faults } = this;
    const { profile, damage, watch, clients, report } = cluster;
    if (cluster.failure !== undefined || !damage.keepsQuorums(new Set())) return;
    const { leaderChanges } = watch;
    const observed = { ...this.observed(), leaderChanges, faultsByClass: faults.counts };
    const verdict = judgeRun(observed, profile, {
      callsPerKind: clients.length * keysPerClient,
      faults: faults.expectedIn(profile.safetyMs - calmMs),
    });
    if (verdict.verdict !== 'pass') report('observed too little', verdict.explanation);
  }

  private observed(): { readonly reads: number; readonly acknowledged: number } {
    const { reads, acknowledged } = countHistory(this.cluster.world.history.events);
    return { reads, acknowledged };
  }

  result(): SimulationResult {
    const { cluster } = this;
    const { scheduler, trace, watch } = cluster;
    return {
      seed: this.seed,
      failure: cluster.failure,
      traceHash: trace.hash(),
      lastEvents: trace.last(),
      simulatedMs: scheduler.nowMs,
      events: scheduler.eventsRun,
      frames: cluster.network.framesDelivered,
      operations: this.operations(),
      ...this.observed(),
      leaderChanges: watch.leaderChanges,
      crashes: watch.crashes,
      faultsByClass: this.faults.counts,
    };
  }

  private operations(): number {
    return this.cluster.clients.reduce((sum, client) => sum + client.operations, 0);
  }

  /** Heals a quorum, and holds the cluster to its promises of liveness. */
  private async converge(): Promise<void> {
    const { cluster, workload } = this;
    if (cluster.failure !== undefined) return;
    const { nodes, scheduler } = cluster;
    this.faults.stop();
    this.staleClient.stop();
    const dead = chooseDead(nodes, cluster.damage, this.endings);
    for (const node of nodes) {
      node.isRetired = dead.has(node);
      if (node.isRetired) node.crash();
      else if (!node.isRunning) node.start();
    }
    cluster.trace.note(`healed without ${[...dead].map(({ nodeId }) => nodeId).join(',')}`);
    // Who stands still is well again when that is over.
    const wellMs = Math.max(scheduler.nowMs, ...nodes.map((node) => node.pausedUntil));
    const dueMs = wellMs + livenessMs;
    const isReady = (): boolean => nodes.every(isServing);
    if (!cluster.damage.keepsQuorums(new Set())) {
      await this.endBeyond(dueMs);
      return;
    }
    await cluster.until(isReady, dueMs, () => whyUnwell(nodes) ?? 'not ready');
    workload.stop();
    await cluster.until(
      () => workload.openCalls === 0,
      dueMs,
      () => `${workload.openCalls} calls open`,
    );
    await this.settle(dueMs);
    await cluster.until(
      () => whyUnwell(nodes) === undefined,
      dueMs,
      () => whyUnwell(nodes) ?? '',
    );
    for (const place of unequalRegions(nodes)) {
      cluster.report('equal digests at equal index', place);
    }
  }

  /**
   * Disks are destroyed beyond a quorum: nobody need answer. Every call ends, and what still runs has not
   * come apart; that it told no lie says the history.
   */
  private async endBeyond(dueMs: number): Promise<void> {
    const { cluster, workload } = this;
    workload.stop();
    await cluster.until(
      () => workload.openCalls === 0,
      dueMs,
      () => `${workload.openCalls} calls open`,
    );
    for (const place of unequalRegions(cluster.nodes)) {
      cluster.report('equal digests at equal index', place);
    }
  }

  private async settle(dueMs: number): Promise<void> {
    const { cluster } = this;
    if (cluster.failure !== undefined) return;
    let isDone = false;
    void this.workload.settle(settleTimeoutMs).then((error) => {
      isDone = true;
      if (error !== undefined) {
        cluster.report('liveness', `a call failed after healing: ${error}`);
      }
    });
    await cluster.until(
      () => isDone,
      dueMs,
      () => 'a call after healing is not answered',
    );
  }
}
