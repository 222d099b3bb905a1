/**
 * Records of `moku import`: from bytes to lines to keys and values.
 *
 * Invariants:
 *  I1 At most one line and one piece of the input are held.
 *  I2 Every refusal names the line, counted from 1.
 */
import { isMokuError, limits, MokuError, text } from '@moku/base';
import type { Key, ValueEncoding } from '@moku/client';
import { type KeyForm, keyFromText, short, valueFromLine, valueFromText } from './values.js';

export type LineFormat = 'jsonl' | 'tsv';
export const lineFormats: readonly LineFormat[] = ['jsonl', 'tsv'];

export interface ImportRecord {
  readonly key: Key;
  readonly value: unknown;
}

/** Records that one piece of the input completed. */
export interface RecordBlock {
  readonly records: readonly ImportRecord[];
  /** Line of the last record, from 1. */
  readonly line: number;
  /** Bytes of the input so far. */
  readonly bytes: number;
}

export interface LineForms {
  /** undefined: JSON lines when the first line starts with {, else key and value with a tab between. */
  readonly format: LineFormat | undefined;
  readonly values: ValueEncoding;
  readonly keys: KeyForm;
}

/** A value of 1 MiB whose every byte is escaped in JSON, with room to spare. */
const lineBytesMax = 8 * limits.valueBytesMax;
const newline = 0x0a;

/** Reads records. Throws coded errors that name the line, after giving out what stood before it. */
export async function* readRecords(
  input: AsyncIterable<Uint8Array | string>,
  forms: LineForms,
): AsyncGenerator<RecordBlock, void, undefined> {
  const reader = new LineReader(forms);
  let bytes = 0;
  for await (const piece of input) {
    const buffer = Buffer.from(piece);
    bytes += buffer.length;
    yield* given(reader, buffer, bytes);
  }
  yield* given(reader, undefined, bytes);
}

/** What a piece completed; when one of its lines is bad, first what stood before that. */
function* given(
  reader: LineReader,
  piece: Buffer | undefined,
  bytes: number,
): Generator<RecordBlock, void, undefined> {
  const records: ImportRecord[] = [];
  try {
    if (piece === undefined) reader.end(records);
    else reader.take(piece, records);
  } catch (error) {
    if (records.length > 0) yield { records, line: reader.line - 1, bytes };
    throw error;
  }
  if (records.length > 0) yield { records, line: reader.line, bytes };
}

class LineReader {
  line = 0;
  private readonly forms: LineForms;
  private format: LineFormat | undefined;
  private rest: Buffer = Buffer.alloc(0);

  constructor(forms: LineForms) {
    this.forms = forms;
    this.format = forms.format;
  }

  /** Appends the records of the lines that `piece` ends. */
  take(piece: Buffer, into: ImportRecord[]): void {
    let from = 0;
    for (let at = piece.indexOf(newline); at !== -1; at = piece.indexOf(newline, from)) {
      const end = piece.subarray(from, at);
      from = at + 1;
      this.next(this.rest.length === 0 ? end : Buffer.concat([this.rest, end]), into);
      this.rest = Buffer.alloc(0);
    }
    this.rest = Buffer.concat([this.rest, piece.subarray(from)]);
    if (this.rest.length > lineBytesMax) {
      this.line += 1;
      this.refuse({ bytes: this.rest.length, max: lineBytesMax });
    }
  }

  /** The last line needs no newline. */
  end(into: ImportRecord[]): void {
    if (this.rest.length > 0) this.next(this.rest, into);
    this.rest = Buffer.alloc(0);
  }

  private next(bytes: Buffer, into: ImportRecord[]): void {
    this.line += 1;
    const content = this.decode(bytes);
    if (content === '') return;
    this.format ??= content.startsWith('{') ? 'jsonl' : 'tsv';
    try {
      const record = this.format === 'jsonl' ? this.fromJson(content) : this.fromTabs(content);
      checkSizes(record, bytes.length, this.forms.values);
      into.push(record);
    } catch (error) {
      if (!isMokuError(error)) throw error;
      const { field: part, ...details } = error.details;
      const where = { field: 'line', line: this.line, ...(part === 'line' ? {} : { part }) };
      throw new MokuError(error.code, { ...where, ...details }, { cause: error });
    }
  }

  private decode(bytes: Buffer): string {
    try {
      // The decoder takes a byte order mark away.
      const content = text(bytes);
      return content.endsWith('\r') ? content.slice(0, -1) : content;
    } catch (cause) {
      return this.refuse({ rule: 'UTF-8' }, cause);
    }
  }

  private fromTabs(content: string): ImportRecord {
    const at = content.indexOf('\t');
    if (at === -1) return this.refuse({ value: short(content), rule: 'key, tab, value' });
    const { keys, values } = this.forms;
    const key = keyFromText(content.slice(0, at), keys, 'key');
    return { key, value: valueFromText(content.slice(at + 1), values) };
  }

  private fromJson(content: string): ImportRecord {
    let parsed: unknown;
    try {
      parsed = JSON.parse(content);
    } catch (cause) {
      return this.refuse({ value: short(content), rule: 'JSON: {"key":…,"value":…}' }, cause);
    }
    const fields = typeof parsed === 'object' && parsed !== null ? Object.keys(parsed) : [];
    const { key, value } = Object(parsed) as { key?: unknown; value?: unknown };
    if (typeof key !== 'string' || value === undefined) {
      return this.refuse({
        value: short(content),
        rule: 'an object with a text `key` and a `value`',
      });
    }
    // `moku scan --json` writes versions; an import makes new ones.
    const unknown = fields.find((name) => name !== 'key' && name !== 'value' && name !== 'version');
    if (unknown !== undefined) {
      return this.refuse({ name: short(unknown), rule: 'no other names than key, value, version' });
    }
    const { keys, values } = this.forms;
    return { key: keyFromText(key, keys, 'key'), value: valueFromLine(value, values) };
  }

  private refuse(details: Readonly<Record<string, unknown>>, cause?: unknown): never {
    throw new MokuError(
      'INVALID_ARGUMENT',
      { field: 'line', line: this.line, ...details },
      { cause },
    );
  }
}

/** Checked here, so that a refusal names the line. Throws KEY_EMPTY, KEY_TOO_LARGE, VALUE_TOO_LARGE. */
function checkSizes({ key, value }: ImportRecord, lineBytes: number, values: ValueEncoding): void {
  const keyBytes = typeof key === 'string' ? Buffer.byteLength(key) : key.length;
  if (keyBytes === 0) throw new MokuError('KEY_EMPTY', { field: 'key' });
  if (keyBytes > limits.keyBytesMax) {
    throw new MokuError('KEY_TOO_LARGE', {
      field: 'key',
      bytes: keyBytes,
      max: limits.keyBytesMax,
    });
  }
  // Written anew, JSON grows a little at most: short lines need no look.
  if (lineBytes * 8 < limits.valueBytesMax) return;
  const bytes = storedBytes(value, values);
  if (bytes > limits.valueBytesMax) {
    throw new MokuError('VALUE_TOO_LARGE', { field: 'value', bytes, max: limits.valueBytesMax });
  }
}

/** Bytes of the value as stored; the client itself measures msgpack. */
function storedBytes(value: unknown, values: ValueEncoding): number {
  if (value instanceof Uint8Array) return value.length;
  if (values === 'utf8') return Buffer.byteLength(String(value));
  return values === 'json' ? Buffer.byteLength(JSON.stringify(value)) : 0;
}
