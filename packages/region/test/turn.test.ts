import {
  createPrng,
  limits,
  type NodeId,
  type RegionDescriptor,
  type RegionId,
  type ReplicaId,
} from '@moku/base';
import { MemoryLogStore, type Message } from '@moku/raft';
import { describe, expect, it } from 'vitest';
import { campaignRank } from '../src/campaign-order.js';
import {
  createRegionHost,
  type LinkSession,
  type RegionHost,
  type RegionHostConfig,
  type TransportEvents,
} from '../src/index.js';
import { frameVersion } from '../src/wire/frame.js';
import { FrameWriter } from '../src/wire/frame-writer.js';
import { HostBench } from './support/bench.js';
import { Cluster } from './support/cluster.js';
import { DigestBook, Disk, TestMachine } from './support/machine.js';

const self = 1 as NodeId;

function describeRegion(regionId: number): RegionDescriptor {
  return {
    regionId: regionId as RegionId,
    keyspaceId: 1,
    startKey: new Uint8Array(),
    endKey: undefined,
    epoch: { version: 1, config: 1 },
    // Listed last: it does not campaign at once.
    replicas: [2, 3, 1].map((id) => ({
      replicaId: id as ReplicaId,
      nodeId: id as NodeId,
      isLearner: false,
    })),
  };
}

/** One host of three, whose transport and turns are in the test's hands. */
class Bench {
  readonly host: RegionHost;
  readonly closed: string[] = [];
  readonly sent: Uint8Array[] = [];
  readonly log = new MemoryLogStore();
  events!: TransportEvents;
  nowMs = 1_000;
  wakes = 0;

  constructor(config: Partial<RegionHostConfig> = {}) {
    const disk = new Disk();
    const book = new DigestBook();
    this.host = createRegionHost({
      nodeId: self,
      log: this.log,
      prng: createPrng(3),
      config,
      transport: {
        subscribe: (events) => {
          this.events = events;
        },
        send: (_session, _lane, bytes) => this.sent.push(bytes) > 0,
        bufferedBytes: () => 0,
        closeSession: (session, reason) => {
          this.closed.push(reason);
          this.events.onSessionClose(session, reason);
        },
      },
      callbacks: {
        onWork: () => {
          this.wakes++;
        },
        openMachine: ({ regionId }) => new TestMachine(regionId, disk, book),
        dropMachine: () => {},
        onFatal: (error) => {
          throw error;
        },
      },
    });
  }

  session(peer: number, sessionId = `s${peer}`): LinkSession {
    return { peer: peer as NodeId, sessionId, peerIncarnation: 1 };
  }

  turn(laterMs = 0): ReturnType<RegionHost['turn']> {
    this.nowMs += laterMs;
    const report = this.host.turn(this.nowMs, this.nowMs);
    this.log.sync();
    return report;
  }

  counter(name: string): number {
    return this.host.status().counters[name]!;
  }
}

function raftFrame(regionId: number, message: Message): Uint8Array {
  const writer = new FrameWriter();
  writer.begin();
  writer.control({ type: 'list', firstNumber: 1, items: [], isLast: true });
  writer.raft(regionId as RegionId, message);
  return writer.finish()[0]!;
}

function appendFrom(from: number, to = 1): Message {
  return {
    type: 'append',
    from: from as ReplicaId,
    to: to as ReplicaId,
    term: 3,
    prevLogIndex: 0,
    prevLogTerm: 0,
    entries: [],
    commitIndex: 0,
  };
}

describe('a turn', () => {
  it('that is late lets no timer fire; of many late ones in a row every second does', () => {
    const bench = new Bench({ tickMs: 50, electionTicks: 10, lateMs: 150 });
    const regionId = [1, 2, 3, 4, 5, 6, 7, 8, 9].find(
      (id) => campaignRank(describeRegion(id), self) === 0,
    )!;
    bench.host.openReplica(describeRegion(regionId));
    bench.turn();
    // It campaigns in its tenth to twelfth tick.
    for (let i = 0; i < 18; i++) bench.turn(400);
    expect(bench.counter('campaigns')).toBe(0);
    expect(bench.counter('lateTurns')).toBe(18);
    for (let i = 0; i < 8; i++) bench.turn(400);
    expect(bench.counter('campaigns')).toBe(1);
  });

  it('that is always late still judges who is silent: its leader steps down, its follower is detached', () => {
    const bench = new HostBench({ electionTicks: 10 });
    bench.connect(2);
    bench.connect(3);
    bench.open(1, [1, 2, 3]);
    bench.ticks(1);
    const [from, to] = [2 as ReplicaId, 1 as ReplicaId];
    for (const type of ['preVoteResponse', 'voteResponse'] as const) {
      bench.raft(2, 1, { type, from, to, term: 1, isGranted: true });
    }
    const role = (): string => bench.host.regionStatus(1 as RegionId)!.role;
    expect(role()).toBe('leader');
    // One late turn, after whatever pause, judges nobody.
    bench.lateTurn(60_000);
    expect(role()).toBe('leader');
    for (let i = 0; i < 24; i++) bench.lateTurn(400);
    expect(role()).not.toBe('leader');
    expect(bench.host.status().peers.map(({ isOpen }) => isOpen)).toEqual([false, false]);
  });

  it('ticks at most once, however much time has passed', () => {
    const bench = new Bench({ lateMs: 1_000_000 });
    for (let id = 1; id <= 20; id++) bench.host.openReplica(describeRegion(id));
    bench.turn();
    for (let i = 0; i < 8; i++) bench.turn(10_000);
    expect(bench.counter('campaigns')).toBe(0);
  });

  it('begins a bounded number of campaigns, and none is forgotten', () => {
    const bench = new Bench({ campaignsPerTurnMax: 7 });
    for (let id = 1; id <= 60; id++) bench.host.openReplica(describeRegion(id));
    let before = 0;
    for (let i = 0; i < 40; i++) {
      bench.turn(50);
      const now = bench.counter('campaigns');
      expect(now - before).toBeLessThanOrEqual(7);
      before = now;
    }
    for (let id = 1; id <= 60; id++) {
      expect(bench.host.regionStatus(id as RegionId)!.why).toContain('electing');
    }
  });

  it('visits a bounded number of replicas and says that more is left', () => {
    const bench = new Bench({ replicasPerTurnMax: 10 });
    for (let id = 1; id <= 35; id++) bench.host.openReplica(describeRegion(id));
    bench.turn();
    bench.events.onSessionOpen(bench.session(2));
    for (let id = 1; id <= 35; id++) {
      bench.events.onFrame(bench.session(2), 'control', raftOnly(id));
    }
    expect(bench.turn().hasMore).toBe(true);
    let turns = 1;
    while (bench.turn().hasMore) turns++;
    expect(turns).toBeGreaterThanOrEqual(3);
    for (let id = 1; id <= 35; id++) {
      expect(bench.host.regionStatus(id as RegionId)!.leaderNodeId).toBe(2);
    }
  });

  it('hands what many regions want to the log in one batch', () => {
    const bench = new Bench();
    for (let id = 1; id <= 30; id++) bench.host.openReplica(describeRegion(id));
    bench.turn();
    const before = bench.counter('batchesWritten');
    bench.events.onSessionOpen(bench.session(2));
    for (let id = 1; id <= 30; id++) {
      bench.events.onFrame(bench.session(2), 'control', raftOnly(id));
    }
    bench.turn();
    expect(bench.counter('batchesWritten') - before).toBe(1);
    // The acknowledgements wait for it, and leave in one frame.
    const framesBefore = bench.sent.length;
    bench.turn();
    expect(bench.sent.length - framesBefore).toBe(1);
  });
});

function raftOnly(regionId: number): Uint8Array {
  const writer = new FrameWriter();
  writer.begin();
  writer.raft(regionId as RegionId, appendFrom(2));
  return writer.finish()[0]!;
}

describe('a frame', () => {
  it('of a session that is not open, or is over, is dropped', () => {
    const bench = new Bench();
    bench.host.openReplica(describeRegion(1));
    bench.events.onFrame(bench.session(2), 'control', raftFrame(1, appendFrom(2)));
    bench.turn();
    expect(bench.counter('framesStale')).toBe(1);
    bench.events.onSessionOpen(bench.session(2, 'new'));
    bench.events.onFrame(bench.session(2, 'old'), 'control', raftFrame(1, appendFrom(2)));
    bench.turn();
    expect(bench.counter('framesStale')).toBe(2);
    expect(bench.host.leaderOf(1 as RegionId)).toBe(0);
  });

  it('reaches a replica only from the node where its sender lives, and under its own id', () => {
    const bench = new Bench();
    bench.host.openReplica(describeRegion(1));
    bench.events.onSessionOpen(bench.session(3));
    bench.events.onFrame(bench.session(3), 'control', raftFrame(1, appendFrom(2)));
    bench.turn();
    expect(bench.counter('messagesUnknown')).toBe(1);
    bench.events.onFrame(bench.session(3), 'control', raftOnly(9));
    bench.turn();
    expect(bench.counter('messagesUnknown')).toBe(2);
    expect(bench.host.leaderOf(1 as RegionId)).toBe(0);
  });

  it('that is not well-formed closes its session and harms nothing else', () => {
    const bench = new Bench();
    bench.host.openReplica(describeRegion(1));
    bench.events.onSessionOpen(bench.session(2));
    bench.events.onSessionOpen(bench.session(3));
    bench.events.onFrame(bench.session(3), 'control', new Uint8Array([frameVersion, 250, 3]));
    bench.events.onFrame(bench.session(2), 'control', raftFrame(1, appendFrom(2)));
    bench.turn();
    expect(bench.closed).toEqual(['FRAME_MALFORMED']);
    expect(bench.host.leaderOf(1 as RegionId)).toBe(2);
    expect(bench.host.status().peers.map((peer) => [peer.nodeId, peer.isOpen])).toEqual([
      [2, true],
      [3, false],
    ]);
  });

  it('beyond what may wait closes its session instead of being dropped in it', () => {
    const bench = new Bench();
    bench.events.onSessionOpen(bench.session(2));
    const big = new Uint8Array(limits.frameBytesMax);
    const fits = (limits.linkBufferedBytesMax * 8) / big.length;
    for (let i = 0; i < fits; i++) bench.events.onFrame(bench.session(2), 'control', big);
    expect(bench.closed).toEqual([]);
    bench.events.onFrame(bench.session(2), 'control', big);
    expect(bench.closed).toEqual(['PEER_OVERRUN']);
  });
});

describe('the budget of a node', () => {
  it('answers busy once the bytes that wait reach it, and has room again afterwards', () => {
    const cluster = new Cluster({ nodes: 1, regions: 1 }).startAll();
    cluster.runUntil(() => cluster.allLed(), 1_000, 'led');
    const { host } = cluster.node(1);
    const command = new TextEncoder().encode(`k=${'x'.repeat(limits.commandBytesMax - 10)}`);
    const fits = Math.floor(limits.proposalBytesPerNodeMax / (command.length + 64));
    const kinds: string[] = [];
    for (let i = 0; i < fits + 3; i++) {
      host!.propose(1 as RegionId, command, (o) =>
        kinds.push(o.kind === 'busy' ? `busy ${o.queue}` : o.kind),
      );
    }
    cluster.runUntil(() => kinds.length === fits + 3, 5_000, 'answered');
    expect(kinds.filter((kind) => kind === 'busy nodeProposalBytes')).toHaveLength(3);
    expect(kinds.filter((kind) => kind === 'applied')).toHaveLength(fits);
    expect(host!.status().proposalBytes).toBe(0);
    const tooLarge = new Uint8Array(limits.commandBytesMax + 1);
    expect(() => host!.propose(1 as RegionId, tooLarge, () => {})).toThrow('BATCH_TOO_LARGE');
  });
});

describe('the configuration', () => {
  it('is refused by name when it cannot work', () => {
    expect(() => new Bench({ tickMs: 0 })).toThrow('tickMs');
    expect(() => new Bench({ electionTicks: 5, tickMs: 50 })).toThrow('electionTicks');
    expect(() => new Bench({ heartbeatMs: Number.NaN })).toThrow('heartbeatMs');
  });
});
