/**
 * All commands under one name. A new program per run: commander keeps what it parsed.
 */
import { createRequire } from 'node:module';
import { Command, CommanderError } from 'commander';
import { Cli, type CliParts } from './cli.js';
import { addConnectionOptions, addFormOptions } from './client-options.js';
import { addDev } from './dev.js';
import { reportError } from './errors.js';
import { exitCodes, exitCodesHelp } from './exit-codes.js';
import { addImport } from './import.js';
import { addKeyspaceCommands } from './keyspaces.js';
import { Output } from './output.js';
import { addRecordCommands } from './records.js';
import { addRegions } from './regions.js';
import { addScan } from './scan.js';
import { addServe } from './serve-command.js';
import { addStatus } from './status.js';
import { addTransfer } from './transfer.js';

/** Runs one command. Resolves to its exit code; never rejects. */
export async function runCommand(args: readonly string[], parts: CliParts): Promise<number> {
  const cli = new Cli(parts);
  try {
    await build(cli).parseAsync([...args], { from: 'user' });
    return cli.exitCode;
  } catch (error) {
    if (error instanceof CommanderError) {
      // Help and versions were asked for and printed.
      if (error.exitCode === 0) return exitCodes.done;
      // No command was given: help was printed instead.
      if (error.code === 'commander.help') return exitCodes.usage;
    }
    return reportError(error, new Output(parts.terminal, wantsJson(args)));
  }
}

function build(cli: Cli): Command {
  const { stdout, stderr } = cli.terminal;
  const program = new Command('moku')
    .description('Moku: a Multi-Raft partitioned storage engine')
    .version(version(), '--version', 'print the version')
    .helpOption('-h, --help', 'print this, or the help of a command')
    .helpCommand(false)
    .enablePositionalOptions()
    .exitOverride()
    .configureOutput({
      writeOut: (text) => void stdout.write(text),
      writeErr: (text) => void stderr.write(text),
      // Usage errors are told like all others.
      outputError: () => {},
    });
  addFormOptions(addConnectionOptions(program));
  addServe(program, cli);
  addDev(program, cli);
  addRecordCommands(program, cli);
  addScan(program, cli);
  addImport(program, cli);
  addKeyspaceCommands(program, cli);
  addStatus(program, cli);
  addRegions(program, cli);
  addTransfer(program, cli);
  program.addHelpText(
    'after',
    `
Examples:
  moku dev                                    # three nodes on this machine
  moku create users --mode hash
  moku put users alice '{"age":31}'
  moku get users alice
  moku status

${exitCodesHelp}`,
  );
  return program;
}

/** As far as can be told before, or without, parsing. */
function wantsJson(args: readonly string[]): boolean {
  const end = args.indexOf('--');
  return args.slice(0, end === -1 ? args.length : end).includes('--json');
}

function version(): string {
  const manifest = createRequire(import.meta.url)('../../package.json') as { version: string };
  return manifest.version;
}
