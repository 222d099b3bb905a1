import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { ByteReader, ByteWriter, compareBytes, prefixEnd, utf8 } from '../src/bytes.js';
import { isMokuError } from '../src/errors.js';

describe('bytes', () => {
  it('are ordered as Buffer orders them', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 8 }), fc.uint8Array({ maxLength: 8 }), (a, b) => {
        expect(Math.sign(compareBytes(a, b))).toBe(Buffer.compare(a, b));
      }),
    );
  });

  it('end right behind their prefix', () => {
    fc.assert(
      fc.property(
        fc.uint8Array({ maxLength: 6 }),
        fc.uint8Array({ maxLength: 6 }),
        (prefix, key) => {
          const end = prefixEnd(prefix);
          const starts = compareBytes(key.subarray(0, prefix.length), prefix) === 0;
          const isWithin =
            compareBytes(key, prefix) >= 0 && (end === undefined || compareBytes(key, end) < 0);
          expect(isWithin).toBe(starts);
        },
      ),
    );
  });
});

describe('a reader', () => {
  it('gives back what a writer wrote', () => {
    const uvarint = fc.integer({ min: 0, max: Number.MAX_SAFE_INTEGER });
    fc.assert(
      fc.property(uvarint, fc.uint8Array(), fc.string(), fc.double(), (n, raw, string, float) => {
        const writer = new ByteWriter(1);
        writer.uvarint(n);
        writer.bytes(raw);
        writer.string(string);
        writer.f64(float);
        writer.u64(0xffff_ffff_ffff_ffffn);
        const reader = new ByteReader(writer.take());
        expect(reader.uvarint()).toBe(n);
        expect(reader.bytes()).toEqual(raw);
        expect(utf8(reader.string())).toEqual(utf8(string));
        expect(reader.f64()).toBe(float);
        expect(reader.u64()).toBe(0xffff_ffff_ffff_ffffn);
        reader.finish();
      }),
    );
  });

  it('refuses to read past the end, wherever the input is cut', () => {
    const writer = new ByteWriter();
    writer.uvarint(300);
    writer.string('region');
    writer.u32(7);
    const whole = writer.take();
    for (let length = 0; length < whole.length; length++) {
      const reader = new ByteReader(whole.subarray(0, length));
      const read = (): void => {
        reader.uvarint();
        reader.string();
        reader.u32();
      };
      expect(read).toThrow(expect.objectContaining({ code: 'FRAME_MALFORMED' }));
    }
  });

  it('refuses an integer that is not safe', () => {
    const endless = new ByteReader(new Uint8Array(12).fill(0xff));
    const tooLarge = new ByteReader(Uint8Array.of(255, 255, 255, 255, 255, 255, 255, 127));
    for (const reader of [endless, tooLarge]) {
      let caught: unknown;
      try {
        reader.uvarint();
      } catch (error) {
        caught = error;
      }
      expect(isMokuError(caught, 'FRAME_MALFORMED')).toBe(true);
    }
  });

  it('refuses what is left over', () => {
    expect(() => new ByteReader(Uint8Array.of(1)).finish()).toThrow('trailing');
  });
});

describe('a writer', () => {
  it('reuses its buffer, and take() does not alias it', () => {
    const writer = new ByteWriter(4);
    writer.string('first');
    const first = writer.take();
    writer.reset();
    writer.string('other');
    expect(new ByteReader(first).string()).toBe('first');
  });

  it('refuses integers that are negative, broken or too large', () => {
    const writer = new ByteWriter();
    for (const value of [-1, 1.5, Number.NaN, 2 ** 53]) {
      expect(() => writer.uvarint(value)).toThrow('B2');
    }
  });
});
