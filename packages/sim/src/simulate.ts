/**
 * One random run: a seed decides a cluster, its clients, its faults and everything that happens. First
 * safety under all faults, then a quorum is healed and the cluster is held to its promises of liveness.
 */
import { createPrng, type Prng } from '@moku/base';
import type { Bug } from './bugs.js';
import { checkLinearizable } from './check/linearizable.js';
import { type Failure, SimCluster } from './cluster.js';
import { chooseDead, isServing, unequalRegions, whyRestless } from './converge.js';
import type { FaultClass } from './faults/classes.js';
import { Faults } from './faults/faults.js';
import { drawProfile, type ProfileName } from './profile.js';
import { StaleClient } from './stale-client.js';
import { Workload } from './workload.js';

export interface SimulationOptions {
  /** Safe non-negative integer. */
  readonly seed: number;
  readonly profile?: ProfileName;
  readonly bug?: Bug;
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
  readonly operations: number;
  readonly reads: number;
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
  const simulation = new Simulation(options);
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

  constructor({ seed, profile = 'swarm', bug, print }: SimulationOptions) {
    const root = createPrng(seed);
    this.seed = seed;
    const drawn = drawProfile(profile, root.split());
    const restarts = root.split();
    this.cluster = new SimCluster({
      profile: drawn,
      prng: root.split(),
      bug,
      print,
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
    if (cluster.failure !== undefined) watch.describe();
    trace.note(`end ${this.operations()} ${scheduler.eventsRun}`);
  }

  /** What cannot be decided counts as broken. */
  private checkHistory(): void {
    const { failure, world, report } = this.cluster;
    if (failure !== undefined) return;
    const { verdict } = checkLinearizable(world.history.events, { configurationsMax });
    if (verdict.verdict !== 'pass') report('linearizability', JSON.stringify(verdict));
  }

  result(): SimulationResult {
    const { cluster } = this;
    const { scheduler, trace, watch, oracle } = cluster;
    return {
      seed: this.seed,
      failure: cluster.failure,
      traceHash: trace.hash(),
      lastEvents: trace.last(),
      simulatedMs: scheduler.nowMs,
      events: scheduler.eventsRun,
      operations: this.operations(),
      reads: oracle.reads,
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
    const dueMs = scheduler.nowMs + livenessMs;
    const isReady = (): boolean => nodes.every(isServing);
    if (!cluster.damage.keepsQuorums(new Set())) {
      await this.endBeyond(dueMs);
      return;
    }
    await cluster.until(isReady, dueMs, () => whyRestless(nodes) ?? 'not ready');
    workload.stop();
    await cluster.until(
      () => workload.openCalls === 0,
      dueMs,
      () => `${workload.openCalls} calls open`,
    );
    await this.settle(dueMs);
    await cluster.until(
      () => whyRestless(nodes) === undefined,
      dueMs,
      () => whyRestless(nodes) ?? '',
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
