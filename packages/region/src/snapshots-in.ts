/**
 * Snapshots taken in: chunks of the bulk lane into the state machine's sink, then the log's new start.
 * One stream per region, few per node; nothing is kept of a chunk but what the sink makes of it.
 *
 * Invariants:
 *  I1 Only a stream of the present session, in the replica's present term, from a leader, is taken in;
 *     chunks in order without gaps. Anything else is ignored; the sender notices and begins anew.
 *  I2 A snapshot becomes the state only while it is ahead of everything committed here.
 *  I3 The log restarts behind it only once the engine holds it durably, and only then is it acknowledged.
 *  I4 At most `snapshotsInMax` sinks are open.
 *  I5 A log that holds the snapshot's last entry is never restarted: what it holds behind was acknowledged.
 */
import { MokuError, type RegionId } from '@moku/base';
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
import type { SnapshotChunk } from './wire/types.js';

interface InStream {
  readonly replica: Replica;
  readonly session: LinkSession;
  readonly streamId: number;
  readonly term: number;
  readonly meta: SnapshotMeta;
  readonly sink: SnapshotSink;
  nextSequence: number;
  lastTick: number;
}

export interface SnapshotsInParts {
  readonly config: RegionHostConfig;
  readonly failures: Failures;
  readonly leadership: Leadership;
  readonly registry: Registry;
  readonly rest: Rest;
  readonly writer: LogWriter;
}

/** Ticks without a chunk after which a stream is given up. */
const idleTicksMax = 600;

export class SnapshotsIn {
  private readonly parts: SnapshotsInParts;
  private readonly streams = new Map<RegionId, InStream>();
  /** Finished, waiting for the engine (I3). */
  private installing: Replica[] = [];
  installed = 0;
  ignoredChunks = 0;
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
      this.ignoredChunks++;
      return;
    }
    try {
      const stream = this.streamOf(replica, session, chunk, tick);
      if (stream === undefined) this.ignoredChunks++;
      else this.write(stream, chunk, tick);
    } catch (error) {
      this.drop(chunk.regionId);
      this.failedStreams++;
      if (!isOfContent(error)) this.parts.failures.fail(replica, error);
    }
  }

  /** Gives up streams that can no longer end well. Once per tick. */
  sweep(peers: Peers, tick: number): void {
    for (const [regionId, stream] of this.streams) {
      const { replica } = stream;
      const isAlive =
        replica.state === 'running' &&
        replica.raft.term === stream.term &&
        peers.isCurrent(stream.session) &&
        tick - stream.lastTick <= idleTicksMax;
      if (!isAlive) this.drop(regionId);
    }
  }

  /** Restarts the logs of finished snapshots that the engine holds durably by now (I3). */
  complete(): void {
    if (this.installing.length === 0) return;
    const waiting: Replica[] = [];
    for (const replica of this.installing) {
      const meta = replica.install?.meta;
      if (meta === undefined || replica.state !== 'running') continue;
      if (replica.machine.durableIndex() < meta.index) {
        waiting.push(replica);
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
    if (meta.index <= raft.commitIndex || raft.holds(meta.index, meta.term)) return;
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

  /** The stream that `chunk` belongs to; a first chunk opens it. undefined: the chunk is ignored (I1). */
  private streamOf(
    replica: Replica,
    session: LinkSession,
    chunk: SnapshotChunk,
    tick: number,
  ): InStream | undefined {
    const { regionId, streamId } = chunk;
    const stream = this.streams.get(regionId);
    const isSame = stream?.session.sessionId === session.sessionId && stream.streamId === streamId;
    if (chunk.sequence !== 0) {
      if (isSame && stream.nextSequence === chunk.sequence) return stream;
      if (isSame) this.drop(regionId);
      return undefined;
    }
    if (isSame || !this.isWanted(replica, chunk, tick)) return undefined;
    if (stream !== undefined) this.drop(regionId);
    if (this.streams.size >= this.parts.config.snapshotsInMax) return undefined;
    const opened: InStream = {
      replica,
      session,
      streamId,
      term: chunk.term,
      meta: chunk.meta,
      sink: replica.machine.install(chunk.meta.index, chunk.meta.term),
      nextSequence: 0,
      lastTick: tick,
    };
    this.streams.set(regionId, opened);
    return opened;
  }

  /** Lets the core judge the offer: a term it carries is adopted, a log that caught up says so. */
  private isWanted(replica: Replica, chunk: SnapshotChunk, tick: number): boolean {
    const { raft } = replica;
    const { from, to, term, meta } = chunk;
    if (replica.install !== undefined || term < raft.term) return false;
    raft.step({ type: 'snapshot', from, to, term, snapshot: meta });
    this.parts.leadership.observe(replica, tick);
    this.parts.rest.consider(replica);
    return raft.snapshotWanted?.index === meta.index;
  }

  private write(stream: InStream, chunk: SnapshotChunk, tick: number): void {
    stream.sink.write(chunk.chunk);
    stream.nextSequence++;
    stream.lastTick = tick;
    if (!chunk.isLast) return;
    const { replica, meta } = stream;
    const { raft } = replica;
    // I2
    const isAhead = meta.index > raft.commitIndex && meta.index > replica.machine.appliedIndex;
    if (raft.term !== stream.term || raft.role !== 'follower' || !isAhead) {
      this.drop(chunk.regionId);
      return;
    }
    this.streams.delete(chunk.regionId);
    try {
      stream.sink.finish();
    } catch (error) {
      stream.sink.abort();
      throw error;
    }
    replica.install = { meta };
    this.installing.push(replica);
    replica.proposals?.skippedTo(meta.index, replica.leaderNodeId());
    replica.reads?.applied(replica.machine.appliedIndex);
    this.parts.rest.consider(replica);
  }

  private drop(regionId: RegionId): void {
    const stream = this.streams.get(regionId);
    if (stream === undefined) return;
    this.streams.delete(regionId);
    stream.sink.abort();
  }

  /** The host closes: what was begun is given up. */
  close(): void {
    for (const regionId of [...this.streams.keys()]) this.drop(regionId);
  }
}

/** What came does not hold together; the replica itself is as it was. */
function isOfContent(error: unknown): boolean {
  if (!(error instanceof MokuError)) return false;
  return error.code === 'FRAME_CORRUPT' || error.code === 'FRAME_MALFORMED';
}
