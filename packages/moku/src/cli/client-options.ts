/**
 * Options of every command that talks to nodes. They may stand before the command's name too; what stands
 * behind it counts more, and MOKU_CONNECT comes after both.
 */
import { limits, MokuError } from '@moku/base';
import type { ValueEncoding } from '@moku/client';
import type { Command } from 'commander';
import { type KeyForm, keyForms, valueEncodings } from './values.js';

export interface ClientSettings {
  /** host:port of client sockets. */
  readonly nodes: readonly string[];
  /** Milliseconds for each call; undefined: not given. */
  readonly timeoutMs: number | undefined;
  readonly values: ValueEncoding;
  readonly keys: KeyForm;
}

interface ClientFlags {
  readonly nodes?: string;
  readonly timeout?: number;
  readonly values?: ValueEncoding;
  readonly keys?: KeyForm;
  readonly json?: boolean;
}

export const defaultNodes = '127.0.0.1:7400';
export const defaultTimeoutMs = 10_000;

/** Adds the options of a connection. */
export function addConnectionOptions(command: Command): Command {
  return command
    .option('--nodes <list>', `host:port,… of some nodes (or MOKU_CONNECT; ${defaultNodes})`)
    .option(
      '--timeout <ms>',
      `milliseconds for each call (${defaultTimeoutMs})`,
      wholeNumber('--timeout', 1, limits.timeoutMsMax),
    )
    .option('--json', 'one JSON value per line instead of text');
}

/** Adds the forms of keys and values. */
export function addFormOptions(command: Command): Command {
  const values = oneOf('--values', valueEncodings);
  return addKeyOption(
    command.option('--values <form>', 'json, utf8, bytes or msgpack (json)', values),
  );
}

/** Adds the form of keys. */
export function addKeyOption(command: Command): Command {
  return command.option('--keys <form>', 'utf8 or hex (utf8)', oneOf('--keys', keyForms));
}

/** What was given before and behind the command's name. Throws INVALID_ARGUMENT naming the option. */
export function clientSettings(
  command: Command,
  env: Readonly<Record<string, string | undefined>>,
): ClientSettings {
  const flags: ClientFlags = {
    ...command.parent?.opts<ClientFlags>(),
    ...command.opts<ClientFlags>(),
  };
  const given = flags.nodes ?? (env['MOKU_CONNECT'] || defaultNodes);
  const nodes = given.split(',').map((address) => address.trim());
  if (nodes.length > limits.nodesMax) {
    const details = { field: '--nodes', count: nodes.length, max: limits.nodesMax };
    throw new MokuError('INVALID_ARGUMENT', details);
  }
  return {
    nodes,
    timeoutMs: flags.timeout,
    values: flags.values ?? 'json',
    keys: flags.keys ?? 'utf8',
  };
}

/** Options of connections mean nothing to a command that starts nodes. */
export function refuseClientOptions(command: Command): void {
  const given: object = command.parent?.opts() ?? {};
  for (const name of ['nodes', 'timeout', 'values', 'keys']) {
    if (!Object.hasOwn(given, name)) continue;
    const rule = `not before ${command.name()}: see moku ${command.name()} --help`;
    throw new MokuError('INVALID_ARGUMENT', { field: `--${name}`, rule });
  }
}

/** Parser of an option that is a whole number within bounds. */
export function wholeNumber(field: string, min: number, max: number): (given: string) => number {
  return (given) => {
    const value = /^-?\d{1,16}$/.test(given) ? Number(given) : Number.NaN;
    if (value >= min && value <= max) return value;
    throw new MokuError('INVALID_ARGUMENT', {
      field,
      value: given,
      rule: 'a whole number',
      min,
      max,
    });
  };
}

/** Parser of an option that is one of some words. */
export function oneOf<T extends string>(
  field: string,
  allowed: readonly T[],
): (given: string) => T {
  return (given) => {
    const found = allowed.find((word) => word === given);
    if (found !== undefined) return found;
    throw new MokuError('INVALID_ARGUMENT', { field, value: given, allowed: allowed.join('|') });
  };
}
