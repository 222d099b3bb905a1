/**
 * A node on real disks, sockets and clocks: opens what `createNode` is wired to, in the order in which a
 * failure harms least, and closes it in the reverse order.
 */
import { randomBytes } from 'node:crypto';
import { createPrng, isMokuError, MokuError, type NodeDescriptor, type NodeId } from '@moku/base';
import type { LinkSession, Transport } from '@moku/region';
import { openEngine, openLogStore, type SqliteLogStore } from '@moku/storage';
import {
  createLinks,
  createRequestServer,
  createSystemClock,
  formatAddress,
  type Links,
  type RequestHandler,
  type RequestServer,
  type TransportLogger,
} from '@moku/transport';
import { type AdminServer, startAdmin } from './admin.js';
import { checkNodeConfig, defaultTimings, type NodeTimings } from './config.js';
import { refuseForEver } from './lost-data.js';
import { createNode, type MokuNode } from './node.js';
import type { NodeStatus } from './status.js';

export interface Listen {
  readonly host: string;
  /** 0: any free port; only for a cluster of one node, whose address nobody else has to know. */
  readonly port: number;
}

export interface StartOptions {
  readonly dir: string;
  readonly clusterId: string;
  readonly nodeId: NodeId;
  /** The initial roster; just this node when it is alone. */
  readonly nodes: readonly NodeDescriptor[];
  readonly timings?: Partial<NodeTimings>;
  /** Where other nodes reach this one; not needed when alone. */
  readonly peerListen?: Listen;
  /** Where clients reach it; without it only this process does. */
  readonly clientListen?: Listen;
  readonly adminListen?: Listen;
  readonly logger?: TransportLogger;
  /** The node cannot go on (P7). Default: the error is thrown outside of every call, which ends the process. */
  readonly onFatal?: (error: Error) => void;
}

export interface RunningNode {
  readonly nodeId: NodeId;
  /** For calls from this process. */
  readonly handler: RequestHandler;
  readonly clientAddress: string | undefined;
  readonly peerAddress: string | undefined;
  readonly adminAddress: string | undefined;
  status(): NodeStatus;
  isReady(): boolean;
  /** Hands over leaderships, drains, flushes, closes. `graceMs` (default 5,000) bounds the handover. */
  close(graceMs?: number): Promise<void>;
}

/** No peers, no sessions: the transport of a node that is alone. */
const noTransport: Transport = {
  subscribe: () => {},
  send: (_session: LinkSession) => false,
  bufferedBytes: () => 0,
  closeSession: () => {},
};

/** How long the end of a node waits until it is written that its log forgot. */
const noteMsMax = 2_000;

/** What was opened so far, closed in reverse order when a later step fails or at the end. */
class Opened {
  private readonly closers: (() => Promise<void> | void)[] = [];

  add(close: () => Promise<void> | void): void {
    this.closers.push(close);
  }

  /** Closes everything, also what comes behind a failure; then rejects with the first one. */
  async close(): Promise<void> {
    const failures: unknown[] = [];
    for (let close = this.closers.pop(); close !== undefined; close = this.closers.pop()) {
      try {
        // In order on purpose: each relies on what was opened before it.
        await close();
      } catch (error) {
        failures.push(error);
      }
    }
    if (failures.length > 0) throw failures[0];
  }
}

/**
 * Opens a directory and runs a node on it. Throws DIR_UNUSABLE, DIR_LOCKED, DIR_FOREIGN,
 * DIR_FORMAT_NEWER, PORT_IN_USE, CONFIG_INVALID, SYNC_DISABLED, LOG_AMNESIA.
 */
export async function startNode(options: StartOptions): Promise<RunningNode> {
  const opened = new Opened();
  try {
    return await start(options, opened);
  } catch (error) {
    // Why it did not start is what counts.
    await opened.close().catch(() => {});
    throw error;
  }
}

async function start(options: StartOptions, opened: Opened): Promise<RunningNode> {
  const { dir, clusterId, nodeId } = options;
  const config = {
    nodeId,
    clusterId,
    roster: options.nodes,
    timings: { ...defaultTimings, ...options.timings },
  };
  checkNodeConfig(config);
  const log = await openLogStore({ dir, clusterId, nodeId });
  opened.add(() => log.close());
  const engine = await openEngine({ dir });
  opened.add(() => engine.close());
  await refuseForEver(log, engine, dir);
  const links = await openLinks(options, log);
  if (links !== undefined) opened.add(() => links.close());
  const onFatal = rememberingAmnesia(log, options.onFatal ?? throwOutside);
  const node = createNode(config, {
    clock: createSystemClock(),
    prng: createPrng(randomBytes(6).readUIntLE(0, 6)),
    log,
    engine,
    transport: links ?? noTransport,
    onFatal,
    adapterStatus: () => ({ links: links?.status() ?? [], engine: engine.stats() }),
    onEvent: (event, details) => {
      const { logger } = options;
      if (event === 'replicaFailed') logger?.warn(details, 'a replica is out of service');
      if (event === 'nodeRegistered') logger?.info(details, 'node registered');
    },
  });
  // Its loop runs from now on: it must not outlive a start that fails, or what it was wired to.
  opened.add(() => node.close(0));
  const servers = await openServers(options, node, opened);
  return running(node, { opened, links, ...servers });
}

/**
 * A log that a leader has shown to have lost what it acknowledged is refused at the next start, too (P6).
 * The node has stopped by then; its end waits for that to be written, but not for ever.
 */
function rememberingAmnesia(
  log: SqliteLogStore,
  onFatal: (error: Error) => void,
): (error: Error) => void {
  return (error) => {
    if (!isMokuError(error, 'LOG_AMNESIA')) {
      onFatal(error);
      return;
    }
    const isLate = new Promise<void>((resolve) => {
      createSystemClock().after(noteMsMax, resolve);
    });
    const end = (): void => onFatal(error);
    Promise.race([
      log.noteAmnesia(`a leader missed what was acknowledged: ${error.message}`),
      isLate,
    ]).then(end, end);
  };
}

async function openLinks(options: StartOptions, log: SqliteLogStore): Promise<Links | undefined> {
  const { nodeId, clusterId, nodes } = options;
  const peers = nodes.filter((node) => node.nodeId !== nodeId);
  if (peers.length === 0) return undefined;
  if (options.peerListen === undefined) {
    throw new MokuError('CONFIG_INVALID', {
      field: 'peerListen',
      rule: 'needed when there are other nodes',
    });
  }
  const storeKey = (peer: NodeId): string => `peer/${peer}/storeId`;
  const text = new TextDecoder();
  return createLinks({
    nodeId,
    clusterId,
    storeId: log.storeId,
    incarnation: log.incarnation,
    listen: options.peerListen,
    peers: peers.map((peer) => ({ nodeId: peer.nodeId, address: peer.peerAddress })),
    knownStoreId: (peer) => {
      const known = log.getMeta(storeKey(peer));
      return known === undefined ? undefined : text.decode(known);
    },
    rememberStoreId: (peer, storeId) =>
      log.setMeta(storeKey(peer), new TextEncoder().encode(storeId)),
    clock: createSystemClock(),
    prng: createPrng(randomBytes(6).readUIntLE(0, 6)),
    ...(options.logger === undefined ? {} : { logger: options.logger }),
  });
}

interface Servers {
  readonly requests: RequestServer | undefined;
  readonly admin: AdminServer | undefined;
}

async function openServers(
  options: StartOptions,
  node: MokuNode,
  opened: Opened,
): Promise<Servers> {
  let requests: RequestServer | undefined;
  let admin: AdminServer | undefined;
  if (options.clientListen !== undefined) {
    const server = await createRequestServer({
      listen: options.clientListen,
      handler: node.handler,
    });
    requests = server;
    opened.add(() => server.close());
  }
  if (options.adminListen !== undefined) {
    const server = await startAdmin(node, options.adminListen);
    admin = server;
    opened.add(() => server.close());
  }
  return { requests, admin };
}

function running(
  node: MokuNode,
  parts: Servers & { opened: Opened; links: Links | undefined },
): RunningNode {
  const { opened, links, requests, admin } = parts;
  let closing: Promise<void> | undefined;
  return {
    nodeId: node.nodeId,
    handler: node.handler,
    clientAddress: requests === undefined ? undefined : formatAddress(requests.address),
    peerAddress: links === undefined ? undefined : formatAddress(links.address),
    adminAddress: admin?.address,
    status: () => node.status(),
    isReady: () => node.isReady(),
    close(graceMs = 5_000) {
      closing ??= node.close(graceMs).then(() => opened.close());
      return closing;
    },
  };
}

function throwOutside(error: Error): void {
  setImmediate(() => {
    throw error;
  });
}
