/**
 * One run: a seed decides a cluster, its clients, its faults and everything that happens.
 *
 * Invariants:
 *  Z1 Equal seeds, profiles and bugs give equal traces, in any process.
 *  Z2 Promises settle before the next event; nothing waits for real time.
 */
import { createPrng, type NodeDescriptor, type NodeId, noAddress, type Prng } from '@moku/base';
import { defaultTimings } from '@moku/node';
import type { Bug } from './bugs.js';
import { clientAddressOf } from './channel.js';
import { checkLinearizable } from './check/linearizable.js';
import { chooseDead, unequalRegions, whyRestless } from './converge.js';
import { Faults } from './faults.js';
import { KeyOracle } from './invariants/key-oracle.js';
import { SimNetwork } from './network.js';
import { drawProfile, type FaultClass, type Profile, type ProfileName } from './profile.js';
import { forbidRealTime, nextTask } from './real-time.js';
import { Scheduler } from './scheduler.js';
import { SimNode } from './sim-node.js';
import { Trace } from './trace.js';
import { Watch } from './watch.js';
import { Workload } from './workload.js';

export interface SimulationOptions {
  /** Safe non-negative integer. */
  readonly seed: number;
  readonly profile?: ProfileName;
  readonly bug?: Bug;
  /** Gets every line of the trace. */
  readonly print?: (line: string) => void;
}

export interface Failure {
  readonly invariant: string;
  readonly what: string;
  readonly atMs: number;
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
/** Between two looks at all replicas, in events; more when there are more of them. */
const eventsPerCheck = 100;
const checksPerFullCheck = 20;
/** Bound of the check for linearizability per key. */
const configurationsMax = 200_000;

/** Runs one seed. Resolves also when an invariant is broken; rejects for bugs of the simulator. */
export async function simulate(options: SimulationOptions): Promise<SimulationResult> {
  const simulation = new Simulation(options);
  const onRejection = (error: unknown): void => {
    simulation.report('no unhandled rejection', String(error));
  };
  process.on('unhandledRejection', onRejection);
  const restore = forbidRealTime((name) => simulation.report('no real time', name));
  try {
    await simulation.run();
  } finally {
    restore();
    process.off('unhandledRejection', onRejection);
  }
  return simulation.result();
}

class Simulation {
  readonly report = (invariant: string, what: string): void => {
    this.failure ??= { invariant, what, atMs: this.scheduler.nowMs };
  };
  private readonly seed: number;
  private readonly scheduler = new Scheduler();
  private readonly trace: Trace;
  private readonly profile: Profile;
  private readonly nodes: SimNode[] = [];
  private readonly watch: Watch;
  private readonly network: SimNetwork;
  private readonly faults: Faults;
  private readonly oracle: KeyOracle;
  private readonly workload: Workload;
  private readonly endings: Prng;
  private readonly eventsPerCheck: number;
  private failure: Failure | undefined;

  constructor({ seed, profile = 'swarm', bug, print }: SimulationOptions) {
    const root = createPrng(seed);
    this.seed = seed;
    this.profile = drawProfile(profile, root.split());
    this.trace = new Trace(this.scheduler, print);
    const { scheduler, trace, nodes, report } = this;
    const restarts = root.split();
    this.watch = new Watch({
      nodes,
      trace,
      report,
      onDiskFailure: (node) => {
        // The process ends after the present event, as it would.
        scheduler.after(0, () => node.crash());
        this.faults.restartLater(node, restarts);
      },
    });
    const latencies = root.split();
    const latencyMs = (): number =>
      0.05 + latencies.unit() * this.profile.latencyMsMax + this.slow(latencies, 'network');
    this.network = new SimNetwork({
      scheduler,
      times: { latencyMs, redialMs: () => 20 + latencies.unit() * 200 },
      onDeliver: (from, to, bytes) => trace.note(`frame ${from}>${to} ${bytes.length}`),
    });
    this.network.replaysOldFrames = bug === 'oldFrameReplayed';
    this.addNodes(root.split(), bug);
    const { classes } = this.profile;
    const { network } = this;
    this.faults = new Faults({ scheduler, network, nodes, classes, prng: root.split(), trace });
    this.oracle = new KeyOracle(report);
    this.workload = this.createWorkload(root.split());
    this.endings = root.split();
    this.eventsPerCheck = eventsPerCheck * Math.max(1, this.profile.regions / 8);
  }

  async run(): Promise<void> {
    const { profile, scheduler } = this;
    this.trace.note(`profile ${JSON.stringify({ ...profile, classes: [...profile.classes] })}`);
    for (const node of this.nodes) node.start();
    this.workload.start();
    scheduler.after(1_000, () => this.faults.start());
    await this.advance(() => scheduler.nowMs >= profile.safetyMs);
    await this.converge();
    this.watch.check(true);
    if (this.workload.unexpected !== undefined) {
      this.report('clients see coded errors', String(this.workload.unexpected));
    }
    this.checkHistory();
    if (this.failure !== undefined) this.watch.describe();
    this.trace.note(`end ${this.workload.operations} ${scheduler.eventsRun}`);
  }

  /** What cannot be decided counts as broken. */
  private checkHistory(): void {
    if (this.failure !== undefined) return;
    const { events } = this.workload.history;
    const { verdict } = checkLinearizable(events, { configurationsMax });
    if (verdict.verdict !== 'pass') this.report('linearizability', JSON.stringify(verdict));
  }

  result(): SimulationResult {
    return {
      seed: this.seed,
      failure: this.failure,
      traceHash: this.trace.hash(),
      lastEvents: this.trace.last(),
      simulatedMs: this.scheduler.nowMs,
      events: this.scheduler.eventsRun,
      operations: this.workload.operations,
      reads: this.oracle.reads,
      leaderChanges: this.watch.leaderChanges,
      crashes: this.watch.crashes,
      faultsByClass: this.faults.counts,
    };
  }

  /** Heals a quorum, and holds the cluster to its promises of liveness. */
  private async converge(): Promise<void> {
    if (this.failure !== undefined) return;
    const { nodes, workload, scheduler } = this;
    this.faults.stop();
    const dead = chooseDead(nodes, this.endings);
    for (const node of nodes) {
      node.isRetired = dead.has(node);
      if (node.isRetired) node.crash();
      else if (!node.isRunning) node.start();
    }
    this.trace.note(`healed without ${[...dead].map(({ nodeId }) => nodeId).join(',')}`);
    const dueMs = scheduler.nowMs + livenessMs;
    const isReady = (): boolean => nodes.every((node) => node.running?.isReady() ?? true);
    await this.until(isReady, dueMs, () => whyRestless(nodes) ?? 'not ready');
    workload.stop();
    await this.until(
      () => workload.openCalls === 0,
      dueMs,
      () => `${workload.openCalls} calls open`,
    );
    await this.settle(dueMs);
    await this.until(
      () => whyRestless(nodes) === undefined,
      dueMs,
      () => whyRestless(nodes) ?? '',
    );
    for (const place of unequalRegions(nodes)) this.report('equal digests at equal index', place);
  }

  private async settle(dueMs: number): Promise<void> {
    if (this.failure !== undefined) return;
    let isDone = false;
    void this.workload.settle(settleTimeoutMs).then((error) => {
      isDone = true;
      if (error !== undefined) this.report('liveness', `a call failed after healing: ${error}`);
    });
    await this.until(
      () => isDone,
      dueMs,
      () => 'a call after healing is not answered',
    );
  }

  private async until(isTrue: () => boolean, dueMs: number, why: () => string): Promise<void> {
    const { scheduler } = this;
    let lookMs = scheduler.nowMs;
    let isMet = false;
    await this.advance(() => {
      if (scheduler.nowMs < lookMs) return false;
      lookMs = scheduler.nowMs + 20;
      isMet = isTrue();
      return isMet || scheduler.nowMs > dueMs;
    });
    if (!isMet) this.report('liveness', `not within ${livenessMs} ms: ${why()}`);
  }

  /** Runs events until `isOver` or a failure. */
  private async advance(isOver: () => boolean): Promise<void> {
    const { scheduler, watch } = this;
    let checks = 0;
    // Promises made outside of events settle first.
    await nextTask();
    while (this.failure === undefined && !isOver()) {
      if (!scheduler.step()) {
        this.report('liveness', 'nothing is left to happen');
        return;
      }
      if (scheduler.needsDrain) {
        scheduler.needsDrain = false;
        await nextTask();
      }
      if (scheduler.eventsRun % this.eventsPerCheck < 1) {
        checks += 1;
        watch.check(checks % checksPerFullCheck === 0);
      }
    }
  }

  private slow(prng: Prng, what: 'network' | 'sync'): number {
    const { faults } = this;
    return prng.unit() * (what === 'network' ? faults.slowNetworkMs : faults.slowSyncMs);
  }

  private addNodes(prng: Prng, bug: Bug | undefined): void {
    const { profile, scheduler, network, watch } = this;
    const roster: NodeDescriptor[] = [];
    for (let id = 1; id <= profile.nodes; id++) {
      const nodeId = id as NodeId;
      roster.push({ nodeId, peerAddress: noAddress, clientAddress: clientAddressOf(id) });
    }
    const timings = { ...defaultTimings, logKeepBytes: profile.logKeepBytes };
    for (const { nodeId } of roster) {
      const disk = prng.split();
      this.nodes.push(
        new SimNode({
          nodeId,
          roster,
          scheduler,
          network,
          timings,
          bug,
          prng: prng.split(),
          overlayBytesMax: profile.overlayBytesMax,
          diskTimes: {
            syncMs: () => 0.1 + disk.unit() * profile.syncMsMax + this.slow(disk, 'sync'),
            flushMs: () => 10 + disk.unit() * profile.flushMsMax,
          },
          watcher: watch,
        }),
      );
    }
  }

  private createWorkload(prng: Prng): Workload {
    const { scheduler, trace, oracle, nodes, profile, faults } = this;
    const draws = prng.split();
    return new Workload({
      scheduler,
      trace,
      oracle,
      prng: prng.split(),
      clients: profile.clients,
      keysPerClient: 4,
      regions: profile.regions,
      thinkMs: profile.thinkMs,
      channels: {
        scheduler,
        nodes,
        prng: draws,
        latencyMs: () => 0.1 + draws.unit() * profile.latencyMsMax,
        lossChance: () => faults.clientLossChance,
        onLoss: () => {},
      },
    });
  }
}
