/**
 * The parts of a host and how they hang together: each gets what it uses, in its constructor, once.
 */
import { ByteReader, ByteWriter, type NodeId, type Prng } from '@moku/base';
import type { LogStore } from '@moku/raft';
import { Applier } from './applies.js';
import { Claims } from './claims/claims.js';
import { ClaimsView } from './claims-view.js';
import type { RegionHostConfig } from './config.js';
import type { HostCallbacks } from './contracts/host.js';
import type { Transport } from './contracts/transport.js';
import { Failures } from './failures.js';
import { FrameHandler } from './frames.js';
import { Leadership } from './leadership.js';
import { Liveness } from './liveness.js';
import { LogWriter } from './log-writer.js';
import { Outbox } from './outbox.js';
import { Pairs } from './pairs.js';
import { Peers } from './peers.js';
import { ReadContexts } from './reads.js';
import { Registry } from './registry.js';
import { Rest } from './rest.js';
import { Schedule } from './schedule.js';
import { SnapshotSignals } from './snapshot-stream.js';
import { SnapshotsIn } from './snapshots-in.js';
import { SnapshotsOut } from './snapshots-out.js';
import { Ticker } from './ticker.js';
import { Truncation } from './truncation.js';

export interface ComposeOptions {
  readonly nodeId: NodeId;
  readonly log: LogStore;
  readonly transport: Transport;
  readonly callbacks: HostCallbacks;
  readonly prng: Prng;
  readonly config: RegionHostConfig;
}

export interface HostParts {
  readonly nodeId: NodeId;
  readonly config: RegionHostConfig;
  readonly callbacks: HostCallbacks;
  readonly applier: Applier;
  readonly claims: Claims;
  readonly contexts: ReadContexts;
  readonly failures: Failures;
  readonly frames: FrameHandler;
  readonly leadership: Leadership;
  readonly liveness: Liveness;
  readonly outbox: Outbox;
  readonly pairs: Pairs;
  readonly peers: Peers;
  readonly registry: Registry;
  readonly rest: Rest;
  readonly schedule: Schedule;
  readonly snapshotsIn: SnapshotsIn;
  readonly snapshotsOut: SnapshotsOut;
  readonly ticker: Ticker;
  readonly truncation: Truncation;
  readonly writer: LogWriter;
  /** Totals since the start, by name. */
  counters(): Record<string, number>;
}

export function compose(options: ComposeOptions): HostParts {
  const { nodeId, log, transport, callbacks, prng, config } = options;
  const { tickMs, electionTicks, heartbeatMs } = config;
  const electionTimeoutMs = electionTicks * tickMs;
  const contexts = newContexts(log, prng);
  const registry = new Registry();
  const peers = new Peers();
  const schedule = new Schedule();
  const writer = new LogWriter(log);
  const claims = new Claims(
    { heartbeatMs, electionTimeoutMs, repairIntervalMs: electionTimeoutMs },
    new ClaimsView(registry),
  );
  const pairs = new Pairs(claims, config, prng);
  const rest = new Rest(claims, pairs, schedule);
  const leadership = new Leadership({ nodeId, claims, pairs, peers, registry });
  const failures = new Failures(leadership, schedule, callbacks);
  const truncation = new Truncation(nodeId, config, peers, rest);
  const canApply = (): boolean => callbacks.canApply?.() ?? true;
  const applier = new Applier({ failures, leadership, rest, truncation, canApply });
  const shared = { config, failures, leadership, peers, registry, rest, transport, claims, pairs };
  const signals = new SnapshotSignals(transport);
  const snapshotsOut = new SnapshotsOut({ ...shared, signals });
  const snapshotsIn = new SnapshotsIn({ ...shared, canApply, signals, writer });
  const outbox = new Outbox({ ...shared, snapshotsOut });
  const liveness = new Liveness({ ...shared, log, nodeId });
  const frames = new FrameHandler({ ...shared, liveness, snapshotsIn, snapshotsOut });
  const ticker = new Ticker({ ...shared, contexts, liveness, outbox, schedule, snapshotsIn });
  const parts = {
    applier,
    claims,
    contexts,
    failures,
    frames,
    leadership,
    liveness,
    outbox,
    pairs,
  };
  const more = { peers, registry, rest, schedule, snapshotsIn, snapshotsOut, ticker, truncation };
  const counters = (): Record<string, number> => countersOf({ ...parts, ...more, writer });
  return { nodeId, config, callbacks, ...parts, ...more, writer, counters };
}

const startsKey = 'region.starts';

/** Counts this start in the log's meta, so that read contexts begin elsewhere than before. */
function newContexts(log: LogStore, prng: Prng): ReadContexts {
  const kept = log.getMeta(startsKey);
  const start = kept === undefined ? 1 : new ByteReader(kept).uvarint() + 1;
  const writer = new ByteWriter(8);
  writer.uvarint(start);
  log.setMeta(startsKey, writer.take());
  return new ReadContexts(start, prng.below(2 ** 20));
}

type Counted = Omit<HostParts, 'nodeId' | 'config' | 'callbacks' | 'contexts' | 'counters'>;

function countersOf(parts: Counted): Record<string, number> {
  const { applier, claims, frames, leadership, outbox, snapshotsIn, snapshotsOut, ticker } = parts;
  return {
    ...claims.counters,
    entriesApplied: applier.applied,
    commandsApplied: applier.commandsApplied,
    batchesWritten: parts.writer.batches,
    replicasFailed: parts.failures.count,
    framesSent: outbox.framesSent,
    frameBytesSent: outbox.bytesSent,
    framesRead: frames.framesRead,
    framesStale: frames.framesStale,
    framesMalformed: frames.framesMalformed,
    messagesSent: outbox.messagesSent,
    messagesDropped: outbox.messagesDropped,
    messagesRead: frames.messagesRead,
    messagesUnknown: frames.messagesUnknown,
    appendsHeld: outbox.appendsHeld,
    leadershipsBegan: leadership.began,
    leadershipsEnded: leadership.ended,
    campaigns: ticker.campaigns,
    lateTurns: ticker.lateTurns,
    probesSent: parts.pairs.probesSent,
    snapshotsSent: snapshotsOut.sent,
    snapshotsAborted: snapshotsOut.aborted,
    snapshotChunksSent: snapshotsOut.chunksSent,
    snapshotsInstalled: snapshotsIn.installed,
    snapshotChunksRefused: snapshotsIn.refusedChunks,
    snapshotStreamsFailed: snapshotsIn.failedStreams,
    truncations: parts.truncation.truncations,
  };
}
