/**
 * What the client knows of the cluster: keyspaces, their regions, who leads. A cache: every answer may
 * be stale, and the nodes say so (epochMismatch, NOT_LEADER, REGION_UNKNOWN).
 */
import {
  isMokuError,
  type KeyspaceDescriptor,
  MokuError,
  type NodeId,
  type RegionDescriptor,
  type RegionId,
} from '@moku/base';
import { type ClusterView, findRegion } from '@moku/kv';
import type { ClientAnswer, RequestChannel } from '@moku/transport';
import { raised } from './answers.js';
import type { Channels } from './channels.js';
import type { Deadline } from './deadline.js';

/** A keyspace's regions in key order. */
export interface Routes {
  readonly keyspace: KeyspaceDescriptor;
  readonly regions: readonly RegionDescriptor[];
}

export class Router {
  private readonly channels: Channels;
  private readonly routes = new Map<string, Routes>();
  private readonly leaders = new Map<RegionId, NodeId>();
  private readonly refreshing = new Map<string, Promise<Routes | undefined>>();

  constructor(channels: Channels) {
    this.channels = channels;
  }

  leaderOf(regionId: RegionId): NodeId | undefined {
    return this.leaders.get(regionId);
  }

  setLeader(regionId: RegionId, nodeId: NodeId): void {
    this.leaders.set(regionId, nodeId);
  }

  /** `nodeId` does not lead the region, as far as can be told. */
  forgetLeader(regionId: RegionId, nodeId: NodeId): void {
    if (this.leaders.get(regionId) === nodeId) this.leaders.delete(regionId);
  }

  /** Regions of a keyspace as cached, else asked for; undefined when there is no such keyspace. */
  async find(name: string, deadline: Deadline): Promise<Routes | undefined> {
    return this.routes.get(name) ?? this.refresh(name, deadline);
  }

  /** The region of a stored key. */
  async region(name: string, storedKey: Uint8Array, deadline: Deadline): Promise<RegionDescriptor> {
    const routes = await this.find(name, deadline);
    if (routes === undefined) throw new MokuError('KEYSPACE_UNKNOWN', { field: 'keyspace', name });
    return regionIn(routes, storedKey);
  }

  /** The region of a stored key when its keyspace is cached. */
  cachedRegion(name: string, storedKey: Uint8Array): RegionDescriptor | undefined {
    const routes = this.routes.get(name);
    return routes === undefined ? undefined : regionIn(routes, storedKey);
  }

  cached(name: string): Routes | undefined {
    return this.routes.get(name);
  }

  /** Asks a node anew; calls at the same time share one request. */
  async refresh(name: string, deadline: Deadline): Promise<Routes | undefined> {
    for (;;) {
      const running = this.refreshing.get(name);
      if (running === undefined) return this.refreshAlone(name, deadline);
      try {
        return await running;
      } catch (error) {
        // Whoever asks for all may have less time than this call.
        if (deadline.isOver) throw deadline.error(false, error);
        const hasEnded = isMokuError(error, 'TIMEOUT') || isMokuError(error, 'ABORTED');
        if (!hasEnded) throw error;
      }
    }
  }

  private refreshAlone(name: string, deadline: Deadline): Promise<Routes | undefined> {
    const promise = this.load(name, deadline).finally(() => this.refreshing.delete(name));
    this.refreshing.set(name, promise);
    return promise;
  }

  private async load(name: string, deadline: Deadline): Promise<Routes | undefined> {
    const view = await this.view(name, deadline);
    const keyspace = view.keyspaces.find((k) => k.name === name);
    if (keyspace === undefined) {
      this.routes.delete(name);
      return undefined;
    }
    const routes = { keyspace, regions: view.regions };
    this.routes.set(name, routes);
    return routes;
  }

  /** The cluster view, with the regions of one keyspace (of all when undefined). Retries until the deadline. */
  async view(keyspace: string | undefined, deadline: Deadline): Promise<ClusterView> {
    let last: unknown;
    for (let attempt = 0; !deadline.isOver; attempt++) {
      if (attempt > 0) await deadline.pause(attempt);
      try {
        const channel = await deadline.within(this.toAsk(last, attempt));
        const answer: ClientAnswer = await channel.request(
          { kind: 'describe', keyspace },
          deadline.signal,
        );
        if (answer.kind === 'view') {
          this.learn(answer.view);
          return answer.view;
        }
        last = raised(answer);
        const isNodeUnknown =
          isMokuError(last, 'NOT_LEADER') && this.channels.nodeIds().length === 0;
        if (isNodeUnknown) await this.view('', deadline);
        // That node is about to end; its channel will, too, and another node is asked.
        if (isMokuError(last, 'CLOSED')) continue;
      } catch (error) {
        last = deadline.worthTelling(last, error);
      }
      if (last instanceof MokuError && !last.retryable && last.code !== 'TIMEOUT') break;
    }
    if (deadline.isOver || last === undefined) throw deadline.error(false, last);
    throw last;
  }

  /** Any node at first. One that may not speak for meta sends us to meta's leader, else on to the next. */
  private toAsk(last: unknown, attempt: number): Promise<RequestChannel> {
    if (!(last instanceof MokuError) || last.code !== 'NOT_LEADER') return this.channels.any();
    const ids = this.channels.nodeIds();
    const leader = Number(last.details['leaderNodeId'] ?? 0) as NodeId;
    const next = this.channels.knows(leader) ? leader : ids[attempt % Math.max(1, ids.length)];
    return next === undefined ? this.channels.any() : this.channels.to(next);
  }

  private learn(view: ClusterView): void {
    this.channels.setNodes(view.nodes);
    for (const { regionId, nodeId } of view.leaders) {
      if (nodeId !== 0) this.leaders.set(regionId, nodeId as NodeId);
    }
  }
}

/** Throws REGION_UNKNOWN when no region of the routes holds the key. */
export function regionIn(routes: Routes, storedKey: Uint8Array): RegionDescriptor {
  const region = findRegion(routes.regions, storedKey);
  if (region === undefined)
    throw new MokuError('REGION_UNKNOWN', { keyspace: routes.keyspace.name });
  return region;
}
