// @hot
/**
 * The passing of time: ticks, at most one per turn, for awake replicas only.
 *
 * Invariants:
 *  K1 A late turn ticks and judges nobody: what was received meanwhile is handled first. A second late turn
 *     in a row ticks once and counts as in time, so that a node that is always late still notices.
 *  K2 At most `campaignsPerTurnMax` campaigns begin per tick; the others' timers stand still meanwhile.
 *  K3 Ticks that were missed are not made up for.
 */
import type { RegionHostConfig } from './config.js';
import type { Failures } from './failures.js';
import type { Leadership } from './leadership.js';
import type { Liveness } from './liveness.js';
import type { Outbox } from './outbox.js';
import type { Pairs } from './pairs.js';
import type { Peers } from './peers.js';
import type { ReadContexts } from './reads.js';
import type { Replica } from './replica.js';
import type { Rest } from './rest.js';
import type { Schedule } from './schedule.js';
import type { SnapshotsIn } from './snapshots-in.js';

export interface TickerParts {
  readonly config: RegionHostConfig;
  readonly contexts: ReadContexts;
  readonly failures: Failures;
  readonly leadership: Leadership;
  readonly liveness: Liveness;
  readonly outbox: Outbox;
  readonly pairs: Pairs;
  readonly peers: Peers;
  readonly rest: Rest;
  readonly schedule: Schedule;
  readonly snapshotsIn: SnapshotsIn;
}

/** Ticks between the attempts of a first campaign, and how many there are. */
const firstCampaignTicks = 4;
const firstCampaignsMax = 5;

interface FirstCampaign {
  readonly replica: Replica;
  dueTick: number;
  left: number;
}

export class Ticker {
  private readonly parts: TickerParts;
  private wasLate = false;
  private dueMs = Number.POSITIVE_INFINITY;
  private firsts: FirstCampaign[] = [];
  private campaignsLeft = 0;
  /** Ticks of this node so far. */
  tick = 0;
  nextTickMs = 0;
  /** By how much the present turn is late; 0: in time, or late again (K1). */
  lateMs = 0;
  campaigns = 0;
  lateTurns = 0;

  constructor(parts: TickerParts) {
    this.parts = parts;
  }

  beginTurn(nowMs: number): void {
    const behindMs = nowMs - this.dueMs;
    const isLate = behindMs > this.parts.config.lateMs;
    if (isLate) this.lateTurns++;
    const isLateAgain = isLate && this.wasLate;
    this.wasLate = isLate && !isLateAgain;
    this.lateMs = this.wasLate ? behindMs : 0;
    if (!this.wasLate) return;
    this.nextTickMs = nowMs + this.parts.config.tickMs;
  }

  isDue(nowMs: number): boolean {
    return nowMs >= this.nextTickMs;
  }

  /** The turn ends; the next is due at `dueMs`, which is returned. */
  endTurn(dueMs: number): number {
    this.dueMs = dueMs;
    return dueMs;
  }

  /**
   * Lets a replica campaign without waiting for a timer, a few times while nobody leads, when that
   * disturbs nobody: its log is new and it is the one to begin, or it is the only voter.
   */
  campaignSoon(replica: Replica): void {
    this.firsts.push({ replica, dueTick: this.tick, left: firstCampaignsMax });
    if (this.nextTickMs > this.parts.peers.nowMs) this.nextTickMs = this.parts.peers.nowMs;
  }

  /** One tick of everything that is awake; `hasUnread`: received frames wait, so nobody is judged. */
  run(nowMs: number, hasUnread: boolean): void {
    const { config, liveness, outbox, pairs, peers, schedule, snapshotsIn } = this.parts;
    this.tick++;
    this.nextTickMs = nowMs + config.tickMs;
    this.campaignsLeft = config.campaignsPerTurnMax;
    liveness.beginTurn(this.tick);
    pairs.beginTick();
    liveness.judgeNodes(nowMs, hasUnread);
    outbox.resume();
    snapshotsIn.sweep(peers, this.tick);
    this.campaignFirst();
    // Backwards: a replica that goes to rest is replaced by one that was ticked already.
    for (let at = schedule.awakeCount - 1; at >= 0; at--) {
      const replica = schedule.awakeOf(at);
      if (replica !== undefined) this.tickOne(replica);
    }
  }

  private tickOne(replica: Replica): void {
    const { config, contexts, failures, leadership, pairs, rest } = this.parts;
    const { raft, reads, proposals } = replica;
    try {
      if (raft.needsTick && (raft.role === 'leader' || this.campaignsLeft > 0)) {
        raft.tick();
        leadership.observe(replica, this.tick);
        if (raft.role !== 'leader' && raft.role !== 'follower' && raft.hasReady()) this.count();
      }
      pairs.probeDue(replica, this.tick);
      if (reads !== undefined) {
        const leaderNodeId = replica.leaderNodeId();
        const ask = { raft, contexts, tick: this.tick, leaderNodeId };
        reads.tick(ask, config.readRetryTicks, config.readAttemptsMax);
        rest.markDirty(replica);
      }
      if (proposals !== undefined && proposals.waiting > 0) rest.markDirty(replica);
    } catch (error) {
      failures.fail(replica, error);
      return;
    }
    rest.consider(replica);
  }

  private campaignFirst(): void {
    const { firsts } = this;
    if (firsts.length === 0) return;
    const kept: FirstCampaign[] = [];
    for (let i = 0; i < firsts.length; i++) {
      const first = firsts[i]!;
      const { replica } = first;
      const { raft } = replica;
      if (replica.state !== 'running' || raft.leaderId !== 0) continue;
      if (raft.lastIndex > 0 && !isOnlyVoter(replica)) continue;
      if (first.dueTick <= this.tick && this.campaignsLeft > 0) {
        raft.campaign();
        this.parts.leadership.observe(replica, this.tick);
        this.parts.rest.consider(replica);
        this.count();
        first.dueTick = this.tick + firstCampaignTicks;
        first.left--;
      }
      if (first.left > 0) kept.push(first);
    }
    this.firsts = kept;
  }

  private count(): void {
    this.campaigns++;
    this.campaignsLeft--;
  }
}

/** True when nobody else has a vote in the region. */
export function isOnlyVoter({ raft, replicaId }: Replica): boolean {
  const { voters, votersOutgoing } = raft.confState;
  return voters.length === 1 && voters[0] === replicaId && votersOutgoing.length === 0;
}
