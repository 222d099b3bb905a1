/**
 * Snapshots sent: a leader's state machine as chunks on the bulk lane, few streams at once, paced by what
 * the socket takes. One chunk is looked ahead, nothing more is held.
 *
 * Invariants:
 *  O1 At most `snapshotsOutMax` pictures are open; further offers wait, one per (region, replica).
 *  O2 A stream ends with its session, its leadership, or once the core no longer wants it; it is never
 *     resumed, only begun anew.
 *  O3 Every stream that does not end in the follower's acknowledgement is reported to the core.
 */
import type { NodeId, ReplicaId } from '@moku/base';
import type { SnapshotMeta, SnapshotSource } from '@moku/raft';
import type { RegionHostConfig } from './config.js';
import type { LinkSession, Transport } from './contracts/transport.js';
import type { Failures } from './failures.js';
import type { Leadership } from './leadership.js';
import type { Peers } from './peers.js';
import type { Replica } from './replica.js';
import type { Rest } from './rest.js';
import { FrameWriter } from './wire/frame-writer.js';

interface OpenStream {
  readonly session: LinkSession;
  readonly streamId: number;
  readonly meta: SnapshotMeta;
  readonly source: SnapshotSource;
  /** Looked ahead, so that the last chunk can say so. */
  ahead: Uint8Array | undefined;
  sequence: number;
  isSent: boolean;
  lastTick: number;
}

interface Job {
  readonly replica: Replica;
  readonly to: ReplicaId;
  readonly nodeId: NodeId;
  readonly term: number;
  stream: OpenStream | undefined;
}

export interface SnapshotsOutParts {
  readonly config: RegionHostConfig;
  readonly failures: Failures;
  readonly leadership: Leadership;
  readonly peers: Peers;
  readonly rest: Rest;
  readonly transport: Transport;
}

/** Chunks of one stream per turn. */
const chunksPerTurnMax = 8;
/** Ticks without progress (nothing taken by the socket, no acknowledgement) until a stream is given up. */
const idleTicksMax = 200;
const noBytes = new Uint8Array(0);

export class SnapshotsOut {
  private readonly parts: SnapshotsOutParts;
  private jobs: Job[] = [];
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
    this.jobs.push({ replica, to, nodeId: replica.nodeOf(to), term, stream: undefined });
  }

  /** Sends what may be sent, opens what may be opened. At most once per turn. */
  pump(tick: number): void {
    if (this.jobs.length === 0) return;
    const kept: Job[] = [];
    let open = 0;
    for (const job of this.jobs) {
      if (this.isOver(job)) {
        this.end(job, tick);
        continue;
      }
      if (job.stream === undefined && open < this.parts.config.snapshotsOutMax) {
        this.open(job, tick);
      }
      if (job.stream !== undefined && !this.advance(job, job.stream, tick)) {
        this.end(job, tick);
        continue;
      }
      if (job.stream !== undefined) open++;
      kept.push(job);
    }
    this.jobs = kept;
  }

  close(): void {
    for (const { stream } of this.jobs) if (stream?.isSent === false) stream.source.close();
    this.jobs = [];
  }

  /** O2. */
  private isOver(job: Job): boolean {
    const { replica, to, term, stream, nodeId } = job;
    const { raft } = replica;
    if (replica.state !== 'running' || raft.role !== 'leader' || raft.term !== term) return true;
    if (raft.progress(to)?.state !== 'snapshot') {
      if (stream?.isSent === true) this.sent++;
      return true;
    }
    const session = this.parts.peers.session(nodeId);
    if (session === undefined) return true;
    return stream !== undefined && stream.session.sessionId !== session.sessionId;
  }

  /** O3. */
  private end(job: Job, tick: number): void {
    const { replica, to, stream } = job;
    if (stream?.isSent === false) stream.source.close();
    if (replica.state !== 'running') return;
    if (replica.raft.term !== job.term || replica.raft.progress(to)?.state !== 'snapshot') return;
    this.aborted++;
    replica.raft.reportSnapshot(to, false);
    // Nothing else would try again: an attached pair is not probed.
    this.parts.leadership.unclaim(replica, to, tick + this.parts.config.electionTicks);
    this.parts.rest.consider(replica);
  }

  private open(job: Job, tick: number): void {
    const { replica } = job;
    const session = this.parts.peers.session(job.nodeId)!;
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
        isSent: false,
        lastTick: tick,
      };
    } catch (error) {
      source?.close();
      this.parts.failures.fail(replica, error);
    }
  }

  /** Sends while the socket takes it. False when the stream is to be given up. */
  private advance(job: Job, stream: OpenStream, tick: number): boolean {
    const { config, transport, failures } = this.parts;
    for (let i = 0; i < chunksPerTurnMax && !stream.isSent; i++) {
      if (transport.bufferedBytes(stream.session, 'bulk') >= config.bulkPauseBytes) break;
      try {
        if (!this.sendNext(job, stream)) return false;
      } catch (error) {
        failures.fail(job.replica, error);
        return false;
      }
      stream.lastTick = tick;
    }
    return tick - stream.lastTick <= idleTicksMax;
  }

  private sendNext(job: Job, stream: OpenStream): boolean {
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
    const { transport } = this.parts;
    for (const bytes of this.writer.finish()) {
      if (!transport.send(stream.session, 'bulk', bytes)) return false;
    }
    return true;
  }
}
