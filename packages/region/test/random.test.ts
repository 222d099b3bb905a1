import { createPrng, type Prng, type RegionId } from '@moku/base';
import { describe, expect, it } from 'vitest';
import { Cluster, type SimNode } from './support/cluster.js';
import { put } from './support/machine.js';

/**
 * Random faults under writers and readers. Each register has one writer that counts up, so that the
 * oracle is simple: a read that begins after a value was acknowledged, or seen by a read that ended, must
 * not see less; a value that was refused must never be seen; and no register ever goes back.
 */
interface Register {
  readonly regionId: RegionId;
  readonly key: string;
  proposed: number;
  /** The greatest value that some answer proved to be in. */
  floor: number;
  readonly refused: Set<number>;
  isBusy: boolean;
}

interface Tally {
  acknowledged: number;
  lost: number;
  refused: number;
  readsReady: number;
  readsRefused: number;
  crashes: number;
}

class Story {
  readonly cluster: Cluster;
  readonly tally: Tally = {
    acknowledged: 0,
    lost: 0,
    refused: 0,
    readsReady: 0,
    readsRefused: 0,
    crashes: 0,
  };
  private readonly prng: Prng;
  private readonly registers: Register[] = [];

  constructor(seed: number, nodes: number) {
    this.prng = createPrng(seed).split();
    this.cluster = new Cluster({
      nodes,
      regions: 4,
      seed,
      replication: nodes,
      config: { logKeepBytes: 200, housekeepingMs: 300, peerGoneMs: 1_500 },
    }).startAll();
    for (const { regionId } of this.cluster.descriptors) {
      for (let i = 0; i < 3; i++) {
        const key = `up${i}`;
        const refused = new Set<number>();
        this.registers.push({ regionId, key, proposed: 0, floor: 0, refused, isBusy: false });
      }
    }
  }

  private pick<T>(items: readonly T[]): T {
    return items[this.prng.below(items.length)]!;
  }

  write(register: Register): void {
    const { cluster, prng } = this;
    if (register.isBusy || cluster.alive().length === 0) return;
    const leader = cluster.leader(register.regionId);
    const node = leader !== undefined && prng.below(4) > 0 ? leader : this.pick(cluster.alive());
    const value = ++register.proposed;
    const { life } = node;
    register.isBusy = true;
    // A node that dies never answers: the writer goes on, not knowing.
    const giveUp = (): void => {
      if (node.life !== life) register.isBusy = false;
      else cluster.clock.after(100, giveUp);
    };
    cluster.clock.after(100, giveUp);
    node.host!.propose(register.regionId, put(register.key, String(value)), (outcome) => {
      register.isBusy = false;
      if (outcome.kind === 'applied') {
        this.tally.acknowledged++;
        register.floor = Math.max(register.floor, value);
      } else if (outcome.kind === 'lost') {
        this.tally.lost++;
      } else {
        this.tally.refused++;
        register.refused.add(value);
      }
    });
  }

  read(register: Register): void {
    const { cluster } = this;
    if (cluster.alive().length === 0) return;
    const node = this.pick(cluster.alive());
    const { floor } = register;
    node.host!.read(register.regionId, (outcome) => {
      if (outcome.kind !== 'ready') {
        this.tally.readsRefused++;
        return;
      }
      this.tally.readsReady++;
      const machine = node.machines.get(register.regionId)!;
      const seen = Number(machine.get(register.key) ?? '0');
      expect(seen, 'a read sees what was acknowledged before it').toBeGreaterThanOrEqual(floor);
      expect(register.refused.has(seen), 'what was refused is never seen').toBe(false);
      register.floor = Math.max(register.floor, seen);
    });
  }

  fault(): void {
    const { cluster, prng } = this;
    const a = this.pick(cluster.nodes);
    const b = this.pick(cluster.nodes.filter((node) => node !== a));
    switch (prng.below(16)) {
      case 0:
      case 1:
        this.crash(a);
        return;
      case 2:
      case 3:
        this.restart();
        return;
      case 4:
        cluster.network.reset(a.nodeId, b.nodeId);
        return;
      case 5:
        cluster.network.cut(a.nodeId, b.nodeId);
        return;
      case 6:
        for (const other of cluster.nodes) if (other !== a) this.isolate(a, other);
        return;
      case 7:
      case 12:
      case 13:
        cluster.network.healAll();
        return;
      case 14:
        this.restart();
        return;
      case 8:
        a.pausedUntilMs = cluster.clock.nowMs + prng.below(1_500);
        return;
      case 9:
        a.syncMs = prng.below(2) === 0 ? () => 1 : () => 20 + prng.below(200);
        return;
      case 10:
        this.evict(a);
        return;
      default:
        a.host?.transferLeadership(this.pick(this.registers).regionId, b.nodeId);
    }
  }

  private isolate(a: SimNode, other: SimNode): void {
    this.cluster.network.cut(a.nodeId, other.nodeId);
    this.cluster.network.cut(other.nodeId, a.nodeId);
  }

  private crash(node: SimNode): void {
    if (node.host === undefined) return;
    this.tally.crashes++;
    this.cluster.crash(node, this.prng.below(node.log.health().batchesInFlight + 1));
  }

  private restart(): void {
    for (const node of this.cluster.nodes) {
      if (node.host === undefined && this.prng.below(3) > 0) this.cluster.start(node);
    }
  }

  /** Entries have to come from disk for a while; applies may have to wait. */
  private evict(node: SimNode): void {
    const { cluster, prng } = this;
    const { life } = node;
    for (const { regionId } of cluster.descriptors) node.log.evict(regionId);
    node.canApply = prng.below(2) === 0;
    cluster.clock.after(prng.below(300), () => {
      node.canApply = true;
      if (node.life === life) node.log.fetch();
    });
  }

  /** Reads from disk take a moment, always. */
  fetchLater(): void {
    for (const node of this.cluster.nodes) if (node.host !== undefined) node.log.fetch();
  }

  run(steps: number): void {
    const { cluster, prng } = this;
    for (let i = 0; i < steps; i++) {
      cluster.run(5 + prng.below(30));
      for (let n = prng.below(6); n > 0; n--) this.write(this.pick(this.registers));
      for (let n = prng.below(4); n > 0; n--) this.read(this.pick(this.registers));
      if (prng.below(8) === 0) this.fault();
      if (prng.below(5) === 0) this.fetchLater();
    }
  }

  /** Everything is healed: everything must come to rest, equal, with every acknowledged write. */
  heal(): void {
    const { cluster } = this;
    cluster.network.healAll();
    for (const node of cluster.nodes) {
      node.pausedUntilMs = 0;
      node.canApply = true;
      node.syncMs = () => 2;
      if (node.host === undefined) cluster.start(node);
    }
    const fetching = (): void => {
      this.fetchLater();
      cluster.clock.after(20, fetching);
    };
    fetching();
    cluster.runUntil(() => cluster.allLed(), 20_000, 'every region is led');
    for (const { regionId } of cluster.descriptors) this.writeLast(regionId);
    cluster.runUntil(() => cluster.isAtRest() && cluster.isConverged(), 20_000, 'rest');
    for (const register of this.registers) {
      for (const node of cluster.nodes) {
        const value = Number(node.machines.get(register.regionId)!.get(register.key) ?? '0');
        expect(value).toBeGreaterThanOrEqual(register.floor);
        expect(register.refused.has(value)).toBe(false);
      }
    }
    for (const node of cluster.nodes) {
      const status = node.host!.status();
      expect(status.unattachedPairs).toBe(0);
      expect(status.proposalsInFlight).toBe(0);
      expect(status.counters['replicasFailed']).toBe(0);
      expect(status.counters['digestMismatches']).toBe(0);
    }
  }

  /** Leaders may still change hands while the last links come back: asks again until it is in. */
  private writeLast(regionId: RegionId): void {
    const { cluster } = this;
    for (let attempt = 0; attempt < 20; attempt++) {
      const call = cluster.propose(regionId, 'last', String(attempt));
      cluster.runUntil(() => call.outcome !== undefined, 5_000, 'the last write is answered');
      if (call.outcome?.kind === 'applied') return;
      cluster.run(200);
    }
    throw new Error(`region ${regionId} takes no writes`);
  }
}

/** Runs one seed; a failure names it. */
function runSeed(seed: number, nodes: number): { story: Story; snapshots: number } {
  try {
    const story = new Story(seed, nodes);
    story.run(400);
    story.heal();
    return { story, snapshots: story.cluster.sum('snapshotsInstalled') };
  } catch (error) {
    const message = error instanceof Error ? `${error.message}\n${error.stack}` : String(error);
    throw new Error(`seed ${seed}, ${nodes} nodes: ${message}`);
  }
}

const seeds = Number(process.env['MOKU_SEEDS'] ?? 6);
const firstSeed = Number(process.env['MOKU_SEED'] ?? 1);

describe('hosts under random faults', () => {
  it.each([3, 5])(
    'keep every acknowledged write, on %i nodes, and read nothing that is older',
    (nodes) => {
      const total = { acknowledged: 0, readsReady: 0, crashes: 0, compared: 0, snapshots: 0 };
      for (let seed = firstSeed; seed < firstSeed + seeds; seed++) {
        const { story, snapshots } = runSeed(seed, nodes);
        const { tally } = story;
        total.acknowledged += tally.acknowledged;
        total.readsReady += tally.readsReady;
        total.crashes += tally.crashes;
        total.compared += story.cluster.book.entriesCompared;
        total.snapshots += snapshots;
      }
      // A run that saw too little proves nothing.
      expect(total.acknowledged).toBeGreaterThan(100 * seeds);
      expect(total.readsReady).toBeGreaterThan(50 * seeds);
      expect(total.compared).toBeGreaterThan(100 * seeds);
      expect(total.crashes).toBeGreaterThan(seeds);
      if (process.env['MOKU_SEEDS'] !== undefined)
        process.stdout.write(`${JSON.stringify(total)}\n`);
    },
    600_000,
  );
});
