/**
 * The two ways to a Database: a node in this process, or nodes elsewhere.
 */
import { randomBytes } from 'node:crypto';
import { createPrng, MokuError, type NodeDescriptor, toNodeId } from '@moku/base';
import { ClientDatabase, type Database } from '@moku/client';
import { type NodeTimings, type RunningNode, startNode } from '@moku/node';
import { createSystemClock, dialRequestChannel, localChannel } from '@moku/transport';
import { parseAddress } from './address.js';

export interface MemberOptions {
  /** This node's id in the cluster: 1 … 65,535. */
  readonly nodeId: number;
  /** All nodes of the cluster, this one included: where they listen for each other and for clients. */
  readonly nodes: readonly {
    readonly nodeId: number;
    readonly peerAddress: string;
    readonly clientAddress: string;
  }[];
  /** The same on every node; a directory belongs to one cluster. */
  readonly clusterId: string;
}

export interface OpenOptions {
  /** Directory of this node's log and data; made when missing. One process at a time. */
  readonly dir: string;
  /** Take part in a cluster; alone when not given. */
  readonly cluster?: MemberOptions;
  /** Let other processes in, as `connect()` does: host:port. Implied by `cluster`. */
  readonly listen?: string;
  /** Health, status and metrics over HTTP: host:port. */
  readonly admin?: string;
  readonly timings?: Partial<NodeTimings>;
  /** Called once when the node cannot go on; default: the error is thrown outside of every call. */
  readonly onFatal?: (error: Error) => void;
}

export interface EmbeddedDatabase extends Database {
  /** The node in this process. */
  readonly node: RunningNode;
}

export interface ConnectOptions {
  /** host:port of the client sockets of some nodes; the others are learned. */
  readonly nodes: readonly string[];
}

const soloClusterId = 'solo';

/**
 * Opens a database in this process. Alone, it is served as soon as this returns; as a member of a
 * cluster, calls wait for the others within their timeouts.
 * Throws DIR_UNUSABLE, DIR_LOCKED, DIR_FOREIGN, DIR_FORMAT_NEWER, PORT_IN_USE, CONFIG_INVALID.
 */
export async function open(options: OpenOptions): Promise<EmbeddedDatabase> {
  const { cluster } = options;
  const nodeId = toNodeId(cluster?.nodeId ?? 1);
  const nodes = cluster === undefined ? [soloNode(options)] : cluster.nodes.map(toDescriptor);
  nodes.sort((a, b) => a.nodeId - b.nodeId);
  const self = nodes.find((node) => node.nodeId === nodeId);
  if (self === undefined) {
    throw new MokuError('CONFIG_INVALID', {
      field: 'cluster.nodes',
      rule: `lists nodeId ${nodeId}`,
    });
  }
  const node = await startNode({
    dir: options.dir,
    clusterId: cluster?.clusterId ?? soloClusterId,
    nodeId,
    nodes,
    ...(cluster === undefined ? {} : { peerListen: parseAddress(self.peerAddress, 'peerAddress') }),
    ...(self.clientAddress === ''
      ? {}
      : { clientListen: parseAddress(self.clientAddress, 'listen') }),
    ...(options.admin === undefined ? {} : { adminListen: parseAddress(options.admin, 'admin') }),
    ...(options.timings === undefined ? {} : { timings: options.timings }),
    ...(options.onFatal === undefined ? {} : { onFatal: options.onFatal }),
  });
  const database = new ClientDatabase({
    clock: createSystemClock(),
    prng: randomPrng(),
    dial: (address) => dialRequestChannel({ address }),
    seeds: [],
    local: { nodeId, channel: localChannel(node.handler) },
    onClose: () => node.close(),
  });
  return Object.assign(database, { node });
}

/** Connects to nodes elsewhere. Nothing is sent before the first call. */
export function connect(options: ConnectOptions): Database {
  if (options.nodes.length === 0) {
    throw new MokuError('INVALID_ARGUMENT', { field: 'nodes', count: 0, min: 1 });
  }
  for (const address of options.nodes) parseAddress(address, 'nodes');
  return new ClientDatabase({
    clock: createSystemClock(),
    prng: randomPrng(),
    dial: (address) => dialRequestChannel({ address }),
    seeds: options.nodes,
  });
}

function soloNode(options: OpenOptions): NodeDescriptor {
  return { nodeId: toNodeId(1), peerAddress: '', clientAddress: options.listen ?? '' };
}

function toDescriptor(node: MemberOptions['nodes'][number]): NodeDescriptor {
  const { nodeId, peerAddress, clientAddress } = node;
  parseAddress(peerAddress, 'peerAddress');
  parseAddress(clientAddress, 'clientAddress');
  return { nodeId: toNodeId(nodeId), peerAddress, clientAddress };
}

function randomPrng() {
  return createPrng(randomBytes(6).readUIntLE(0, 6));
}
