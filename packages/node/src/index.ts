export { defaultTimings, type NodeConfig, type NodeTimings } from './config.js';
export { type LogOrigin, type NotingLog, refuseForEver, refuseLostData } from './lost-data.js';
export { createNode, type MokuNode, type NodeAdapters } from './node.js';
export { type Listen, type RunningNode, type StartOptions, startNode } from './start.js';
export type { NodeStatus } from './status.js';
