/**
 * What a node says of itself: `/status`, `moku status`. Plain JSON values.
 */
import type { NodeDescriptor } from '@moku/base';
import type { MetaMachine } from '@moku/kv';
import type { LogStoreHealth } from '@moku/raft';
import type { HostStatus, RegionHost } from '@moku/region';
import type { NodeConfig } from './config.js';

export interface NodeStatus {
  readonly clusterId: string;
  readonly node: HostStatus;
  readonly nodes: readonly NodeDescriptor[];
  readonly keyspaces: readonly { readonly name: string; readonly mode: string }[];
  readonly metaRevision: number;
  readonly log: LogStoreHealth;
  readonly process: {
    readonly pid: number;
    readonly rssBytes: number;
    readonly heapBytes: number;
    /** Processor time of all threads since the start. */
    readonly cpuMs: number;
    readonly uptimeMs: number;
    readonly node: string;
  };
}

export function nodeStatus(
  config: NodeConfig,
  host: RegionHost,
  meta: MetaMachine,
  log: LogStoreHealth,
): NodeStatus {
  const all = meta.view(undefined);
  const memory = process.memoryUsage();
  const cpu = process.cpuUsage();
  return {
    clusterId: config.clusterId,
    node: host.status(),
    nodes: config.roster,
    keyspaces: all.keyspaces.map(({ name, mode }) => ({ name, mode })),
    metaRevision: all.revision,
    log,
    process: {
      pid: process.pid,
      rssBytes: memory.rss,
      heapBytes: memory.heapUsed,
      cpuMs: Math.round((cpu.user + cpu.system) / 1000),
      uptimeMs: Math.round(process.uptime() * 1000),
      node: process.version,
    },
  };
}
