/**
 * A Database served by a node in this process: alone by default, or as a member of a cluster.
 */
import { MokuError, type NodeDescriptor, noAddress, toNodeId } from '@moku/base';
import { ClientDatabase, type Database } from '@moku/client';
import { type NodeTimings, type RunningNode, type StartOptions, startNode } from '@moku/node';
import { createSystemClock, dialRequestChannel, localChannel, parseAddress } from '@moku/transport';
import { randomPrng } from './connect.js';

export interface MemberOptions {
  /** This node's id in the cluster: 1 … 65,535. */
  readonly nodeId: number;
  /** All nodes of the cluster, this one included: where they listen for each other and for clients. */
  readonly nodes: readonly {
    readonly nodeId: number;
    /** host:port */
    readonly peerAddress: string;
    /** host:port */
    readonly clientAddress: string;
  }[];
  /** 1 … 64 characters, the same on every node; a directory belongs to one cluster. */
  readonly clusterId: string;
}

export interface OpenOptions {
  /** Directory of this node's log and data; made when missing. One process at a time. */
  readonly dir: string;
  /** Take part in a cluster; alone when not given. */
  readonly cluster?: MemberOptions;
  /** Let other processes in, as `connect()` does: host:port. Not with `cluster`, which implies it. */
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

const soloClusterId = 'solo';

/**
 * Opens a database in this process. Alone, it takes calls as soon as this returns; as a member of a
 * cluster, calls wait for the others within their timeouts. `close()` ends the node too.
 * Throws INVALID_ARGUMENT, CONFIG_INVALID, DIR_UNUSABLE, DIR_LOCKED, DIR_FOREIGN, DIR_FORMAT_NEWER,
 * PORT_IN_USE, LOG_AMNESIA.
 */
export async function open(options: OpenOptions): Promise<EmbeddedDatabase> {
  const node = await startNode(startOptions(options));
  const database = new ClientDatabase({
    clock: createSystemClock(),
    prng: randomPrng(),
    dial: (address) => dialRequestChannel({ address }),
    seeds: [],
    local: { nodeId: node.nodeId, channel: localChannel(node.handler) },
    onClose: () => node.close(),
  });
  return Object.assign(database, { node });
}

function startOptions(options: OpenOptions): StartOptions {
  if (typeof options !== 'object' || options === null) {
    throw new MokuError('INVALID_ARGUMENT', { field: 'options', rule: 'an object with dir' });
  }
  const { dir, cluster, admin, timings, onFatal } = options;
  if (typeof dir !== 'string' || dir === '') {
    throw new MokuError('INVALID_ARGUMENT', { field: 'dir', rule: 'a path that is not empty' });
  }
  return {
    dir,
    ...(cluster === undefined ? alone(options) : member(cluster, options)),
    ...(admin === undefined ? {} : { adminListen: parseAddress(admin, 'admin') }),
    ...(timings === undefined ? {} : { timings }),
    ...(onFatal === undefined ? {} : { onFatal }),
  };
}

type Place = Pick<StartOptions, 'clusterId' | 'nodeId' | 'nodes' | 'peerListen' | 'clientListen'>;

function alone({ listen }: OpenOptions): Place {
  const nodeId = toNodeId(1);
  return {
    clusterId: soloClusterId,
    nodeId,
    nodes: [{ nodeId, peerAddress: noAddress, clientAddress: listen ?? noAddress }],
    ...(listen === undefined ? {} : { clientListen: parseAddress(listen, 'listen') }),
  };
}

function member(cluster: MemberOptions, { listen }: OpenOptions): Place {
  if (listen !== undefined) {
    throw new MokuError('INVALID_ARGUMENT', {
      field: 'listen',
      rule: 'not with cluster: the clientAddress of this node says where',
    });
  }
  const nodeId = toNodeId(cluster.nodeId);
  const nodes = cluster.nodes.map(toDescriptor).sort((a, b) => a.nodeId - b.nodeId);
  const self = nodes.find((node) => node.nodeId === nodeId);
  if (self === undefined) {
    throw new MokuError('CONFIG_INVALID', {
      field: 'cluster.nodes',
      rule: `lists nodeId ${nodeId}`,
    });
  }
  return {
    clusterId: cluster.clusterId,
    nodeId,
    nodes,
    peerListen: parseAddress(self.peerAddress, 'cluster.nodes.peerAddress'),
    clientListen: parseAddress(self.clientAddress, 'cluster.nodes.clientAddress'),
  };
}

function toDescriptor(node: MemberOptions['nodes'][number]): NodeDescriptor {
  const { nodeId, peerAddress, clientAddress } = node;
  parseAddress(peerAddress, 'cluster.nodes.peerAddress');
  parseAddress(clientAddress, 'cluster.nodes.clientAddress');
  return { nodeId: toNodeId(nodeId), peerAddress, clientAddress };
}
