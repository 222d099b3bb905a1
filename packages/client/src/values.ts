/**
 * How users' keys and values become bytes and back. Decoding happens on the caller's side only.
 */
import { copyBytes, limits, MokuError, text, utf8 } from '@moku/base';
import { Packr } from 'msgpackr';
import type { Key, ValueEncoding } from './database.js';

export interface ValueCodec {
  encode(value: unknown): Uint8Array;
  /** `bytes` may alias a larger buffer; the result never does. */
  decode(bytes: Uint8Array): unknown;
}

// Maps stay maps: user keys never become object keys by way of msgpack's own renaming of `__proto__`.
const packr = new Packr({
  useRecords: false,
  mapsAsObjects: true,
  moreTypes: false,
});

function notEncodable(encoding: ValueEncoding, value: unknown, cause?: unknown): MokuError {
  return new MokuError(
    'VALUE_NOT_ENCODABLE',
    { field: 'value', encoding, type: typeof value },
    { cause },
  );
}

function guarded(encoding: ValueEncoding, codec: ValueCodec): ValueCodec {
  return {
    encode(value) {
      try {
        return codec.encode(value);
      } catch (cause) {
        if (cause instanceof MokuError) throw cause;
        throw notEncodable(encoding, value, cause);
      }
    },
    decode(bytes) {
      try {
        return codec.decode(bytes);
      } catch (cause) {
        throw new MokuError('VALUE_NOT_DECODABLE', { field: 'value', encoding }, { cause });
      }
    },
  };
}

const codecs: Record<ValueEncoding, ValueCodec> = {
  bytes: guarded('bytes', {
    encode(value) {
      if (!(value instanceof Uint8Array)) throw notEncodable('bytes', value);
      return value;
    },
    decode: (bytes) => copyBytes(bytes),
  }),
  utf8: guarded('utf8', {
    encode(value) {
      if (typeof value !== 'string') throw notEncodable('utf8', value);
      return utf8(value);
    },
    decode: (bytes) => text(bytes),
  }),
  json: guarded('json', {
    encode(value) {
      const json = JSON.stringify(value);
      if (json === undefined) throw notEncodable('json', value);
      // NaN and infinities become null without a word: looked for only where there is a null.
      if (json.includes('null')) JSON.stringify(value, refuseLostNumbers);
      return utf8(json);
    },
    decode: (bytes) => JSON.parse(text(bytes)) as unknown,
  }),
  msgpack: guarded('msgpack', {
    encode(value) {
      if (value === undefined) throw notEncodable('msgpack', value);
      // A copy: the packer's buffer is used again.
      const packed = copyBytes(packr.pack(value));
      // msgpackr gives this key back under another name: looked for only where its letters are.
      if (Buffer.from(packed.buffer).includes('__proto__')) refuseProto(value);
      return packed;
    },
    // A copy first: msgpackr's decoded binaries alias what they were read from.
    decode: (bytes) => packr.unpack(copyBytes(bytes)) as unknown,
  }),
};

function refuseLostNumbers(_key: string, value: unknown): unknown {
  if (typeof value === 'number' && !Number.isFinite(value)) throw notEncodable('json', value);
  return value;
}

function refuseProto(value: unknown): void {
  if (typeof value !== 'object' || value === null || ArrayBuffer.isView(value)) return;
  if (Object.hasOwn(value, '__proto__')) {
    throw new MokuError('VALUE_NOT_ENCODABLE', { field: '__proto__', encoding: 'msgpack' });
  }
  for (const inner of Object.values(value)) refuseProto(inner);
}

export function valueCodec(encoding: ValueEncoding): ValueCodec {
  const codec = Object.hasOwn(codecs, encoding) ? codecs[encoding] : undefined;
  if (codec === undefined) {
    throw new MokuError('INVALID_ARGUMENT', {
      field: 'values',
      value: encoding,
      allowed: Object.keys(codecs).join('|'),
    });
  }
  return codec;
}

/** Bytes of a user's key. Throws KEY_EMPTY, KEY_TOO_LARGE or INVALID_ARGUMENT naming `field`. */
export function keyBytes(key: Key, field = 'key'): Uint8Array {
  if (typeof key !== 'string' && !(key instanceof Uint8Array)) {
    throw new MokuError('INVALID_ARGUMENT', {
      field,
      type: typeof key,
      allowed: 'string|Uint8Array',
    });
  }
  const bytes = typeof key === 'string' ? utf8(key) : key;
  if (bytes.length === 0) throw new MokuError('KEY_EMPTY', { field });
  if (bytes.length > limits.keyBytesMax) {
    throw new MokuError('KEY_TOO_LARGE', { field, bytes: bytes.length, max: limits.keyBytesMax });
  }
  return bytes;
}

/** Encodes and checks the size. Throws VALUE_NOT_ENCODABLE or VALUE_TOO_LARGE. */
export function valueBytes(codec: ValueCodec, value: unknown): Uint8Array {
  const bytes = codec.encode(value);
  if (bytes.length > limits.valueBytesMax) {
    throw new MokuError('VALUE_TOO_LARGE', {
      field: 'value',
      bytes: bytes.length,
      max: limits.valueBytesMax,
    });
  }
  return bytes;
}

/** A user's key from its bytes, in the form the keyspace was opened with. */
export function keyFrom(bytes: Uint8Array, form: 'utf8' | 'bytes'): Key {
  if (form === 'bytes') return copyBytes(bytes);
  try {
    return text(bytes);
  } catch (cause) {
    throw new MokuError('VALUE_NOT_DECODABLE', { field: 'key', encoding: 'utf8' }, { cause });
  }
}
