/**
 * A terminal whose output is kept as text.
 */
import { Readable, Writable } from 'node:stream';
import type { Terminal } from '../../src/cli/terminal.js';

class Kept extends Writable {
  private readonly chunks: Buffer[] = [];
  readonly isTTY: boolean;

  constructor(isTTY: boolean) {
    super({ decodeStrings: true });
    this.isTTY = isTTY;
  }

  get bytes(): Buffer {
    return Buffer.concat(this.chunks);
  }

  override _write(chunk: Buffer, _encoding: string, done: () => void): void {
    this.chunks.push(Buffer.from(chunk));
    done();
  }
}

export interface TestTerminal extends Terminal {
  /** What was written to stdout so far. */
  readonly out: () => string;
  readonly outBytes: () => Buffer;
  readonly err: () => string;
}

export function testTerminal(
  given: {
    readonly stdin?: string | Uint8Array;
    readonly env?: Record<string, string>;
    readonly isTTY?: boolean;
  } = {},
): TestTerminal {
  const stdout = new Kept(given.isTTY ?? false);
  const stderr = new Kept(given.isTTY ?? false);
  return {
    stdin: Readable.from(given.stdin === undefined ? [] : [Buffer.from(given.stdin)]),
    stdout,
    stderr,
    env: given.env ?? {},
    out: () => stdout.bytes.toString(),
    outBytes: () => stdout.bytes,
    err: () => stderr.bytes.toString(),
  };
}
