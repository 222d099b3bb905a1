/**
 * Two nodes with the claims module at each end of one link, and replicas that are what a test says.
 */
import type { NodeId, RegionId, ReplicaId } from '@moku/base';
import { Claims } from '../../src/claims/claims.js';
import type {
  ClaimStart,
  ClaimsEvent,
  ControlItem,
  FollowerView,
  ListItem,
} from '../../src/claims/types.js';

export const heartbeatMs = 100;
export const electionTimeoutMs = 1_000;
export const repairIntervalMs = 5_000;

export const region = (id: number): RegionId => id as RegionId;

/** What a leader of `term` would claim or list of the follower of region `id`, whose replica bears id + 1,000. */
export function start(id: number, term = 1, lastIndex = 10, commitIndex = 10): ClaimStart {
  const replicaId = (id + 1_000) as ReplicaId;
  return { regionId: region(id), term, replicaId, lastIndex, commitIndex };
}

export class TestNode {
  readonly id: NodeId;
  readonly claims: Claims;
  readonly followers: Map<RegionId, FollowerView> = new Map();
  readonly pairs: ListItem[] = [];
  incarnation = 1;

  constructor(id: number) {
    this.id = id as NodeId;
    this.claims = new Claims(
      { heartbeatMs, electionTimeoutMs, repairIntervalMs },
      {
        follower: (regionId) => this.followers.get(regionId),
        ledPairs: () => this.pairs,
      },
    );
  }

  /** Makes the follower of each region one that accepts `start(id)` of `leader`. */
  follow(leader: TestNode, ids: Iterable<number>, term = 1): void {
    for (const id of ids) this.set(id, { leaderNodeId: leader.id, term });
  }

  set(id: number, change: Partial<FollowerView>): void {
    const former = this.followers.get(region(id)) ?? {
      replicaId: (id + 1_000) as ReplicaId,
      term: 1,
      leaderNodeId: 0 as NodeId,
      lastIndex: 10,
      commitIndex: 10,
      canAttach: true,
    };
    this.followers.set(region(id), { ...former, ...change });
  }
}

export class Pair {
  readonly leader: TestNode = new TestNode(1);
  readonly follower: TestNode = new TestNode(2);
  nowMs = 50_000;
  private session = 0;

  get sessionId(): string {
    return `s${this.session}`;
  }

  /** Opens a session at both ends; nothing is delivered yet. */
  open(): void {
    this.session += 1;
    for (const [node, other] of this.ends()) {
      node.claims.sessionOpened(
        { peer: other.id, sessionId: this.sessionId, peerIncarnation: other.incarnation },
        this.nowMs,
      );
    }
  }

  close(): void {
    for (const [node, other] of this.ends()) node.claims.sessionClosed(other.id, this.sessionId);
  }

  /** Delivers what `from` has queued, and says what it was. */
  deliver(from: TestNode): readonly ControlItem[] {
    const to = this.other(from);
    const items = from.claims.outgoing(to.id);
    for (const item of items) this.give(to, item);
    return items;
  }

  give(to: TestNode, item: ControlItem): void {
    to.claims.receive(this.other(to).id, this.sessionId, item, this.nowMs);
  }

  /** Delivers everything until both are done. */
  settle(): void {
    for (let i = 0; i < 20; i++) {
      const sent = this.deliver(this.leader).length + this.deliver(this.follower).length;
      if (sent === 0) return;
    }
    throw new Error('the pair does not come to rest');
  }

  /** Passes time, in time, at one node or both; nothing is delivered. */
  tick(passMs: number, nodes: readonly TestNode[] = [this.leader, this.follower]): void {
    this.nowMs += passMs;
    for (const { claims } of nodes) {
      claims.tick({ nowMs: this.nowMs, lateMs: 0, oldestUnsyncedMs: 0 });
    }
  }

  /** Passes time with every heartbeat delivered and answered. */
  live(passMs: number): void {
    for (let passed = 0; passed < passMs; passed += heartbeatMs) {
      this.tick(heartbeatMs);
      this.settle();
    }
  }

  /** An open session with a claim on each region, told to both ends; events taken. */
  static attached(ids: readonly number[]): Pair {
    const pair = new Pair();
    pair.follower.follow(pair.leader, ids);
    for (const id of ids) pair.leader.pairs.push(start(id));
    pair.open();
    pair.settle();
    pair.takeEvents();
    return pair;
  }

  takeEvents(): { leader: readonly ClaimsEvent[]; follower: readonly ClaimsEvent[] } {
    return { leader: this.leader.claims.events(), follower: this.follower.claims.events() };
  }

  isClaimed(id: number): { atLeader: boolean; atFollower: boolean } {
    return {
      atLeader: this.leader.claims.hasClaim(this.follower.id, region(id)),
      atFollower: this.follower.claims.isAttached(region(id)),
    };
  }

  private ends(): [TestNode, TestNode][] {
    return [
      [this.leader, this.follower],
      [this.follower, this.leader],
    ];
  }

  private other(node: TestNode): TestNode {
    return node === this.leader ? this.follower : this.leader;
  }
}

export const bothEnds = { atLeader: true, atFollower: true };
export const neitherEnd = { atLeader: false, atFollower: false };
