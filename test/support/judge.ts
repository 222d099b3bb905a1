/**
 * Verdicts on what clients saw and on what nodes say of themselves afterwards. Whatever is not shown to
 * be right throws.
 */
import { isMokuError, type NodeId, type RegionId } from '@moku/base';
import {
  checkFloors,
  checkLinearizable,
  countHistory,
  type HistoryEvent,
  worstOf,
} from '@moku/sim';
import { moku } from './cli.js';
import type { ProcessCluster } from './process-cluster.js';
import { until } from './until.js';

const restWithinMs = 40_000;

/** Figures by name: reads, acknowledged, killed, leaderChanges, … */
export type Counts = Readonly<Record<string, number>>;

/**
 * What was observed. Throws when no order explains the answers, when that was not decided within `msMax`, when
 * less than a floor was observed, or when the checker would not notice a stale read in this history.
 */
export function judgeHistory(
  events: readonly HistoryEvent[],
  observed: Counts,
  floors: Counts,
  msMax: number,
): Counts {
  const time = { nowMs: () => performance.now(), msMax };
  const { verdict } = checkLinearizable(events, { time });
  const { invoked, reads, acknowledged, failed, uncertain } = countHistory(events);
  const counts = { invoked, reads, acknowledged, failed, uncertain, ...observed };
  const worst = worstOf([verdict, checkFloors(counts, floors)]);
  if (worst.verdict !== 'pass') throw new Error(`${worst.verdict}: ${worst.explanation}`);
  const stale = checkLinearizable(withStaleRead(events), { time }).verdict;
  if (stale.verdict !== 'fail') throw new Error(`a stale read would be called ${stale.verdict}`);
  return counts;
}

/** The last read of a key finds what the first one found that found another value. */
function withStaleRead(events: readonly HistoryEvent[]): HistoryEvent[] {
  const isRead = ({ f, type }: HistoryEvent): boolean => f === 'read' && type === 'ok';
  const stale = new Map<string | null, HistoryEvent>();
  for (const event of events) {
    if (isRead(event) && event.value !== null && !stale.has(event.key)) stale.set(event.key, event);
  }
  const last = events.findLast((event) => {
    const first = stale.get(event.key);
    return isRead(event) && first !== undefined && first.value !== event.value;
  });
  return events.map((event) =>
    event === last ? { ...event, value: stale.get(event.key)?.value ?? null } : event,
  );
}

/**
 * Throws unless all nodes run, are linked, at rest and hold equal data, and none has ever said that it
 * or a replica of it cannot go on.
 */
export async function judgeNodes(
  cluster: ProcessCluster,
  restMs: number = restWithinMs,
): Promise<void> {
  let unrest: readonly string[] = [];
  const isAtRest = async (): Promise<boolean> => {
    if (cluster.violations.length > 0) return true;
    unrest = await unrestOf(cluster);
    return unrest.length === 0;
  };
  await until(() => `rest and equal replicas; ${unrest.join('; ')}`, restMs, isAtRest);
  const complaints = [
    ...cluster.violations,
    ...cluster.nodeIds.flatMap((id) => lastWords(cluster, id)),
  ];
  if (complaints.length > 0) throw new Error(complaints.join('\n'));
  await untilLinked(cluster, restMs);
}

/**
 * Waits until all nodes are linked, as `moku status` says it: at rest two followers may still be in the
 * pause before they dial each other again.
 */
async function untilLinked(cluster: ProcessCluster, withinMs: number): Promise<void> {
  let told = '';
  const others = cluster.nodeIds.length - 1;
  await until(
    () => `all nodes linked in moku status: ${told}`,
    withinMs,
    async () => {
      const { exitCode, out, err } = await moku(['status', '--nodes', cluster.clientAddress]);
      told = `exit code ${exitCode}\n${out}${err}`;
      const linked = out.split(` ${others}/${others} `).length - 1;
      return exitCode === 0 && linked === cluster.nodeIds.length;
    },
  );
}

/** Why the cluster is not at rest yet. */
async function unrestOf(cluster: ProcessCluster): Promise<string[]> {
  const digests = new Map<RegionId, Set<string>>();
  const all = await Promise.all(
    cluster.nodeIds.map(async (nodeId) => {
      const reports = await cluster.reportsOf(nodeId);
      if (reports.length === 0) return [`node ${nodeId} does not answer`];
      const reasons: string[] = [];
      for (const { regionId, why } of reports) {
        if (why.length > 0) reasons.push(`node ${nodeId}, region ${regionId}: ${why}`);
        const digest = await digestOf(cluster, nodeId, regionId);
        digests.set(regionId, (digests.get(regionId) ?? new Set()).add(digest));
      }
      return reasons;
    }),
  );
  const unequal = [...digests].filter(([, each]) => each.size > 1);
  return [
    ...all.flat(),
    ...unequal.map(([id, each]) => `region ${id}: ${[...each].join(' and ')}`),
  ];
}

async function digestOf(
  { watcher }: ProcessCluster,
  nodeId: NodeId,
  regionId: RegionId,
): Promise<string> {
  try {
    const { appliedIndex, records, digest } = await watcher.admin.digest(nodeId, regionId);
    return `${digest} of ${records} records at ${appliedIndex}`;
  } catch (error) {
    if (!isMokuError(error)) throw error;
    return `${error.code} on node ${nodeId}`;
  }
}

/** Lines of a node's log that no fault of these tests explains. */
function lastWords(cluster: ProcessCluster, nodeId: NodeId): string[] {
  const isLast = (line: string): boolean =>
    /"level":[56]0/.test(line) || line.includes('out of service') || line.startsWith('moku:');
  return cluster
    .logOf(nodeId)
    .split('\n')
    .filter(isLast)
    .map((line) => `node ${nodeId}: ${line}`);
}
