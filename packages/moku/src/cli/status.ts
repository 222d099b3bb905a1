/**
 * `moku status`: every node in one line.
 */
import type { Command } from 'commander';
import { askNodes, type NodeAnswer, tellSilent } from './ask-nodes.js';
import type { Cli, ClientSession } from './cli.js';
import { addConnectionOptions } from './client-options.js';
import { exitCodes } from './exit-codes.js';
import { type Cell, count, mebibytes } from './output.js';

export function addStatus(program: Command, cli: Cli): void {
  const command = program
    .command('status')
    .description(
      'show every node: regions, leaders, memory, log, links; exit code 1 when one is silent',
    )
    .action(() => cli.withDatabase(command, status));
  addConnectionOptions(command);
}

const head = [
  'NODE',
  'CLIENTS',
  'REGIONS',
  'LEADS',
  'AWAKE',
  'UNATTACHED',
  'RSS',
  'LOG IN FLIGHT',
  'LINKS',
  'UP',
];

async function status({ db, out, call }: ClientSession): Promise<number> {
  const view = await db.view(call);
  const answers = await askNodes(view, call, (node, options) =>
    db.admin.status(node.nodeId, options),
  );
  if (out.isJson) for (const item of answers) await out.json(jsonOf(item));
  else {
    const spaces = view.keyspaces.length;
    const what = `${view.nodes.length} nodes, ${spaces} keyspaces, ${view.regions.length} regions`;
    await out.line(`cluster ${view.clusterId}: ${what}\n`);
    await out.table(head, answers.map(rowOf));
  }
  return (await tellSilent(answers, out)) ? exitCodes.done : exitCodes.failed;
}

function jsonOf(item: NodeAnswer<unknown>): unknown {
  const { nodeId, clientAddress } = item.node;
  return 'code' in item
    ? { nodeId, clientAddress, answers: false, code: item.code }
    : { nodeId, clientAddress, answers: true, status: item.answer };
}

function rowOf(item: NodeAnswer<unknown>): Cell[] {
  const { nodeId, clientAddress } = item.node;
  if ('code' in item)
    return [nodeId, clientAddress, item.code, ...Array.from(head.slice(3), () => '')];
  const said = item.answer;
  const number = (...path: string[]): number => numberAt(said, path);
  return [
    nodeId,
    clientAddress,
    count(number('node', 'regions')),
    count(number('node', 'leaders')),
    count(number('node', 'awake')),
    count(number('node', 'unattachedPairs')),
    mebibytes(number('process', 'rssBytes')),
    `${number('log', 'batchesInFlight')} (${mebibytes(number('log', 'bytesInFlight'))})`,
    linksOf(said),
    duration(number('process', 'uptimeMs')),
  ];
}

/** Open links of all: a node of another version may say less than this one knows. */
function linksOf(said: unknown): string {
  const peers = at(said, ['node', 'peers']);
  if (!Array.isArray(peers)) return '?';
  const open = peers.filter((peer) => at(peer, ['isOpen']) === true);
  return `${open.length}/${peers.length}`;
}

function numberAt(value: unknown, path: readonly string[]): number {
  const found = at(value, path);
  return typeof found === 'number' ? found : Number.NaN;
}

function at(value: unknown, path: readonly string[]): unknown {
  let found = value;
  for (const name of path) {
    if (typeof found !== 'object' || found === null) return undefined;
    found = Reflect.get(found, name);
  }
  return found;
}

/** 12s, 3m 20s, 5h 7m, 2d 3h */
export function duration(ms: number): string {
  const units: readonly [number, string][] = [
    [86_400, 'd'],
    [3_600, 'h'],
    [60, 'm'],
    [1, 's'],
  ];
  let seconds = Math.floor(ms / 1000);
  const parts: string[] = [];
  for (const [size, name] of units) {
    if (parts.length === 0 && seconds < size && size > 1) continue;
    parts.push(`${Math.floor(seconds / size)}${name}`);
    seconds %= size;
  }
  return parts.slice(0, 2).join(' ');
}
