/**
 * The faults of a run: which class comes when, how hard, and that all of them end.
 *
 * Invariants:
 *  F1 Each class has its own stream of randomness, named by the class: one more class shifts no other.
 *  F2 What a fault did is undone when all faults end, at the latest; nodes that are down stay so.
 */
import { createPrng, hash32, type Prng, utf8 } from '@moku/base';
import type { SimCluster } from '../run/cluster.js';
import type { SimNode } from '../world/sim-node.js';
import { destructiveClasses, type FaultClass, faultClasses } from './classes.js';
import { clientFaults } from './client.js';
import { diskFaults } from './disk.js';
import { type FaultKind, type FaultScene, logUniform } from './fault.js';
import { networkFaults } from './network.js';
import { processFaults } from './process.js';

const kinds: Readonly<Record<FaultClass, FaultKind>> = {
  ...processFaults,
  ...diskFaults,
  ...networkFaults,
  ...clientFaults,
};

/** Those that are left out once as much is destroyed as may be, or where both nodes are taken: none may come. */
const bounded: ReadonlySet<FaultClass> = new Set([...destructiveClasses, 'swappedDisks']);

/** From a storm to something rare: what the mean pause of a class is multiplied with. */
const stormFactor = 1 / 6;
const rareFactor = 4;
const lastsMsMin = 50;

export interface FaultsOptions {
  readonly cluster: SimCluster;
  readonly prng: Prng;
}

/** How a class behaves in a run; drawn once. */
interface Rhythm {
  readonly pauseMs: number;
  readonly lastsMsMax: number;
  readonly prng: Prng;
}

export class Faults {
  readonly counts: Record<FaultClass, number>;
  private readonly cluster: SimCluster;
  private readonly root: number;
  private readonly restarts: Prng;
  /** What is left to undo. */
  private readonly ends = new Set<() => void>();
  /** Of all classes that are on, per ms. */
  private faultsPerMs = 0;
  private isOver = false;

  constructor({ cluster, prng }: FaultsOptions) {
    this.cluster = cluster;
    this.root = prng.next();
    this.restarts = prng.split();
    this.counts = Object.fromEntries(faultClasses.map((each) => [each, 0])) as typeof this.counts;
  }

  start(): void {
    const { profile, trace } = this.cluster;
    for (const each of faultClasses) {
      if (!profile.classes.has(each)) continue;
      const prng = createPrng(hash32(utf8(each), this.root));
      const pauseMs = kinds[each].pauseMs * logUniform(prng, stormFactor, rareFactor);
      const lastsMsMax = logUniform(prng, 500, 30_000);
      trace.note(`class ${each} every ${pauseMs.toFixed(0)} for up to ${lastsMsMax.toFixed(0)}`);
      if (!bounded.has(each)) this.faultsPerMs += 1 / pauseMs;
      this.plan(each, { pauseMs, lastsMsMax, prng });
    }
  }

  /** How many faults are to be expected in so much time after `start`. */
  expectedIn(ms: number): number {
    return this.faultsPerMs * ms;
  }

  /** No more faults; all that last are undone (F2). */
  stop(): void {
    this.isOver = true;
    for (const end of [...this.ends]) end();
    for (const node of this.cluster.nodes) {
      node.heal();
      node.disk.mend();
    }
  }

  /** A node that ended comes back later, also after the last fault, unless it is to stay dead. */
  restartLater(node: SimNode, prng: Prng = this.restarts): void {
    const delayMs = 100 + prng.unit() ** 3 * 15_000;
    this.cluster.scheduler.after(delayMs, () => {
      if (!node.isRunning && !node.isRetired) node.start();
    });
  }

  private plan(each: FaultClass, rhythm: Rhythm): void {
    const delayMs = -Math.log(1 - rhythm.prng.unit()) * rhythm.pauseMs;
    this.cluster.scheduler.after(delayMs, () => {
      if (this.isOver) return;
      this.counts[each] += 1;
      this.inject(each, rhythm);
      this.plan(each, rhythm);
    });
  }

  private inject(each: FaultClass, { prng, lastsMsMax }: Rhythm): void {
    const { cluster } = this;
    const { nodes, scheduler, trace } = cluster;
    const node = nodes[prng.below(nodes.length)]!;
    const lastsMs = logUniform(prng, lastsMsMin, lastsMsMax);
    trace.note(`fault ${each} ${node.nodeId} ${lastsMs.toFixed(0)}`);
    const scene: FaultScene = {
      cluster,
      prng,
      node,
      lastsMs,
      during: (end) => this.during(lastsMs, end),
      repeat: (periodMs, task) => {
        const untilMs = scheduler.nowMs + lastsMs;
        const again = (): void => {
          scheduler.after(periodMs(), () => {
            if (this.isOver || scheduler.nowMs > untilMs) return;
            task();
            again();
          });
        };
        again();
      },
      skip: () => {
        this.counts[each] -= 1;
      },
      restartLater: (ended) => this.restartLater(ended, prng),
    };
    kinds[each].inject(scene);
  }

  private during(lastsMs: number, end: () => void): void {
    const once = (): void => {
      if (this.ends.delete(once)) end();
    };
    this.ends.add(once);
    this.cluster.scheduler.after(lastsMs, once);
  }
}
