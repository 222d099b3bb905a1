export { DevCluster, type DevClusterOptions, type DevNode } from './cluster.js';
