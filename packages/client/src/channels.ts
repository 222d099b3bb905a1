/**
 * The client's connections: at most one channel to each node, dialed when first needed, dialed again
 * after a pause that grows while a node does not answer.
 *
 * Invariants:
 *  C1 A node's channel is dialed at most once at a time.
 *  C2 A node that refused is not dialed again before its back-off has passed: callers get UNAVAILABLE at once.
 */
import {
  type Clock,
  MokuError,
  type NodeDescriptor,
  type NodeId,
  noAddress,
  type Prng,
} from '@moku/base';
import type { RequestChannel } from '@moku/transport';

export interface ChannelsOptions {
  readonly clock: Clock;
  readonly prng: Prng;
  /** Opens a channel to host:port; rejects with a coded error. */
  readonly dial: (address: string) => Promise<RequestChannel>;
  /** host:port of nodes to begin with. */
  readonly seeds: readonly string[];
  /** The node in this process, when there is one. */
  readonly local?: { readonly nodeId: NodeId; readonly channel: RequestChannel };
}

type Slot =
  | { kind: 'dialing'; promise: Promise<RequestChannel> }
  | { kind: 'open'; channel: RequestChannel }
  | { kind: 'failed'; failures: number; retryAtMs: number; cause: unknown };

const backoffMsMin = 50;
const backoffMsMax = 2_000;

export class Channels {
  private readonly options: ChannelsOptions;
  private readonly slots = new Map<string, Slot>();
  private readonly addresses = new Map<NodeId, string>();
  private seedAt = 0;
  private isClosed = false;

  constructor(options: ChannelsOptions) {
    this.options = options;
  }

  /** Learns where nodes listen. */
  setNodes(nodes: readonly NodeDescriptor[]): void {
    for (const node of nodes) this.addresses.set(node.nodeId, node.clientAddress);
  }

  /** True when the node's address is known. */
  knows(nodeId: NodeId): boolean {
    return this.options.local?.nodeId === nodeId || this.addresses.has(nodeId);
  }

  /** The nodes whose addresses were learned. */
  nodeIds(): readonly NodeId[] {
    return [...this.addresses.keys()];
  }

  /** A channel to a node. Rejects with UNAVAILABLE (definite). */
  async to(nodeId: NodeId): Promise<RequestChannel> {
    const { local } = this.options;
    if (local !== undefined && local.nodeId === nodeId) return local.channel;
    const address = this.addresses.get(nodeId);
    if (address === undefined || address === noAddress)
      throw new MokuError('UNAVAILABLE', { nodeId });
    return this.dialed(address);
  }

  /** The channel to a node when it is open already: spares the hot path a promise. */
  opened(nodeId: NodeId): RequestChannel | undefined {
    const { local } = this.options;
    if (local !== undefined && local.nodeId === nodeId) return local.channel;
    const address = this.addresses.get(nodeId);
    const slot = address === undefined ? undefined : this.slots.get(address);
    return slot?.kind === 'open' && slot.channel.isOpen ? slot.channel : undefined;
  }

  /** A channel to any node: this process's own, else one that is open, else the next seed or known node. */
  async any(): Promise<RequestChannel> {
    if (this.options.local !== undefined) return this.options.local.channel;
    for (const slot of this.slots.values()) {
      if (slot.kind === 'open' && slot.channel.isOpen) return slot.channel;
    }
    const candidates = [...new Set([...this.options.seeds, ...this.addresses.values()])].filter(
      (a) => a !== noAddress,
    );
    let last: unknown;
    for (let i = 0; i < candidates.length; i++) {
      const address = candidates[this.seedAt++ % candidates.length];
      if (address === undefined) break;
      try {
        // One after the other on purpose: the first node that answers is enough.
        return await this.dialed(address);
      } catch (error) {
        last = error;
      }
    }
    throw new MokuError('UNAVAILABLE', { nodes: candidates.join(',') }, { cause: last });
  }

  private async dialed(address: string): Promise<RequestChannel> {
    if (this.isClosed) throw new MokuError('CLOSED', { field: 'database' });
    const slot = this.slots.get(address);
    if (slot?.kind === 'open' && slot.channel.isOpen) return slot.channel;
    if (slot?.kind === 'dialing') return slot.promise;
    const failures = slot?.kind === 'failed' ? slot.failures : 0;
    if (slot?.kind === 'failed' && this.options.clock.monotonicMs() < slot.retryAtMs) {
      throw new MokuError('UNAVAILABLE', { address }, { cause: slot.cause });
    }
    const promise = this.dial(address, failures);
    this.slots.set(address, { kind: 'dialing', promise });
    return promise;
  }

  private async dial(address: string, failures: number): Promise<RequestChannel> {
    const { clock, prng, dial } = this.options;
    try {
      const channel = await dial(address);
      if (this.isClosed) {
        await channel.close();
        throw new MokuError('CLOSED', { field: 'database' });
      }
      this.slots.set(address, { kind: 'open', channel });
      return channel;
    } catch (cause) {
      const pauseMs =
        Math.min(backoffMsMax, backoffMsMin * 2 ** failures) * (0.5 + prng.unit() / 2);
      const retryAtMs = clock.monotonicMs() + pauseMs;
      this.slots.set(address, {
        kind: 'failed',
        failures: Math.min(failures + 1, 10),
        retryAtMs,
        cause,
      });
      throw new MokuError('UNAVAILABLE', { address }, { cause });
    }
  }

  async close(): Promise<void> {
    this.isClosed = true;
    const closing: Promise<void>[] = [];
    for (const slot of this.slots.values())
      if (slot.kind === 'open') closing.push(slot.channel.close());
    this.slots.clear();
    await Promise.allSettled(closing);
  }
}
