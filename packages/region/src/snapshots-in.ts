/**
 * Snapshots taken in: chunks of the bulk lane into the state machine's sink, then the log's new start
 * (snapshot-stream.ts). One stream per region, few per node; of what was taken nothing is kept but what
 * the sink makes of it.
 *
 * Invariants:
 *  I1 Only a stream of the present session, in the replica's present term, from a leader, is taken in;
 *     chunks in order without gaps. Anything else is refused, and the sender told why.
 *  I2 A snapshot becomes the state only while it is ahead of everything committed here.
 *  I3 The log restarts behind it only once the engine holds it durably, and only then is it acknowledged.
 *  I4 At most `snapshotsInMax` sinks are open. While the engine is full none is opened and none is
 *     written: at most `windowChunks` chunks per stream wait.
 *  I5 A log that holds the snapshot's last entry is never restarted: what it holds behind was acknowledged.
 */
import { MokuError, type RegionId, type ReplicaId } from '@moku/base';
import type { SnapshotMeta, SnapshotSink } from '@moku/raft';
import type { RegionHostConfig } from './config.js';
import type { LinkSession } from './contracts/transport.js';
import type { Failures } from './failures.js';
import type { Leadership } from './leadership.js';
import type { LogWriter } from './log-writer.js';
import type { Peers } from './peers.js';
import type { Registry } from './registry.js';
import type { Replica } from './replica.js';
import type { Rest } from './rest.js';
import {
  idleTicksMax,
  type SnapshotSignals,
  signalTicks,
  windowChunks,
} from './snapshot-stream.js';
import type { SnapshotChunk, SnapshotSignal, SnapshotSignalKind } from './wire/types.js';

interface InStream {
  readonly replica: Replica;
  readonly session: LinkSession;
  /** The leader's replica. */
  readonly from: ReplicaId;
  readonly streamId: number;
  readonly term: number;
  readonly meta: SnapshotMeta;
  readonly sink: SnapshotSink;
  /** Arrived and not taken yet (I4). */
  readonly held: SnapshotChunk[];
  nextSequence: number;
  lastTick: number;
  signalTick: number;
}

export interface SnapshotsInParts {
  /** False while the engine is full. */
  readonly canApply: () => boolean;
  readonly config: RegionHostConfig;
  readonly failures: Failures;
  readonly leadership: Leadership;
  readonly registry: Registry;
  readonly rest: Rest;
  readonly signals: SnapshotSignals;
  readonly writer: LogWriter;
}

export class SnapshotsIn {
  private readonly parts: SnapshotsInParts;
  private readonly streams = new Map<RegionId, InStream>();
  /** Finished, waiting for the engine (I3). */
  private installing: InStream[] = [];
  installed = 0;
  refusedChunks = 0;
  failedStreams = 0;

  constructor(parts: SnapshotsInParts) {
    this.parts = parts;
  }

  isTakingIn(regionId: RegionId): boolean {
    return this.streams.has(regionId);
  }

  /** A chunk arrived. */
  take(session: LinkSession, chunk: SnapshotChunk, tick: number): void {
    const replica = this.parts.registry.running(chunk.regionId);
    const isKnown = replica?.replicaId === chunk.to && replica.nodeOf(chunk.from) === session.peer;
    if (!isKnown) {
      this.refuse(session, chunk, 'unknown');
      return;
    }
    try {
      const refusal =
        chunk.sequence === 0
          ? this.judgeOffer(replica, session, chunk, tick)
          : this.judgeNext(session, chunk);
      if (refusal === undefined) this.hold(replica, session, chunk, tick);
      else this.refuse(session, chunk, refusal);
    } catch (error) {
      this.drop(chunk.regionId, 'unknown');
      this.parts.failures.fail(replica, error);
    }
  }

  /** The sender said something of its stream. */
  heard(session: LinkSession, signal: SnapshotSignal): void {
    const stream = this.streams.get(signal.regionId);
    if (signal.kind === 'ended' && isOf(stream, session, signal.streamId)) {
      this.drop(signal.regionId, undefined);
    }
  }

  /**
   * Hands to the sinks what arrived, up to `bytesMax`, as long as the engine has room (I4). Once per turn.
   * Returns whether there is more that could be taken now.
   */
  run(bytesMax: number, tick: number): boolean {
    let bytesLeft = bytesMax;
    for (const stream of this.streams.values()) {
      if (stream.held.length === 0) continue;
      if (!this.parts.canApply()) return false;
      if (bytesLeft <= 0) return true;
      bytesLeft -= this.advance(stream, bytesLeft, tick);
    }
    return false;
  }

  /** Gives up streams that can no longer end well, and says of the others how far they are (Q1). Once per tick. */
  sweep(peers: Peers, tick: number): void {
    for (const [regionId, stream] of this.streams) {
      const reason = endOf(stream, tick);
      if (!peers.isCurrent(stream.session)) this.drop(regionId, undefined);
      else if (reason !== undefined) this.drop(regionId, reason);
      else this.repeat(stream, tick);
    }
    for (const stream of this.installing) {
      if (stream.replica.state === 'running') this.repeat(stream, tick);
    }
  }

  /** Restarts the logs of finished snapshots that the engine holds durably by now (I3). */
  complete(): void {
    if (this.installing.length === 0) return;
    const waiting: InStream[] = [];
    for (const stream of this.installing) {
      const { replica, meta } = stream;
      if (replica.state !== 'running') {
        this.signal(stream, 'unknown', 0);
        continue;
      }
      if (replica.machine.durableIndex() < meta.index) {
        waiting.push(stream);
        continue;
      }
      replica.install = undefined;
      this.restartLog(replica, meta);
      this.parts.rest.consider(replica);
    }
    this.installing = waiting;
  }

  private restartLog(replica: Replica, meta: SnapshotMeta): void {
    const { raft, regionId } = replica;
    // The log itself caught up meanwhile, and may have acknowledged more than the snapshot holds (I5).
    if (meta.index <= raft.commitIndex || raft.holds(meta.index, meta.term)) {
      raft.snapshotReached(meta);
      return;
    }
    const { index, term, confState } = meta;
    const hardState = { term: raft.term, votedFor: raft.votedFor, commitIndex: index };
    const { writer } = this.parts;
    writer.addWrite({ regionId, hardState, restart: { index, term, confState } });
    writer.commit();
    replica.toApply = undefined;
    replica.applyAt = 0;
    replica.confToWrite = undefined;
    replica.truncateTo = 0;
    raft.snapshotInstalled(meta);
    this.installed++;
  }

  /** Lets the core judge the offer: a term it carries is adopted, a log that caught up says so. */
  private judgeOffer(
    replica: Replica,
    session: LinkSession,
    chunk: SnapshotChunk,
    tick: number,
  ): SnapshotSignalKind | undefined {
    const { regionId, from, to, term, meta, streamId } = chunk;
    const present = this.streams.get(regionId);
    if (isOf(present, session, streamId)) {
      this.drop(regionId, undefined);
      return 'broken';
    }
    const { raft } = replica;
    raft.step({ type: 'snapshot', from, to, term, snapshot: meta });
    this.parts.leadership.observe(replica, tick);
    this.parts.rest.consider(replica);
    const isWanted = raft.term === term && raft.snapshotWanted?.index === meta.index;
    if (!isWanted || meta.index <= replica.machine.appliedIndex) {
      return replica.install === undefined ? 'unwanted' : 'installing';
    }
    if (replica.install !== undefined) return 'installing';
    if (present !== undefined) this.drop(regionId, 'unwanted');
    const isBusy = this.streams.size >= this.parts.config.snapshotsInMax || !this.parts.canApply();
    return isBusy ? 'busy' : undefined;
  }

  private judgeNext(session: LinkSession, chunk: SnapshotChunk): SnapshotSignalKind | undefined {
    const { regionId, streamId, sequence } = chunk;
    const stream = this.streams.get(regionId);
    if (!isOf(stream, session, streamId)) return 'broken';
    const { held, nextSequence } = stream;
    if (sequence === nextSequence + held.length && held.length < windowChunks) return undefined;
    this.drop(regionId, undefined);
    return 'broken';
  }

  private hold(replica: Replica, session: LinkSession, chunk: SnapshotChunk, tick: number): void {
    const { regionId, from, streamId, term, meta } = chunk;
    let stream = this.streams.get(regionId);
    if (stream === undefined) {
      const sink = replica.machine.install(meta.index, meta.term);
      const about = { replica, session, from, streamId, term, meta, sink, held: [] };
      stream = { ...about, nextSequence: 0, lastTick: tick, signalTick: tick };
      this.streams.set(regionId, stream);
    }
    stream.held.push(chunk);
    stream.lastTick = tick;
  }

  /** Takes chunks of one stream; returns what they cost. */
  private advance(stream: InStream, bytesMax: number, tick: number): number {
    const { replica, held } = stream;
    let bytes = 0;
    try {
      while (held.length > 0 && bytes < bytesMax && this.parts.canApply()) {
        const { chunk, isLast } = held.shift()!;
        bytes += chunk.length + 1;
        stream.sink.write(chunk);
        stream.nextSequence++;
        stream.lastTick = tick;
        if (!isLast) continue;
        if (this.finish(stream)) break;
        return bytes;
      }
    } catch (error) {
      this.failedStreams++;
      const isContent = isOfContent(error);
      this.drop(replica.regionId, isContent ? 'broken' : 'unknown');
      if (!isContent) this.parts.failures.fail(replica, error);
      return bytes;
    }
    if (bytes > 0) this.tell(stream, tick);
    return bytes;
  }

  /** The last chunk is in the sink. Returns whether the snapshot is the state now. */
  private finish(stream: InStream): boolean {
    const { replica, meta } = stream;
    const { raft, regionId } = replica;
    // I2
    const isAhead = meta.index > raft.commitIndex && meta.index > replica.machine.appliedIndex;
    if (raft.term !== stream.term || raft.role !== 'follower' || !isAhead) {
      this.drop(regionId, 'unwanted');
      return false;
    }
    stream.sink.finish();
    this.streams.delete(regionId);
    replica.install = { meta };
    this.installing.push(stream);
    replica.proposals?.skippedTo(meta.index, replica.leaderNodeId());
    replica.reads?.applied(replica.machine.appliedIndex);
    this.parts.rest.consider(replica);
    return true;
  }

  private repeat(stream: InStream, tick: number): void {
    if (tick - stream.signalTick >= signalTicks) this.tell(stream, tick);
  }

  private tell(stream: InStream, tick: number): void {
    stream.signalTick = tick;
    this.signal(stream, 'taken', stream.nextSequence);
  }

  /** `chunk` is not taken. */
  private refuse(session: LinkSession, chunk: SnapshotChunk, kind: SnapshotSignalKind): void {
    this.refusedChunks++;
    const { regionId, from, to, streamId } = chunk;
    const signal = { regionId, from: to, to: from, streamId, kind, sequence: 0 };
    this.parts.signals.send(session, 'control', signal);
  }

  private signal(stream: InStream, kind: SnapshotSignalKind, sequence: number): void {
    const { replica, session, from, streamId } = stream;
    const { regionId, replicaId } = replica;
    const signal = { regionId, from: replicaId, to: from, streamId, kind, sequence };
    this.parts.signals.send(session, 'control', signal);
  }

  /** Ends a stream; the sender is told `kind`, unless it knows. */
  private drop(regionId: RegionId, kind: SnapshotSignalKind | undefined): void {
    const stream = this.streams.get(regionId);
    if (stream === undefined) return;
    this.streams.delete(regionId);
    stream.sink.abort();
    if (kind !== undefined) this.signal(stream, kind, 0);
  }

  /** The host closes: what was begun is given up. */
  close(): void {
    for (const regionId of [...this.streams.keys()]) this.drop(regionId, undefined);
  }
}

function isOf(
  stream: InStream | undefined,
  session: LinkSession,
  streamId: number,
): stream is InStream {
  return stream?.session.sessionId === session.sessionId && stream.streamId === streamId;
}

/** Why a stream whose session stands can no longer end well; undefined when it can. */
function endOf(stream: InStream, tick: number): SnapshotSignalKind | undefined {
  const { replica, term, held, lastTick } = stream;
  if (replica.state !== 'running') return 'unknown';
  if (replica.raft.term !== term) return 'unwanted';
  // With chunks held it is the engine that it waits for.
  return held.length === 0 && tick - lastTick > idleTicksMax ? 'broken' : undefined;
}

/** What came does not hold together; the replica itself is as it was. */
function isOfContent(error: unknown): boolean {
  if (!(error instanceof MokuError)) return false;
  return error.code === 'FRAME_CORRUPT' || error.code === 'FRAME_MALFORMED';
}
