export { DevCluster, type DevClusterOptions, type DevNode } from './cluster.js';
export { interrupted } from './interrupt.js';
