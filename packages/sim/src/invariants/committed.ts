/**
 * What was seen committed, over all nodes and lives: state machine safety (no two nodes have different
 * entries at one committed index), leader completeness (a leader of a later term has them all) and
 * durability (a quorum of the voters holds them on synced disks).
 */
import { hash32, isMokuError, type NodeId, type RegionId } from '@moku/base';
import type { Entry, Message, RegionLog } from '@moku/raft';
import type { RegionStatus } from '@moku/region';
import type { SimNode } from '../world/sim-node.js';
import type { Invariant, Report } from './invariant.js';
import type { CommittedTerms } from './request-effects.js';

interface CommittedEntry {
  readonly term: number;
  readonly content: number;
  /** Smallest term in which somebody knew it as committed. */
  knownInTerm: number;
}

interface RegionHistory {
  readonly entries: Map<number, CommittedEntry>;
  lastIndex: number;
  /** Highest index found durable on a quorum. */
  durableIndex: number;
  /** Per node: the highest index that it acknowledged to a leader elsewhere. */
  readonly acknowledged: Map<SimNode, number>;
  /** Per node: up to where its log was compared. */
  readonly comparedTo: Map<SimNode, number>;
}

const entryBytesMax = 1 << 26;

export class Committed implements Invariant, CommittedTerms {
  private readonly report: Report;
  private readonly nodes: readonly SimNode[];
  private readonly regions = new Map<RegionId, RegionHistory>();

  constructor(report: Report, nodes: readonly SimNode[]) {
    this.report = report;
    this.nodes = nodes;
  }

  onStart(node: SimNode): void {
    for (const history of this.regions.values()) history.comparedTo.delete(node);
  }

  onStatus(node: SimNode, status: RegionStatus): void {
    const history = this.history(status.regionId);
    this.compare(node, status, history);
    if (status.role === 'leader') this.checkDurable(node, status, history);
  }

  onLeader(node: SimNode, { regionId, term }: RegionStatus): void {
    const history = this.history(regionId);
    const log = node.disk.visible(regionId);
    if (log === undefined) return;
    for (let index = history.lastIndex; index >= log.firstIndex(); index--) {
      const entry = history.entries.get(index);
      if (entry === undefined || entry.knownInTerm >= term) continue;
      if (log.term(index) === entry.term) return; // and by log matching all before it
      const what = `node ${node.nodeId} leads region ${regionId} in term ${term} without entry ${index} of term ${entry.term}`;
      this.report('leader completeness', what);
      return;
    }
  }

  /** A commit is told in the turn that made it: before what was not synced then is synced after all. */
  onSend(node: SimNode, _peer: NodeId, regionId: RegionId, message: Message): void {
    const history = this.history(regionId);
    if (message.type === 'appendResponse' && !message.isRejected) {
      const before = history.acknowledged.get(node) ?? 0;
      history.acknowledged.set(node, Math.max(before, message.index));
    }
    if (message.type !== 'append') return;
    if (message.commitIndex <= history.durableIndex) return;
    const status = node.running?.host.regionStatus(regionId);
    if (status?.role === 'leader') this.checkDurable(node, status, history);
  }

  termOf(regionId: RegionId, index: number): number | undefined {
    return this.regions.get(regionId)?.entries.get(index)?.term;
  }

  private history(regionId: RegionId): RegionHistory {
    let history = this.regions.get(regionId);
    if (history === undefined) {
      history = {
        entries: new Map(),
        lastIndex: 0,
        durableIndex: 0,
        acknowledged: new Map(),
        comparedTo: new Map(),
      };
      this.regions.set(regionId, history);
    }
    return history;
  }

  private compare(node: SimNode, status: RegionStatus, history: RegionHistory): void {
    const { regionId, commitIndex, term } = status;
    const log = node.disk.visible(regionId);
    const from = Math.max((history.comparedTo.get(node) ?? 0) + 1, log?.firstIndex() ?? 1);
    if (log === undefined || from > commitIndex) return;
    const to = Math.min(commitIndex, log.lastIndex());
    if (from > to) return;
    const entries = readable(node, log, from, to);
    if (entries === 'fetching') return;
    for (const entry of entries) {
      const content = hash32(entry.data);
      const known = history.entries.get(entry.index);
      if (known === undefined) {
        history.entries.set(entry.index, { term: entry.term, content, knownInTerm: term });
        history.lastIndex = Math.max(history.lastIndex, entry.index);
        continue;
      }
      known.knownInTerm = Math.min(known.knownInTerm, term);
      if (known.term === entry.term && known.content === content) continue;
      const what = `node ${node.nodeId}, region ${regionId}: committed entry ${entry.index} has term ${entry.term}, elsewhere ${known.term}`;
      this.report('state machine safety', what);
    }
    history.comparedTo.set(node, to);
  }

  private checkDurable(node: SimNode, status: RegionStatus, history: RegionHistory): void {
    const { regionId, commitIndex, confState } = status;
    if (commitIndex <= history.durableIndex) return;
    const term = node.disk.visible(regionId)?.term(commitIndex);
    if (term === undefined) return;
    const replicas = node.running?.host.descriptor(regionId)?.replicas ?? [];
    for (const voters of [confState.voters, confState.votersOutgoing]) {
      if (voters.length === 0) continue;
      let holders = 0;
      for (const voter of voters) {
        const home = replicas.find(({ replicaId }) => replicaId === voter)?.nodeId;
        const holder = this.nodes.find(({ nodeId }) => nodeId === home);
        if (holder === undefined) continue;
        // What it acknowledged its disk may have lost since, under a quorum; or the disk is elsewhere.
        const isDiskGone = holder.harm !== 'none' || holder.hasForeignDisk;
        const hadIt = isDiskGone && (history.acknowledged.get(holder) ?? 0) >= commitIndex;
        if (hadIt || holds(holder, regionId, commitIndex, term)) holders += 1;
      }
      if (holders * 2 > voters.length) continue;
      const what = `node ${node.nodeId}, region ${regionId}: entry ${commitIndex} of term ${term} is committed and synced on ${holders} of ${voters.length}`;
      this.report('committed is durable on a quorum', what);
    }
    history.durableIndex = commitIndex;
  }
}

/** Entries that can be read; fewer, or none, where the node's disk is damaged. */
function readable(
  node: SimNode,
  log: RegionLog,
  from: number,
  to: number,
): readonly Entry[] | 'fetching' {
  try {
    return log.entries(from, to + 1, entryBytesMax);
  } catch (error) {
    if (node.harm !== 'none' && isMokuError(error, 'LOG_CORRUPT')) return [];
    throw error;
  }
}

function holds(node: SimNode, regionId: RegionId, index: number, term: number): boolean {
  const log = node.disk.synced(regionId);
  if (log === undefined) return false;
  return index < log.firstIndex() || log.term(index) === term;
}
