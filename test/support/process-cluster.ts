/**
 * Node processes whose links go through proxies of the test's, one per pair of nodes; kills, stops and
 * restarts of them; and what a run asks of them afterwards.
 *
 * A node is told addresses of its own for its peers: where it dials, that of the proxy in between.
 *
 * Invariants:
 *  C1 A process that ends without having been told to is remembered until the end.
 *  C2 `end` leaves no process and no file behind, whatever state the nodes are in.
 */
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import {
  createPrng,
  isMokuError,
  type NodeId,
  type Prng,
  present,
  type RegionId,
} from '@moku/base';
import { formatAddress, parseAddress } from '@moku/transport';
import { connect, type Database } from 'moku';
import { DevCluster, type DevNode } from 'moku/dev';
import { FrameProxy } from './frame-proxy.js';
import { LinkFaults } from './link-faults.js';
import { until } from './until.js';

/** One pair of nodes; `up` is from the dialer to the acceptor. */
export interface PeerLink {
  readonly dialer: number;
  readonly acceptor: number;
  readonly proxy: FrameProxy;
  readonly faults: LinkFaults;
}

export interface Leadership {
  readonly nodeId: NodeId;
  readonly term: number;
}

export const keyspaceName = 'registers';
const regions = 3;
const clientCount = 6;
const changeWithinMs = 30_000;

export class ProcessCluster {
  /** Leaders of higher terms than those before them, as far as they were seen. */
  leaderChanges = 0;
  readonly links: readonly PeerLink[];
  private readonly dir: string;
  private readonly dev: DevCluster;
  private readonly opened: readonly Database[];
  /** Per process that runs or ran last: whether it was told to end. */
  private readonly lives = new Map<NodeId, { isTold: boolean }>();
  private readonly stopped = new Set<NodeId>();
  private readonly found: string[] = [];
  private readonly known = new Map<RegionId, Leadership>();

  private constructor(dir: string, dev: DevCluster, links: readonly PeerLink[]) {
    this.dir = dir;
    this.dev = dev;
    this.links = links;
    for (const { nodeId } of dev.nodes) this.watch(nodeId);
    const addresses = dev.clientAddresses;
    // Each begins with another node.
    this.opened = Array.from({ length: clientCount + 1 }, (_, i) => {
      const first = i % addresses.length;
      return connect({ nodes: [...addresses.slice(first), ...addresses.slice(0, first)] });
    });
  }

  /** Nodes 1 … `size`, with a keyspace whose regions have a replica on each. */
  static async start(size: number, seed: number): Promise<ProcessCluster> {
    const dir = mkdtempSync(join(tmpdir(), 'moku-process-'));
    let nodes: readonly DevNode[] = [];
    const links = await startLinks(size, createPrng(seed), (nodeId) => nodeOf(nodes, nodeId));
    let cluster: ProcessCluster | undefined;
    try {
      const dev = await DevCluster.start({
        nodes: size,
        dir,
        serveArguments: (node, all) => {
          nodes = all;
          return ['--nodes', rosterOf(node, all, links)];
        },
      });
      cluster = new ProcessCluster(dir, dev, links);
      await cluster.watcher.keyspace(keyspaceName, { mode: 'hash', regions, replication: size });
      return cluster;
    } catch (error) {
      if (cluster !== undefined) await cluster.end();
      else await cleanUp(dir, links);
      throw error;
    }
  }

  get nodeIds(): NodeId[] {
    return this.dev.nodes.map(({ nodeId }) => nodeId);
  }

  get clientAddress(): string {
    return present(this.dev.clientAddresses[0], 'a node');
  }

  get watcher(): Database {
    return present(this.opened[0], 'the first database');
  }

  /** Databases for clients; closed with the cluster. */
  get databases(): readonly Database[] {
    return this.opened.slice(1);
  }

  /** What must never be: processes that ended by themselves (C1), two leaders in one term. */
  get violations(): readonly string[] {
    return this.found;
  }

  async kill(nodeIds: readonly NodeId[]): Promise<void> {
    for (const nodeId of nodeIds) this.tell(nodeId);
    await Promise.all(nodeIds.map((nodeId) => this.dev.kill(nodeId, 'SIGKILL')));
    for (const nodeId of nodeIds) this.stopped.delete(nodeId);
  }

  /** Starts killed nodes on their disks; resolves when they are ready. */
  async restart(nodeIds: readonly NodeId[]): Promise<void> {
    for (const nodeId of nodeIds) {
      this.dev.spawn(nodeId);
      this.watch(nodeId);
    }
    await Promise.all(nodeIds.map((nodeId) => this.dev.ready(nodeId)));
  }

  async stop(nodeIds: readonly NodeId[]): Promise<void> {
    for (const nodeId of nodeIds) this.stopped.add(nodeId);
    await Promise.all(nodeIds.map((nodeId) => this.dev.kill(nodeId, 'SIGSTOP')));
  }

  async wake(nodeIds: readonly NodeId[]): Promise<void> {
    await Promise.all(nodeIds.map((nodeId) => this.dev.kill(nodeId, 'SIGCONT')));
    for (const nodeId of nodeIds) this.stopped.delete(nodeId);
  }

  /** No fault of links, nobody stopped, everybody runs. */
  async heal(): Promise<void> {
    for (const { faults } of this.links) faults.set([]);
    await this.wake([...this.stopped]);
    const ended = this.nodeIds.filter((nodeId) => this.dev.pid(nodeId) === undefined);
    await this.restart(ended.filter((nodeId) => this.lives.get(nodeId)?.isTold === true));
  }

  linksOf(nodeId: NodeId): PeerLink[] {
    return this.links.filter(({ dialer, acceptor }) => dialer === nodeId || acceptor === nodeId);
  }

  /** Who leads each region, meta included, once each has a leader among those who run. */
  async leaders(): Promise<ReadonlyMap<RegionId, Leadership>> {
    const isLed = async (): Promise<boolean> => {
      const led = await this.look();
      return led.size === regions + 1;
    };
    await until('every region has a leader', changeWithinMs, isLed);
    return new Map(this.known);
  }

  /** Who leads most regions. */
  async busiest(): Promise<NodeId> {
    const counts = new Map<NodeId, number>();
    for (const { nodeId } of (await this.leaders()).values()) {
      counts.set(nodeId, (counts.get(nodeId) ?? 0) + 1);
    }
    const [most] = [...counts].sort(([, a], [, b]) => b - a);
    return present(most, 'every region has a leader')[0];
  }

  /** Waits until what `from` led `before` is led by others in higher terms. */
  async moved(from: readonly NodeId[], before: ReadonlyMap<RegionId, Leadership>): Promise<void> {
    const left = [...before].filter(([, { nodeId }]) => from.includes(nodeId));
    await until(`others lead what ${from} led`, changeWithinMs, async () => {
      await this.look();
      return left.every(([regionId, { term }]) => {
        const now = this.known.get(regionId);
        return now !== undefined && now.term > term && !from.includes(now.nodeId);
      });
    });
  }

  /** Regions that somebody who answers says to lead; counts changes. */
  private async look(): Promise<ReadonlySet<RegionId>> {
    const led = new Set<RegionId>();
    const asked = this.nodeIds.filter((nodeId) => this.isAwake(nodeId));
    const reports = await Promise.all(asked.map((nodeId) => this.reportsOf(nodeId)));
    reports.forEach((ofNode, i) => {
      const nodeId = present(asked[i], 'who was asked');
      for (const { regionId, role, term } of ofNode) {
        if (role !== 'leader') continue;
        const before = this.known.get(regionId);
        if (before !== undefined && before.term > term) continue;
        led.add(regionId);
        this.known.set(regionId, { nodeId, term });
        if (before === undefined) continue;
        if (before.term < term) this.leaderChanges += 1;
        else if (before.nodeId !== nodeId) {
          this.found.push(`region ${regionId}, term ${term}: ${before.nodeId} and ${nodeId} lead`);
        }
      }
    });
    return led;
  }

  async reportsOf(nodeId: NodeId): ReturnType<Database['admin']['regions']> {
    try {
      return await this.watcher.admin.regions(nodeId, { timeoutMs: 1_000 });
    } catch (error) {
      // It may just have been killed or stopped: then it says nothing.
      if (!isMokuError(error)) throw error;
      return [];
    }
  }

  private isAwake(nodeId: NodeId): boolean {
    return this.dev.pid(nodeId) !== undefined && !this.stopped.has(nodeId);
  }

  /** Everything that this node's processes wrote. */
  logOf(nodeId: NodeId): string {
    return readFileSync(this.dev.node(nodeId).logFile, 'utf8');
  }

  /** See C2. */
  async end(): Promise<void> {
    for (const nodeId of this.nodeIds) this.tell(nodeId);
    for (const { faults } of this.links) faults.set([]);
    await this.wake([...this.stopped]);
    await Promise.all(this.opened.map((db) => db.close({ graceMs: 200 })));
    await this.dev.stop(5_000);
    await cleanUp(this.dir, this.links);
  }

  private tell(nodeId: NodeId): void {
    const life = this.lives.get(nodeId);
    if (life !== undefined) life.isTold = true;
  }

  private watch(nodeId: NodeId): void {
    const life = { isTold: false };
    this.lives.set(nodeId, life);
    void this.dev.ended(nodeId).then((how) => {
      if (!life.isTold) this.found.push(`node ${nodeId} ended by itself: ${how}`);
    });
  }
}

async function startLinks(
  size: number,
  prng: Prng,
  find: (nodeId: number) => DevNode,
): Promise<PeerLink[]> {
  const pairs: { dialer: number; acceptor: number }[] = [];
  for (let dialer = 1; dialer < size; dialer++) {
    for (let acceptor = dialer + 1; acceptor <= size; acceptor++) pairs.push({ dialer, acceptor });
  }
  return Promise.all(
    pairs.map(async ({ dialer, acceptor }) => {
      const faultPrng = prng.split();
      const target = () => parseAddress(find(acceptor).peerAddress, 'peer');
      const proxy = await FrameProxy.start(target);
      return { dialer, acceptor, proxy, faults: new LinkFaults(proxy, faultPrng) };
    }),
  );
}

/** `--nodes` of one node: of each pair the one with the lower id dials. */
function rosterOf(self: DevNode, nodes: readonly DevNode[], links: readonly PeerLink[]): string {
  const entries = nodes.map(({ nodeId, peerAddress, clientAddress }) => {
    const link = links.find((one) => one.dialer === self.nodeId && one.acceptor === nodeId);
    const proxy = link?.proxy.address;
    const peer = proxy === undefined ? peerAddress : formatAddress(proxy);
    return `${nodeId}=${peer}/${clientAddress}`;
  });
  return entries.join(',');
}

function nodeOf(nodes: readonly DevNode[], nodeId: number): DevNode {
  return present(
    nodes.find((node) => node.nodeId === nodeId),
    'a node of the cluster',
  );
}

async function cleanUp(dir: string, links: readonly PeerLink[]): Promise<void> {
  await Promise.all(links.map(({ proxy }) => proxy.close()));
  rmSync(dir, { recursive: true, force: true });
}
