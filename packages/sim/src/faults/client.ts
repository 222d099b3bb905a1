/** Channels of clients that break. */
import type { ClientClass } from './classes.js';
import type { FaultKind } from './fault.js';

export const clientFaults: Readonly<Record<ClientClass, FaultKind>> = {
  clientLoss: {
    pauseMs: 8_000,
    inject: ({ cluster: { disturbance }, prng, during }) => {
      disturbance.clientLossChance = prng.unit() * 0.3;
      during(() => {
        disturbance.clientLossChance = 0;
      });
    },
  },
};
