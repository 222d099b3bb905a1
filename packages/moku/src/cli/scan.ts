/**
 * `moku scan`: records as they come, page by page; memory is bounded by one page.
 */
import { limits } from '@moku/base';
import type { Found, ScanOptions } from '@moku/client';
import type { Command } from 'commander';
import type { Cli, ClientSession } from './cli.js';
import { addConnectionOptions, addFormOptions, wholeNumber } from './client-options.js';
import { exitCodes } from './exit-codes.js';
import { printable } from './output.js';
import { type KeyForm, keyFromText, keyToText, valueForJson, valueToLine } from './values.js';

interface ScanFlags {
  readonly prefix?: string;
  readonly start?: string;
  readonly end?: string;
  readonly bucket?: string;
  readonly reverse?: boolean;
  readonly limit?: number;
  readonly keysOnly?: boolean;
  readonly page?: number;
}

/** Lines are written together until they are this long. */
const blockCharsMin = 32 * 1024;
const pageSizeDefault = 1_000;

export function addScan(program: Command, cli: Cli): void {
  const command = program
    .command('scan <keyspace>')
    .description('print records as `key<TAB>value` lines, in key order (range) or by bucket (hash)')
    .option('--prefix <key>', 'only keys that start with this')
    .option('--start <key>', 'first key, inclusive (range keyspaces)')
    .option('--end <key>', 'last key, exclusive (range keyspaces)')
    .option('--bucket <key>', 'one bucket, a prefix that ends with / (hash keyspaces)')
    .option('--reverse', 'backwards')
    .option('--limit <n>', 'records at most', wholeNumber('--limit', 0, Number.MAX_SAFE_INTEGER))
    .option('--keys-only', 'keys without values')
    .option(
      '--page <n>',
      `records fetched at a time (${pageSizeDefault})`,
      wholeNumber('--page', 1, limits.scanPageRecordsMax),
    )
    .action((keyspace: string, flags: ScanFlags) =>
      cli.withDatabase(command, (session) => scan(session, keyspace, flags)),
    );
  addFormOptions(addConnectionOptions(command));
  command.addHelpText(
    'after',
    `
Examples:
  moku scan users --limit 10
  moku scan names --start M --end N --reverse
  moku scan places --bucket CH/ZH/ --keys-only
  moku scan users --json > users.jsonl      # moku import reads it`,
  );
}

async function scan(session: ClientSession, name: string, flags: ScanFlags): Promise<number> {
  const { db, out, settings, call } = session;
  const options = scanOptions(flags, settings.keys);
  const keyspace = await db.keyspace(name, {
    ...call,
    values: flags.keysOnly === true ? 'bytes' : settings.values,
    keys: settings.keys === 'hex' ? 'bytes' : 'utf8',
  });
  let block = '';
  for await (const record of keyspace.scan({ ...options, ...call })) {
    block += `${lineOf(session, record, flags.keysOnly === true)}\n`;
    if (block.length < blockCharsMin) continue;
    await out.raw(block);
    block = '';
  }
  if (block !== '') await out.raw(block);
  return exitCodes.done;
}

function scanOptions(flags: ScanFlags, form: KeyForm): ScanOptions {
  const { prefix, start, end, bucket, reverse, limit, page = pageSizeDefault } = flags;
  return {
    ...(prefix === undefined ? {} : { prefix: keyFromText(prefix, form, '--prefix') }),
    ...(start === undefined ? {} : { start: keyFromText(start, form, '--start') }),
    ...(end === undefined ? {} : { end: keyFromText(end, form, '--end') }),
    ...(bucket === undefined ? {} : { bucket: keyFromText(bucket, form, '--bucket') }),
    ...(reverse === undefined ? {} : { reverse }),
    ...(limit === undefined ? {} : { limit }),
    pageSize: page,
  };
}

function lineOf(
  { out, settings }: ClientSession,
  record: Found<unknown>,
  isKeysOnly: boolean,
): string {
  const key = keyToText(record.key);
  const { value, version, expiresAtMs } = record;
  if (out.isJson) {
    return JSON.stringify(
      isKeysOnly ? { key } : { key, value: valueForJson(value), version, expiresAtMs },
    );
  }
  return isKeysOnly ? printable(key) : `${printable(key)}\t${valueToLine(value, settings.values)}`;
}
