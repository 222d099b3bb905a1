/**
 * `moku regions`: one line per region over all nodes, or per replica of one node; with `--why`, what keeps
 * each of them from rest.
 */
import { MokuError, type NodeId, toNodeId } from '@moku/base';
import type { RegionReport } from '@moku/client';
import type { ClusterView } from '@moku/kv';
import type { Command } from 'commander';
import { askNodes, tellSilent } from './ask-nodes.js';
import type { Cli, ClientSession } from './cli.js';
import { addConnectionOptions, wholeNumber } from './client-options.js';
import { exitCodes } from './exit-codes.js';
import type { Cell } from './output.js';

interface RegionFlags {
  readonly keyspace?: string;
  readonly node?: number;
  readonly why?: boolean;
}

interface ReplicaReport extends RegionReport {
  readonly nodeId: NodeId;
}

/** All that is known of one region. */
interface RegionRow {
  readonly regionId: number;
  readonly keyspace: string;
  readonly mode: string;
  /** The leader's own report, else that of the replica with the highest term. */
  readonly best: ReplicaReport;
  readonly replicas: readonly ReplicaReport[];
}

const reasons: Readonly<Record<string, string>> = {
  noLeader: 'knows no leader',
  electing: 'is electing',
  unattached: 'is not attached to its leader',
  peerUnattached: 'leads a replica that is not attached',
  peerDown: 'leads a replica whose node is down',
  proposalsInFlight: 'has writes under way',
  readsInFlight: 'has reads under way',
  applyBehind: 'has committed entries to apply',
  snapshotSending: 'sends a snapshot',
  snapshotInstalling: 'installs a snapshot',
  logFetching: 'reads its log from disk',
};

export function addRegions(program: Command, cli: Cli): void {
  const command = program
    .command('regions')
    .description('show regions: range, leader, replicas, term, commit and applied index')
    .option('--keyspace <name>', 'only those of this keyspace')
    .option('--node <id>', 'as this node sees its replicas', wholeNumber('--node', 1, 65_535))
    .option('--why', 'why each one is awake, unattached, without leader or behind')
    .action((flags: RegionFlags) =>
      cli.withDatabase(command, (session) => regions(session, flags)),
    );
  addConnectionOptions(command);
  command.addHelpText(
    'after',
    `
Examples:
  moku regions --keyspace users
  moku regions --node 2 --why`,
  );
}

async function regions(session: ClientSession, flags: RegionFlags): Promise<number> {
  const { db, out, call } = session;
  const view = await db.view(call);
  const keyspaceId = keyspaceIdOf(view, flags.keyspace);
  const nodes = view.nodes.filter(
    ({ nodeId }) => flags.node === undefined || nodeId === flags.node,
  );
  if (flags.node !== undefined && nodes.length === 0) {
    const known = view.nodes.map(({ nodeId }) => nodeId).join(',');
    throw new MokuError('INVALID_ARGUMENT', {
      field: '--node',
      value: toNodeId(flags.node),
      known,
    });
  }
  const answers = await askNodes({ nodes }, call, (node, options) =>
    db.admin.regions(node.nodeId, options),
  );
  const reports: ReplicaReport[] = [];
  for (const item of answers) {
    if ('code' in item) continue;
    for (const report of item.answer) {
      if (keyspaceId !== undefined && report.keyspaceId !== keyspaceId) continue;
      reports.push({ ...report, nodeId: item.node.nodeId });
    }
  }
  const rows = rowsOf(view, reports);
  if (out.isJson) for (const row of rows) await out.json(jsonOf(row));
  else await printRows(session, rows, flags);
  return (await tellSilent(answers, out)) ? exitCodes.done : exitCodes.failed;
}

function keyspaceIdOf(view: ClusterView, name: string | undefined): number | undefined {
  if (name === undefined) return undefined;
  const found = view.keyspaces.find((keyspace) => keyspace.name === name);
  if (found === undefined) throw new MokuError('KEYSPACE_UNKNOWN', { field: '--keyspace', name });
  return found.keyspaceId;
}

function rowsOf(view: ClusterView, reports: readonly ReplicaReport[]): RegionRow[] {
  const byRegion = new Map<number, ReplicaReport[]>();
  for (const report of reports) {
    const replicas = byRegion.get(report.regionId);
    if (replicas === undefined) byRegion.set(report.regionId, [report]);
    else replicas.push(report);
  }
  const spaces = new Map(view.keyspaces.map((keyspace) => [keyspace.keyspaceId, keyspace]));
  const rows: RegionRow[] = [];
  for (const [regionId, replicas] of byRegion) {
    const best = replicas.reduce((a, b) => (rank(b) > rank(a) ? b : a));
    const keyspace = spaces.get(best.keyspaceId);
    const name = keyspace?.name ?? (regionId === 0 ? '(meta)' : '?');
    rows.push({ regionId, keyspace: name, mode: keyspace?.mode ?? 'range', best, replicas });
  }
  return rows.sort((a, b) => a.regionId - b.regionId);
}

/** Of two leaders the one of the higher term is the newer. */
function rank({ role, term }: ReplicaReport): number {
  return (role === 'leader' ? 2 ** 40 : 0) + term;
}

function jsonOf({ regionId, keyspace, mode, best, replicas }: RegionRow): unknown {
  return {
    regionId,
    keyspace,
    mode,
    startKey: best.startKey,
    endKey: best.endKey,
    leaderNodeId: best.leaderNodeId,
    term: best.term,
    commitIndex: best.commitIndex,
    appliedIndex: best.appliedIndex,
    replicas,
  };
}

async function printRows(
  { out }: ClientSession,
  rows: readonly RegionRow[],
  flags: RegionFlags,
): Promise<void> {
  const head = ['REGION', 'KEYSPACE', 'RANGE', 'LEADER', 'REPLICAS', 'TERM', 'COMMIT/APPLIED'];
  if (flags.node !== undefined) head.splice(3, 0, 'ROLE');
  if (flags.why === true) head.push('WHY');
  const cells = rows.map((row): Cell[] => {
    const { best } = row;
    const line: Cell[] = [
      row.regionId,
      row.keyspace,
      rangeOf(row),
      best.leaderNodeId === 0 ? 'none' : `node ${best.leaderNodeId}`,
      replicasOf(row),
      best.term,
      `${best.commitIndex}/${best.appliedIndex}`,
    ];
    if (flags.node !== undefined) line.splice(3, 0, best.role);
    if (flags.why === true) line.push(whyOf(row));
    return line;
  });
  await out.table(head, cells);
}

/** Nodes of the replicas; one that no answer came from is in brackets. */
function replicasOf({ best, replicas }: RegionRow): string {
  const heard = new Set(replicas.map((replica) => replica.nodeId));
  if (heard.size === 1 && best.peers.length === 0) return `${best.nodeId}`;
  const nodes = new Set([...heard, ...best.peers.map((peer) => peer.nodeId)]);
  const sorted = [...nodes].sort((a, b) => a - b);
  return sorted.map((nodeId) => (heard.has(nodeId) ? `${nodeId}` : `(${nodeId})`)).join(' ');
}

function whyOf({ replicas }: RegionRow): string {
  const parts = replicas
    .filter((replica) => replica.why.length > 0)
    .map(({ nodeId, why }) => {
      return `node ${nodeId} ${why.map((reason) => reasons[reason] ?? reason).join(', ')}`;
    });
  return parts.length === 0 ? 'at rest' : parts.join('; ');
}

const shownHexMax = 8;
const shownKeyMax = 24;

/** The range as people write keys; of hash keyspaces the first bytes of the hash. */
function rangeOf({ best, mode }: RegionRow): string {
  return `${boundOf(best.startKey, mode, '-∞')} … ${boundOf(best.endKey, mode, '∞')}`;
}

function boundOf(hex: string | undefined, mode: string, none: string): string {
  if (hex === undefined || hex === '') return none;
  if (mode === 'hash') return hex.slice(0, shownHexMax);
  const key = Buffer.from(hex, 'hex').toString('utf8');
  return key.length > shownKeyMax ? `${key.slice(0, shownKeyMax)}…` : key;
}
