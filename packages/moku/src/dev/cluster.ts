/**
 * A cluster of node processes on this machine, for development, demonstrations and tests: each node is
 * `moku serve` in a process of its own, on loopback ports, in a directory of its own.
 *
 * Invariants:
 *  V1 Only processes started here are ever signalled, by their ids.
 *  V2 No node outlives this process, however it ends: nodes end with their standard input.
 *  V3 A node is ready when its own process says so: another process on its port does not count.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { closeSync, fstatSync, mkdirSync, openSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { isMokuError, MokuError, type NodeId, toNodeId } from '@moku/base';
import { codeOfFailure, lastLines, readFrom } from './node-log.js';
import { choosePorts, type PortWish } from './ports.js';
import { readyProcess } from './readiness.js';

export interface DevNode {
  readonly nodeId: NodeId;
  readonly dir: string;
  /** What the process wrote: its structured log. */
  readonly logFile: string;
  readonly peerAddress: string;
  readonly clientAddress: string;
  readonly adminAddress: string;
}

export interface DevClusterOptions extends PortWish {
  /** 1 … 9. */
  readonly nodes: number;
  /** Holds one directory per node; used again when it has been used before. */
  readonly dir: string;
  /** Default 'dev'. */
  readonly clusterId?: string;
  /** Further arguments of `moku serve`, or what says them for a node at each of its starts. */
  readonly serveArguments?:
    | readonly string[]
    | ((node: DevNode, nodes: readonly DevNode[]) => readonly string[]);
  /** Further environment of the processes. MOKU_* variables of this process are not passed on. */
  readonly environment?: Readonly<Record<string, string>>;
  /** Options of Node, before the script. */
  readonly execArguments?: readonly string[];
}

/** A process of a node, and where its part of the log begins. */
interface Running {
  readonly child: ChildProcess;
  readonly logStart: number;
  /** How it ended. */
  readonly ended: Promise<string>;
}

const cliFile = fileURLToPath(new URL('../../dist/cli/main.js', import.meta.url));
const host = '127.0.0.1';
const startAttemptsMax = 5;
const readyWithinMsDefault = 30_000;

export class DevCluster {
  readonly clusterId: string;
  readonly nodes: readonly DevNode[];
  private readonly options: DevClusterOptions;
  /** The last process of each node, also when it has ended. */
  private readonly processes = new Map<NodeId, Running>();
  private readonly alive = new Set<ChildProcess>();
  private stopping = false;

  private constructor(options: DevClusterOptions, nodes: readonly DevNode[]) {
    this.options = options;
    this.nodes = nodes;
    this.clusterId = options.clusterId ?? 'dev';
  }

  /**
   * Starts all nodes and waits until each is ready, at most `readyMs`. A port that somebody took in the
   * meantime leads to other ports. Throws UNAVAILABLE with the last lines of a node that did not start,
   * CONFIG_INVALID, PORT_IN_USE (with isPortFixed).
   */
  static async start(
    options: DevClusterOptions,
    readyMs: number = readyWithinMsDefault,
  ): Promise<DevCluster> {
    const { nodes: value } = options;
    if (!Number.isInteger(value) || value < 1 || value > 9) {
      throw new MokuError('CONFIG_INVALID', { field: 'nodes', value, min: 1, max: 9 });
    }
    for (let attempt = 1; ; attempt++) {
      const cluster = new DevCluster(options, await layOut(options));
      try {
        await cluster.startAll(readyMs);
        return cluster;
      } catch (error) {
        await cluster.stop(1_000);
        const isPortLost = isMokuError(error) && error.details['nodeCode'] === 'PORT_IN_USE';
        if (!isPortLost || attempt === startAttemptsMax) throw error;
      }
    }
  }

  get clientAddresses(): string[] {
    return this.nodes.map((node) => node.clientAddress);
  }

  /** True once `stop` was called. */
  get isStopping(): boolean {
    return this.stopping;
  }

  /** Throws INVALID_ARGUMENT for an id that is not of this cluster. */
  node(nodeId: NodeId): DevNode {
    const node = this.nodes.find((candidate) => candidate.nodeId === nodeId);
    if (node === undefined) {
      throw new MokuError('INVALID_ARGUMENT', { field: 'nodeId', value: nodeId });
    }
    return node;
  }

  /** The node's process while it runs. */
  pid(nodeId: NodeId): number | undefined {
    return this.running(nodeId)?.child.pid;
  }

  /**
   * Starts the node's process on its directory and ports. Its former process must have ended.
   * Throws CLOSED once `stop` was called.
   */
  spawn(nodeId: NodeId): void {
    const node = this.node(nodeId);
    if (this.stopping) throw new MokuError('CLOSED', { field: 'cluster' });
    if (this.running(nodeId) !== undefined) {
      throw new MokuError('INVALID_ARGUMENT', {
        field: 'nodeId',
        value: nodeId,
        rule: 'not running',
      });
    }
    const log = openSync(node.logFile, 'a');
    const logStart = fstatSync(log).size;
    const { execArguments = [], environment } = this.options;
    const child = spawn(
      process.execPath,
      [...execArguments, cliFile, 'serve', ...this.arguments(node)],
      {
        stdio: ['pipe', log, log],
        env: { ...foreignEnvironment(), ...environment },
        // A terminal's Ctrl-C is for this process, which ends its nodes in its own way.
        detached: true,
      },
    );
    closeSync(log);
    this.alive.add(child);
    const ended = new Promise<string>((resolve) => {
      const end = (how: string): void => {
        this.alive.delete(child);
        resolve(how);
      };
      child.once('error', (error) => end(error.message));
      child.once('exit', (code, signal) => end(signal ?? `exit code ${code}`));
    });
    this.processes.set(nodeId, { child, logStart, ended });
  }

  /** Waits until the node says that it is ready. Throws UNAVAILABLE with the end of its log. */
  async ready(nodeId: NodeId, withinMs: number = readyWithinMsDefault): Promise<void> {
    const node = this.node(nodeId);
    const dueMs = performance.now() + withinMs;
    while (performance.now() < dueMs) {
      const pid = this.pid(nodeId);
      if (pid === undefined) break;
      if ((await readyProcess(node.adminAddress)) === pid) return;
      await delay(25);
    }
    const isRunning = this.running(nodeId) !== undefined;
    const reason = isRunning ? `not ready within ${withinMs} ms` : await this.ended(nodeId);
    const log = readFrom(node.logFile, this.processes.get(nodeId)?.logStart ?? 0);
    const nodeCode = codeOfFailure(log);
    throw new MokuError('UNAVAILABLE', {
      nodeId,
      reason,
      ...(nodeCode === undefined ? {} : { nodeCode }),
      log: lastLines(log),
    });
  }

  /** Resolves once the node's process has ended, to how it did. */
  async ended(nodeId: NodeId): Promise<string> {
    return (await this.processes.get(nodeId)?.ended) ?? 'never started';
  }

  /** Sends a signal to the node's process; resolves once it has ended when the signal ends it. */
  async kill(nodeId: NodeId, signal: NodeJS.Signals): Promise<void> {
    const running = this.running(nodeId);
    running?.child.kill(signal);
    if (signal === 'SIGKILL' || signal === 'SIGTERM') await running?.ended;
  }

  /** Orderly end of all nodes; those that take longer than `graceMs` are killed. */
  async stop(graceMs = 10_000): Promise<void> {
    this.stopping = true;
    await Promise.all(
      this.nodes.map(async ({ nodeId }) => {
        const running = this.running(nodeId);
        if (running === undefined) return;
        const timer = setTimeout(() => running.child.kill('SIGKILL'), graceMs);
        running.child.kill('SIGTERM');
        await running.ended;
        clearTimeout(timer);
      }),
    );
  }

  private async startAll(readyMs: number): Promise<void> {
    for (const node of this.nodes) this.spawn(node.nodeId);
    await Promise.all(this.nodes.map((node) => this.ready(node.nodeId, readyMs)));
  }

  private running(nodeId: NodeId): Running | undefined {
    const last = this.processes.get(nodeId);
    return last !== undefined && this.alive.has(last.child) ? last : undefined;
  }

  private arguments(node: DevNode): string[] {
    const { serveArguments = [] } = this.options;
    const further =
      typeof serveArguments === 'function' ? serveArguments(node, this.nodes) : serveArguments;
    const roster = this.nodes
      .map((n) => `${n.nodeId}=${n.peerAddress}/${n.clientAddress}`)
      .join(',');
    return [
      ...['--dir', node.dir, '--node-id', String(node.nodeId), '--cluster', this.clusterId],
      ...['--nodes', roster, '--admin', node.adminAddress, '--until-stdin-ends'],
      ...further,
    ];
  }
}

async function layOut(options: DevClusterOptions): Promise<DevNode[]> {
  const ports = await choosePorts(options.nodes, host, options);
  return ports.map(({ peer, client, admin }, i) => {
    const dir = join(options.dir, `node-${i + 1}`);
    mkdirSync(dir, { recursive: true });
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

/** This process's environment without what would set up the nodes. */
function foreignEnvironment(): NodeJS.ProcessEnv {
  const entries = Object.entries(process.env).filter(([name]) => !name.startsWith('MOKU_'));
  return Object.fromEntries(entries);
}
