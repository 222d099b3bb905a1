/**
 * The settings of `moku serve`: their names as option, as environment variable and in the config file.
 * What they may be is in `config.ts`.
 */

export interface Member {
  readonly nodeId: number;
  /** host:port for other nodes. */
  readonly peer: string;
  /** host:port for clients. */
  readonly client: string;
}

export interface ServeConfig {
  readonly dir: string;
  readonly nodeId: number;
  readonly cluster: string;
  /** All nodes of the cluster; empty: this node is alone. */
  readonly nodes: readonly Member[];
  readonly listen: string;
  readonly peerListen: string | undefined;
  readonly admin: string | undefined;
  readonly logLevel: string;
  readonly tickMs: number;
  readonly electionTicks: number;
  readonly heartbeatMs: number;
  readonly drainMs: number;
}

export type SettingName = keyof ServeConfig;

interface Setting {
  /** How help names its value. */
  readonly argument: string;
  readonly help: string;
  readonly isNumber: boolean;
}

function text(argument: string, help: string): Setting {
  return { argument, help, isNumber: false };
}

function number(argument: string, help: string): Setting {
  return { argument, help, isNumber: true };
}

export const settings: Readonly<Record<SettingName, Setting>> = {
  dir: text('path', "directory of this node's log and data, made when missing; required"),
  nodeId: number('id', 'this node in the cluster: 1 … 65535 (1)'),
  cluster: text('name', 'name of the cluster, the same on every node (solo)'),
  nodes: text(
    'list',
    'all nodes, this one included: ID=host:peerPort/host:clientPort,… (this one alone)',
  ),
  listen: text('address', 'host:port for clients (that of --nodes, else 127.0.0.1:7400)'),
  peerListen: text('address', 'host:port for other nodes (that of --nodes)'),
  admin: text('address', 'host:port for /healthz, /readyz, /status and /metrics (none)'),
  logLevel: text('level', 'fatal, error, warn, info, debug or silent (info)'),
  tickMs: number('ms', 'length of a tick: 5 … 1000 (50)'),
  electionTicks: number('n', 'ticks without a leader until a campaign: 3 … 1000 (10)'),
  heartbeatMs: number('ms', 'pause between heartbeats of a node pair: 10 … 10000 (100)'),
  drainMs: number('ms', 'longest time for handing over leaderships at the end: 0 … 600000 (5000)'),
};

export const settingNames: readonly SettingName[] = Object.keys(settings) as SettingName[];

/** nodeId → --node-id */
export function flagOf(name: string): string {
  return `--${name.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)}`;
}

/** nodeId → MOKU_NODE_ID */
export function variableOf(name: string): string {
  return `MOKU_${name.replace(/[A-Z]/g, (letter) => `_${letter}`).toUpperCase()}`;
}
