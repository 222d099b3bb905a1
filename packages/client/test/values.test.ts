import { limits } from '@moku/base';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { ValueEncoding } from '../src/database.js';
import { keyBytes, valueBytes, valueCodec } from '../src/values.js';

function codeOf(task: () => unknown): string {
  try {
    task();
  } catch (error) {
    return (error as { code?: string }).code ?? String(error);
  }
  return 'no error';
}

describe('values', () => {
  it('of json come back as they were', () => {
    const codec = valueCodec('json');
    fc.assert(
      fc.property(fc.jsonValue(), (value) => {
        expect(JSON.stringify(codec.decode(codec.encode(value)))).toBe(JSON.stringify(value));
      }),
    );
  });

  it('of msgpack come back as they were, and do not alias what they were read from', () => {
    const codec = valueCodec('msgpack');
    const bytes = codec.encode({ a: Uint8Array.of(1, 2), b: ['x', null, 1.5] });
    const value = codec.decode(bytes) as { a: Uint8Array; b: unknown[] };
    bytes.fill(0);
    expect([...value.a]).toEqual([1, 2]);
    expect(value.b).toEqual(['x', null, 1.5]);
  });

  it('that an encoding would change without a word are refused', () => {
    const cases: [ValueEncoding, unknown][] = [
      ['json', undefined],
      ['json', Number.NaN],
      ['json', { deep: [Number.POSITIVE_INFINITY] }],
      ['json', () => 1],
      ['utf8', 5],
      ['bytes', 'text'],
      ['msgpack', undefined],
      ['msgpack', { deep: [JSON.parse('{"__proto__": 1}')] }],
    ];
    for (const [encoding, value] of cases) {
      expect(codeOf(() => valueCodec(encoding).encode(value))).toBe('VALUE_NOT_ENCODABLE');
    }
    expect(valueCodec('json').decode(valueCodec('json').encode({ a: null }))).toEqual({ a: null });
    expect(valueCodec('msgpack').decode(valueCodec('msgpack').encode('__proto__'))).toBe(
      '__proto__',
    );
  });

  it('that are not of the encoding are told as such', () => {
    expect(codeOf(() => valueCodec('json').decode(Uint8Array.of(0x7b)))).toBe(
      'VALUE_NOT_DECODABLE',
    );
    expect(codeOf(() => valueCodec('utf8').decode(Uint8Array.of(0xff)))).toBe(
      'VALUE_NOT_DECODABLE',
    );
  });

  it('are bounded in size', () => {
    const codec = valueCodec('bytes');
    expect(valueBytes(codec, new Uint8Array(limits.valueBytesMax))).toHaveLength(
      limits.valueBytesMax,
    );
    const tooLarge = new Uint8Array(limits.valueBytesMax + 1);
    expect(codeOf(() => valueBytes(codec, tooLarge))).toBe('VALUE_TOO_LARGE');
  });

  it('have no encoding by a name that objects inherit', () => {
    expect(codeOf(() => valueCodec('toString' as ValueEncoding))).toBe('INVALID_ARGUMENT');
  });
});

describe('keys', () => {
  it('are bounded and never empty', () => {
    expect(keyBytes('k'.repeat(limits.keyBytesMax))).toHaveLength(limits.keyBytesMax);
    expect(codeOf(() => keyBytes('ü'.repeat(limits.keyBytesMax)))).toBe('KEY_TOO_LARGE');
    expect(codeOf(() => keyBytes(''))).toBe('KEY_EMPTY');
    expect(codeOf(() => keyBytes(7 as unknown as string))).toBe('INVALID_ARGUMENT');
  });
});
