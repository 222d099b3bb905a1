/**
 * How commands speak: results on stdout (tables and lines for people, one JSON value per line with
 * `--json`), everything else on stderr.
 *
 * Invariant O1: a stream that is slower than the command makes the command wait; nothing piles up.
 */
import { once } from 'node:events';
import type { Writable } from 'node:stream';
import Table from 'cli-table3';
import { hasColor, type Terminal } from './terminal.js';

export type Cell = string | number;

export class Output {
  readonly isJson: boolean;
  private readonly terminal: Terminal;

  constructor(terminal: Terminal, isJson: boolean) {
    this.terminal = terminal;
    this.isJson = isJson;
  }

  /** A line of a result. */
  line(text: string): Promise<void> {
    return this.raw(`${text}\n`);
  }

  /** A result as one line of JSON. */
  json(value: unknown): Promise<void> {
    return this.line(JSON.stringify(value));
  }

  /** A result as it is, e.g. bytes or many lines at once. */
  raw(content: string | Uint8Array): Promise<void> {
    return written(this.terminal.stdout, content);
  }

  /** Rows under a head, in columns. */
  table(head: readonly string[], rows: readonly (readonly Cell[])[]): Promise<void> {
    // Bold is said here: the table's own colours do not ask this terminal.
    const isBold = hasColor(this.terminal);
    const table = new Table({
      head: head.map((name) => (isBold ? `\x1b[1m${name}\x1b[22m` : name)),
      chars: noBorders,
      style: { head: [], border: [], 'padding-left': 0, 'padding-right': 0 },
    });
    for (const row of rows) table.push(row.map((cell) => printable(String(cell))));
    return this.line(table.toString().replace(/[ \t]+$/gm, ''));
  }

  /** Something beside the result. */
  note(text: string): Promise<void> {
    return written(this.terminal.stderr, `${text}\n`);
  }
}

const noBorders = {
  ...{ top: '', 'top-mid': '', 'top-left': '', 'top-right': '' },
  ...{ bottom: '', 'bottom-mid': '', 'bottom-left': '', 'bottom-right': '' },
  ...{ left: '', 'left-mid': '', mid: '', 'mid-mid': '', right: '', 'right-mid': '', middle: '  ' },
};

async function written(stream: Writable, content: string | Uint8Array): Promise<void> {
  if (stream.destroyed) return;
  if (!stream.write(content)) await once(stream, 'drain');
}

/**
 * `text` with control characters as \u escapes: data never steers the terminal or breaks a line, and
 * JSON stays the same JSON.
 */
export function printable(text: string): string {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is looked for
  return text.replace(/[\u0000-\u001f\u007f-\u009f\u2028\u2029]/g, (character) => {
    return `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`;
  });
}

/** 1,234,567 */
export function count(value: number): string {
  return Math.round(value).toLocaleString('en');
}

/** Bytes as MiB, one digit below 10. */
export function mebibytes(bytes: number): string {
  const value = bytes / (1024 * 1024);
  return `${value < 10 ? value.toFixed(1) : Math.round(value)} MiB`;
}
