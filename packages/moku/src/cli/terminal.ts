/**
 * What a command has around it: streams and environment. The process's own in production, others in tests.
 */
import type { Readable, Writable } from 'node:stream';

type Screen = Writable & { readonly isTTY?: boolean };

export interface Terminal {
  readonly stdin: Readable;
  readonly stdout: Screen;
  readonly stderr: Screen;
  readonly env: Readonly<Record<string, string | undefined>>;
}

/** The streams of this process. Standard input is touched only when it is read. */
export const processTerminal: Terminal = {
  get stdin() {
    return process.stdin;
  },
  stdout: process.stdout,
  stderr: process.stderr,
  env: process.env,
};

/** Colour only on a terminal, and never when NO_COLOR is set and not empty (no-color.org). */
export function hasColor(terminal: Terminal): boolean {
  const { NO_COLOR, TERM } = terminal.env;
  if (NO_COLOR !== undefined && NO_COLOR !== '') return false;
  return terminal.stdout.isTTY === true && TERM !== 'dumb';
}
