/**
 * A directed scenario: a cluster without random faults, what happens to it, and the end that all stories
 * have: everything heals, converges, answers and is equal, and the history is linearizable.
 */
import { createPrng } from '@moku/base';
import type { RegionHostConfig } from '@moku/region';
import { checkFloors, countHistory } from '../check/floors.js';
import { checkLinearizable } from '../check/linearizable.js';
import { type Failure, SimCluster } from '../run/cluster.js';
import { unequalRegions, whyUnwell } from '../run/converge.js';
import { drawProfile, type Profile } from '../run/profile.js';
import { Sent } from './sight.js';
import { Stage, StoryEnded } from './stage.js';

export interface StoryOptions {
  /** Default 3. */
  readonly nodes?: number;
  /** Regions of the clients' keyspace, from id 1 on; default 1, and each on all nodes. */
  readonly regions?: number;
  /** Replicas of each region; default: all nodes. */
  readonly replication?: number;
  /** Runs with other chances; default 3. */
  readonly seeds?: number;
  readonly profile?: Partial<Profile>;
  readonly timings?: Partial<RegionHostConfig>;
  /** What must have been observed at least: crashes, elections, acknowledged, reads. */
  readonly floors?: Readonly<Record<string, number>>;
}

export interface Story {
  readonly name: string;
  readonly options: StoryOptions;
  readonly tell: (stage: Stage) => Promise<void>;
}

export interface StoryResult {
  readonly name: string;
  readonly seed: number;
  readonly failure: Failure | undefined;
  readonly traceHash: string;
  readonly lastEvents: readonly string[];
  readonly simulatedMs: number;
  readonly observed: Readonly<Record<string, number>>;
}

const seedsDefault = 3;
const healMs = 60_000;
const configurationsMax = 200_000;

export function story(
  name: string,
  options: StoryOptions,
  tell: (stage: Stage) => Promise<void>,
): Story {
  return { name, options, tell };
}

/** The seeds that a story is told under, from 1. */
export function seedsOf({ options }: Story): readonly number[] {
  return Array.from({ length: options.seeds ?? seedsDefault }, (_, at) => at + 1);
}

/** Tells a story under one seed. Resolves also when it fails; rejects for bugs of the story itself. */
export async function tellStory(
  told: Story,
  seed: number,
  print?: (line: string) => void,
): Promise<StoryResult> {
  const { options, name } = told;
  const sent = new Sent();
  const root = createPrng(seed);
  const cluster = new SimCluster({
    profile: profileOf(options, seed),
    prng: root.split(),
    print,
    replication: options.replication ?? options.nodes ?? 3,
    timings: options.timings ?? {},
    observer: sent,
  });
  const stage = new Stage(cluster, sent, root.split());
  await cluster.guarded(async () => {
    try {
      await begin(stage);
      await told.tell(stage);
      await end(stage, options);
    } catch (error) {
      if (!(error instanceof StoryEnded)) throw error;
    }
    if (cluster.failure !== undefined) cluster.watch.describe();
  });
  return {
    name,
    seed,
    failure: cluster.failure,
    traceHash: cluster.trace.hash(),
    lastEvents: cluster.trace.last(),
    simulatedMs: cluster.scheduler.nowMs,
    observed: observed(stage),
  };
}

/** As plain as the largest clusters are; every third seed has the product's own links over simulated sockets. */
function profileOf({ nodes = 3, regions = 1, profile }: StoryOptions, seed: number): Profile {
  return {
    ...drawProfile('many-regions', createPrng(1)),
    nodes,
    regions,
    clients: 6,
    latencyMsMax: 5,
    syncMsMax: 5,
    flushMsMax: 500,
    logKeepBytes: 20_000,
    overlayBytesMax: 1 << 26,
    hasRealLinks: seed % 3 === 0,
    classes: new Set(),
    ...profile,
  };
}

async function begin(stage: Stage): Promise<void> {
  const { cluster, calls } = stage;
  for (const node of cluster.nodes) node.start();
  for (const call of calls.openAll(healMs)) await stage.ok(call);
  await stage.rest();
}

/** Whatever was broken is mended; then all must be well, and what was acknowledged be there. */
async function end(stage: Stage, { floors = {} }: StoryOptions): Promise<void> {
  const { cluster, calls } = stage;
  heal(stage);
  await settled(stage);
  await cluster.until(
    () => calls.open === 0,
    stage.nowMs + healMs,
    () => `${calls.open} calls open`,
  );
  for (const key of calls.keys()) await stage.get(key);
  await stage.put('the end');
  await stage.get('the end');
  await settled(stage);
  for (const place of unequalRegions(cluster.nodes)) {
    cluster.report('equal digests at equal index', place);
  }
  cluster.watch.check(true);
  if (calls.unexpected !== undefined) {
    cluster.report('clients see coded errors', String(calls.unexpected));
  }
  const { verdict } = checkLinearizable(cluster.world.history.events, { configurationsMax });
  if (verdict.verdict !== 'pass') cluster.report('linearizability', JSON.stringify(verdict));
  const seen = checkFloors(observed(stage), { acknowledged: 1, reads: 1, ...floors });
  if (seen.verdict !== 'pass') cluster.report('the story is as told', seen.explanation);
}

function heal(stage: Stage): void {
  const { cluster, links } = stage;
  const { disturbance } = cluster;
  disturbance.slowNetworkMs = 0;
  disturbance.slowSyncMs = 0;
  disturbance.clientLossChance = 0;
  disturbance.hangingSyncs.clear();
  links.heal();
  for (const node of cluster.nodes) {
    node.heal();
    if (stage.isBuried(node)) continue;
    stage.free(node.nodeId);
    if (node.isRunning) node.disk.mend();
    else node.start();
  }
}

async function settled(stage: Stage): Promise<void> {
  const { cluster } = stage;
  await cluster.until(
    () => whyUnwell(cluster.nodes) === undefined,
    stage.nowMs + healMs,
    () => whyUnwell(cluster.nodes) ?? 'restless',
  );
  if (cluster.failure !== undefined) throw new StoryEnded(cluster.failure.what);
}

function observed({ cluster, sent }: Stage): Record<string, number> {
  const { acknowledged, reads } = countHistory(cluster.world.history.events);
  const { crashes } = cluster.watch;
  return { acknowledged, reads, crashes, elections: sent.elections() };
}
