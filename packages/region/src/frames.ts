// @hot
/**
 * Received frames: read whole, then item by item to the claims, the replicas, the snapshots.
 *
 * Invariants:
 *  F1 A frame of a session that is over is dropped; one that is not well-formed closes its session.
 *  F2 A Raft message reaches a replica only from the node on which its sender lives; anything else is
 *     dropped and counted, and harms no other region.
 */
import { isMokuError, type MokuError, type RegionId } from '@moku/base';
import type { Message } from '@moku/raft';
import type { ControlItem } from './claims/types.js';
import type { LinkSession, Transport } from './contracts/transport.js';
import type { Failures } from './failures.js';
import type { Leadership } from './leadership.js';
import type { Liveness } from './liveness.js';
import type { Peers } from './peers.js';
import type { Registry } from './registry.js';
import type { Replica } from './replica.js';
import type { Rest } from './rest.js';
import type { SnapshotsIn } from './snapshots-in.js';
import type { SnapshotsOut } from './snapshots-out.js';
import { readFrame } from './wire/read-frame.js';
import type { FrameVisitor, SnapshotChunk, SnapshotSignal } from './wire/types.js';

export interface FrameHandlerParts {
  readonly failures: Failures;
  readonly leadership: Leadership;
  readonly liveness: Liveness;
  readonly peers: Peers;
  readonly registry: Registry;
  readonly rest: Rest;
  readonly snapshotsIn: SnapshotsIn;
  readonly snapshotsOut: SnapshotsOut;
  readonly transport: Transport;
}

export class FrameHandler implements FrameVisitor {
  private readonly parts: FrameHandlerParts;
  private session: LinkSession | undefined = undefined;
  private nowMs = 0;
  private tick = 0;
  framesRead = 0;
  framesStale = 0;
  framesMalformed = 0;
  messagesRead = 0;
  /** For a region, replica or sender that is not known here. */
  messagesUnknown = 0;

  constructor(parts: FrameHandlerParts) {
    this.parts = parts;
  }

  handle(session: LinkSession, bytes: Uint8Array, nowMs: number, tick: number): void {
    if (!this.parts.peers.isCurrent(session)) {
      this.framesStale++;
      return;
    }
    this.session = session;
    this.nowMs = nowMs;
    this.tick = tick;
    this.parts.liveness.heard(session, nowMs);
    this.framesRead++;
    try {
      readFrame(bytes, this);
    } catch (error) {
      if (!isOfFrame(error)) throw error;
      this.framesMalformed++;
      this.parts.transport.closeSession(session, error.code);
      this.parts.liveness.sessionClosed(session, nowMs);
    }
  }

  onControl(item: ControlItem): void {
    this.parts.liveness.control(this.session!, item, this.nowMs);
  }

  onRaft(regionId: RegionId, message: Message): void {
    const { failures, peers, registry } = this.parts;
    const session = this.session!;
    // An item before this one may have ended the session.
    if (!peers.isCurrent(session)) return;
    this.messagesRead++;
    const replica = registry.running(regionId);
    const isKnown =
      replica?.replicaId === message.to && replica.nodeOf(message.from) === session.peer;
    if (!isKnown) {
      this.messagesUnknown++;
      return;
    }
    try {
      this.step(replica, message);
    } catch (error) {
      failures.fail(replica, error);
    }
  }

  onSnapshot(chunk: SnapshotChunk): void {
    if (!this.parts.peers.isCurrent(this.session!)) return;
    this.parts.snapshotsIn.take(this.session!, chunk, this.tick);
  }

  onSnapshotSignal(signal: SnapshotSignal): void {
    const session = this.session!;
    if (!this.parts.peers.isCurrent(session)) return;
    if (signal.kind === 'ended') this.parts.snapshotsIn.heard(session, signal);
    else this.parts.snapshotsOut.take(session, signal, this.tick);
  }

  private step(replica: Replica, message: Message): void {
    const { leadership, rest } = this.parts;
    const { raft } = replica;
    raft.step(message);
    const isChanged = leadership.observe(replica, this.tick);
    if (message.type === 'appendResponse' && !message.isRejected) {
      leadership.acknowledged(replica, message.from);
    }
    if (isChanged) rest.consider(replica);
    else if (raft.hasReady()) rest.markDirty(replica);
  }
}

/** What readFrame throws. Anything else comes from what an item led to. */
function isOfFrame(error: unknown): error is MokuError {
  return (
    isMokuError(error, 'FRAME_MALFORMED') ||
    isMokuError(error, 'FRAME_TOO_LARGE') ||
    isMokuError(error, 'VERSION_MISMATCH')
  );
}
