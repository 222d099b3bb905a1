// @hot
/**
 * Unattached pairs (design §6): the peers of leaders here on which no claim stands. Each has a life of
 * its own: probes with back-off while its node is reachable, none while it is not, resumed when the node
 * is heard again. Repairs whatever was lost: an append, an answer, a commit notice, a follower never told.
 *
 * Invariants:
 *  U1 `count` is the sum of all `replica.pairs`.
 *  U2 At most `probesPerTurnMax` probes per tick; what is due beyond that stays due.
 */
import { type NodeId, noNode, type Prng, type ReplicaId } from '@moku/base';
import type { Raft } from '@moku/raft';
import type { Claims } from './claims/claims.js';
import type { RegionHostConfig } from './config.js';
import type { Replica } from './replica.js';

/** Ticks until the first probe of a pair whose append is on its way already. */
const firstProbeTicks = 2;

/**
 * Everything under way to a peer is lost. A peer that is being probed keeps the index where it is tried
 * next, which the core found or guessed: going back to what it acknowledged could mean a snapshot.
 */
export function forgetInFlight(raft: Raft, replicaId: ReplicaId): void {
  const progress = raft.progress(replicaId);
  if (progress === undefined) return;
  if (progress.state !== 'probe' || progress.matchIndex === raft.lastIndex) {
    raft.peerReset(replicaId);
  }
}

export class Pairs {
  private readonly claims: Claims;
  private readonly config: RegionHostConfig;
  private readonly prng: Prng;
  private probesLeft = 0;
  count = 0;
  probesSent = 0;

  constructor(claims: Claims, config: RegionHostConfig, prng: Prng) {
    this.claims = claims;
    this.config = config;
    this.prng = prng;
  }

  /** A leadership began: every peer is unattached, and has been sent the term's first append. */
  began(replica: Replica, tick: number): void {
    const peers = replica.raft.peers();
    for (let i = 0; i < peers.length; i++) this.add(replica, peers[i]!, tick + firstProbeTicks);
  }

  /** A leadership ended. */
  ended(replica: Replica): void {
    if (replica.pairs === undefined) return;
    this.count -= replica.pairs.length;
    replica.pairs = undefined;
  }

  /** A claim ended, or could not be made: the pair is probed from `dueTick` on. */
  add(replica: Replica, replicaId: ReplicaId, dueTick: number): void {
    const nodeId = replica.nodeOf(replicaId);
    if (nodeId === noNode) return;
    if (replica.pairs === undefined) replica.pairs = [];
    const { pairs } = replica;
    for (let i = 0; i < pairs.length; i++) {
      if (pairs[i]!.replicaId === replicaId) return;
    }
    pairs.push({ replicaId, nodeId, dueTick, backoffTicks: firstProbeTicks });
    this.count++;
  }

  /** The pair is attached, or its peer is no member any more. False when it was not listed. */
  remove(replica: Replica, replicaId: ReplicaId): boolean {
    const { pairs } = replica;
    if (pairs === undefined) return false;
    for (let i = 0; i < pairs.length; i++) {
      if (pairs[i]!.replicaId !== replicaId) continue;
      pairs.splice(i, 1);
      this.count--;
      if (pairs.length === 0) replica.pairs = undefined;
      return true;
    }
    return false;
  }

  /** Its node was heard again, or a session began: the pair is probed anew, soon. */
  resume(replica: Replica, nodeId: NodeId, tick: number): boolean {
    const { pairs } = replica;
    if (pairs === undefined) return false;
    for (let i = 0; i < pairs.length; i++) {
      const pair = pairs[i]!;
      if (pair.nodeId !== nodeId) continue;
      pair.dueTick = tick;
      pair.backoffTicks = firstProbeTicks;
      return true;
    }
    return false;
  }

  /** Whether a pair of this leader is to be probed while time passes. */
  hasReachable(replica: Replica): boolean {
    const { pairs } = replica;
    if (pairs === undefined) return false;
    for (let i = 0; i < pairs.length; i++) {
      if (this.claims.isReachable(pairs[i]!.nodeId)) return true;
    }
    return false;
  }

  /** A tick begins. */
  beginTick(): void {
    this.probesLeft = this.config.probesPerTurnMax;
  }

  /** Probes what is due of an awake leader. Returns whether anything was. */
  probeDue(replica: Replica, tick: number): boolean {
    const { pairs } = replica;
    if (pairs === undefined) return false;
    let isDue = false;
    for (let i = 0; i < pairs.length && this.probesLeft > 0; i++) {
      const pair = pairs[i]!;
      if (pair.dueTick > tick || !this.claims.isReachable(pair.nodeId)) continue;
      this.probesLeft--;
      this.probesSent++;
      replica.raft.probe(pair.replicaId);
      const jitter = this.prng.below(pair.backoffTicks);
      pair.dueTick = tick + pair.backoffTicks + jitter;
      const doubled = pair.backoffTicks * 2;
      const max = this.config.electionTicks;
      pair.backoffTicks = doubled < max ? doubled : max;
      isDue = true;
    }
    return isDue;
  }
}
