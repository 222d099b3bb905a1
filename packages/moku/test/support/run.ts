/** Runs a command over a database in memory and keeps what it said. */
import { runCommand } from '../../src/cli/program.js';
import { FakeDatabase } from './fake-database.js';
import { type TestTerminal, testTerminal } from './terminal.js';

export interface Ran {
  readonly exitCode: number;
  readonly out: string;
  readonly outBytes: Buffer;
  readonly err: string;
  /** Nodes that were connected to; undefined: none were. */
  readonly nodes: readonly string[] | undefined;
}

export async function run(
  args: readonly string[],
  db: FakeDatabase = new FakeDatabase(),
  terminal: TestTerminal = testTerminal(),
): Promise<Ran> {
  let nodes: readonly string[] | undefined;
  const exitCode = await runCommand(args, {
    terminal,
    connect: async (options) => {
      ({ nodes } = options);
      return db;
    },
  });
  const { out, outBytes, err } = terminal;
  return { exitCode, out: out(), outBytes: outBytes(), err: err(), nodes };
}
