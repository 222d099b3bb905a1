/**
 * Planted bugs: adapters that lie to the node. Only the simulator can set them; they prove that it can
 * fail.
 */

export const bugs = ['durableBeforeSync', 'durableIndexAhead', 'oldFrameReplayed'] as const;

export type Bug = (typeof bugs)[number];
