/** Processes that end, stand still or have strange clocks. */
import type { Prng } from '@moku/base';
import type { SimNode } from '../world/sim-node.js';
import type { ProcessClass } from './classes.js';
import { type FaultKind, type FaultScene, logUniform } from './fault.js';

const hourMs = 3_600_000;
const pauseMsMax = 30_000;
/** Points at which a process may end, counted from now: a busy node passes hundreds a second. */
const pointsMax = 300;

export const processFaults: Readonly<Record<ProcessClass, FaultKind>> = {
  crash: { pauseMs: 6_000, inject: crash },
  // In the midst of what an event brings about: before or after a frame, a log write, an apply.
  crashWithin: {
    pauseMs: 6_000,
    inject: (scene) => {
      const { node, prng } = scene;
      node.crashWithin(1 + Math.floor(prng.unit() ** 2 * pointsMax), () =>
        scene.restartLater(node),
      );
    },
  },
  restartStorm: { pauseMs: 20_000, inject: restartStorm },
  pause: {
    pauseMs: 5_000,
    inject: ({ node, prng, lastsMs, skip }) => {
      const isLong = prng.below(8) === 0;
      if (!node.isRunning || node.isPaused) skip();
      node.pause(isLong ? logUniform(prng, 1_000, pauseMsMax) : lastsMs);
    },
  },
  clock: { pauseMs: 4_000, inject: ({ node, prng }) => disturbClock(node, prng) },
};

function crash(scene: FaultScene): void {
  const { cluster, node, prng } = scene;
  const victims = prng.below(6) === 0 ? cluster.nodes : [node];
  if (!victims.some(({ isRunning }) => isRunning)) scene.skip();
  for (const victim of victims) {
    victim.crash();
    scene.restartLater(victim);
  }
}

/** Some nodes start and end again and again, also while they are still starting. */
function restartStorm({ cluster, prng, during, repeat, restartLater }: FaultScene): void {
  const victims = cluster.nodes.filter(() => prng.below(2) === 0);
  const longestMs = logUniform(prng, 20, 2_000);
  repeat(
    () => prng.unit() * longestMs,
    () => {
      for (const victim of victims) {
        if (prng.below(2) === 0) victim.crash();
        else if (!victim.isRunning && !victim.isRetired) victim.start();
      }
    },
  );
  during(() => {
    for (const victim of victims) if (!victim.isRunning) restartLater(victim);
  });
}

function disturbClock(node: SimNode, prng: Prng): void {
  switch (prng.below(5)) {
    case 0:
      node.wallOffsetMs = (prng.unit() - 0.5) * hourMs;
      return;
    case 1:
      node.wallOffsetMs += (prng.unit() - 0.5) * 10_000;
      return;
    case 2:
      // Hours, days, years; back and forth.
      node.wallOffsetMs +=
        (prng.below(2) === 0 ? 1 : -1) * logUniform(prng, hourMs, 20_000 * hourMs);
      return;
    default:
      node.setRate(logUniform(prng, 0.5, 2));
  }
}
