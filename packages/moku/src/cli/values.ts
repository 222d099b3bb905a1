/**
 * Keys and values between the command line and the store.
 *
 * | --values | an argument is        | standard input is | what `get` prints |
 * | json     | JSON                  | JSON              | JSON              |
 * | utf8     | the text              | the text          | the text          |
 * | bytes    | base64                | the bytes         | the bytes         |
 * | msgpack  | JSON                  | JSON              | JSON              |
 */
import { MokuError, text } from '@moku/base';
import type { Key, ValueEncoding } from '@moku/client';
import { printable } from './output.js';

export const valueEncodings: readonly ValueEncoding[] = ['json', 'utf8', 'bytes', 'msgpack'];

export type KeyForm = 'utf8' | 'hex';
export const keyForms: readonly KeyForm[] = ['utf8', 'hex'];

const shownCharsMax = 40;

/** A value given as text. Throws VALUE_NOT_ENCODABLE naming the encoding. */
export function valueFromText(given: string, encoding: ValueEncoding): unknown {
  switch (encoding) {
    case 'utf8':
      return given;
    case 'bytes':
      return bytesFromBase64(given);
    case 'json':
    case 'msgpack':
      return valueFromJson(given, encoding);
  }
}

/** A value read as a whole. Throws VALUE_NOT_ENCODABLE. */
export function valueFromBytes(given: Uint8Array, encoding: ValueEncoding): unknown {
  if (encoding === 'bytes') return given;
  let content: string;
  try {
    content = text(given);
  } catch (cause) {
    const rule = 'UTF-8 text; --values bytes takes any bytes';
    throw new MokuError('VALUE_NOT_ENCODABLE', { field: 'VALUE', encoding, rule }, { cause });
  }
  return valueFromText(content, encoding);
}

/** A value that stands in a JSON line: bytes are base64 there. Throws VALUE_NOT_ENCODABLE. */
export function valueFromLine(given: unknown, encoding: ValueEncoding): unknown {
  if (encoding === 'json' || encoding === 'msgpack') return given;
  if (typeof given === 'string') return valueFromText(given, encoding);
  const rule = encoding === 'utf8' ? 'a string' : 'a string in base64';
  throw new MokuError('VALUE_NOT_ENCODABLE', {
    field: 'value',
    encoding,
    type: typeof given,
    rule,
  });
}

/** A value on one line, for people. */
export function valueToLine(value: unknown, encoding: ValueEncoding): string {
  if (value instanceof Uint8Array) return Buffer.from(value).toString('base64');
  return printable(encoding === 'utf8' ? String(value) : toJson(value));
}

/** A value as a part of JSON. */
export function valueForJson(value: unknown): unknown {
  return value instanceof Uint8Array ? Buffer.from(value).toString('base64') : plain(value);
}

/** What `get` prints. */
export function valueToPrint(value: unknown, encoding: ValueEncoding): string | Uint8Array {
  if (value instanceof Uint8Array && encoding === 'bytes') return value;
  return encoding === 'utf8' ? `${String(value)}\n` : `${toJson(value)}\n`;
}

/** A key given as text. Throws INVALID_ARGUMENT naming `field` unless it has the form. */
export function keyFromText(given: string, form: KeyForm, field: string): Key {
  if (form === 'utf8') return given;
  if (given.length % 2 !== 0 || !/^[0-9a-f]*$/i.test(given)) {
    const rule = 'an even number of hex digits (--keys hex)';
    throw new MokuError('INVALID_ARGUMENT', { field, value: short(given), rule });
  }
  return new Uint8Array(Buffer.from(given, 'hex'));
}

/** A key as text in the form. */
export function keyToText(key: Key): string {
  return typeof key === 'string' ? key : Buffer.from(key).toString('hex');
}

function valueFromJson(given: string, encoding: ValueEncoding): unknown {
  try {
    return JSON.parse(given) as unknown;
  } catch (cause) {
    const rule = 'JSON, e.g. \'{"a":1}\' or \'"text"\'; --values utf8 takes the text as it is';
    const details = { field: 'VALUE', encoding, value: short(given), rule };
    throw new MokuError('VALUE_NOT_ENCODABLE', details, { cause });
  }
}

function bytesFromBase64(given: string): Uint8Array {
  const compact = given.trim();
  const isBase64 = /^[A-Za-z0-9+/]*={0,2}$/.test(compact) && compact.length % 4 === 0;
  if (!isBase64) {
    const rule = 'base64; standard input (-) takes the bytes as they are';
    const details = { field: 'VALUE', encoding: 'bytes', value: short(given), rule };
    throw new MokuError('VALUE_NOT_ENCODABLE', details);
  }
  return new Uint8Array(Buffer.from(compact, 'base64'));
}

function toJson(value: unknown): string {
  return JSON.stringify(plain(value)) ?? 'null';
}

/** msgpack carries what JSON does not: bytes are shown as base64, big integers as text. */
function plain(value: unknown): unknown {
  if (typeof value === 'bigint') return value.toString();
  if (value instanceof Uint8Array) return Buffer.from(value).toString('base64');
  if (Array.isArray(value)) return value.map(plain);
  if (typeof value !== 'object' || value === null || value instanceof Date) return value;
  return Object.fromEntries(Object.entries(value).map(([name, part]) => [name, plain(part)]));
}

/** Enough of what was given to recognize it. */
export function short(given: string): string {
  const cut = given.length > shownCharsMax ? `${given.slice(0, shownCharsMax)}…` : given;
  return printable(cut);
}
