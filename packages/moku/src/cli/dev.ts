/**
 * `moku dev`: a cluster of processes on this machine until Ctrl-C.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Command } from 'commander';
import { DevCluster } from '../dev/cluster.js';
import { interrupted } from '../dev/interrupt.js';
import type { Cli } from './cli.js';
import { defaultNodes, refuseClientOptions, wholeNumber } from './client-options.js';
import { exitCodes } from './exit-codes.js';
import type { Output } from './output.js';

interface DevFlags {
  readonly nodes?: number;
  readonly dir?: string;
  readonly port?: number;
}

const nodesDefault = 3;
/** Where every command looks for nodes. */
const portDefault = 7_400;
const graceMs = 15_000;

export function addDev(program: Command, cli: Cli): void {
  const command = program
    .command('dev')
    .description('run a cluster of processes on this machine until Ctrl-C')
    .option('--nodes <n>', `how many nodes: 1 … 9 (${nodesDefault})`, wholeNumber('--nodes', 1, 9))
    .option('--dir <path>', 'keep the data here (a temporary directory, removed at the end)')
    .option(
      '--port <n>',
      `client port of node 1, the others follow (${portDefault}, or any free ones)`,
      wholeNumber('--port', 1, 0xffff - 9),
    )
    .option('--json', 'addresses as one JSON line')
    .action(async (flags: DevFlags) => {
      refuseClientOptions(command);
      cli.exitCode = await dev(cli.output(command), flags);
    });
  command.addHelpText(
    'after',
    `
Examples:
  moku dev
  moku dev --nodes 5 --dir ./cluster`,
  );
}

async function dev(out: Output, flags: DevFlags): Promise<number> {
  const { nodes = nodesDefault, port } = flags;
  const ending = wishToEnd();
  const dir = flags.dir ?? mkdtempSync(join(tmpdir(), 'moku-dev-'));
  let cluster: DevCluster | undefined;
  try {
    const wish = { firstClientPort: port ?? portDefault, isPortFixed: port !== undefined };
    cluster = await DevCluster.start({ nodes, dir, ...wish });
    await tell(out, cluster, dir);
    const allEnded = tellEnds(out, cluster);
    const isInterrupted = await Promise.race([ending.then(() => true), allEnded.then(() => false)]);
    return isInterrupted ? exitCodes.done : exitCodes.failed;
  } finally {
    await cluster?.stop(graceMs);
    if (flags.dir === undefined) rmSync(dir, { recursive: true, force: true });
  }
}

async function tell(out: Output, cluster: DevCluster, dir: string): Promise<void> {
  if (out.isJson) {
    const nodes = cluster.nodes.map((node) => ({ ...node, pid: cluster.pid(node.nodeId) }));
    await out.json({ clusterId: cluster.clusterId, dir, nodes });
    return;
  }
  const rows = cluster.nodes.map((node) => {
    const { nodeId, clientAddress, adminAddress } = node;
    return [nodeId, clientAddress, `http://${adminAddress}/status`, String(cluster.pid(nodeId))];
  });
  await out.table(['NODE', 'CLIENTS', 'ADMIN', 'PID'], rows);
  const [first = ''] = cluster.clientAddresses;
  const where = first === defaultNodes ? '' : ` --nodes ${first}`;
  await out.line(`
Data and logs are in ${dir}. In another terminal:
  moku create users --mode hash${where}
  moku put users alice '{"age":31}'${where}
  moku get users alice${where}
  moku status${where}

Ctrl-C ends it.`);
}

/** Says which node ended by itself; resolves when none is left. */
async function tellEnds(out: Output, cluster: DevCluster): Promise<void> {
  await Promise.all(
    cluster.nodes.map(async ({ nodeId, logFile }) => {
      const how = await cluster.ended(nodeId);
      if (!cluster.isStopping)
        await out.note(`moku: node ${nodeId} ended (${how}): see ${logFile}`);
    }),
  );
}

/** A signal; or nobody reads the addresses any more, and nobody is left to end the nodes. */
function wishToEnd(): Promise<unknown> {
  const readerGone = new Promise((resolve) => process.stdout.once('error', resolve));
  return Promise.race([interrupted(), readerGone]);
}
