/**
 * What a story can see of its cluster: leaders, terms, logs, and what was sent. It changes nothing.
 */
import type { MokuError, NodeId, RegionId } from '@moku/base';
import type { Message } from '@moku/raft';
import type { RegionStatus } from '@moku/region';
import type { Invariant } from '../invariants/invariant.js';
import { whyRestless } from '../run/converge.js';
import type { SimNode } from '../world/sim-node.js';

type MessageType = Message['type'];

/** Counts messages by region, type and way. */
export class Sent implements Invariant {
  private readonly counts = new Map<string, number>();
  private readonly won = new Map<RegionId, number>();
  private readonly refusals = new Map<number, string>();

  onSend(node: SimNode, peer: NodeId, regionId: RegionId, { type }: Message): void {
    const key = `${regionId} ${type} ${node.nodeId}>${peer}`;
    this.counts.set(key, (this.counts.get(key) ?? 0) + 1);
  }

  onRefused({ nodeId }: SimNode, { code }: MokuError): void {
    this.refusals.set(nodeId, code);
  }

  /** With what the node's stores refused to open, the last time that they did. */
  refusal(node: number): string | undefined {
    return this.refusals.get(node);
  }

  onLeader(_node: SimNode, { regionId }: RegionStatus): void {
    this.won.set(regionId, (this.won.get(regionId) ?? 0) + 1);
  }

  /** Elections that somebody won, in all regions or in one. */
  elections(region?: number): number {
    let sum = 0;
    for (const [regionId, won] of this.won) {
      if (region === undefined || region === regionId) sum += won;
    }
    return sum;
  }

  /** Raft messages so far; of one region, one type, from one node, to one node when given. */
  messages(of: { region?: number; type?: MessageType; from?: number; to?: number } = {}): number {
    let sum = 0;
    for (const [key, count] of this.counts) {
      const [region, type, way] = key.split(' ') as [string, MessageType, string];
      const [from, to] = way.split('>');
      const isMeant =
        (of.region === undefined || of.region === Number(region)) &&
        (of.type === undefined || of.type === type) &&
        (of.from === undefined || of.from === Number(from)) &&
        (of.to === undefined || of.to === Number(to));
      if (isMeant) sum += count;
    }
    return sum;
  }
}

export class Sight {
  readonly nodes: readonly SimNode[];

  constructor(nodes: readonly SimNode[]) {
    this.nodes = nodes;
  }

  /** Throws RangeError when there is no such node. */
  node(nodeId: number): SimNode {
    const node = this.nodes[nodeId - 1];
    if (node === undefined) throw new RangeError(`there is no node ${nodeId}`);
    return node;
  }

  /** How a replica stands; undefined where none runs. */
  status(nodeId: number, region = 1): RegionStatus | undefined {
    return this.node(nodeId).running?.host.regionStatus(region as RegionId);
  }

  /** Who leads in the newest term that a running replica knows; undefined when nobody does. */
  leader(region = 1): NodeId | undefined {
    let newest = -1;
    let leader: NodeId | undefined;
    for (const { nodeId } of this.nodes) {
      const status = this.status(nodeId, region);
      if (status === undefined || status.term < newest) continue;
      if (status.term > newest) leader = undefined;
      newest = status.term;
      if (status.role === 'leader') leader = nodeId;
    }
    return leader;
  }

  isLeader(nodeId: number, region = 1): boolean {
    return this.status(nodeId, region)?.role === 'leader';
  }

  /** The newest term that a running replica knows. */
  term(region = 1): number {
    return Math.max(0, ...this.nodes.map(({ nodeId }) => this.status(nodeId, region)?.term ?? 0));
  }

  lastIndex(nodeId: number, region = 1): number {
    return this.status(nodeId, region)?.lastIndex ?? 0;
  }

  commitIndex(nodeId: number, region = 1): number {
    return this.status(nodeId, region)?.commitIndex ?? 0;
  }

  appliedIndex(nodeId: number, region = 1): number {
    return this.status(nodeId, region)?.appliedIndex ?? 0;
  }

  /** Index up to which a crash at this moment would leave the log. */
  syncedIndex(nodeId: number, region = 1): number {
    return (
      this.node(nodeId)
        .disk.synced(region as RegionId)
        ?.lastIndex() ?? 0
    );
  }

  /** Term of an entry as a crash at this moment would leave it. */
  syncedTerm(nodeId: number, index: number, region = 1): number | undefined {
    return this.node(nodeId)
      .disk.synced(region as RegionId)
      ?.term(index);
  }

  /** The term in which a crash at this moment would leave a vote; 0 when there is none. */
  syncedVoteTerm(nodeId: number, region = 1): number {
    const state = this.node(nodeId).disk.syncedHardState(region as RegionId);
    return state === undefined || state.votedFor === 0 ? 0 : state.term;
  }

  isInstalling(nodeId: number, region = 1): boolean {
    return this.status(nodeId, region)?.why.includes('snapshotInstalling') === true;
  }

  /** Why the cluster is not at rest: nothing under way, and no replica awake; undefined at rest. */
  whyAwake(): string | undefined {
    const reason = whyRestless(this.nodes);
    if (reason !== undefined) return reason;
    for (const { nodeId, running } of this.nodes) {
      if (running === undefined) continue;
      const { awake, unattachedPairs } = running.host.status();
      if (awake > 0) return `node ${nodeId} has ${awake} replicas awake`;
      const isAllUp = this.nodes.every((node) => node.isRunning);
      if (isAllUp && unattachedPairs > 0) return `node ${nodeId} has ${unattachedPairs} unattached`;
    }
    return undefined;
  }
}
