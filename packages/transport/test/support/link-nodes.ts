/** Nodes with real links on the loopback interface, and a record of what their subscribers saw. */
import { createPrng, type NodeId, toNodeId } from '@moku/base';
import type { Lane, LinkSession, TransportEvents } from '@moku/region';
import { vi } from 'vitest';
import {
  createLinks,
  createSystemClock,
  formatAddress,
  type LinkPeer,
  type LinkStatus,
  type Links,
  type LinksOptions,
} from '../../src/index.js';

export type Seen =
  | { kind: 'open'; session: LinkSession }
  | { kind: 'frame'; session: LinkSession; lane: Lane; bytes: Uint8Array }
  | { kind: 'close'; session: LinkSession; reason: string };

export class LinkNode implements TransportEvents {
  readonly nodeId: NodeId;
  readonly links: Links;
  readonly seen: Seen[] = [];
  /** Called for each frame besides recording it; when set, frames are not recorded. */
  onEachFrame: ((lane: Lane, bytes: Uint8Array, session: LinkSession) => void) | undefined;
  private readonly sessions = new Map<NodeId, LinkSession>();

  constructor(nodeId: NodeId, links: Links) {
    this.nodeId = nodeId;
    this.links = links;
    links.subscribe(this);
  }

  onSessionOpen(session: LinkSession): void {
    this.sessions.set(session.peer, session);
    this.seen.push({ kind: 'open', session });
  }

  onFrame(session: LinkSession, lane: Lane, bytes: Uint8Array): void {
    if (this.onEachFrame !== undefined) this.onEachFrame(lane, bytes, session);
    else this.seen.push({ kind: 'frame', session, lane, bytes });
  }

  onSessionClose(session: LinkSession, reason: string): void {
    if (this.sessions.get(session.peer) === session) this.sessions.delete(session.peer);
    this.seen.push({ kind: 'close', session, reason });
  }

  get address(): string {
    return formatAddress(this.links.address);
  }

  /** The open session with `peer`; throws when there is none. */
  session(peer: LinkNode): LinkSession {
    const session = this.sessions.get(peer.nodeId);
    if (session === undefined) throw new Error(`${this.nodeId} has no session with ${peer.nodeId}`);
    return session;
  }

  hasSession(peer: LinkNode): boolean {
    return this.sessions.has(peer.nodeId);
  }

  status(peer: LinkNode | NodeId): LinkStatus {
    const nodeId = typeof peer === 'number' ? peer : peer.nodeId;
    const status = this.links.status().find((link) => link.nodeId === nodeId);
    if (status === undefined) throw new Error(`${this.nodeId} has no link to ${nodeId}`);
    return status;
  }

  /** Texts of the frames that came on `lane`. */
  texts(lane: Lane): string[] {
    const texts: string[] = [];
    for (const event of this.seen) {
      if (event.kind === 'frame' && event.lane === lane) texts.push(toText(event.bytes));
    }
    return texts;
  }

  closeReasons(): string[] {
    return this.seen.flatMap((event) => (event.kind === 'close' ? [event.reason] : []));
  }

  say(peer: LinkNode, text: string, lane: Lane = 'control'): boolean {
    return this.links.send(this.session(peer), lane, Buffer.from(text));
  }
}

function toText(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString();
}

export type NodeOptions = Partial<LinksOptions> & {
  /** Store ids of peers as remembered; shared over restarts of a node. */
  readonly known?: Map<NodeId, string>;
};

/** Starts nodes and ends them all with `stop`. */
export class LinkNodes {
  private readonly started: { close(): Promise<void> }[] = [];

  /** Links that nobody has subscribed to. */
  async open(id: number, options: NodeOptions = {}): Promise<Links> {
    const { known = new Map<NodeId, string>(), ...rest } = options;
    const links = await createLinks({
      nodeId: toNodeId(id),
      clusterId: 'moku',
      storeId: `store-${id}`,
      incarnation: 1,
      listen: { host: '127.0.0.1', port: 0 },
      peers: [],
      knownStoreId: (peer) => known.get(peer),
      rememberStoreId: (peer, storeId) => known.set(peer, storeId),
      clock: createSystemClock(),
      prng: createPrng(id),
      ...rest,
    });
    return this.keep(links);
  }

  async start(id: number, options: NodeOptions = {}): Promise<LinkNode> {
    return new LinkNode(toNodeId(id), await this.open(id, options));
  }

  /** Two nodes that know each other, with an open session. */
  async pair(options: NodeOptions = {}): Promise<[LinkNode, LinkNode]> {
    const a = await this.start(1, options);
    const b = await this.start(2, options);
    introduce(a, b);
    await linked(a, b);
    return [a, b];
  }

  /** Has `resource` closed with the nodes. */
  keep<T extends { close(): Promise<void> }>(resource: T): T {
    this.started.push(resource);
    return resource;
  }

  async stop(): Promise<void> {
    await Promise.all(this.started.splice(0).map((resource) => resource.close()));
  }
}

/** Tells each node about all the others. */
export function introduce(...nodes: readonly LinkNode[]): void {
  const peers: LinkPeer[] = nodes.map(({ nodeId, address }) => ({ nodeId, address }));
  for (const node of nodes) node.links.setPeers(peers);
}

/** Waits until both have a session with each other. */
export async function linked(a: LinkNode, b: LinkNode): Promise<void> {
  await until(() => a.hasSession(b) && b.hasSession(a));
  await until(() => a.session(b).sessionId === b.session(a).sessionId);
}

/** Waits until `condition` holds, for at most `boundMs`. */
export async function until(condition: () => boolean, boundMs = 5_000): Promise<void> {
  await vi.waitFor(
    () => {
      if (!condition()) throw new Error(`not within ${boundMs} ms: ${condition.toString()}`);
    },
    { timeout: boundMs, interval: 2 },
  );
}

/** Waits until `value` has not changed for a fifth of a second. */
export async function untilStill(value: () => number): Promise<void> {
  let last = value();
  let sinceMs = performance.now();
  await until(() => {
    const now = value();
    if (now !== last) {
      last = now;
      sinceMs = performance.now();
    }
    return performance.now() - sinceMs > 200;
  }, 15_000);
}
