/** Disks that are slow or fail. */
import type { DiskClass } from './classes.js';
import type { FaultKind } from './fault.js';

export const diskFaults: Readonly<Record<DiskClass, FaultKind>> = {
  syncDelay: {
    pauseMs: 4_000,
    inject: ({ cluster: { disturbance }, prng, during }) => {
      disturbance.slowSyncMs = prng.unit() ** 3 * 30_000;
      during(() => {
        disturbance.slowSyncMs = 0;
      });
    },
  },
  syncFailure: {
    pauseMs: 12_000,
    inject: ({ node }) => {
      if (!node.isRunning) return;
      node.isDiskBroken = true;
      node.disk.failSync();
    },
  },
};
