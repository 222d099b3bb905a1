/**
 * The replicas of one node by region, and the leaders among them by the nodes of their peers, so that
 * what happens to a link touches only the regions it concerns.
 *
 * Invariants:
 *  M1 At most one running or failed replica per region.
 *  M2 ledWith(node) holds exactly the replicas here that were seen leading and have a replica there.
 */
import type { NodeId, RegionId } from '@moku/base';
import type { Replica } from './replica.js';

const none: ReadonlyMap<RegionId, Replica> = new Map();

export class Registry {
  private readonly replicas = new Map<RegionId, Replica>();
  private readonly led = new Map<NodeId, Map<RegionId, Replica>>();
  leaders = 0;

  get size(): number {
    return this.replicas.size;
  }

  get(regionId: RegionId): Replica | undefined {
    return this.replicas.get(regionId);
  }

  /** The replica of `regionId` when it is driven. */
  running(regionId: RegionId): Replica | undefined {
    const replica = this.replicas.get(regionId);
    return replica?.state === 'running' ? replica : undefined;
  }

  add(replica: Replica): void {
    this.replicas.set(replica.regionId, replica);
  }

  remove(regionId: RegionId): void {
    this.replicas.delete(regionId);
  }

  all(): IterableIterator<Replica> {
    return this.replicas.values();
  }

  regionIds(): RegionId[] {
    return [...this.replicas.keys()];
  }

  /** Nodes with which a leader here shares a region, now or earlier. */
  ledNodes(): IterableIterator<NodeId> {
    return this.led.keys();
  }

  ledWith(nodeId: NodeId): ReadonlyMap<RegionId, Replica> {
    return this.led.get(nodeId) ?? none;
  }

  leads(replica: Replica, selfId: NodeId): void {
    this.leaders++;
    for (const { nodeId } of replica.descriptor.replicas) {
      if (nodeId === selfId) continue;
      let regions = this.led.get(nodeId);
      if (regions === undefined) {
        regions = new Map();
        this.led.set(nodeId, regions);
      }
      regions.set(replica.regionId, replica);
    }
  }

  leadsNoMore(replica: Replica, selfId: NodeId): void {
    this.leaders--;
    for (const { nodeId } of replica.descriptor.replicas) {
      if (nodeId !== selfId) this.led.get(nodeId)?.delete(replica.regionId);
    }
  }
}
