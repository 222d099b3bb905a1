/**
 * What `moku serve` runs with: flags, then MOKU_* environment, then a JSON file, then defaults. Everything
 * is checked before anything is opened; an unknown setting is an error, wherever it stands.
 */
import { readFileSync } from 'node:fs';
import { MokuError, type NodeDescriptor, toNodeId } from '@moku/base';
import { z } from 'zod';
import { parseAddress } from '../address.js';

const address = z.string().regex(/^(\[[^\]]+\]|[^:[\]]+):\d{1,5}$/, 'host:port');
const member = z.strictObject({ nodeId: z.int().min(1).max(65_535), peer: address, client: address });

export const serveSchema = z.strictObject({
  dir: z.string().min(1),
  nodeId: z.int().min(1).max(65_535).default(1),
  cluster: z.string().min(1).max(64).default('solo'),
  nodes: z.array(member).max(64).default([]),
  listen: address.default('127.0.0.1:7400'),
  admin: address.optional(),
  logLevel: z.enum(['fatal', 'error', 'warn', 'info', 'debug', 'silent']).default('info'),
  tickMs: z.int().min(5).max(1_000).default(50),
  electionTicks: z.int().min(3).max(1_000).default(10),
  heartbeatMs: z.int().min(10).max(10_000).default(100),
  drainMs: z.int().min(0).max(600_000).default(5_000),
});

export type ServeConfig = z.infer<typeof serveSchema>;

/** Where each setting stands in the environment. */
const environmentNames: Record<keyof ServeConfig, string> = {
  dir: 'MOKU_DIR',
  nodeId: 'MOKU_NODE_ID',
  cluster: 'MOKU_CLUSTER',
  nodes: 'MOKU_NODES',
  listen: 'MOKU_LISTEN',
  admin: 'MOKU_ADMIN',
  logLevel: 'MOKU_LOG_LEVEL',
  tickMs: 'MOKU_TICK_MS',
  electionTicks: 'MOKU_ELECTION_TICKS',
  heartbeatMs: 'MOKU_HEARTBEAT_MS',
  drainMs: 'MOKU_DRAIN_MS',
};

const numbers: ReadonlySet<string> = new Set(['nodeId', 'tickMs', 'electionTicks', 'heartbeatMs', 'drainMs']);

/** Settings as text, by name; undefined where not given. */
export type RawSettings = Readonly<Partial<Record<keyof ServeConfig, string>>>;

/** Merges and checks. Throws CONFIG_INVALID naming the field, its value, the rule and where it stood. */
export function resolveConfig(
  flags: RawSettings,
  environment: Readonly<Record<string, string | undefined>>,
  file: string | undefined,
): ServeConfig {
  const merged: Record<string, unknown> = { ...fromFile(file) };
  for (const [field, variable] of Object.entries(environmentNames)) {
    const value = environment[variable];
    if (value !== undefined && value !== '') merged[field] = fromText(field, value, variable);
  }
  for (const [field, value] of Object.entries(flags)) {
    if (value !== undefined) merged[field] = fromText(field, value, `--${flagName(field)}`);
  }
  const parsed = serveSchema.safeParse(merged);
  if (parsed.success) return parsed.data;
  const [issue] = parsed.error.issues;
  const field = issue?.path.join('.') || (issue?.code === 'unrecognized_keys' ? issue.keys.join(',') : 'config');
  throw new MokuError('CONFIG_INVALID', { field, value: shown(merged, issue?.path), rule: issue?.message ?? '' });
}

export function flagName(field: string): string {
  return field.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);
}

/** Roster of the cluster: what `nodes` says, or this node alone. */
export function rosterOf(config: ServeConfig): NodeDescriptor[] {
  if (config.nodes.length === 0) {
    return [{ nodeId: toNodeId(config.nodeId), peerAddress: '', clientAddress: config.listen }];
  }
  const roster = config.nodes.map(({ nodeId, peer, client }) => {
    parseAddress(peer, 'nodes.peer');
    parseAddress(client, 'nodes.client');
    return { nodeId: toNodeId(nodeId), peerAddress: peer, clientAddress: client };
  });
  return roster.sort((a, b) => a.nodeId - b.nodeId);
}

function fromFile(file: string | undefined): object {
  if (file === undefined) return {};
  let parsed: unknown;
  try {
    parsed = JSON.parse(readFileSync(file, 'utf8'));
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw new MokuError('CONFIG_INVALID', { field: 'config', file, reason }, { cause });
  }
  if (typeof parsed !== 'object' || parsed === null || Array.isArray(parsed)) {
    throw new MokuError('CONFIG_INVALID', { field: 'config', file, rule: 'a JSON object' });
  }
  return parsed;
}

function fromText(field: string, value: string, from: string): unknown {
  if (field === 'nodes') return parseNodes(value, from);
  if (!numbers.has(field)) return value;
  const number = Number(value);
  if (value.trim() === '' || Number.isNaN(number)) {
    throw new MokuError('CONFIG_INVALID', { field, value, from, rule: 'a number' });
  }
  return number;
}

/** `1=host:peerPort/host:clientPort,2=…` */
function parseNodes(value: string, from: string): unknown[] {
  return value.split(',').map((item) => {
    const match = /^(\d+)=([^/]+)\/([^/]+)$/.exec(item.trim());
    if (match === null) {
      throw new MokuError('CONFIG_INVALID', { field: 'nodes', value: item, from, rule: 'ID=host:peerPort/host:clientPort' });
    }
    return { nodeId: Number(match[1]), peer: match[2], client: match[3] };
  });
}

function shown(merged: Record<string, unknown>, path: readonly PropertyKey[] | undefined): unknown {
  let value: unknown = merged;
  for (const part of path ?? []) {
    value = typeof value === 'object' && value !== null ? Reflect.get(value, part) : undefined;
  }
  return path === undefined || path.length === 0 || typeof value === 'object' ? undefined : value;
}
