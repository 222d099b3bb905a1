// @hot
/**
 * Who may rest (P10): a replica is awake while only the passing of time can bring it on, and dirty while
 * a visit of the turn would find something to do. Everything that touches a replica ends with `consider`.
 *
 * Invariant Z1: a replica at rest is an attached follower or a leader whose reachable peers are all
 * attached, with nothing under way that could be lost without a session's end.
 */
import type { Claims } from './claims/claims.js';
import type { Pairs } from './pairs.js';
import type { Replica } from './replica.js';
import type { Schedule } from './schedule.js';

export class Rest {
  private readonly claims: Claims;
  private readonly pairs: Pairs;
  private readonly schedule: Schedule;

  constructor(claims: Claims, pairs: Pairs, schedule: Schedule) {
    this.claims = claims;
    this.pairs = pairs;
    this.schedule = schedule;
  }

  markDirty(replica: Replica): void {
    this.schedule.markDirty(replica);
  }

  /** Puts the replica where it belongs: awake or at rest, dirty or not. Drops parts it no longer needs. */
  consider(replica: Replica): void {
    if (replica.proposals?.isEmpty() === true) replica.proposals = undefined;
    if (replica.reads?.isEmpty() === true) replica.reads = undefined;
    if (replica.state !== 'running') {
      this.schedule.rest(replica);
      return;
    }
    if (replica.raft.hasReady()) this.schedule.markDirty(replica);
    if (this.mustBeAwake(replica)) this.schedule.wake(replica);
    else this.schedule.rest(replica);
  }

  /** Every awake replica, in no particular order. `visit` must not put any to rest. */
  forEachAwake(visit: (replica: Replica) => void): void {
    for (let i = 0; i < this.schedule.awakeCount; i++) visit(this.schedule.awakeOf(i)!);
  }

  private mustBeAwake(replica: Replica): boolean {
    if (replica.proposals !== undefined && replica.proposals.waiting > 0) return true;
    if (replica.reads !== undefined || replica.install !== undefined) return true;
    if (replica.hasToApply()) return true;
    if (replica.raft.role === 'leader') {
      return replica.raft.isTransferring || this.pairs.hasReachable(replica);
    }
    return !this.claims.isAttached(replica.regionId);
  }
}
