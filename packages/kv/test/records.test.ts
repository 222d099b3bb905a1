import { compareBytes, emptyBytes, utf8 } from '@moku/base';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { Arena } from '../src/arena.js';
import {
  countersKey,
  encodeValue,
  engineKey,
  expiryOf,
  isUserKey,
  payloadOf,
  sessionKey,
  sessionOfKey,
  sessionSpaceEnd,
  sessionSpaceStart,
  storedKeyOf,
} from '../src/records.js';

const seed = 7008;

describe('engine keys', () => {
  it('keep the order of stored keys and give them back', () => {
    const key = fc.uint8Array({ maxLength: 6 });
    fc.assert(
      fc.property(key, key, (a, b) => {
        const order = compareBytes(engineKey(a), engineKey(b));
        expect(Math.sign(order)).toBe(Math.sign(compareBytes(a, b)));
        expect(storedKeyOf(engineKey(a))).toEqual(a);
      }),
      { seed },
    );
  });

  it('of sessions ascend by session, then by index, within their space', () => {
    const number = fc.maxSafeNat();
    fc.assert(
      fc.property(number, number, number, number, (session, index, session2, index2) => {
        const [a, b] = [sessionKey(session, index), sessionKey(session2, index2)];
        const order = session - session2 || index - index2;
        expect(Math.sign(compareBytes(a, b))).toBe(Math.sign(order));
        expect(sessionOfKey(a)).toEqual({ sessionId: session, index });
        expect(compareBytes(sessionSpaceStart, a)).toBeLessThan(0);
        expect(compareBytes(a, sessionSpaceEnd)).toBeLessThan(0);
      }),
      { seed },
    );
  });

  it('of the machine are never a user’s', () => {
    expect(isUserKey(countersKey)).toBe(false);
    expect(isUserKey(sessionKey(1, 1))).toBe(false);
    expect(isUserKey(engineKey(emptyBytes))).toBe(true);
    expect(() => sessionOfKey(utf8('short'))).toThrow('ENGINE_CORRUPT');
  });
});

describe('records of values', () => {
  it('give back value and expiry', () => {
    const arena = new Arena();
    const expiry = fc.option(fc.maxSafeNat(), { nil: undefined });
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 40 }), expiry, (value, expiresAtMs) => {
        const record = encodeValue(value, expiresAtMs, arena);
        expect(payloadOf(record)).toEqual(value);
        expect(expiryOf(record)).toBe(expiresAtMs);
      }),
      { seed },
    );
  });

  it('that are none stop the replica', () => {
    expect(() => expiryOf(Uint8Array.of(1, 2, 3))).toThrow('ENGINE_CORRUPT');
    expect(() => expiryOf(Uint8Array.of(7))).toThrow('ENGINE_CORRUPT');
    expect(() => expiryOf(emptyBytes)).toThrow('ENGINE_CORRUPT');
  });
});

describe('an arena', () => {
  it('keeps what it handed out, also when it grows', () => {
    const arena = new Arena();
    const pieces = Array.from({ length: 300 }, (_, i) => arena.take(1_000).fill(i & 255));
    const large = arena.take(500_000).fill(9);
    pieces.forEach((piece, i) => {
      expect(piece.every((byte) => byte === (i & 255))).toBe(true);
    });
    expect(large.length).toBe(500_000);
  });
});
