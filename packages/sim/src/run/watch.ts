/**
 * Holds a running cluster against all invariants, and notes what becomes part of the trace.
 */
import {
  type ErrorCode,
  isMokuError,
  type MokuError,
  type NodeId,
  type RegionId,
} from '@moku/base';
import type { EngineWrite } from '@moku/kv';
import type { Message, RegionWrite } from '@moku/raft';
import { type FrameVisitor, readFrame } from '@moku/region';
import { Amnesia } from '../invariants/amnesia.js';
import { ApplyOnce } from '../invariants/apply-once.js';
import { ApplySynced } from '../invariants/apply-synced.js';
import { AscendingVersions } from '../invariants/ascending-versions.js';
import { BoundedQueues } from '../invariants/bounded-queues.js';
import { Committed } from '../invariants/committed.js';
import { Configuration } from '../invariants/configuration.js';
import { DurableBeforeSend } from '../invariants/durable-before-send.js';
import { ElectionSafety } from '../invariants/election-safety.js';
import type { Invariant, Report } from '../invariants/invariant.js';
import { LogMatching } from '../invariants/log-matching.js';
import { NeverRegress } from '../invariants/never-regress.js';
import { OwnTermCommit } from '../invariants/own-term-commit.js';
import { PreVoteFirst } from '../invariants/pre-vote-first.js';
import { RequestEffects } from '../invariants/request-effects.js';
import { SoundClaims } from '../invariants/sound-claims.js';
import type { NodeWatcher, SimNode } from '../world/sim-node.js';
import type { Trace } from './trace.js';

/** A node that started opens its replicas within its first turns. */
const looksAfterStart = 3;

export class Watch implements NodeWatcher {
  leaderChanges = 0;
  crashes = 0;
  /** What requests did; whoever speaks for clients tells it what was acknowledged. */
  readonly effects: RequestEffects;
  private readonly report: Report;
  private readonly trace: Trace;
  private readonly nodes: readonly SimNode[];
  private readonly invariants: readonly Invariant[];
  /** Replicas that wrote, applied or came to lead since the last look. */
  private readonly changed = new Map<SimNode, Set<RegionId>>();
  /** Looks at all replicas of a node that are still to come since it started. */
  private readonly looksDue = new Map<SimNode, number>();
  private readonly onDiskFailure: (node: SimNode) => void;

  /** `nodes` may still be filled when this is called. */
  constructor(options: {
    readonly nodes: readonly SimNode[];
    readonly trace: Trace;
    readonly report: Report;
    /** Virtual time. */
    readonly nowMs: () => number;
    /** A broken disk ended a node. */
    readonly onDiskFailure: (node: SimNode) => void;
    /** Looks on beside the invariants. */
    readonly observer?: Invariant | undefined;
  }) {
    const { nodes, report } = options;
    this.report = report;
    this.trace = options.trace;
    this.nodes = nodes;
    this.onDiskFailure = options.onDiskFailure;
    const committed = new Committed(report, nodes);
    this.effects = new RequestEffects(report, committed);
    this.invariants = [
      new ElectionSafety(report),
      new LogMatching(report),
      committed,
      this.effects,
      new Configuration(report),
      new DurableBeforeSend(report),
      new NeverRegress(report),
      new ApplyOnce(report),
      new BoundedQueues(report, options.nowMs),
      new SoundClaims(report),
      new Amnesia(report),
      new PreVoteFirst(report),
      new OwnTermCommit(report),
      new AscendingVersions(report),
      new ApplySynced(report),
      ...(options.observer === undefined ? [] : [options.observer]),
    ];
  }

  onStart(node: SimNode): void {
    this.trace.note(`start ${node.nodeId}`);
    this.looksDue.set(node, looksAfterStart);
    for (const each of this.invariants) each.onStart?.(node);
  }

  onStop(node: SimNode): void {
    this.crashes += 1;
    this.trace.note(`stop ${node.nodeId}`);
    for (const each of this.invariants) each.onStop?.(node);
  }

  onRefused(node: SimNode, error: MokuError): void {
    this.trace.note(`refused ${node.nodeId} ${error.code}`);
    for (const each of this.invariants) each.onRefused?.(node, error);
    if (!expectedRefusals(node).includes(error.code)) {
      this.report('a sound node starts', `node ${node.nodeId}: ${error.stack}`);
    }
    // There may be space again when somebody tries again.
    if (error.code === 'LOG_IO') this.onDiskFailure(node);
  }

  onApply(node: SimNode, write: EngineWrite): void {
    this.changedOf(node).add(write.regionId);
    this.trace.fact('apply', node.nodeId, write.regionId, write.appliedIndex);
    for (const each of this.invariants) each.onApply?.(node, write);
  }

  onLogWrite(node: SimNode, write: RegionWrite): void {
    const { entries } = write;
    this.changedOf(node).add(write.regionId);
    if (entries !== undefined) {
      this.trace.detail(
        () => `log ${node.nodeId} r${write.regionId} ${entries[0]?.index}+${entries.length}`,
      );
    }
    for (const each of this.invariants) each.onLogWrite?.(node, write);
  }

  onSend(node: SimNode, peer: NodeId, bytes: Uint8Array): void {
    const visitor: FrameVisitor = {
      onControl: (item) => {
        if (item.type === 'heartbeat' || item.type === 'heartbeatAnswer') return;
        this.trace.detail(() => `${node.nodeId}>${peer} ${JSON.stringify(item)}`);
      },
      onSnapshot: () => {},
      onSnapshotSignal: (signal) => {
        const { regionId, kind, sequence } = signal;
        this.trace.detail(() => `${node.nodeId}>${peer} r${regionId} ${kind} ${sequence}`);
      },
      onRaft: (regionId, message) => {
        this.trace.detail(() => `${node.nodeId}>${peer} r${regionId} ${brief(message)}`);
        for (const each of this.invariants) each.onSend?.(node, peer, regionId, message);
      },
    };
    readFrame(bytes, visitor);
  }

  onLeader(node: SimNode, regionId: number): void {
    this.leaderChanges += 1;
    this.changedOf(node).add(regionId as RegionId);
    const status = node.running?.host.regionStatus(regionId as RegionId);
    if (status === undefined) return;
    this.trace.note(`leads ${node.nodeId} ${regionId} term ${status.term}`);
    if (status.role !== 'leader') return;
    for (const each of this.invariants) each.onLeader?.(node, status);
  }

  onFatal(node: SimNode, error: Error): void {
    this.trace.note(`fatal ${node.nodeId} ${error.message}`);
    if (!isExpectedEnd(node, error))
      this.report('no node gives up', `node ${node.nodeId}: ${error.stack}`);
    this.onDiskFailure(node);
  }

  /** Notes how every replica stands, for whoever reads a failure. */
  describe(): void {
    for (const node of this.nodes) {
      const host = node.running?.host;
      for (const regionId of host?.regionIds() ?? []) {
        const status = host?.regionStatus(regionId);
        if (status === undefined) continue;
        const { role, term, leaderNodeId, lastIndex, commitIndex, appliedIndex, peers, why } =
          status;
        const place = `${role} of region ${regionId} on ${node.nodeId}`;
        const matches = peers.map(
          (peer) => `${peer.nodeId}:${peer.matchIndex}${peer.isAttached ? '+' : '-'}`,
        );
        this.trace.note(
          `${place}: term ${term} leader ${leaderNodeId} last ${lastIndex} commit ${commitIndex} applied ${appliedIndex} [${matches.join(' ')}] ${why.join(',')}`,
        );
      }
    }
  }

  /**
   * Looks at every replica that wrote, applied or came to lead since the last look; when `isFull`, which is
   * dear, at every node and every replica that runs.
   */
  check(isFull: boolean): void {
    for (const node of this.nodes) {
      const host = node.running?.host;
      if (host === undefined) continue;
      if (isFull) {
        const status = host.status();
        for (const each of this.invariants) each.onNode?.(node, status);
      }
      const looksDue = this.looksDue.get(node) ?? 0;
      const changed = this.changedOf(node);
      if (looksDue > 0) this.looksDue.set(node, looksDue - 1);
      else if (!isFull && changed.size === 0) continue;
      for (const regionId of isFull || looksDue > 0 ? host.regionIds() : changed) {
        const status = host.regionStatus(regionId);
        if (status === undefined) continue;
        for (const each of this.invariants) each.onStatus?.(node, status);
      }
      // What is not synced yet will change once more without a word.
      if (node.disk.health().batchesInFlight === 0) changed.clear();
    }
  }

  private changedOf(node: SimNode): Set<RegionId> {
    let changed = this.changed.get(node);
    if (changed === undefined) {
      changed = new Set();
      this.changed.set(node, changed);
    }
    return changed;
  }
}

/** What fails or is damaged ends its node by an error that says so; nothing else does. */
function isExpectedEnd({ isDiskBroken, isDiskFull, harm, disk }: SimNode, error: Error): boolean {
  const isDamage = isMokuError(error, 'ENGINE_CORRUPT') || isMokuError(error, 'LOG_CORRUPT');
  if (isDamage) return harm !== 'none' && disk.damageMayEnd;
  const isOfDisk = isMokuError(error, 'LOG_IO') || isMokuError(error, 'ENGINE_IO');
  return isOfDisk && (isDiskBroken || isDiskFull);
}

/** Why a node may refuse to start, after what was done to its disk. */
function expectedRefusals({ isDiskFull, hasForeignDisk, harm }: SimNode): readonly ErrorCode[] {
  const codes: ErrorCode[] = [];
  // An opening writes, too.
  if (isDiskFull) codes.push('LOG_IO', 'DIR_UNUSABLE');
  // A bit of a real file may be one that other bits are missed by; and another's disk may be damaged.
  if (harm !== 'none' || hasForeignDisk) {
    codes.push('LOG_CORRUPT', 'ENGINE_CORRUPT', 'LOG_AMNESIA', 'DIR_FOREIGN', 'DIR_FORMAT_NEWER');
  }
  return codes;
}

function brief(message: Message): string {
  const shown = 'entries' in message ? { ...message, entries: message.entries.length } : message;
  return JSON.stringify(shown);
}
