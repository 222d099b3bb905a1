/**
 * Which part of which log may go. Off the hot path: only regions that applied something since are looked
 * at, some at a time, on a slow cadence; a region that went idle is looked at until its log is gone.
 *
 * Invariants:
 *  N1 A log is truncated only up to an index that the state machine holds durably and the core knows as
 *     applied.
 *  N2 A leader keeps what a reachable replica still needs, up to limits.regionLogBytesMax; beyond that,
 *     or for one that is long gone, the replica gets a snapshot.
 *  N3 A region that is written keeps `logKeepBytes` for replicas that fall a little behind.
 */
import { limits, type NodeId } from '@moku/base';
import type { RegionHostConfig } from './config.js';
import type { Peers } from './peers.js';
import type { Replica } from './replica.js';
import type { Rest } from './rest.js';

/** Regions looked at per round. */
const regionsPerRoundMax = 1024;

export class Truncation {
  private readonly nodeId: NodeId;
  private readonly config: RegionHostConfig;
  private readonly peers: Peers;
  private readonly rest: Rest;
  private touched: Replica[] = [];
  /** Of the present round; further rounds follow at once while any are left. */
  private left: Replica[] = [];
  /** Idle regions whose log has to wait: for the engine's next flush, or a long while. */
  private parked: Replica[] = [];
  private isFlushed = false;
  private dueMs = 0;
  private parkedDueMs = 0;
  truncations = 0;

  constructor(nodeId: NodeId, config: RegionHostConfig, peers: Peers, rest: Rest) {
    this.nodeId = nodeId;
    this.config = config;
    this.peers = peers;
    this.rest = rest;
  }

  /** The replica's log grew, or something was applied. */
  touch(replica: Replica): void {
    if (replica.isTouched) return;
    replica.isTouched = true;
    this.touched.push(replica);
  }

  /** The engine made more durable. */
  flushed(): void {
    this.isFlushed = true;
  }

  /** Whether time will bring something to look at. */
  hasWork(): boolean {
    return this.touched.length > 0 || this.left.length > 0;
  }

  /** Looks at some regions when it is time to. Returns whether more are left for the next turn. */
  run(nowMs: number): boolean {
    if (this.left.length === 0) {
      this.unpark(nowMs);
      if (this.touched.length === 0) return false;
      if (!this.isFlushed && nowMs < this.dueMs) return false;
      this.isFlushed = false;
      this.dueMs = nowMs + this.config.housekeepingMs;
      this.left = this.touched;
      this.touched = [];
    }
    const count = Math.min(this.left.length, regionsPerRoundMax);
    for (let i = 0; i < count; i++) {
      const replica = this.left.pop()!;
      replica.isTouched = false;
      if (replica.state === 'running') this.look(replica, nowMs);
    }
    return this.left.length > 0;
  }

  private unpark(nowMs: number): void {
    if (this.parked.length === 0 || !(this.isFlushed || nowMs >= this.parkedDueMs)) return;
    this.parkedDueMs = nowMs + this.config.peerGoneMs;
    for (const replica of this.parked) this.touched.push(replica);
    this.parked = [];
  }

  private look(replica: Replica, nowMs: number): void {
    const { log, raft } = replica;
    if (replica.install !== undefined) {
      this.touch(replica);
      return;
    }
    const bytes = log.bytes();
    const isIdle = replica.lookedIndex === raft.lastIndex;
    replica.lookedIndex = raft.lastIndex;
    const to = isIdle || bytes > this.config.logKeepBytes ? this.bound(replica, bytes, nowMs) : 0;
    if (to >= log.firstIndex()) {
      replica.truncateTo = to;
      this.truncations++;
      this.rest.markDirty(replica);
    }
    // Looked at again until nothing is left that could go.
    const keptFrom = Math.max(log.firstIndex(), to + 1);
    if (log.lastIndex() < keptFrom) return;
    if (isIdle && to < log.firstIndex()) this.park(replica);
    else this.touch(replica);
  }

  private park(replica: Replica): void {
    replica.isTouched = true;
    this.parked.push(replica);
  }

  /** The greatest index that may go. */
  private bound(replica: Replica, bytes: number, nowMs: number): number {
    const { machine, raft } = replica;
    let to = Math.min(machine.durableIndex(), raft.appliedIndex);
    if (raft.role !== 'leader' || bytes > limits.regionLogBytesMax) return to;
    for (const { replicaId, nodeId } of replica.descriptor.replicas) {
      if (nodeId === this.nodeId || this.isGone(nodeId, nowMs)) continue;
      const progress = raft.progress(replicaId);
      if (progress !== undefined && progress.matchIndex < to) to = progress.matchIndex;
    }
    return to;
  }

  private isGone(nodeId: NodeId, nowMs: number): boolean {
    const peer = this.peers.find(nodeId);
    if (peer === undefined || peer.session !== undefined) return false;
    return nowMs - peer.goneSinceMs > this.config.peerGoneMs;
  }
}
