// @hot
/**
 * The turn (design §5): deliver what arrived, tick what is due, take the Ready of each dirty replica, hand
 * one log batch over for all of them, send one frame per peer, apply, answer. Bounded in replicas and
 * bytes; what is left makes another turn.
 *
 * Invariants:
 *  T1 Nothing but the turn changes a replica, and a replica that is not dirty or awake costs it nothing.
 *  T2 At most one tick per turn, and none in a late turn: received frames are handled first.
 *  T3 Between a core's Ready and the batch that holds it, that core is not called.
 *  T4 A replica that throws fails alone; a bug ends the turn and the process.
 */
import type { Ready } from '@moku/raft';
import type { Answers } from './answers.js';
import type { Applier } from './applies.js';
import type { RegionHostConfig } from './config.js';
import type { HostCallbacks, TurnReport } from './contracts/host.js';
import type { Failures } from './failures.js';
import type { FrameHandler } from './frames.js';
import type { Inbox } from './inbox.js';
import type { Leadership } from './leadership.js';
import type { Liveness } from './liveness.js';
import { type LogWriter, ofPresentTerm } from './log-writer.js';
import type { Outbox } from './outbox.js';
import type { Peers } from './peers.js';
import type { ReadContexts } from './reads.js';
import type { Registry } from './registry.js';
import type { Replica } from './replica.js';
import type { Rest } from './rest.js';
import type { Schedule } from './schedule.js';
import type { SnapshotsIn } from './snapshots-in.js';
import type { SnapshotsOut } from './snapshots-out.js';
import type { Ticker } from './ticker.js';
import type { Truncation } from './truncation.js';

/** Pause between turns of a host in which nothing is under way. */
const idleMs = 1_000;

export interface TurnParts {
  readonly answers: Answers;
  readonly applier: Applier;
  readonly callbacks: HostCallbacks;
  readonly config: RegionHostConfig;
  readonly failures: Failures;
  readonly frames: FrameHandler;
  readonly inbox: Inbox;
  readonly leadership: Leadership;
  readonly liveness: Liveness;
  readonly outbox: Outbox;
  readonly peers: Peers;
  readonly contexts: ReadContexts;
  readonly registry: Registry;
  readonly rest: Rest;
  readonly schedule: Schedule;
  readonly snapshotsIn: SnapshotsIn;
  readonly snapshotsOut: SnapshotsOut;
  readonly ticker: Ticker;
  readonly truncation: Truncation;
  readonly writer: LogWriter;
}

export class Turn {
  private readonly parts: TurnParts;
  private visited: Replica[] = [];
  private readies: Ready[] = [];
  /** Leaders whose proposals wait until the log has room. */
  private stalled: Replica[] = [];
  private wallMs = 0;
  turns = 0;

  constructor(parts: TurnParts) {
    this.parts = parts;
  }

  run(nowMs: number, wallMs: number): TurnReport {
    const { config, inbox, liveness, outbox, peers, ticker } = this.parts;
    this.turns++;
    this.wallMs = wallMs;
    peers.nowMs = nowMs;
    ticker.beginTurn(nowMs);
    const { lateMs } = ticker;
    liveness.beginTurn(ticker.tick);
    this.takeDurable();
    this.takeFetched();
    this.parts.snapshotsIn.complete();
    this.takeArrivals(nowMs);
    const hasUnread = inbox.length > 0;
    const hasMoreChunks = this.parts.snapshotsIn.run(config.applyBytesPerTurnMax, ticker.tick);
    if (ticker.isDue(nowMs)) ticker.run(nowMs, hasUnread);
    liveness.judge({ nowMs, lateMs, hasUnread, tick: ticker.tick });
    const hasMoreLog = this.parts.truncation.run(nowMs);
    this.visitDirty();
    outbox.flush();
    const hasMoreApplies = this.parts.applier.run(config.applyBytesPerTurnMax, ticker.tick);
    this.parts.snapshotsOut.pump(ticker.tick);
    this.deliver();
    const hasMore = hasMoreLog || hasMoreApplies || hasMoreChunks || this.hasWork();
    return { hasMore, nextDueMs: ticker.endTurn(this.nextDueMs(nowMs)) };
  }

  private hasWork(): boolean {
    const { answers, inbox, leadership, schedule, writer } = this.parts;
    return (
      inbox.length > 0 ||
      schedule.dirtyCount > 0 ||
      writer.hasSynced() ||
      !answers.isEmpty() ||
      leadership.hasChanges()
    );
  }

  private nextDueMs(nowMs: number): number {
    const { liveness, peers, schedule, snapshotsOut, ticker, truncation } = this.parts;
    const isTicking =
      peers.size > 0 || schedule.awakeCount > 0 || snapshotsOut.waiting > 0 || truncation.hasWork();
    const tickDueMs = isTicking ? ticker.nextTickMs : nowMs + idleMs;
    const heartbeatDueMs = liveness.nextDueMs();
    return heartbeatDueMs < tickDueMs ? heartbeatDueMs : tickDueMs;
  }

  /** Cores learn what is synced; what waited for it leaves. */
  private takeDurable(): void {
    const { failures, inbox, leadership, outbox, rest, ticker, writer } = this.parts;
    writer.durable(inbox.durableBatch);
    for (;;) {
      const synced = writer.takeSynced();
      if (synced === undefined) break;
      const { replica, readyNumber, messages } = synced;
      try {
        if (readyNumber > 0) {
          replica.raft.persisted(readyNumber);
          if (leadership.observe(replica, ticker.tick)) rest.consider(replica);
        }
        if (messages.length > 0) outbox.addAll(replica, ofPresentTerm(replica, messages));
      } catch (error) {
        failures.fail(replica, error);
        continue;
      }
      if (replica.raft.hasReady()) rest.markDirty(replica);
    }
    if (this.stalled.length > 0 && !writer.isFull()) {
      const { stalled } = this;
      this.stalled = [];
      for (let i = 0; i < stalled.length; i++) {
        stalled[i]!.isStalled = false;
        rest.markDirty(stalled[i]!);
      }
    }
  }

  private takeFetched(): void {
    const { inbox, registry, rest } = this.parts;
    const fetched = inbox.takeFetched();
    for (let i = 0; i < fetched.length; i++) {
      const replica = registry.running(fetched[i]!);
      if (replica === undefined) continue;
      replica.raft.logFetched();
      rest.markDirty(replica);
    }
  }

  private takeArrivals(nowMs: number): void {
    const { config, frames, inbox, liveness, outbox, ticker } = this.parts;
    let bytesLeft = config.inboxBytesPerTurnMax;
    while (bytesLeft > 0) {
      const arrival = inbox.take();
      if (arrival === undefined) return;
      const { session } = arrival;
      switch (arrival.kind) {
        case 'frame':
          bytesLeft -= arrival.bytes.length + 1;
          frames.handle(session, arrival.bytes, nowMs, ticker.tick);
          break;
        case 'open':
          outbox.forget(session.peer);
          liveness.sessionOpened(session, nowMs);
          break;
        case 'close':
          liveness.sessionClosed(session, nowMs);
      }
    }
  }

  /** Visits dirty replicas within the turn's bounds, writes their batch and passes on what they want. */
  private visitDirty(): void {
    const { config, failures, schedule, writer } = this.parts;
    const isLogFull = writer.isFull();
    let bytesLeft = config.writeBytesPerTurnMax;
    for (let count = 0; count < config.replicasPerTurnMax && bytesLeft > 0; count++) {
      const replica = schedule.takeDirty();
      if (replica === undefined) break;
      try {
        bytesLeft -= this.visit(replica, isLogFull);
      } catch (error) {
        failures.fail(replica, error);
      }
    }
    writer.commit();
    const { visited, readies } = this;
    if (visited.length === 0) return;
    this.visited = [];
    this.readies = [];
    for (let i = 0; i < visited.length; i++) this.passOn(visited[i]!, readies[i]!);
  }

  /** Takes what waits into the core, and the core's Ready into the batch. Returns bytes of entries. */
  private visit(replica: Replica, isLogFull: boolean): number {
    const { raft, proposals, reads } = replica;
    if (proposals !== undefined && proposals.waiting > 0) {
      if (isLogFull && raft.role === 'leader') this.stall(replica);
      else proposals.submit(raft, replica.machine, this.wallMs, replica.leaderNodeId());
    }
    if (reads !== undefined) reads.ask(this.readAsk(replica));
    const isWanted = replica.truncateTo > 0 || replica.confToWrite !== undefined;
    if (!isWanted && !raft.hasReady()) {
      this.parts.rest.consider(replica);
      return 0;
    }
    const ready = raft.ready();
    this.visited.push(replica);
    this.readies.push(ready);
    return this.parts.writer.add(replica, ready);
  }

  private stall(replica: Replica): void {
    if (replica.isStalled) return;
    replica.isStalled = true;
    this.stalled.push(replica);
  }

  /** After the batch was handed over. */
  private passOn(replica: Replica, ready: Ready): void {
    const { applier, config, outbox, rest, writer } = this.parts;
    if (replica.state !== 'running') return;
    writer.await(replica, ready);
    if (ready.messages.length > 0) outbox.addAll(replica, ready.messages);
    applier.add(replica, ready.committedEntries);
    const { reads } = replica;
    if (reads !== undefined) {
      const { readStates, readsRefused } = ready;
      for (let i = 0; i < readStates.length; i++) {
        const { context, index } = readStates[i]!;
        reads.confirm(context, index, replica.machine.appliedIndex);
      }
      for (let i = 0; i < readsRefused.length; i++) {
        reads.refused(readsRefused[i]!, this.readAsk(replica), config.readAttemptsMax);
      }
    }
    rest.consider(replica);
    // Entries handed out for apply made room for what the core refused as too much.
    const isWaiting = replica.proposals !== undefined && replica.proposals.waiting > 0;
    if (isWaiting && ready.committedEntries.length > 0) rest.markDirty(replica);
  }

  private readAsk(replica: Replica): Parameters<NonNullable<Replica['reads']>['ask']>[0] {
    const { contexts, ticker } = this.parts;
    return {
      raft: replica.raft,
      contexts,
      tick: ticker.tick,
      leaderNodeId: replica.leaderNodeId(),
    };
  }

  /** Tells the node what happened, at the end of the turn. */
  private deliver(): void {
    const { answers, callbacks, leadership } = this.parts;
    const changes = leadership.takeChanges();
    if (callbacks.onLeaderChange !== undefined) {
      for (let i = 0; i < changes.length; i++) {
        const { regionId, isLeader, leaderNodeId } = changes[i]!;
        callbacks.onLeaderChange(regionId, isLeader, leaderNodeId);
      }
    }
    answers.deliver();
  }
}
