import { MokuError } from '@moku/base';
import { describe, expect, it } from 'vitest';
import { printable } from '../src/cli/output.js';
import {
  keyFromText,
  keyToText,
  valueForJson,
  valueFromBytes,
  valueFromLine,
  valueFromText,
  valueToLine,
  valueToPrint,
} from '../src/cli/values.js';

function code(task: () => unknown): string | undefined {
  try {
    task();
  } catch (error) {
    return error instanceof MokuError ? error.code : String(error);
  }
  return undefined;
}

describe('a value on the command line', () => {
  it('is JSON unless said otherwise, and what is not JSON is pointed to --values utf8', () => {
    expect(valueFromText('{"a":1}', 'json')).toEqual({ a: 1 });
    expect(valueFromText('null', 'json')).toBeNull();
    expect(() => valueFromText('hello', 'json')).toThrow(/VALUE_NOT_ENCODABLE.*--values utf8/);
  });

  it('is taken as it is under utf8', () => {
    expect(valueFromText('{"a":1}', 'utf8')).toBe('{"a":1}');
  });

  it('is base64 under bytes, and anything else is refused', () => {
    expect(valueFromText('AAH/', 'bytes')).toEqual(new Uint8Array([0, 1, 255]));
    for (const given of ['AAH', 'AA*=', 'hello world', '=AAA']) {
      expect(code(() => valueFromText(given, 'bytes'))).toBe('VALUE_NOT_ENCODABLE');
    }
  });
});

describe('a value from standard input', () => {
  it('is kept byte for byte under bytes and utf8', () => {
    const bytes = new Uint8Array([0, 255, 10]);
    expect(valueFromBytes(bytes, 'bytes')).toEqual(bytes);
    expect(valueFromBytes(Buffer.from('a\n'), 'utf8')).toBe('a\n');
  });

  it('that is no text is refused under utf8 and json', () => {
    const bytes = new Uint8Array([0xff]);
    expect(code(() => valueFromBytes(bytes, 'utf8'))).toBe('VALUE_NOT_ENCODABLE');
    expect(code(() => valueFromBytes(bytes, 'json'))).toBe('VALUE_NOT_ENCODABLE');
  });
});

describe('a value that is shown', () => {
  it('never breaks a line or steers the terminal', () => {
    expect(valueToLine('a\nb\t\u001b[31m', 'utf8')).toBe('a\\u000ab\\u0009\\u001b[31m');
    expect(valueToLine({ a: '\u009b\u2028' }, 'json')).toBe('{"a":"\\u009b\\u2028"}');
    expect(JSON.parse(valueToLine({ a: '\u009b\\' }, 'json'))).toEqual({ a: '\u009b\\' });
  });

  it('comes out of get as it went in', () => {
    expect(valueToPrint({ a: 1 }, 'json')).toBe('{"a":1}\n');
    expect(valueToPrint('a\nb', 'utf8')).toBe('a\nb\n');
    expect(valueToPrint(new Uint8Array([1]), 'bytes')).toEqual(new Uint8Array([1]));
  });

  it('survives what JSON lacks: bytes and big integers of msgpack', () => {
    expect(valueForJson({ a: new Uint8Array([255]), b: 2n ** 60n })).toEqual({
      a: '/w==',
      b: (2n ** 60n).toString(),
    });
    expect(valueForJson({ at: new Date(0) })).toEqual({ at: new Date(0) });
  });

  it('bytes that a JSON line carries come back from it', () => {
    const bytes = new Uint8Array([1, 2, 250]);
    expect(valueFromLine(valueForJson(bytes), 'bytes')).toEqual(bytes);
    expect(code(() => valueFromLine(5, 'bytes'))).toBe('VALUE_NOT_ENCODABLE');
    expect(code(() => valueFromLine({}, 'utf8'))).toBe('VALUE_NOT_ENCODABLE');
  });
});

describe('keys', () => {
  it('are text, or bytes as hex', () => {
    expect(keyFromText('a/b', 'utf8', 'KEY')).toBe('a/b');
    expect(keyFromText('00ff', 'hex', 'KEY')).toEqual(new Uint8Array([0, 255]));
    expect(keyToText(new Uint8Array([0, 255]))).toBe('00ff');
    for (const given of ['0', '0g', '0x00']) {
      expect(() => keyFromText(given, 'hex', 'KEY')).toThrow(/INVALID_ARGUMENT: field=KEY/);
    }
  });

  it('are shown without control characters', () => {
    expect(printable('a\u0000b\u007f')).toBe('a\\u0000b\\u007f');
    expect(printable('Zürich 東京')).toBe('Zürich 東京');
  });
});
