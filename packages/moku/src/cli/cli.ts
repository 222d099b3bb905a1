/**
 * What commands share: the terminal, the connection, the exit code.
 *
 * Invariant L1: a connection that a command opened is closed before the command's promise settles, so
 * that the process ends by itself.
 */
import type { CallOptions, Database } from '@moku/client';
import type { Command } from 'commander';
import type { ConnectOptions } from '../connect.js';
import { type ClientSettings, clientSettings, defaultTimeoutMs } from './client-options.js';
import { exitCodes } from './exit-codes.js';
import { Output } from './output.js';
import type { Terminal } from './terminal.js';

export interface CliParts {
  readonly terminal: Terminal;
  /** Gives the database of `--nodes`. */
  readonly connect: (options: ConnectOptions) => Promise<Database>;
}

/** One command's connection. */
export interface ClientSession {
  readonly db: Database;
  readonly out: Output;
  readonly terminal: Terminal;
  readonly settings: ClientSettings;
  /** Bounds of each call. */
  readonly call: CallOptions;
}

const closeGraceMs = 500;

export class Cli {
  readonly terminal: Terminal;
  private readonly connect: CliParts['connect'];
  exitCode: number = exitCodes.done;

  constructor(parts: CliParts) {
    this.terminal = parts.terminal;
    this.connect = parts.connect;
  }

  output(command: Command): Output {
    const flags = { ...command.parent?.opts(), ...command.opts() } as { json?: boolean };
    return new Output(this.terminal, flags.json === true);
  }

  /** Runs `task` over a connection; its result becomes the exit code. */
  async withDatabase(
    command: Command,
    task: (session: ClientSession) => Promise<number>,
  ): Promise<void> {
    const settings = clientSettings(command, this.terminal.env);
    // `moku scan … | head`: whoever reads has seen enough, which is no failure.
    this.terminal.stdout.once('error', () => process.exit(exitCodes.done));
    const db = await this.connect({ nodes: settings.nodes });
    try {
      this.exitCode = await task({
        db,
        out: this.output(command),
        terminal: this.terminal,
        settings,
        call: { timeoutMs: settings.timeoutMs ?? defaultTimeoutMs },
      });
    } finally {
      await db.close({ graceMs: closeGraceMs });
    }
  }
}
