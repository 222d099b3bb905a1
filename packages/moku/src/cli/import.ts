/**
 * `moku import`: a file or standard input of any size into a keyspace. Lines before a bad one are
 * written, nothing after it is, and what was written is told.
 */
import { createReadStream } from 'node:fs';
import { stat } from 'node:fs/promises';
import { addAbortSignal, type Readable } from 'node:stream';
import { isMokuError, MokuError } from '@moku/base';
import type { Keyspace } from '@moku/client';
import type { Command } from 'commander';
import type { Cli, ClientSession } from './cli.js';
import { addConnectionOptions, addFormOptions, oneOf } from './client-options.js';
import { exitCodes } from './exit-codes.js';
import { boundsFor } from './import-bounds.js';
import { type LineFormat, type LineForms, lineFormats, readRecords } from './import-lines.js';
import { ImportWriter, importError } from './import-writer.js';
import { addCreateOptions, type CreateFlags, createOptions } from './keyspaces.js';
import { count } from './output.js';
import { Progress } from './progress.js';

interface ImportFlags extends CreateFlags {
  readonly format?: LineFormat;
}

interface Source {
  /** undefined: standard input. */
  readonly path: string | undefined;
  /** Of the file; undefined when it is not known. */
  readonly bytes: number | undefined;
  readonly forms: LineForms;
}

/** A request carries a thousand records and may meet an election: more patience than for one. */
const timeoutMsDefault = 60_000;

export function addImport(program: Command, cli: Cli): void {
  const command = program
    .command('import <keyspace> <file>')
    .description('write the records of a file, `-` for standard input')
    .option(
      '--format <format>',
      'jsonl or tsv (what the name or the first line looks like)',
      oneOf('--format', lineFormats),
    )
    .action((keyspace: string, file: string, flags: ImportFlags) =>
      cli.withDatabase(command, (session) => importFile(session, keyspace, file, flags)),
    );
  addFormOptions(addConnectionOptions(addCreateOptions(command)));
  command.addHelpText(
    'after',
    `
Lines are JSON, {"key":"…","value":…}, or a key and a value with a tab between. With --mode the
keyspace is made when it does not exist; a range keyspace of several regions is cut at even shares of
the file's keys unless --bounds says where. Lines before a bad one are written, none after it.

Examples:
  moku import users users.jsonl --mode hash --regions 32
  moku import names names.tsv --mode range --regions 8 --values utf8
  zcat users.jsonl.gz | moku import users -`,
  );
}

async function importFile(
  session: ClientSession,
  name: string,
  file: string,
  flags: ImportFlags,
): Promise<number> {
  const { out, terminal } = session;
  const source = await sourceOf(session, file, flags.format);
  const keyspace = await opened(session, name, flags, source);
  const progress = new Progress(`importing into ${name}`, terminal);
  const interrupt = new AbortController();
  const onInterrupt = (): void => interrupt.abort();
  process.once('SIGINT', onInterrupt);
  try {
    const result = await run(session, { keyspace, source, progress, signal: interrupt.signal });
    const seconds = Math.round(progress.seconds * 1000) / 1000;
    const perSecond = Math.round(result.written / Math.max(progress.seconds, 0.001));
    if (out.isJson) await out.json({ ok: true, keyspace: name, ...result, seconds, perSecond });
    else {
      const rate = `${seconds.toFixed(1)} s, ${count(perSecond)}/s`;
      await out.line(`${count(result.written)} records written into ${name} in ${rate}`);
    }
    return exitCodes.done;
  } finally {
    process.off('SIGINT', onInterrupt);
  }
}

/** Throws INVALID_ARGUMENT when the file cannot be read. */
async function sourceOf(
  { settings }: ClientSession,
  file: string,
  given: LineFormat | undefined,
): Promise<Source> {
  const { values, keys } = settings;
  const format = given ?? formatOf(file);
  if (file === '-') return { path: undefined, bytes: undefined, forms: { format, values, keys } };
  try {
    const found = await stat(file);
    if (found.isDirectory()) throw new Error('it is a directory');
    const bytes = found.isFile() ? found.size : undefined;
    return { path: file, bytes, forms: { format, values, keys } };
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw new MokuError('INVALID_ARGUMENT', { field: 'FILE', value: file, reason }, { cause });
  }
}

function formatOf(file: string): LineFormat | undefined {
  if (/\.(jsonl|ndjson)$/i.test(file)) return 'jsonl';
  return /\.(tsv|tab)$/i.test(file) ? 'tsv' : undefined;
}

/** Opens the keyspace, or makes it when the options say how. */
async function opened(
  { db, call, settings }: ClientSession,
  name: string,
  flags: ImportFlags,
  source: Source,
): Promise<Keyspace<unknown>> {
  const options = createOptions(flags, settings.keys);
  const forms = { ...call, values: settings.values };
  const { mode, regions = 1 } = options;
  const isCut = mode === 'range' && regions > 1 && options.bounds === undefined;
  if (!isCut || (await exists(db, name, call))) return db.keyspace(name, { ...forms, ...options });
  if (source.path === undefined) {
    const rule = 'given when a range keyspace of several regions is made from standard input';
    throw new MokuError('INVALID_ARGUMENT', { field: '--bounds', rule });
  }
  const bounds = await boundsFor(readRecords(createReadStream(source.path), source.forms), regions);
  return db.keyspace(name, { ...forms, ...options, bounds });
}

async function exists(
  db: ClientSession['db'],
  name: string,
  call: ClientSession['call'],
): Promise<boolean> {
  try {
    await db.keyspace(name, call);
    return true;
  } catch (error) {
    if (isMokuError(error, 'KEYSPACE_UNKNOWN')) return false;
    throw error;
  }
}

interface Run {
  readonly keyspace: Keyspace<unknown>;
  readonly source: Source;
  readonly progress: Progress;
  readonly signal: AbortSignal;
}

async function run(
  { terminal, settings }: ClientSession,
  { keyspace, source, progress, signal }: Run,
): Promise<{ readonly lines: number; readonly written: number }> {
  const stream: Readable =
    source.path === undefined
      ? terminal.stdin
      : createReadStream(source.path, { highWaterMark: 1 << 18 });
  addAbortSignal(signal, stream);
  let line = 0;
  let share: number | undefined;
  const call = { timeoutMs: settings.timeoutMs ?? timeoutMsDefault, signal };
  const onWritten = (written: number): void => progress.update(share, written);
  const writer = new ImportWriter({ keyspace, call, onWritten });
  try {
    let bytesBefore = 0;
    for await (const block of readRecords(stream, source.forms)) {
      const bytesEach = (block.bytes - bytesBefore) / block.records.length;
      bytesBefore = block.bytes;
      line = block.line;
      share = source.bytes === undefined ? undefined : block.bytes / source.bytes;
      for (const record of block.records) await writer.add(record, bytesEach);
    }
    await writer.finish();
  } catch (error) {
    throw await ended(signal.aborted ? aborted(error) : error, writer, line);
  } finally {
    progress.end(share, writer.written);
  }
  return { lines: line, written: writer.written };
}

function aborted(cause: unknown): MokuError {
  return new MokuError('ABORTED', { reason: 'interrupted' }, { cause });
}

/** The error to report, once everything that was begun has ended. */
async function ended(error: unknown, writer: ImportWriter, line: number): Promise<MokuError> {
  try {
    // After a bad line, what stood before it is still written; after a failed write nothing is.
    await writer.finish();
  } catch (failure) {
    return importError(isMokuError(error, 'ABORTED') ? error : failure, writer.written, line);
  }
  return importError(error, writer.written, line);
}
