import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  encodeFrame,
  faultOf,
  frameHeaderBytes,
  frameTypes,
  nextSequence,
  payloadOf,
  typeOf,
} from '../src/links/frame.js';

const bytes = fc.uint8Array({ maxLength: 300 });
const u32 = fc.integer({ min: 0, max: 2 ** 32 - 1 });

describe('a frame', () => {
  it('gives back type and payload to whoever expects its sequence and session', () => {
    fc.assert(
      fc.property(bytes, u32, u32, (payload, sequence, tag) => {
        const frame = encodeFrame(frameTypes.data, sequence, tag, payload);
        expect(frame.length).toBe(frameHeaderBytes + payload.length);
        expect(faultOf(frame, sequence, tag)).toBeUndefined();
        expect(typeOf(frame)).toBe(frameTypes.data);
        expect(Buffer.from(payloadOf(frame)).equals(payload)).toBe(true);
      }),
      { seed: 1 },
    );
  });

  it('is refused when any bit of it is flipped', () => {
    fc.assert(
      fc.property(bytes, fc.nat(), (payload, position) => {
        const frame = encodeFrame(frameTypes.data, 7, 9, payload);
        const bit = position % (frame.length * 8);
        frame[bit >> 3]! ^= 1 << (bit & 7);
        expect(faultOf(frame, 7, 9)).toMatchObject({ code: 'FRAME_CORRUPT', field: 'checksum' });
      }),
      { seed: 2 },
    );
  });

  it('is refused when it is cut short or made longer', () => {
    const frame = encodeFrame(frameTypes.data, 7, 9, Buffer.from('payload'));
    for (let length = 0; length < frame.length; length++) {
      expect(faultOf(frame.subarray(0, length), 7, 9)?.code).toBe(
        length < frameHeaderBytes ? 'FRAME_MALFORMED' : 'FRAME_CORRUPT',
      );
    }
    expect(faultOf(Buffer.concat([frame, Buffer.of(0)]), 7, 9)?.code).toBe('FRAME_CORRUPT');
  });

  it('is refused when it is not the next one, or of another session', () => {
    const frame = encodeFrame(frameTypes.data, 7, 9);
    expect(faultOf(frame, 6, 9)).toEqual({ code: 'FRAME_MALFORMED', field: 'sequence' });
    expect(faultOf(frame, 8, 9)).toEqual({ code: 'FRAME_MALFORMED', field: 'sequence' });
    expect(faultOf(frame, 7, 8)).toEqual({ code: 'FRAME_MALFORMED', field: 'session' });
  });

  it('is refused when anything at all is in its place', () => {
    fc.assert(
      fc.property(bytes, (junk) => {
        expect(faultOf(junk, 1, 1)).toBeDefined();
      }),
      { seed: 3 },
    );
  });

  it('numbers go round at 2^32', () => {
    expect(nextSequence(0)).toBe(1);
    expect(nextSequence(2 ** 32 - 1)).toBe(0);
    const frame = encodeFrame(frameTypes.data, 2 ** 32 - 1, 2 ** 32 - 1);
    expect(faultOf(frame, 2 ** 32 - 1, 2 ** 32 - 1)).toBeUndefined();
  });
});
