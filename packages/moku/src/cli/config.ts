/**
 * What `moku serve` runs with: flags, then MOKU_* environment, then a JSON file, then defaults. Everything
 * is checked before anything is opened.
 *
 * Invariant G1: every refusal is CONFIG_INVALID and names the setting, where its value stood, and the rule
 * or bound that it broke.
 */
import { readFileSync } from 'node:fs';
import { limits, MokuError, type NodeDescriptor, noAddress, toNodeId } from '@moku/base';
import { parseAddress } from '@moku/transport';
import { z } from 'zod';
import {
  flagOf,
  type Member,
  type ServeConfig,
  type SettingName,
  settingNames,
  settings,
  variableOf,
} from './settings.js';

/** Where a setting's value stood: an option, a variable, a file, or none of them. */
export interface Origin {
  readonly value: unknown;
  readonly from: 'flag' | 'environment' | 'file' | 'default';
  /** Of the option, variable or file. */
  readonly name: string;
}

export interface ResolvedConfig {
  readonly config: ServeConfig;
  readonly origins: Readonly<Record<SettingName, Origin>>;
  /** MOKU_* variables that are no setting: misspelt, or meant for somebody else. */
  readonly unknownVariables: readonly string[];
}

/** Settings as options give them: text, by name; undefined where not given. */
export type RawSettings = Readonly<Partial<Record<SettingName, string | undefined>>>;

type Environment = Readonly<Record<string, string | undefined>>;

const defaultListen = '127.0.0.1:7400';
/** Variables of the command line that are no settings of a node. */
const otherVariables: ReadonlySet<string> = new Set(['MOKU_CONFIG', 'MOKU_CONNECT']);

const address = z
  .string()
  .max(limits.addressBytesMax)
  .refine(isAddress, { message: 'host:port, port 1 … 65535' });
const nodeId = z.int().min(1).max(0xffff);
const levels = ['fatal', 'error', 'warn', 'info', 'debug', 'silent'] as const;

const schema = z.strictObject({
  dir: z.string().min(1).max(4_096),
  nodeId: nodeId.default(1),
  cluster: z.string().min(1).max(64).default('solo'),
  nodes: z
    .array(z.strictObject({ nodeId, peer: address, client: address }))
    .max(limits.nodesMax)
    .default([]),
  listen: address.optional(),
  peerListen: address.optional(),
  admin: address.optional(),
  logLevel: z.enum(levels).default('info'),
  tickMs: z.int().min(5).max(1_000).default(50),
  electionTicks: z.int().min(3).max(1_000).default(10),
  heartbeatMs: z.int().min(10).max(10_000).default(100),
  drainMs: z.int().min(0).max(600_000).default(5_000),
});

type Origins = Record<SettingName, Origin>;

/** Merges and checks. Throws CONFIG_INVALID naming field, value, origin and bound. */
export function resolveConfig(
  flags: RawSettings,
  environment: Environment,
  file: string | undefined,
): ResolvedConfig {
  const inFile = readFile(file);
  const given: Record<string, unknown> = {};
  const entries = settingNames.map((name): [SettingName, Origin] => {
    const origin = originOf(name, flags, environment) ?? inFile[name] ?? atDefault(undefined);
    if (origin.value !== undefined) given[name] = origin.value;
    return [name, origin];
  });
  const origins = Object.fromEntries(entries) as Origins;
  const parsed = schema.safeParse(given);
  if (!parsed.success) throw refusal(parsed.error.issues[0], given, origins);
  const { data } = parsed;
  const self = data.nodes.find((node) => node.nodeId === data.nodeId);
  const config: ServeConfig = {
    ...data,
    listen: data.listen ?? self?.client ?? defaultListen,
    peerListen: data.peerListen ?? self?.peer,
    admin: data.admin,
  };
  checkTogether(config, origins);
  return {
    config,
    origins: completed(origins, config, self),
    unknownVariables: unknownVariables(environment),
  };
}

/** Roster of the cluster: what `nodes` says, or this node alone. Ascending by id. */
export function rosterOf(config: ServeConfig): NodeDescriptor[] {
  if (config.nodes.length === 0) {
    return [
      { nodeId: toNodeId(config.nodeId), peerAddress: noAddress, clientAddress: config.listen },
    ];
  }
  const roster = config.nodes.map(({ nodeId: id, peer, client }) => {
    return { nodeId: toNodeId(id), peerAddress: peer, clientAddress: client };
  });
  return roster.sort((a, b) => a.nodeId - b.nodeId);
}

function originOf(
  name: SettingName,
  flags: RawSettings,
  environment: Environment,
): Origin | undefined {
  const flag = flags[name];
  if (flag !== undefined) {
    return { from: 'flag', name: flagOf(name), value: fromText(name, flag, flagOf(name)) };
  }
  const variable = variableOf(name);
  const value = environment[variable];
  if (value === undefined || value === '') return undefined;
  return { from: 'environment', name: variable, value: fromText(name, value, variable) };
}

function atDefault(value: unknown, name = ''): Origin {
  return { from: 'default', name, value };
}

/** With the values of those that nobody gave. */
function completed(origins: Origins, config: ServeConfig, self: Member | undefined): Origins {
  const ofMember = new Set<SettingName>(self === undefined ? [] : ['listen', 'peerListen']);
  const entries = settingNames.map((name): [SettingName, Origin] => {
    if (origins[name].from !== 'default') return [name, origins[name]];
    return [name, atDefault(config[name], ofMember.has(name) ? 'of --nodes' : '')];
  });
  return Object.fromEntries(entries) as Origins;
}

function refusal(
  issue: z.core.$ZodIssue | undefined,
  given: Readonly<Record<string, unknown>>,
  origins: Origins,
): MokuError {
  const path = issue?.path ?? [];
  const field = path.join('.');
  const name = settingNames.find((candidate) => candidate === path[0]);
  const origin = name === undefined ? undefined : origins[name];
  if (name !== undefined && origin?.value === undefined) {
    const rule = `required: ${flagOf(name)} or ${variableOf(name)}`;
    return new MokuError('CONFIG_INVALID', { field, rule });
  }
  const bounds = issue === undefined ? {} : boundsOf(issue);
  return new MokuError('CONFIG_INVALID', {
    field,
    ...shownAt(given, path),
    from: origin?.name,
    ...bounds,
  });
}

/** What the issue says that the value should have been. */
function boundsOf(issue: z.core.$ZodIssue): Record<string, unknown> {
  const unit = (origin: string): object => (origin === 'string' ? { of: 'characters' } : {});
  switch (issue.code) {
    case 'too_small':
      return { min: Number(issue.minimum), ...unit(issue.origin) };
    case 'too_big':
      return { max: Number(issue.maximum), ...unit(issue.origin) };
    case 'invalid_type':
      return { expected: issue.expected === 'int' ? 'a whole number' : issue.expected };
    case 'invalid_value':
      return { allowed: issue.values.join('|') };
    case 'unrecognized_keys':
      return { unknown: issue.keys.join(','), allowed: 'nodeId,peer,client' };
    default:
      return { rule: issue.message };
  }
}

function shownAt(value: unknown, path: readonly PropertyKey[]): { value?: unknown } {
  let found = value;
  for (const part of path) {
    found = typeof found === 'object' && found !== null ? Reflect.get(found, part) : undefined;
  }
  return typeof found === 'object' || found === undefined ? {} : { value: found };
}

/** What no setting says alone. */
function checkTogether(config: ServeConfig, origins: Record<SettingName, Origin>): void {
  const { nodes, electionTicks, tickMs, heartbeatMs } = config;
  const from = origins.nodes.name;
  const seen = new Set<number>();
  for (const { nodeId: id } of nodes) {
    if (seen.has(id)) {
      throw new MokuError('CONFIG_INVALID', {
        field: 'nodes',
        value: id,
        from,
        rule: 'ids differ',
      });
    }
    seen.add(id);
  }
  if (nodes.length > 0 && !seen.has(config.nodeId)) {
    const rule = `lists this node (nodeId ${config.nodeId})`;
    throw new MokuError('CONFIG_INVALID', { field: 'nodes', from, rule });
  }
  if (nodes.length === 0 && origins.peerListen.from !== 'default') {
    const rule = 'only with nodes: a node that is alone has no peers';
    throw new MokuError('CONFIG_INVALID', {
      field: 'peerListen',
      from: origins.peerListen.name,
      rule,
    });
  }
  if (electionTicks * tickMs <= 3 * heartbeatMs) {
    throw new MokuError('CONFIG_INVALID', {
      field: 'electionTicks',
      value: electionTicks,
      min: Math.floor((3 * heartbeatMs) / tickMs) + 1,
      rule: 'electionTicks × tickMs is longer than three heartbeats',
    });
  }
}

function readFile(file: string | undefined): Partial<Origins> {
  if (file === undefined) return {};
  let parsed: unknown;
  try {
    parsed = JSON.parse(readFileSync(file, 'utf8'));
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw new MokuError('CONFIG_INVALID', { field: 'config', value: file, reason }, { cause });
  }
  if (typeof parsed !== 'object' || parsed === null || Array.isArray(parsed)) {
    throw new MokuError('CONFIG_INVALID', { field: 'config', value: file, rule: 'a JSON object' });
  }
  const origins: Partial<Origins> = {};
  for (const [field, value] of Object.entries(parsed)) {
    const name = settingNames.find((candidate) => candidate === field);
    if (name === undefined) {
      const allowed = settingNames.join(',');
      const rule = 'no such setting';
      throw new MokuError('CONFIG_INVALID', { field, from: file, rule, allowed });
    }
    const isText = name === 'nodes' && typeof value === 'string';
    origins[name] = { from: 'file', name: file, value: isText ? membersOf(value, file) : value };
  }
  return origins;
}

function fromText(name: SettingName, value: string, from: string): unknown {
  if (name === 'nodes') return membersOf(value, from);
  if (!settings[name].isNumber) return value;
  // Only what people write as a number: Number('') is 0.
  return /^-?\d+(\.\d+)?$/.test(value.trim()) ? Number(value) : value;
}

/** `1=host:peerPort/host:clientPort,2=…` */
function membersOf(value: string, from: string): Member[] {
  return value.split(',').map((item) => {
    const match = /^(\d{1,9})=([^/]+)\/([^/]+)$/.exec(item.trim());
    const [, id, peer, client] = match ?? [];
    if (peer === undefined || client === undefined) {
      const rule = 'ID=host:peerPort/host:clientPort,…';
      throw new MokuError('CONFIG_INVALID', { field: 'nodes', value: item, from, rule });
    }
    return { nodeId: Number(id), peer, client };
  });
}

function isAddress(value: string): boolean {
  try {
    parseAddress(value, 'address');
    return true;
  } catch {
    // What is wrong is said by the rule.
    return false;
  }
}

function unknownVariables(environment: Environment): string[] {
  const known = new Set([...settingNames.map(variableOf), ...otherVariables]);
  const given = Object.keys(environment).filter((name) => name.startsWith('MOKU_'));
  return given.filter((name) => !known.has(name)).sort();
}
