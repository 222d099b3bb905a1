/**
 * How commands speak: tables for people, one JSON value per line with --json, errors on stderr, exit codes.
 *
 * Exit codes: 0 done; 1 failed, certainly without effect; 2 usage or configuration; 3 failed, perhaps
 * with effect (`maybe`); 4 not found or a condition did not hold.
 */
import { type ErrorCode, MokuError } from '@moku/base';
import Table from 'cli-table3';

export const exitCodes = { done: 0, failed: 1, usage: 2, maybe: 3, notFound: 4 } as const;

const usageCodes: ReadonlySet<ErrorCode> = new Set([
  'INVALID_ARGUMENT',
  'CONFIG_INVALID',
  'DIR_UNUSABLE',
  'DIR_LOCKED',
  'DIR_FOREIGN',
  'DIR_FORMAT_NEWER',
  'PORT_IN_USE',
]);

/** Colour only on a terminal, and never when NO_COLOR is set (no-color.org). */
export function hasColor(stream: NodeJS.WriteStream = process.stdout): boolean {
  const { NO_COLOR } = process.env;
  return stream.isTTY === true && (NO_COLOR === undefined || NO_COLOR === '');
}

export function printJson(value: unknown): void {
  process.stdout.write(`${JSON.stringify(value)}\n`);
}

export function printLine(line: string): void {
  process.stdout.write(`${line}\n`);
}

export function printTable(head: readonly string[], rows: readonly (readonly (string | number)[])[]): void {
  const plain = { head: [], border: [] };
  const table = new Table({
    head: [...head],
    chars: noBorders,
    style: hasColor() ? { head: ['bold'], border: [], 'padding-left': 0 } : { ...plain, 'padding-left': 0 },
  });
  for (const row of rows) table.push([...row]);
  printLine(table.toString().replace(/[ \t]+$/gm, ''));
}

const noBorders = {
  ...{ top: '', 'top-mid': '', 'top-left': '', 'top-right': '' },
  ...{ bottom: '', 'bottom-mid': '', 'bottom-left': '', 'bottom-right': '' },
  ...{ left: '', 'left-mid': '', mid: '', 'mid-mid': '', right: '', 'right-mid': '', middle: '  ' },
};

/** Says what went wrong and gives the exit code. */
export function reportError(error: unknown, isJson: boolean): number {
  const coded = error instanceof MokuError ? error : undefined;
  const message = error instanceof Error ? error.message : String(error);
  if (isJson) {
    printJson({ ok: false, error: coded?.toJSON() ?? { code: 'INTERNAL', outcome: 'maybe', details: { message } } });
  } else {
    const certainty = coded === undefined ? '' : ` (${coded.outcome}: ${sentences[coded.outcome]})`;
    process.stderr.write(`moku: ${message}${certainty}\n`);
  }
  if (coded === undefined) return exitCodes.maybe;
  if (usageCodes.has(coded.code)) return exitCodes.usage;
  return coded.outcome === 'maybe' ? exitCodes.maybe : exitCodes.failed;
}

const sentences = {
  definite: 'it certainly had no effect',
  maybe: 'it may have had its effect',
} as const;

/** A bar on stderr for long work; silent when stderr is no terminal. */
export class Bar {
  private lastMs = 0;
  private readonly label: string;

  constructor(label: string) {
    this.label = label;
  }

  /** `share` in 0 … 1; `note` is shown behind it. */
  update(share: number, note: string): void {
    const nowMs = performance.now();
    if (process.stderr.isTTY !== true || (share < 1 && nowMs - this.lastMs < 80)) return;
    this.lastMs = nowMs;
    const full = Math.round(Math.min(1, share) * 28);
    process.stderr.write(`\r\x1b[2K${this.label} ${'█'.repeat(full)}${'░'.repeat(28 - full)} ${note}`);
  }

  end(): void {
    if (process.stderr.isTTY === true && this.lastMs > 0) process.stderr.write('\n');
  }
}
