/**
 * A stream of WebSocket bytes of ours, cut into its parts and made of them: no extensions, no fragments,
 * and masks of zeros only, so that payloads are plain.
 */

export interface CloseFrame {
  readonly kind: 'close';
  readonly bytes: Buffer;
  /** 1005: none was given (RFC 6455 §7.1.5). */
  readonly code: number;
  readonly text: string;
}

type Part =
  | { readonly kind: 'raw'; readonly bytes: Buffer }
  | { readonly kind: 'message'; readonly index: number; readonly payload: Buffer }
  | CloseFrame;

const closeOpcode = 0x08;
const headerEnd = Buffer.from('\r\n\r\n');

/** Cuts a stream into the HTTP head, data messages, close frames, and other control frames. */
export class MessageParser {
  private rest: Buffer = Buffer.alloc(0);
  private isUpgraded = false;
  private count = 0;

  take(chunk: Buffer): Part[] {
    this.rest = Buffer.concat([this.rest, chunk]);
    const parts: Part[] = [];
    if (!this.isUpgraded) {
      const end = this.rest.indexOf(headerEnd);
      if (end === -1) return parts;
      parts.push({ kind: 'raw', bytes: this.rest.subarray(0, end + headerEnd.length) });
      this.rest = this.rest.subarray(end + headerEnd.length);
      this.isUpgraded = true;
    }
    for (let frame = this.nextFrame(); frame !== undefined; frame = this.nextFrame()) {
      parts.push(frame);
    }
    return parts;
  }

  private nextFrame(): Part | undefined {
    const { rest } = this;
    if (rest.length < 2) return undefined;
    const isMasked = (rest[1]! & 0x80) !== 0;
    const short = rest[1]! & 0x7f;
    const lengthBytes = short === 126 ? 2 : short === 127 ? 8 : 0;
    const headBytes = 2 + lengthBytes + (isMasked ? 4 : 0);
    if (rest.length < headBytes) return undefined;
    const length =
      lengthBytes === 0
        ? short
        : Number(rest.readUIntBE(lengthBytes === 2 ? 2 : 4, lengthBytes === 2 ? 2 : 6));
    if (rest.length < headBytes + length) return undefined;
    const bytes = rest.subarray(0, headBytes + length);
    this.rest = rest.subarray(headBytes + length);
    const opcode = bytes[0]! & 0x0f;
    if (opcode === closeOpcode) return closeFrame(bytes, bytes.subarray(headBytes));
    if (opcode > closeOpcode) return { kind: 'raw', bytes };
    const index = this.count;
    this.count += 1;
    // Masks are zero on this wire, so the payload is plain.
    return { kind: 'message', index, payload: Buffer.from(bytes.subarray(headBytes)) };
  }
}

function closeFrame(bytes: Buffer, payload: Buffer): CloseFrame {
  const code = payload.length < 2 ? 1005 : payload.readUInt16BE(0);
  return { kind: 'close', bytes, code, text: payload.subarray(2).toString('latin1') };
}

/** A binary WebSocket message, masked with zeros when it comes from the dialing end. */
export function encodeMessage(payload: Uint8Array, isMasked: boolean): Buffer {
  const head = Buffer.alloc(14);
  head[0] = 0x82;
  head[1] = (isMasked ? 0x80 : 0) | 127;
  head.writeUIntBE(payload.length, 4, 6);
  return Buffer.concat([head.subarray(0, isMasked ? 14 : 10), payload]);
}
