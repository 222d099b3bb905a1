/**
 * `moku keyspaces`, `moku create`.
 */
import { type KeyspaceMode, limits, MokuError } from '@moku/base';
import type { Key, KeyspaceOptions } from '@moku/client';
import type { Command } from 'commander';
import type { Cli, ClientSession } from './cli.js';
import { addConnectionOptions, addKeyOption, oneOf, wholeNumber } from './client-options.js';
import { exitCodes } from './exit-codes.js';
import { type KeyForm, keyFromText } from './values.js';

/** Options that say how a keyspace is made. */
export interface CreateFlags {
  readonly mode?: KeyspaceMode;
  readonly regions?: number;
  readonly bounds?: string;
  readonly replication?: number;
}

const modes: readonly KeyspaceMode[] = ['hash', 'range'];
const replicationMax = 7;

export function addCreateOptions(command: Command): Command {
  return command
    .option('--mode <mode>', 'hash (spread) or range (in key order)', oneOf('--mode', modes))
    .option(
      '--regions <n>',
      'how many regions (hash: 16, range: 1)',
      wholeNumber('--regions', 1, limits.regionsPerKeyspaceMax),
    )
    .option('--bounds <keys>', 'range: keys at which regions begin, ascending, with commas between')
    .option(
      '--replication <n>',
      'replicas of each region (3, or fewer when there are fewer nodes)',
      wholeNumber('--replication', 1, replicationMax),
    );
}

/** How to make a keyspace. Throws INVALID_ARGUMENT when the options do not go together. */
export function createOptions(flags: CreateFlags, form: KeyForm): KeyspaceOptions {
  const { mode, regions, replication } = flags;
  const bounds = boundsOf(flags, form);
  if (mode === undefined) {
    for (const name of ['regions', 'bounds', 'replication'] as const) {
      if (flags[name] === undefined) continue;
      throw new MokuError('INVALID_ARGUMENT', { field: `--${name}`, rule: 'goes with --mode' });
    }
    return {};
  }
  if (mode === 'hash' && bounds !== undefined) {
    throw new MokuError('INVALID_ARGUMENT', { field: '--bounds', rule: 'goes with --mode range' });
  }
  return {
    mode,
    ...(regions === undefined ? {} : { regions }),
    ...(bounds === undefined ? {} : { bounds }),
    ...(replication === undefined ? {} : { replication }),
  };
}

function boundsOf({ bounds, regions }: CreateFlags, form: KeyForm): Key[] | undefined {
  if (bounds === undefined) return undefined;
  const keys = bounds.split(',').map((key) => keyFromText(key, form, '--bounds'));
  if (regions !== undefined && regions !== keys.length + 1) {
    const rule = 'one region more than --bounds has keys';
    throw new MokuError('INVALID_ARGUMENT', {
      field: '--regions',
      value: regions,
      expected: keys.length + 1,
      rule,
    });
  }
  return keys;
}

export function addKeyspaceCommands(program: Command, cli: Cli): void {
  const list = program
    .command('keyspaces')
    .description('list keyspaces')
    .action(() => cli.withDatabase(list, keyspaces));
  addConnectionOptions(list);

  const make = program
    .command('create <keyspace>')
    .description('make a keyspace; exit code 2 when it stands with other settings')
    .action((name: string, flags: CreateFlags) =>
      cli.withDatabase(make, (session) => create(session, name, flags)),
    );
  addKeyOption(addConnectionOptions(addCreateOptions(make)));
  make.addHelpText(
    'after',
    `
Examples:
  moku create users --mode hash --regions 32
  moku create names --mode range --bounds g,m,t`,
  );
}

async function keyspaces({ db, out, call }: ClientSession): Promise<number> {
  const view = await db.view(call);
  const rows = view.keyspaces.map(({ keyspaceId, name, mode }) => {
    const regions = view.regions.filter((region) => region.keyspaceId === keyspaceId);
    const replicas = regions.reduce((sum, region) => sum + region.replicas.length, 0);
    return { name, mode, regions: regions.length, replicas };
  });
  if (out.isJson) for (const row of rows) await out.json(row);
  else {
    const head = ['KEYSPACE', 'MODE', 'REGIONS', 'REPLICAS'];
    await out.table(
      head,
      rows.map((row) => [row.name, row.mode, row.regions, row.replicas]),
    );
  }
  return exitCodes.done;
}

async function create(session: ClientSession, name: string, flags: CreateFlags): Promise<number> {
  const { db, out, settings, call } = session;
  if (flags.mode === undefined) {
    throw new MokuError('INVALID_ARGUMENT', { field: '--mode', rule: 'hash or range' });
  }
  const options = createOptions(flags, settings.keys);
  if (flags.mode === 'range' && (flags.regions ?? 1) > 1 && flags.bounds === undefined) {
    const rule = 'given for range keyspaces of several regions';
    throw new MokuError('INVALID_ARGUMENT', { field: '--bounds', rule });
  }
  const before = await db.view(call);
  const existed = before.keyspaces.some((keyspace) => keyspace.name === name);
  await db.keyspace(name, { ...call, ...options });
  if (out.isJson) await out.json({ name, mode: flags.mode, created: !existed });
  else await out.line(`${name} ${existed ? 'was there already' : 'created'}`);
  return exitCodes.done;
}
