/**
 * Disks that are slow, fail, are full or someone else's, and such as destroy what they hold. Destruction
 * stays under a quorum of every region, but in the profile that exceeds it (damage.ts).
 */
import { metaRegionId } from '@moku/base';
import type { Harm } from '../run/damage.js';
import type { SimNode } from '../world/sim-node.js';
import type { DiskClass } from './classes.js';
import { type FaultKind, type FaultScene, logUniform } from './fault.js';

export const diskFaults: Readonly<Record<DiskClass, FaultKind>> = {
  // All disks, as on machines that share one.
  syncDelay: {
    pauseMs: 6_000,
    inject: ({ cluster: { disturbance }, prng, during }) => {
      disturbance.slowSyncMs = prng.unit() ** 3 * 30_000;
      during(() => {
        disturbance.slowSyncMs = 0;
      });
    },
  },
  slowDisk: { pauseMs: 4_000, inject: slowDisk },
  syncFailure: {
    pauseMs: 12_000,
    inject: (scene) => breakOnce(scene, ({ disk }) => disk.failSync()),
  },
  flushFailure: {
    pauseMs: 12_000,
    inject: (scene) => breakOnce(scene, ({ disk }) => disk.failFlush()),
  },
  noSpace: { pauseMs: 10_000, inject: noSpace },
  swappedDisks: { pauseMs: 15_000, inject: swappedDisks },
  bitFlip: { pauseMs: 8_000, inject: flipBits },
  lostSuffix: { pauseMs: 15_000, inject: loseSuffix },
  wipe: { pauseMs: 15_000, inject: wipe },
};

function breakOnce({ node, skip }: FaultScene, fail: (node: SimNode) => void): void {
  if (!node.isRunning) {
    skip();
    return;
  }
  node.isDiskBroken = true;
  fail(node);
}

/** One disk: each sync takes longer, or none ends for a while. */
function slowDisk({ cluster: { disturbance }, node, prng, during }: FaultScene): void {
  const { nodeId, disk } = node;
  if (prng.below(4) === 0) {
    disturbance.hangingSyncs.add(nodeId);
    during(() => {
      disturbance.hangingSyncs.delete(nodeId);
      disk.mend();
    });
    return;
  }
  disturbance.slowDisks.set(nodeId, logUniform(prng, 5, 30_000));
  during(() => {
    disturbance.slowDisks.delete(nodeId);
  });
}

/** On one node or, where they share what is full, on all. */
function noSpace({ cluster, node, prng, during }: FaultScene): void {
  const victims = prng.below(6) === 0 ? cluster.nodes : [node];
  for (const victim of victims) {
    victim.isDiskFull = true;
    victim.disk.fill();
  }
  during(() => {
    for (const victim of victims) {
      victim.isDiskFull = false;
      victim.disk.free();
    }
  });
}

/** Two nodes are started on each other's disk; somebody notices and puts them back. */
function swappedDisks(scene: FaultScene): void {
  const { cluster, node, prng, during, restartLater } = scene;
  const others = cluster.nodes.filter((other) => other !== node);
  const other = others[prng.below(others.length)]!;
  const both = [node, other];
  if (both.some((each) => each.hasForeignDisk)) {
    scene.skip();
    return;
  }
  exchange(both);
  for (const each of both) {
    each.hasForeignDisk = true;
    each.start();
  }
  during(() => {
    exchange(both);
    for (const each of both) {
      each.hasForeignDisk = false;
      restartLater(each);
    }
  });
}

function exchange(both: readonly SimNode[]): void {
  for (const each of both) each.crash();
  both[0]!.disk.exchange(both[1]!.disk);
}

/** One bit, or several. */
function flipBits(scene: FaultScene): void {
  const { prng } = scene;
  const bits = prng.below(3) === 0 ? 1 + prng.below(8) : 1;
  destroy(scene, 'corrupt', ({ disk }) => {
    let isHit = false;
    for (let bit = 0; bit < bits; bit++) isHit = disk.flipBit(prng) || isHit;
    return isHit ? 'corrupt' : 'none';
  });
}

function loseSuffix(scene: FaultScene): void {
  destroy(scene, 'amnesiac', ({ disk }) =>
    disk.loseSyncedSuffix(scene.prng) ? 'amnesiac' : 'none',
  );
}

/** The directory, or one of its files. */
function wipe(scene: FaultScene): void {
  const part = (['all', 'log', 'log', 'engine'] as const)[scene.prng.below(4)]!;
  destroy(scene, part === 'engine' ? 'corrupt' : 'replaced', ({ disk, harm }) => {
    disk.wipe(part);
    // With the data goes what told that the log is new.
    if (part === 'engine') return harm === 'amnesiac' ? 'replaced' : 'corrupt';
    const tells = part === 'log' && disk.appliedIndex(metaRegionId) > 0;
    return tells ? 'amnesiac' : 'replaced';
  });
}

/** Ends the node, does it if the bounds allow, and has it started again. `damage` tells what came of it. */
function destroy(scene: FaultScene, harm: Harm, damage: (node: SimNode) => Harm): void {
  const { cluster, node, restartLater } = scene;
  if (node.hasForeignDisk || !cluster.damage.allows(node, harm)) {
    scene.skip();
    return;
  }
  node.crash();
  const done = damage(node);
  if (done === 'none') scene.skip();
  node.harm = worse(node.harm, done);
  cluster.trace.note(`harm ${node.nodeId} ${node.harm}`);
  restartLater(node);
}

const severity: readonly Harm[] = ['none', 'corrupt', 'amnesiac', 'replaced'];

function worse(before: Harm, harm: Harm): Harm {
  return severity.indexOf(harm) > severity.indexOf(before) ? harm : before;
}
