/**
 * A cluster of node processes on this machine, for development, demonstrations and tests: each node is
 * `moku serve` in a process of its own, on loopback ports, in a directory of its own.
 *
 * Invariant V1: only processes started here are ever signalled, by their ids.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { closeSync, mkdirSync, openSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { MokuError, type NodeId, toNodeId } from '@moku/base';
import { freePorts } from './ports.js';

export interface DevNode {
  readonly nodeId: NodeId;
  readonly dir: string;
  /** What the process wrote: its structured log. */
  readonly logFile: string;
  readonly peerAddress: string;
  readonly clientAddress: string;
  readonly adminAddress: string;
}

export interface DevClusterOptions {
  /** 1 … 9. */
  readonly nodes: number;
  /** Holds one directory per node; used again when it has been used before. */
  readonly dir: string;
  readonly clusterId?: string;
  /** Further arguments of `moku serve`. */
  readonly serveArguments?: readonly string[];
  /** Further environment of the processes. */
  readonly environment?: Readonly<Record<string, string>>;
  /** What runs Node: the executable and its options. Default: this process's own. */
  readonly execArguments?: readonly string[];
}

const cliFile = fileURLToPath(new URL('../../dist/cli/main.js', import.meta.url));
const host = '127.0.0.1';

export class DevCluster {
  readonly clusterId: string;
  readonly nodes: readonly DevNode[];
  private readonly options: DevClusterOptions;
  private readonly processes = new Map<NodeId, ChildProcess>();
  private readonly exits = new Map<NodeId, Promise<string>>();

  private constructor(options: DevClusterOptions, nodes: readonly DevNode[]) {
    this.options = options;
    this.nodes = nodes;
    this.clusterId = options.clusterId ?? 'dev';
  }

  /** Starts all nodes and waits until each is ready, at most `readyMs`. Throws what a node said when it ended. */
  static async start(options: DevClusterOptions, readyMs = 30_000): Promise<DevCluster> {
    if (!Number.isInteger(options.nodes) || options.nodes < 1 || options.nodes > 9) {
      throw new MokuError('CONFIG_INVALID', {
        field: 'nodes',
        value: options.nodes,
        min: 1,
        max: 9,
      });
    }
    const cluster = new DevCluster(options, await layOut(options));
    try {
      for (const node of cluster.nodes) cluster.spawn(node.nodeId);
      await Promise.all(cluster.nodes.map((node) => cluster.ready(node.nodeId, readyMs)));
    } catch (error) {
      await cluster.stop(1_000);
      throw error;
    }
    return cluster;
  }

  get clientAddresses(): string[] {
    return this.nodes.map((node) => node.clientAddress);
  }

  node(nodeId: NodeId): DevNode {
    const node = this.nodes.find((candidate) => candidate.nodeId === nodeId);
    if (node === undefined)
      throw new MokuError('INVALID_ARGUMENT', { field: 'nodeId', value: nodeId });
    return node;
  }

  pid(nodeId: NodeId): number | undefined {
    return this.processes.get(nodeId)?.pid;
  }

  /** Starts the node's process on its directory and ports. */
  spawn(nodeId: NodeId): void {
    const node = this.node(nodeId);
    const log = openSync(node.logFile, 'a');
    const serve = [
      ...(this.options.execArguments ?? []),
      cliFile,
      'serve',
      ...this.arguments(node),
    ];
    const child = spawn(process.execPath, serve, {
      stdio: ['ignore', log, log],
      env: { ...process.env, ...this.options.environment },
    });
    closeSync(log);
    this.processes.set(nodeId, child);
    const ended = new Promise<string>((resolve) => {
      child.once('error', (error) => resolve(error.message));
      child.once('exit', (code, signal) => resolve(signal ?? `exit code ${code}`));
    });
    this.exits.set(
      nodeId,
      ended.finally(() => {
        if (this.processes.get(nodeId) === child) this.processes.delete(nodeId);
      }),
    );
  }

  /** Waits until the node says that it is ready. Throws UNAVAILABLE with the end of its log. */
  async ready(nodeId: NodeId, withinMs = 30_000): Promise<void> {
    const node = this.node(nodeId);
    const dueMs = performance.now() + withinMs;
    while (performance.now() < dueMs) {
      if (!this.processes.has(nodeId)) break;
      if (await answersReady(node.adminAddress)) return;
      await delay(25);
    }
    const reason = this.processes.has(nodeId)
      ? `not ready within ${withinMs} ms`
      : await this.exits.get(nodeId);
    throw new MokuError('UNAVAILABLE', { nodeId, reason, log: lastLines(node.logFile) });
  }

  /** Sends a signal to the node's process; resolves once it has ended when the signal ends it. */
  async kill(nodeId: NodeId, signal: NodeJS.Signals): Promise<void> {
    this.processes.get(nodeId)?.kill(signal);
    if (signal === 'SIGKILL' || signal === 'SIGTERM') await this.exits.get(nodeId);
  }

  /** How the node's process ended ('exit code 0', 'SIGKILL'); resolves once it has. */
  async ended(nodeId: NodeId): Promise<string> {
    return (await this.exits.get(nodeId)) ?? 'never started';
  }

  /** Orderly end of all nodes; those that take longer than `graceMs` are killed. */
  async stop(graceMs = 10_000): Promise<void> {
    await Promise.all(
      this.nodes.map(async ({ nodeId }) => {
        const child = this.processes.get(nodeId);
        if (child === undefined) return;
        const timer = setTimeout(() => child.kill('SIGKILL'), graceMs);
        child.kill('SIGTERM');
        await this.exits.get(nodeId);
        clearTimeout(timer);
      }),
    );
  }

  private arguments(node: DevNode): string[] {
    const roster = this.nodes
      .map((n) => `${n.nodeId}=${n.peerAddress}/${n.clientAddress}`)
      .join(',');
    return [
      ...['--dir', node.dir, '--node-id', String(node.nodeId), '--cluster', this.clusterId],
      ...['--nodes', roster, '--admin', node.adminAddress],
      ...(this.options.serveArguments ?? []),
    ];
  }
}

async function layOut(options: DevClusterOptions): Promise<DevNode[]> {
  const ports = await freePorts(options.nodes * 3, host);
  return Array.from({ length: options.nodes }, (_, i) => {
    const dir = join(options.dir, `node-${i + 1}`);
    mkdirSync(dir, { recursive: true });
    const [peer, client, admin] = ports.slice(i * 3, i * 3 + 3);
    return {
      nodeId: toNodeId(i + 1),
      dir,
      logFile: join(options.dir, `node-${i + 1}.log`),
      peerAddress: `${host}:${peer}`,
      clientAddress: `${host}:${client}`,
      adminAddress: `${host}:${admin}`,
    };
  });
}

async function answersReady(address: string): Promise<boolean> {
  try {
    const response = await fetch(`http://${address}/readyz`, {
      signal: AbortSignal.timeout(1_000),
    });
    await response.arrayBuffer();
    return response.ok;
  } catch {
    // Not listening yet: asked again until the deadline.
    return false;
  }
}

function lastLines(file: string): string {
  const lines = readFileSync(file, 'utf8').trimEnd().split('\n');
  return lines.slice(-5).join(' | ');
}
