/**
 * `moku get`, `put`, `del`: one record.
 */
import { limits, MokuError } from '@moku/base';
import type { Conditions, WriteResult } from '@moku/client';
import type { Command } from 'commander';
import type { Cli, ClientSession } from './cli.js';
import {
  addConnectionOptions,
  addFormOptions,
  addKeyOption,
  wholeNumber,
} from './client-options.js';
import { exitCodes } from './exit-codes.js';
import {
  keyFromText,
  short,
  valueForJson,
  valueFromBytes,
  valueFromText,
  valueToPrint,
} from './values.js';

interface PutFlags extends Conditions {
  readonly ttl?: number;
}

export function addRecordCommands(program: Command, cli: Cli): void {
  addGet(program, cli);
  addPut(program, cli);
  addDel(program, cli);
}

function addGet(program: Command, cli: Cli): void {
  const command = program
    .command('get <keyspace> <key>')
    .description("print a key's value; exit code 4 when there is none")
    .action((keyspace: string, key: string) =>
      cli.withDatabase(command, (session) => get(session, keyspace, key)),
    );
  addFormOptions(addConnectionOptions(command));
  command.addHelpText(
    'after',
    `
Examples:
  moku get users alice
  moku get files logo.png --values bytes > logo.png
  moku get users alice --json        # with version and expiry`,
  );
}

async function get(session: ClientSession, name: string, keyText: string): Promise<number> {
  const { db, out, settings, call } = session;
  const key = keyFromText(keyText, settings.keys, 'KEY');
  const keyspace = await db.keyspace(name, { ...call, values: settings.values });
  const record = await keyspace.getRecord(key, call);
  if (record === undefined) {
    if (out.isJson) await out.json({ key: keyText, found: false });
    else await out.note(`moku: ${name} has no key ${short(keyText)}`);
    return exitCodes.notFound;
  }
  const { value, version, expiresAtMs } = record;
  if (out.isJson) {
    await out.json({ key: keyText, found: true, value: valueForJson(value), version, expiresAtMs });
  } else await out.raw(valueToPrint(value, settings.values));
  return exitCodes.done;
}

function addConditions(command: Command): Command {
  const version = wholeNumber('--if-version', 0, Number.MAX_SAFE_INTEGER);
  return command
    .option('--if-absent', 'only when the key is absent')
    .option('--if-present', 'only when the key is there')
    .option('--if-version <n>', 'only when the version is this one; 0: absent', version);
}

function addPut(program: Command, cli: Cli): void {
  const command = program
    .command('put <keyspace> <key> <value>')
    .description('write a value, `-` to read it from standard input')
    .action((keyspace: string, key: string, value: string, flags: PutFlags) =>
      cli.withDatabase(command, (session) => put(session, { keyspace, key, value, flags })),
    );
  addConditions(command).option(
    '--ttl <ms>',
    'milliseconds to live (for ever)',
    wholeNumber('--ttl', 1, limits.ttlMsMax),
  );
  addFormOptions(addConnectionOptions(command));
  command.addHelpText(
    'after',
    `
Examples:
  moku put users alice '{"age":31}'
  moku put notes today 'buy milk' --values utf8 --ttl 86400000
  moku put files logo.png - --values bytes < logo.png
  moku put users alice '{"age":32}' --if-version 1234567890
Exit code 4 when the condition does not hold; nothing was written then.`,
  );
}

interface PutCall {
  readonly keyspace: string;
  readonly key: string;
  readonly value: string;
  readonly flags: PutFlags;
}

async function put(session: ClientSession, given: PutCall): Promise<number> {
  const { db, settings, call, terminal } = session;
  const { ttl, ...conditions } = conditionsOf(given.flags);
  const key = keyFromText(given.key, settings.keys, 'KEY');
  // Read and checked before anything is sent.
  const value =
    given.value === '-'
      ? valueFromBytes(await readAll(terminal.stdin), settings.values)
      : valueFromText(given.value, settings.values);
  const keyspace = await db.keyspace(given.keyspace, { ...call, values: settings.values });
  const lifetime = ttl === undefined ? {} : { ttlMs: ttl };
  const result = await keyspace.put(key, value, { ...call, ...conditions, ...lifetime });
  return tellWrite(session, result, () => 'written');
}

function addDel(program: Command, cli: Cli): void {
  const command = program
    .command('del <keyspace> <key>')
    .description('delete a key')
    .action((keyspace: string, key: string, flags: Conditions) =>
      cli.withDatabase(command, (session) => del(session, keyspace, key, flags)),
    );
  const version = wholeNumber('--if-version', 0, Number.MAX_SAFE_INTEGER);
  command
    .option('--if-present', 'exit code 4 when the key is absent')
    .option('--if-version <n>', 'only when the version is this one', version);
  addKeyOption(addConnectionOptions(command));
  command.addHelpText(
    'after',
    `
Examples:
  moku del users alice
  moku del users alice --if-version 1234567890`,
  );
}

async function del(
  session: ClientSession,
  name: string,
  keyText: string,
  flags: Conditions,
): Promise<number> {
  const { db, settings, call } = session;
  const conditions = conditionsOf(flags);
  const key = keyFromText(keyText, settings.keys, 'KEY');
  const keyspace = await db.keyspace(name, call);
  const result = await keyspace.delete(key, { ...call, ...conditions });
  return tellWrite(session, result, (existed) => (existed ? 'deleted' : 'was not there'));
}

/** The conditions among the options, at most one. Throws INVALID_ARGUMENT. */
function conditionsOf(flags: PutFlags): PutFlags {
  const { ifAbsent, ifPresent, ifVersion, ttl } = flags;
  const given = [ifAbsent, ifPresent, ifVersion].filter((condition) => condition !== undefined);
  if (given.length > 1) {
    const field = '--if-absent|--if-present|--if-version';
    throw new MokuError('INVALID_ARGUMENT', { field, count: given.length, max: 1 });
  }
  return {
    ...(ifAbsent === undefined ? {} : { ifAbsent }),
    ...(ifPresent === undefined ? {} : { ifPresent }),
    ...(ifVersion === undefined ? {} : { ifVersion }),
    ...(ttl === undefined ? {} : { ttl }),
  };
}

async function tellWrite(
  { out }: ClientSession,
  result: WriteResult,
  word: (existed: boolean) => string,
): Promise<number> {
  if (out.isJson) await out.json(result);
  else if (result.applied) await out.line(`${word(result.existed)}, version ${result.version}`);
  else {
    const met =
      result.version === 0 ? 'the key is absent' : `the key has version ${result.version}`;
    await out.note(`moku: not done: ${met}`);
  }
  return result.applied ? exitCodes.done : exitCodes.notFound;
}

/** Standard input as a whole, at most a value's size. Throws VALUE_TOO_LARGE. */
async function readAll(stdin: NodeJS.ReadableStream): Promise<Uint8Array> {
  // JSON may be longer than what is stored, as msgpack packs it; twice is far enough.
  const max = limits.valueBytesMax * 2;
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of stdin) {
    const part = Buffer.from(chunk);
    bytes += part.length;
    if (bytes > max)
      throw new MokuError('VALUE_TOO_LARGE', { field: 'VALUE', max: limits.valueBytesMax });
    chunks.push(part);
  }
  return new Uint8Array(Buffer.concat(chunks));
}
