// @hot
/**
 * The form of a link's frame. Little-endian:
 *
 *    0  u64  xxHash64 of everything behind it
 *    8  u8   'M', u8 'K', u8 type, u8 0
 *   12  u32  sequence within the lane and direction, from 1 (0 in the handshake), modulo 2^32
 *   16  u32  session tag: low half of the session's counter (0 in the handshake)
 *   20  u32  bytes of the payload
 *   24       payload
 *
 * Invariants:
 *  F1 A frame that passes `faultOf` is, byte for byte, the next frame that the peer sent in this
 *     session and lane.
 *  F2 The form of the handshake's frames, and their payload up to the protocol version, never changes.
 */
import { assert, type ErrorCode, hash64 } from '@moku/base';

export const frameHeaderBytes = 24;

const checksumBytes = 8;
const magic0 = 0x4d;
const magic1 = 0x4b;

export const frameTypes = { hello: 1, welcome: 2, data: 3, alive: 4 } as const;
export type FrameType = (typeof frameTypes)[keyof typeof frameTypes];

const noPayload = new Uint8Array(0);

/** A new buffer that holds the frame; `payload` is copied. */
export function encodeFrame(
  type: FrameType,
  sequence: number,
  sessionTag: number,
  payload: Uint8Array = noPayload,
): Uint8Array {
  const frame = Buffer.allocUnsafe(frameHeaderBytes + payload.length);
  frame[8] = magic0;
  frame[9] = magic1;
  frame[10] = type;
  frame[11] = 0;
  frame.writeUInt32LE(sequence, 12);
  frame.writeUInt32LE(sessionTag, 16);
  frame.writeUInt32LE(payload.length, 20);
  frame.set(payload, frameHeaderBytes);
  frame.writeBigUInt64LE(hash64(frame.subarray(checksumBytes)), 0);
  return frame;
}

export interface FrameFault {
  readonly code: ErrorCode;
  readonly field: string;
}

/** Literals, so that judging a good frame allocates nothing but its checksum. */
const faults = {
  truncated: { code: 'FRAME_MALFORMED', field: 'truncated' },
  checksum: { code: 'FRAME_CORRUPT', field: 'checksum' },
  magic: { code: 'FRAME_MALFORMED', field: 'magic' },
  length: { code: 'FRAME_MALFORMED', field: 'length' },
  session: { code: 'FRAME_MALFORMED', field: 'session' },
  sequence: { code: 'FRAME_MALFORMED', field: 'sequence' },
} as const satisfies Record<string, FrameFault>;

/** What is wrong with `frame`, or undefined when it is the frame expected (F1). */
export function faultOf(
  frame: Uint8Array,
  sequence: number,
  sessionTag: number,
): FrameFault | undefined {
  if (frame.length < frameHeaderBytes) return faults.truncated;
  const header = new DataView(frame.buffer, frame.byteOffset, frameHeaderBytes);
  if (header.getBigUint64(0, true) !== hash64(frame.subarray(checksumBytes))) {
    return faults.checksum;
  }
  if (frame[8] !== magic0 || frame[9] !== magic1 || frame[11] !== 0) return faults.magic;
  if (header.getUint32(20, true) !== frame.length - frameHeaderBytes) return faults.length;
  if (header.getUint32(16, true) !== sessionTag) return faults.session;
  if (header.getUint32(12, true) !== sequence) return faults.sequence;
  return undefined;
}

/** Type of a frame without fault; may be none of ours. */
export function typeOf(frame: Uint8Array): number {
  assert(frame.length >= frameHeaderBytes, 'F3: only a frame without fault has a type');
  return frame[10]!;
}

/** Payload of a frame without fault, aliasing it. */
export function payloadOf(frame: Uint8Array): Uint8Array {
  return frame.subarray(frameHeaderBytes);
}

/** The sequence after `sequence`. */
export function nextSequence(sequence: number): number {
  return (sequence + 1) >>> 0;
}
