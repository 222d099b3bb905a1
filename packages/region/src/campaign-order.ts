/**
 * In which order the replicas of a region campaign when their leader is gone (design §6, "correlated
 * judgement"): each draws its election timer from a slot of its own, ranked by hash(region, node), so
 * that the survivors of a node do not duel over the same regions, and share them evenly.
 *
 * Liveness only: Raft's safety rests on no timer, and within its slot a timer stays random.
 */
import type { NodeId, Prng, RegionDescriptor } from '@moku/base';

/** A generator whose `below` draws from one of `ranks` equal slots. Everything else is its source's. */
class SlotPrng implements Prng {
  private readonly source: Prng;
  private readonly rank: number;
  private readonly ranks: number;

  constructor(source: Prng, rank: number, ranks: number) {
    this.source = source;
    this.rank = rank;
    this.ranks = ranks;
  }

  next(): number {
    return this.source.next();
  }

  below(bound: number): number {
    const from = Math.floor((bound * this.rank) / this.ranks);
    const to = Math.floor((bound * (this.rank + 1)) / this.ranks);
    return to > from + 1 ? from + this.source.below(to - from) : Math.min(from, bound - 1);
  }

  unit(): number {
    return this.source.unit();
  }

  split(): Prng {
    return this.source.split();
  }
}

/** Mixes a region and a node into 32 bits (the finalizer of MurmurHash3). */
function mix(regionId: number, nodeId: number): number {
  let hash = (regionId ^ Math.imul(Math.floor(regionId / 2 ** 32) + nodeId, 0x9e3779b1)) >>> 0;
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b);
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35);
  return (hash ^ (hash >>> 16)) >>> 0;
}

/** How many of the region's other replicas campaign before the one on `nodeId`. */
export function campaignRank(descriptor: RegionDescriptor, nodeId: NodeId): number {
  const { regionId, replicas } = descriptor;
  const own = mix(regionId, nodeId);
  let rank = 0;
  for (const other of replicas) {
    const hash = mix(regionId, other.nodeId);
    if (hash < own || (hash === own && other.nodeId < nodeId)) rank++;
  }
  return rank;
}

/** The generators of a node's replicas: one per rank and number of replicas, shared. */
export class CampaignOrder {
  private readonly prng: Prng;
  private readonly slots = new Map<string, Prng>();

  constructor(prng: Prng) {
    this.prng = prng;
  }

  /** The generator for the core of this node's replica of the region. */
  prngFor(descriptor: RegionDescriptor, nodeId: NodeId): Prng {
    const ranks = descriptor.replicas.length;
    if (ranks <= 1) return this.prng;
    const rank = campaignRank(descriptor, nodeId);
    const key = `${rank}/${ranks}`;
    let slot = this.slots.get(key);
    if (slot === undefined) {
      slot = new SlotPrng(this.prng, rank, ranks);
      this.slots.set(key, slot);
    }
    return slot;
  }
}
