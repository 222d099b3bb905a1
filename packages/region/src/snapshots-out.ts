/**
 * Snapshots sent: a leader's state machine as chunks on the bulk lane, few streams at once, paced by what
 * the socket and the receiver take (snapshot-stream.ts). One chunk is looked ahead, nothing more is held.
 *
 * Invariants:
 *  O1 At most `snapshotsOutMax` pictures are open; further offers wait, one per (region, replica). A stream
 *     that stands still gives its place to one to another node.
 *  O2 A job lasts while the core wants it and a session stands; its stream is never resumed, only begun anew.
 *  O3 A job that ends without the follower's acknowledgement is reported to the core.
 *  O4 A stream whose snapshot the log no longer continues, or that was acknowledged and did not suffice,
 *     is begun anew at once.
 */
import { type NodeId, type ReplicaId, unreachable } from '@moku/base';
import type { SnapshotMeta, SnapshotSource } from '@moku/raft';
import type { RegionHostConfig } from './config.js';
import type { LinkSession, Transport } from './contracts/transport.js';
import type { Failures } from './failures.js';
import type { Leadership } from './leadership.js';
import type { Peers } from './peers.js';
import type { Replica } from './replica.js';
import type { Rest } from './rest.js';
import {
  retryTicksMax,
  retryTicksMin,
  type SnapshotSignals,
  silentTicksMax,
  stalledTicksMax,
  windowChunks,
  yieldTicks,
} from './snapshot-stream.js';
import { FrameWriter } from './wire/frame-writer.js';
import type { SnapshotSignal } from './wire/types.js';

interface OutStream {
  readonly session: LinkSession;
  readonly streamId: number;
  readonly meta: SnapshotMeta;
  readonly source: SnapshotSource;
  /** Looked ahead, so that the last chunk can say so. */
  ahead: Uint8Array | undefined;
  sequence: number;
  /** Chunks below this may be sent (Q2). */
  creditEnd: number;
  isSent: boolean;
  /** A chunk was sent, or more were taken. */
  movedTick: number;
  heardTick: number;
}

interface Job {
  readonly replica: Replica;
  readonly to: ReplicaId;
  readonly nodeId: NodeId;
  readonly term: number;
  stream: OutStream | undefined;
  notBeforeTick: number;
  retryTicks: number;
}

export interface SnapshotsOutParts {
  readonly config: RegionHostConfig;
  readonly failures: Failures;
  readonly leadership: Leadership;
  readonly peers: Peers;
  readonly rest: Rest;
  readonly signals: SnapshotSignals;
  readonly transport: Transport;
}

/** Chunks of one stream per turn. */
const chunksPerTurnMax = 8;
const noBytes = new Uint8Array(0);

export class SnapshotsOut {
  private readonly parts: SnapshotsOutParts;
  private jobs: Job[] = [];
  /** Nodes that said `busy`, until when nothing is offered to them. */
  private readonly busyUntil = new Map<NodeId, number>();
  private readonly writer = new FrameWriter();
  private lastStreamId = 0;
  sent = 0;
  aborted = 0;
  chunksSent = 0;

  constructor(parts: SnapshotsOutParts) {
    this.parts = parts;
  }

  get waiting(): number {
    return this.jobs.length;
  }

  isSending(replica: Replica): boolean {
    return this.jobs.some((job) => job.replica === replica);
  }

  /** The core of a leader offers its state to `to`, which needs what is compacted. */
  offer(replica: Replica, to: ReplicaId): void {
    const { term } = replica.raft;
    const isKnown = this.jobs.some(
      (job) => job.replica === replica && job.to === to && job.term === term,
    );
    if (isKnown) return;
    this.jobs.push({
      replica,
      to,
      nodeId: replica.nodeOf(to),
      term,
      stream: undefined,
      notBeforeTick: 0,
      retryTicks: retryTicksMin,
    });
  }

  /** The receiver of a stream said something of it. */
  take(session: LinkSession, signal: SnapshotSignal, tick: number): void {
    const job = this.jobs.find(
      ({ replica, to, stream }) =>
        replica.regionId === signal.regionId &&
        to === signal.from &&
        stream?.streamId === signal.streamId &&
        stream.session.sessionId === session.sessionId,
    );
    if (job?.stream === undefined) return;
    switch (signal.kind) {
      case 'taken':
        taken(job, job.stream, signal.sequence, tick);
        return;
      case 'busy':
        this.busyUntil.set(job.nodeId, tick + job.retryTicks);
        this.refused(job, tick);
        return;
      case 'installing':
      case 'unwanted':
      case 'broken':
      case 'unknown':
        this.refused(job, tick);
        return;
      case 'ended':
        return;
      default:
        unreachable(signal.kind);
    }
  }

  /** Sends what may be sent, opens what may be opened. At most once per turn. */
  pump(tick: number): void {
    if (this.jobs.length === 0) return;
    const kept: Job[] = [];
    for (const job of this.jobs) {
      if (this.isOver(job)) this.end(job, tick);
      else kept.push(job);
    }
    this.jobs = kept;
    for (const job of kept) this.judge(job, tick);
    let open = kept.reduce((sum, { stream }) => (isOpen(stream) ? sum + 1 : sum), 0);
    if (open >= this.parts.config.snapshotsOutMax && this.yieldPlace(tick)) open--;
    // A job may end in here, by a replica that fails; it is over at the next look.
    for (const job of this.jobs) {
      if (open < this.parts.config.snapshotsOutMax && this.mayOpen(job, tick)) {
        this.open(job, tick);
        if (job.stream !== undefined) open++;
      }
      if (job.stream !== undefined) this.advance(job, job.stream, tick);
    }
  }

  close(): void {
    for (const { stream } of this.jobs) if (isOpen(stream)) stream.source.close();
    this.jobs = [];
  }

  /** O2. */
  private isOver(job: Job): boolean {
    const { replica, to, term, stream, nodeId } = job;
    const { raft } = replica;
    if (replica.state !== 'running' || raft.role !== 'leader' || raft.term !== term) return true;
    if (raft.progress(to)?.state === 'snapshot') {
      return this.parts.peers.session(nodeId) === undefined;
    }
    if (stream?.isSent === true) this.sent++;
    return true;
  }

  /** O3. */
  private end(job: Job, tick: number): void {
    const { replica, to } = job;
    this.giveUp(job);
    if (replica.state !== 'running') return;
    if (replica.raft.term !== job.term || replica.raft.progress(to)?.state !== 'snapshot') return;
    replica.raft.reportSnapshot(to, false);
    // Nothing else would try again: an attached pair is not probed.
    this.parts.leadership.unclaim(replica, to, tick + retryTicksMin);
    this.parts.rest.consider(replica);
  }

  /** Begins a stream anew that leads nowhere (O4, silence). */
  private judge(job: Job, tick: number): void {
    const { stream, replica, to } = job;
    if (stream === undefined) return;
    if (!this.parts.peers.isCurrent(stream.session)) {
      this.giveUp(job);
      return;
    }
    const matchIndex = replica.raft.progress(to)?.matchIndex ?? 0;
    const { index } = stream.meta;
    if (matchIndex >= index || index + 1 < replica.log.firstIndex()) {
      this.giveUp(job);
      return;
    }
    const lastTick = Math.max(stream.movedTick, stream.heardTick);
    const isStalled = tick - (stream.isSent ? lastTick : stream.movedTick) > stalledTicksMax;
    const isSilent =
      tick - lastTick > silentTicksMax &&
      this.parts.transport.bufferedBytes(stream.session, 'bulk') === 0;
    if (!isStalled && !isSilent) return;
    this.refused(job, tick);
  }

  /** The place of a stream that stands still, for one to another node. Returns whether there was one. */
  private yieldPlace(tick: number): boolean {
    const idle = this.jobs.find(
      ({ stream }) => isOpen(stream) && tick - stream.movedTick > yieldTicks,
    );
    if (idle === undefined) return false;
    const isAwaited = this.jobs.some(
      (job) => job.nodeId !== idle.nodeId && this.mayOpen(job, tick),
    );
    if (!isAwaited) return false;
    this.refused(idle, tick);
    this.jobs = [...this.jobs.filter((job) => job !== idle), idle];
    return true;
  }

  private mayOpen(job: Job, tick: number): boolean {
    if (job.stream !== undefined || job.notBeforeTick > tick) return false;
    const busyUntil = this.busyUntil.get(job.nodeId);
    if (busyUntil === undefined) return true;
    if (busyUntil > tick) return false;
    this.busyUntil.delete(job.nodeId);
    return true;
  }

  /** Q3. */
  private refused(job: Job, tick: number): void {
    this.giveUp(job);
    job.notBeforeTick = tick + job.retryTicks;
    job.retryTicks = Math.min(job.retryTicks * 2, retryTicksMax);
  }

  /** Ends the stream of `job`, if there is one; a receiver that may still wait for it is told. */
  private giveUp(job: Job): void {
    const { stream, replica, to } = job;
    if (stream === undefined) return;
    job.stream = undefined;
    if (!stream.isSent || replica.raft.progress(to)?.state === 'snapshot') this.aborted++;
    if (stream.isSent) return;
    stream.source.close();
    const { regionId, replicaId } = replica;
    const { session, streamId } = stream;
    if (!this.parts.peers.isCurrent(session)) return;
    const signal = { regionId, from: replicaId, to, streamId, kind: 'ended', sequence: 0 } as const;
    this.parts.signals.send(session, 'bulk', signal);
  }

  private open(job: Job, tick: number): void {
    const { replica } = job;
    const session = this.parts.peers.session(job.nodeId);
    if (session === undefined) return;
    let source: SnapshotSource | undefined;
    try {
      source = replica.machine.snapshot();
      const { index, term } = source;
      this.lastStreamId++;
      job.stream = {
        session,
        streamId: this.lastStreamId,
        meta: { index, term, confState: replica.raft.confState },
        source,
        ahead: source.next(),
        sequence: 0,
        creditEnd: 1,
        isSent: false,
        movedTick: tick,
        heardTick: tick,
      };
    } catch (error) {
      source?.close();
      this.parts.failures.fail(replica, error);
    }
  }

  /** Sends while socket and receiver take it. */
  private advance(job: Job, stream: OutStream, tick: number): void {
    const { config, transport, failures } = this.parts;
    for (let i = 0; i < chunksPerTurnMax; i++) {
      if (stream.isSent || stream.sequence >= stream.creditEnd) return;
      if (transport.bufferedBytes(stream.session, 'bulk') >= config.bulkPauseBytes) return;
      try {
        this.sendNext(job, stream);
      } catch (error) {
        failures.fail(job.replica, error);
        return;
      }
      stream.movedTick = tick;
    }
  }

  private sendNext(job: Job, stream: OutStream): void {
    const chunk = stream.ahead ?? noBytes;
    stream.ahead = stream.ahead === undefined ? undefined : stream.source.next();
    const isLast = stream.ahead === undefined;
    this.writer.begin();
    this.writer.snapshot({
      regionId: job.replica.regionId,
      from: job.replica.replicaId,
      to: job.to,
      term: job.term,
      streamId: stream.streamId,
      sequence: stream.sequence,
      meta: stream.meta,
      chunk,
      isLast,
    });
    stream.sequence++;
    stream.isSent = isLast;
    this.chunksSent++;
    if (isLast) stream.source.close();
    // What a session that is over drops is begun anew once its end is told.
    for (const bytes of this.writer.finish()) {
      this.parts.transport.send(stream.session, 'bulk', bytes);
    }
  }
}

/** Whether the stream holds a picture. */
function isOpen(stream: OutStream | undefined): stream is OutStream {
  return stream !== undefined && !stream.isSent;
}

function taken(job: Job, stream: OutStream, sequence: number, tick: number): void {
  stream.heardTick = tick;
  const creditEnd = sequence + windowChunks;
  if (sequence === 0 || creditEnd <= stream.creditEnd) return;
  stream.creditEnd = creditEnd;
  stream.movedTick = tick;
  job.retryTicks = retryTicksMin;
}
