/**
 * The `moku` command as a process of its own: run to its end, or kept serving.
 *
 * Every process started here is ended by its id; none outlives the tests.
 */
import { type ChildProcessWithoutNullStreams, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createServer, type Server } from 'node:net';
import { fileURLToPath } from 'node:url';
import { vi } from 'vitest';

const command = fileURLToPath(new URL('../../packages/moku/bin/moku.js', import.meta.url));
const host = '127.0.0.1';

/** Longest life of a command that ends by itself. */
const commandMsMax = 60_000;

export interface Ended {
  readonly exitCode: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly out: string;
  readonly err: string;
  readonly elapsedMs: number;
}

export interface Running {
  readonly child: ChildProcessWithoutNullStreams;
  readonly ended: Promise<Ended>;
  /** What it wrote to stdout so far. */
  readonly out: () => string;
}

/** Starts a script of ours, the `moku` command by default, without MOKU_* variables of this process. */
export function start(
  args: readonly string[],
  env: Readonly<Record<string, string>> = {},
  script: readonly string[] = [command],
): Running {
  const own = Object.entries(process.env).filter(([name]) => !/^(MOKU_|NODE_OPTIONS)/.test(name));
  const child = spawn(process.execPath, [...script, ...args], {
    env: { ...Object.fromEntries(own), ...env },
    stdio: 'pipe',
    timeout: commandMsMax,
    killSignal: 'SIGKILL',
  });
  const startMs = performance.now();
  const out: Buffer[] = [];
  const err: Buffer[] = [];
  child.stdout.on('data', (chunk: Buffer) => out.push(chunk));
  child.stderr.on('data', (chunk: Buffer) => err.push(chunk));
  // The reader may go before the writer has written all.
  child.stdin.on('error', () => {});
  const ended = once(child, 'close').then(([exitCode, signal]): Ended => {
    const elapsedMs = performance.now() - startMs;
    return {
      exitCode: exitCode as number | null,
      signal: signal as NodeJS.Signals | null,
      out: Buffer.concat(out).toString(),
      err: Buffer.concat(err).toString(),
      elapsedMs,
    };
  });
  return { child, ended, out: () => Buffer.concat(out).toString() };
}

/** Runs a command to its end. */
export function moku(args: readonly string[], stdin: string | Uint8Array = ''): Promise<Ended> {
  const running = start(args);
  running.child.stdin.end(stdin);
  return running.ended;
}

/** One `moku serve`, started again on the same directory and ports as often as a test likes. */
export class ServedNode {
  readonly clientAddress: string;
  readonly adminAddress: string;
  readonly dir: string;
  private running: Running | undefined;

  private constructor(dir: string, ports: readonly number[]) {
    this.dir = dir;
    this.clientAddress = `${host}:${ports[0]}`;
    this.adminAddress = `${host}:${ports[1]}`;
  }

  static async start(dir: string): Promise<ServedNode> {
    const node = new ServedNode(dir, await freePorts(2));
    await node.start();
    return node;
  }

  /** Starts it and waits until it is ready. */
  async start(more: readonly string[] = []): Promise<void> {
    const { dir, clientAddress, adminAddress } = this;
    const places = ['--dir', dir, '--listen', clientAddress, '--admin', adminAddress];
    const running = start(['serve', ...places, ...more]);
    this.running = running;
    let failure: Ended | undefined;
    const watching = running.ended.then((ended) => {
      failure = ended;
    });
    await vi.waitFor(
      async () => {
        if (failure === undefined && !(await isReady(adminAddress))) throw new Error('not ready');
      },
      { timeout: 30_000, interval: 50 },
    );
    if (failure === undefined) return;
    await watching;
    throw new Error(`the node ended: ${JSON.stringify(failure)}`);
  }

  /** The running process. */
  get process(): Running {
    if (this.running === undefined) throw new Error('the node is not running');
    return this.running;
  }

  /** Sends a signal and waits for the end. */
  async end(signal: NodeJS.Signals): Promise<Ended> {
    const running = this.process;
    running.child.kill(signal);
    const ended = await running.ended;
    this.running = undefined;
    return ended;
  }

  /** For `afterAll`: ends it if it runs. */
  async stop(): Promise<void> {
    if (this.running !== undefined) await this.end('SIGKILL');
  }
}

async function isReady(address: string): Promise<boolean> {
  try {
    const response = await fetch(`http://${address}/readyz`);
    await response.arrayBuffer();
    return response.ok;
  } catch {
    // It does not listen yet.
    return false;
  }
}

/** A server on a port of its own. */
export async function holdPort(
  port = 0,
): Promise<{ readonly port: number; readonly server: Server }> {
  const server = createServer((socket) => socket.destroy());
  server.listen(port, host);
  await once(server, 'listening');
  const address = server.address();
  if (typeof address !== 'object' || address === null) throw new Error('no port');
  return { port: address.port, server };
}

export async function releasePort(server: Server): Promise<void> {
  server.close();
  await once(server, 'close');
}

/** Ports that were free a moment ago, all different. */
export async function freePorts(count: number): Promise<number[]> {
  const held = await Promise.all(Array.from({ length: count }, () => holdPort()));
  await Promise.all(held.map(({ server }) => releasePort(server)));
  return held.map(({ port }) => port);
}

/** True while a process of this id exists. */
export function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    // ESRCH: it is gone.
    return false;
  }
}
