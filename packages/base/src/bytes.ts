// @hot
/**
 * Bytes: comparison, text, and a growing writer / bounds-checked reader for hand-written codecs.
 * All integers are little-endian; `uvarint` is LEB128 for safe non-negative integers.
 *
 * Invariant B1: a reader never reads past its end; a short or over-long input throws FRAME_MALFORMED.
 */
import { assert } from './assert.js';
import { MokuError } from './errors.js';

const encoder = new TextEncoder();
const decoder = new TextDecoder('utf-8', { fatal: true });

export const emptyBytes: Uint8Array = new Uint8Array(0);

/** UTF-8 bytes of `text`. */
export function utf8(text: string): Uint8Array {
  return encoder.encode(text);
}

/** Text of UTF-8 `bytes`; throws TypeError when they are not UTF-8. */
export function text(bytes: Uint8Array): string {
  return decoder.decode(bytes);
}

/** A copy. Unlike `bytes.slice()`, also where `bytes` is a Node Buffer, whose `slice` aliases. */
export function copyBytes(bytes: Uint8Array): Uint8Array {
  return new Uint8Array(bytes);
}

/** Bytewise order: negative, zero or positive. A prefix sorts before what it starts. */
export function compareBytes(a: Uint8Array, b: Uint8Array): number {
  const length = a.length < b.length ? a.length : b.length;
  for (let i = 0; i < length; i++) {
    const d = a[i]! - b[i]!;
    if (d !== 0) return d;
  }
  return a.length - b.length;
}

export function equalBytes(a: Uint8Array, b: Uint8Array): boolean {
  return a.length === b.length && compareBytes(a, b) === 0;
}

/** The smallest key greater than every key that starts with `prefix`; undefined when there is none. */
export function prefixEnd(prefix: Uint8Array): Uint8Array | undefined {
  for (let i = prefix.length - 1; i >= 0; i--) {
    if (prefix[i]! !== 0xff) {
      const end = prefix.slice(0, i + 1);
      end[i]! += 1;
      return end;
    }
  }
  return undefined;
}

/** A copy of `parts` joined. */
export function concatBytes(parts: readonly Uint8Array[]): Uint8Array {
  let length = 0;
  for (let i = 0; i < parts.length; i++) length += parts[i]!.length;
  const out = new Uint8Array(length);
  let at = 0;
  for (let i = 0; i < parts.length; i++) {
    out.set(parts[i]!, at);
    at += parts[i]!.length;
  }
  return out;
}

/** A reusable growing buffer. `view()` aliases it until the next write or reset; `take()` copies. */
export class ByteWriter {
  private buffer: Uint8Array;
  private data: DataView;
  private at = 0;

  constructor(capacity = 1024) {
    this.buffer = new Uint8Array(capacity);
    this.data = new DataView(this.buffer.buffer);
  }

  get length(): number {
    return this.at;
  }

  reset(): void {
    this.at = 0;
  }

  private reserve(n: number): void {
    const needed = this.at + n;
    if (needed <= this.buffer.length) return;
    let capacity = this.buffer.length * 2;
    while (capacity < needed) capacity *= 2;
    const grown = new Uint8Array(capacity);
    grown.set(this.buffer.subarray(0, this.at));
    this.buffer = grown;
    this.data = new DataView(grown.buffer);
  }

  u8(value: number): void {
    this.reserve(1);
    this.buffer[this.at++] = value;
  }

  u32(value: number): void {
    this.reserve(4);
    this.data.setUint32(this.at, value, true);
    this.at += 4;
  }

  /** A 64-bit float. */
  f64(value: number): void {
    this.reserve(8);
    this.data.setFloat64(this.at, value, true);
    this.at += 8;
  }

  u64(value: bigint): void {
    this.reserve(8);
    this.data.setBigUint64(this.at, value, true);
    this.at += 8;
  }

  /** A safe non-negative integer in 1–8 bytes. */
  uvarint(value: number): void {
    assert(Number.isSafeInteger(value) && value >= 0, 'B2: uvarint is a safe non-negative integer');
    this.reserve(8);
    let rest = value;
    while (rest >= 0x80) {
      this.buffer[this.at++] = (rest % 128) | 0x80;
      rest = Math.floor(rest / 128);
    }
    this.buffer[this.at++] = rest;
  }

  /** Raw bytes, without a length. */
  raw(bytes: Uint8Array): void {
    this.reserve(bytes.length);
    this.buffer.set(bytes, this.at);
    this.at += bytes.length;
  }

  /** Length as uvarint, then the bytes. */
  bytes(bytes: Uint8Array): void {
    this.uvarint(bytes.length);
    this.raw(bytes);
  }

  /** Length as uvarint, then UTF-8. */
  string(value: string): void {
    this.bytes(encoder.encode(value));
  }

  /** Overwrites four bytes written before, e.g. a length that was not known yet. */
  patchU32(offset: number, value: number): void {
    assert(offset + 4 <= this.at, 'B3: patched bytes were written');
    this.data.setUint32(offset, value, true);
  }

  patchU64(offset: number, value: bigint): void {
    assert(offset + 8 <= this.at, 'B3: patched bytes were written');
    this.data.setBigUint64(offset, value, true);
  }

  /** What was written, without a copy. Valid until the next write or reset. */
  view(): Uint8Array {
    return this.buffer.subarray(0, this.at);
  }

  /** A copy of what was written. */
  take(): Uint8Array {
    return this.buffer.slice(0, this.at);
  }
}

/** Reads what a ByteWriter wrote. Slices alias the input. Throws FRAME_MALFORMED on short input. */
export class ByteReader {
  private readonly buffer: Uint8Array;
  /** Made when the first number of 64 bits is read: most inputs are short and have none. */
  private fixed: DataView | undefined = undefined;
  private at: number;
  private readonly end: number;

  constructor(bytes: Uint8Array, from = 0, to: number = bytes.length) {
    this.buffer = bytes;
    this.at = from;
    this.end = to;
  }

  get offset(): number {
    return this.at;
  }

  get remaining(): number {
    return this.end - this.at;
  }

  private data(): DataView {
    const { buffer } = this;
    this.fixed ??= new DataView(buffer.buffer, buffer.byteOffset, buffer.byteLength);
    return this.fixed;
  }

  private need(n: number): void {
    if (n > this.end - this.at) {
      throw new MokuError('FRAME_MALFORMED', {
        field: 'length',
        needed: n,
        left: this.end - this.at,
      });
    }
  }

  u8(): number {
    this.need(1);
    return this.buffer[this.at++]!;
  }

  u32(): number {
    this.need(4);
    const { buffer, at } = this;
    this.at = at + 4;
    const low = buffer[at]! | (buffer[at + 1]! << 8) | (buffer[at + 2]! << 16);
    return low + buffer[at + 3]! * 0x1000000;
  }

  f64(): number {
    this.need(8);
    const value = this.data().getFloat64(this.at, true);
    this.at += 8;
    return value;
  }

  u64(): bigint {
    this.need(8);
    const value = this.data().getBigUint64(this.at, true);
    this.at += 8;
    return value;
  }

  uvarint(): number {
    let value = 0;
    let scale = 1;
    for (let i = 0; i < 8; i++) {
      this.need(1);
      const byte = this.buffer[this.at++]!;
      value += (byte & 0x7f) * scale;
      if (byte < 0x80) {
        if (!Number.isSafeInteger(value)) break;
        return value;
      }
      scale *= 128;
    }
    throw new MokuError('FRAME_MALFORMED', { field: 'uvarint' });
  }

  /** The next `length` bytes, aliasing the input. */
  raw(length: number): Uint8Array {
    this.need(length);
    const slice = this.buffer.subarray(this.at, this.at + length);
    this.at += length;
    return slice;
  }

  /** Length-prefixed bytes, aliasing the input. */
  bytes(): Uint8Array {
    return this.raw(this.uvarint());
  }

  string(): string {
    const raw = this.bytes();
    try {
      return decoder.decode(raw);
    } catch (cause) {
      throw new MokuError('FRAME_MALFORMED', { field: 'string' }, { cause });
    }
  }

  /** Throws FRAME_MALFORMED unless everything was read. */
  finish(): void {
    if (this.at !== this.end) {
      throw new MokuError('FRAME_MALFORMED', { field: 'trailing', left: this.end - this.at });
    }
  }
}
