/**
 * One host whose log, engine, links and turns are in the test's hands, and what it sends as items of frames.
 */
import {
  createPrng,
  type NodeId,
  type RegionDescriptor,
  type RegionId,
  type ReplicaId,
} from '@moku/base';
import { MemoryLogStore, type Message } from '@moku/raft';
import {
  createRegionHost,
  type LinkSession,
  type RegionHost,
  type RegionHostConfig,
  type TransportEvents,
} from '../../src/index.js';
import { FrameWriter } from '../../src/wire/frame-writer.js';
import { readFrame } from '../../src/wire/read-frame.js';
import type { SnapshotChunk, SnapshotSignal } from '../../src/wire/types.js';
import { DigestBook, Disk, TestMachine } from './machine.js';

const self = 1 as NodeId;

/** What left the host since it was last looked at. */
export interface Sent {
  readonly peer: NodeId;
  readonly chunks: SnapshotChunk[];
  readonly signals: SnapshotSignal[];
  readonly messages: { readonly regionId: RegionId; readonly message: Message }[];
}

export class HostBench {
  readonly host: RegionHost;
  readonly log = new MemoryLogStore();
  readonly machines = new Map<RegionId, TestMachine>();
  readonly tickMs = 50;
  canApply = true;
  nowMs = 1_000;
  bulkBytes = 0;
  private events!: TransportEvents;
  private readonly sent = new Map<NodeId, Uint8Array[]>();
  private readonly sessions = new Map<NodeId, LinkSession>();
  private readonly listed = new Set<string>();
  private sessionCount = 0;

  constructor(config: Partial<RegionHostConfig> = {}) {
    const disk = new Disk();
    const book = new DigestBook();
    this.host = createRegionHost({
      nodeId: self,
      log: this.log,
      prng: createPrng(3),
      // Peers say nothing by themselves here.
      config: { electionTicks: 1_000, ...config },
      transport: {
        subscribe: (events) => {
          this.events = events;
        },
        send: (session, _lane, bytes) => this.keep(session, bytes),
        bufferedBytes: (_session, lane) => (lane === 'bulk' ? this.bulkBytes : 0),
        closeSession: (session, reason) => this.events.onSessionClose(session, reason),
      },
      callbacks: {
        onWork: () => {},
        openMachine: ({ regionId }) => {
          const machine = new TestMachine(regionId, disk, book);
          this.machines.set(regionId, machine);
          return machine;
        },
        dropMachine: () => {},
        canApply: () => this.canApply,
        onFatal: (error) => {
          throw error;
        },
      },
    });
  }

  open(regionId: number, nodeIds: readonly number[]): void {
    this.host.openReplica(describeRegion(regionId, nodeIds));
    this.turn();
  }

  connect(peer: number): LinkSession {
    const former = this.sessions.get(peer as NodeId);
    if (former !== undefined) this.events.onSessionClose(former, 'CONNECTION_LOST');
    const sessionId = `s${++this.sessionCount}`;
    const session = { peer: peer as NodeId, sessionId, peerIncarnation: 1 };
    this.sessions.set(session.peer, session);
    this.events.onSessionOpen(session);
    this.turn();
    return session;
  }

  turn(laterMs = 0): void {
    this.nowMs += laterMs;
    this.host.turn(this.nowMs, this.nowMs);
    this.log.sync();
    this.host.turn(this.nowMs, this.nowMs);
  }

  /** One turn, `laterMs` after the one before. */
  lateTurn(laterMs: number): void {
    this.nowMs += laterMs;
    this.host.turn(this.nowMs, this.nowMs);
    this.log.sync();
  }

  /** Lets `count` ticks pass, in time. */
  ticks(count: number): void {
    for (let i = 0; i < count; i++) this.turn(this.tickMs);
  }

  raft(peer: number, regionId: number, message: Message): void {
    this.deliver(peer, (writer) => writer.raft(regionId as RegionId, message));
  }

  chunk(peer: number, chunk: SnapshotChunk): void {
    this.deliver(peer, (writer) => writer.snapshot(chunk));
  }

  signal(peer: number, signal: SnapshotSignal): void {
    this.deliver(peer, (writer) => writer.snapshotSignal(signal));
  }

  /** Takes what was sent to `peer` since the last call. */
  take(peer: number): Sent {
    const out: Sent = { peer: peer as NodeId, chunks: [], signals: [], messages: [] };
    for (const bytes of this.sent.get(out.peer) ?? []) {
      readFrame(bytes, {
        onControl: () => {},
        onRaft: (regionId, message) => out.messages.push({ regionId, message }),
        onSnapshot: (chunk) => out.chunks.push(chunk),
        onSnapshotSignal: (signal) => out.signals.push(signal),
      });
    }
    this.sent.delete(out.peer);
    return out;
  }

  private deliver(peer: number, write: (writer: FrameWriter) => void): void {
    const session = this.sessions.get(peer as NodeId)!;
    const writer = new FrameWriter();
    writer.begin();
    if (!this.listed.has(session.sessionId)) {
      this.listed.add(session.sessionId);
      writer.control({ type: 'list', firstNumber: 1, items: [], isLast: true });
    }
    write(writer);
    for (const frame of writer.finish()) this.events.onFrame(session, 'control', frame);
    this.turn();
  }

  private keep(session: LinkSession, bytes: Uint8Array): boolean {
    if (this.sessions.get(session.peer)?.sessionId !== session.sessionId) return false;
    const frames = this.sent.get(session.peer) ?? [];
    frames.push(bytes);
    this.sent.set(session.peer, frames);
    return true;
  }
}

/** Replica ids are node ids; this host's is listed last, so that it does not campaign at once. */
function describeRegion(regionId: number, nodeIds: readonly number[]): RegionDescriptor {
  return {
    regionId: regionId as RegionId,
    keyspaceId: 1,
    startKey: new Uint8Array(),
    endKey: undefined,
    epoch: { version: 1, config: 1 },
    replicas: nodeIds.map((id) => ({
      replicaId: id as ReplicaId,
      nodeId: id as NodeId,
      isLearner: false,
    })),
  };
}
