/**
 * The second phase: a random quorum lives, the rest stays dead. What must then be true within a bound:
 * every region has a leader that all its replicas know, queues are empty, replicas are equal.
 */
import { isMokuError, type Prng, type RegionId } from '@moku/base';
import type { KvMachine, QueryOutcome } from '@moku/kv';
import type { SimNode } from '../world/sim-node.js';
import type { Damage } from './damage.js';

/** Nodes to leave dead such that every region keeps a quorum: as many as can be, in random order. */
export function chooseDead(
  nodes: readonly SimNode[],
  damage: Damage,
  prng: Prng,
): ReadonlySet<SimNode> {
  const order = [...nodes];
  for (let i = order.length - 1; i > 0; i--) {
    const j = prng.below(i + 1);
    [order[i], order[j]] = [order[j]!, order[i]!];
  }
  const dead = new Set<SimNode>();
  if (prng.below(3) === 0) return dead;
  for (const node of order) {
    dead.add(node);
    if (!damage.keepsQuorums(dead)) dead.delete(node);
  }
  return dead;
}

/** Whether the node does what it should: one with a harmed disk, or that stays dead, need not. */
export function isServing(node: SimNode): boolean {
  return node.harm !== 'none' || node.isRetired || node.running?.isReady() === true;
}

/** Why not all is well: every node serves that should, and the cluster is at rest; undefined once it is so. */
export function whyUnwell(nodes: readonly SimNode[]): string | undefined {
  const idle = nodes.find((node) => !isServing(node));
  return idle === undefined ? whyRestless(nodes) : `node ${idle.nodeId} is not ready`;
}

/** Why what runs has not come to rest; undefined once it has. */
export function whyRestless(nodes: readonly SimNode[]): string | undefined {
  const live = nodes.filter((node) => node.isRunning && node.harm !== 'replaced');
  const regions = new Map<RegionId, SimNode[]>();
  for (const node of live) {
    const { host } = node.running!;
    if (!isServing(node)) return `node ${node.nodeId} is not ready`;
    const { proposalsInFlight, proposalBytes } = host.status();
    if (proposalsInFlight + proposalBytes > 0) return `node ${node.nodeId} has proposals in flight`;
    if (node.disk.health().batchesInFlight > 0) return `node ${node.nodeId} is syncing`;
    for (const regionId of host.regionIds()) {
      if (isOut(node, regionId)) continue;
      const homes = regions.get(regionId) ?? [];
      homes.push(node);
      regions.set(regionId, homes);
    }
  }
  for (const [regionId, homes] of regions) {
    const reason = whyMissing(regionId, homes, live) ?? whyUnequal(regionId, homes);
    if (reason !== undefined) return `region ${regionId}: ${reason}`;
  }
  return undefined;
}

/** The damage to its disk has taken the replica out of service. */
function isOut(node: SimNode, regionId: RegionId): boolean {
  const why = node.running?.host.regionStatus(regionId)?.why;
  return node.harm !== 'none' && why?.includes('failed') === true;
}

/** A sound node that is a home of the region has a replica of it. */
function whyMissing(
  regionId: RegionId,
  homes: readonly SimNode[],
  live: readonly SimNode[],
): string | undefined {
  if (homes.length === live.length) return undefined;
  const replicas = homes[0]?.running?.host.descriptor(regionId)?.replicas ?? [];
  for (const node of live) {
    const isHome = replicas.some(({ nodeId }) => nodeId === node.nodeId);
    if (isHome && node.harm === 'none' && !homes.includes(node)) {
      return `node ${node.nodeId} has no replica`;
    }
  }
  return undefined;
}

function whyUnequal(regionId: RegionId, homes: readonly SimNode[]): string | undefined {
  const statuses = homes.map((node) => node.running!.host.regionStatus(regionId));
  const leaders = statuses.filter((status) => status?.role === 'leader');
  if (leaders.length !== 1) return `${leaders.length} leaders`;
  const [leader] = leaders;
  for (const status of statuses) {
    if (status?.appliedIndex === leader!.lastIndex && status.lastIndex === leader!.lastIndex)
      continue;
    return `replica ${status?.replicaId} applied ${status?.appliedIndex} of ${leader!.lastIndex}`;
  }
  return undefined;
}

function digestOf(node: SimNode, machine: KvMachine | undefined): QueryOutcome | undefined {
  try {
    return machine?.query({ type: 'digest' }, 0);
  } catch (error) {
    // What it cannot read it cannot count.
    if (node.harm !== 'none' && isMokuError(error, 'ENGINE_CORRUPT')) return undefined;
    throw error;
  }
}

/** Regions whose replicas hold different data although they applied the same; to be asked at rest. */
export function unequalRegions(nodes: readonly SimNode[]): readonly string[] {
  const digests = new Map<string, string>();
  const unequal: string[] = [];
  for (const node of nodes) {
    const host = node.running?.host;
    if (host === undefined) continue;
    for (const regionId of host.regionIds()) {
      if (isOut(node, regionId)) continue;
      const outcome = digestOf(node, host.machine(regionId) as KvMachine | undefined);
      if (outcome?.type !== 'digest') continue;
      const place = `region ${regionId} at ${outcome.appliedIndex}`;
      const known = digests.get(place);
      if (known === undefined) digests.set(place, outcome.digest);
      else if (known !== outcome.digest) unequal.push(`${place} on node ${node.nodeId}`);
    }
  }
  return unequal;
}
