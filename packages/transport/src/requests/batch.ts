// @hot
/**
 * The form of a message between client and node: a batch of items, so that requests made together
 * share one message, and answers likewise. Little-endian:
 *
 *    0  u64  xxHash64 of everything behind it
 *    8  u8   'M', u8 'Q'
 *   10       items: u32 bytes of the body, u8 type, u32 id, body
 *
 * An item whose body is nonsense spoils only itself: the length in front says where the next begins.
 *
 * Invariants:
 *  M1 Items are read only from a message whose checksum holds.
 *  M2 The first item of a connection is hello (or welcome), and its body begins with the protocol version;
 *     that much never changes.
 */
import { ByteReader, ByteWriter, hash64, MokuError } from '@moku/base';

/** Raised by every change of the wire between clients and nodes. */
const requestProtocolVersion = 1;

/** URL path of a client's socket. */
export const requestPath = '/moku/client';

const checksumBytes = 8;
const batchHeaderBytes = 10;
const itemHeaderBytes = 9;
const magic0 = 0x4d;
const magic1 = 0x51;

/** From client to node. */
export const requestTypes = {
  hello: 1,
  describe: 2,
  execute: 3,
  query: 4,
  inspect: 5,
  status: 6,
  regions: 7,
  transferLeadership: 8,
  cancel: 9,
  alive: 10,
} as const;

/** From node to client. */
export const answerTypes = { welcome: 1, view: 2, bytes: 3, json: 4, error: 5, alive: 10 } as const;

/** Gathers items into one message. */
export class BatchWriter {
  /** Where an item's body is written, between `begin` and `end`. */
  readonly body: ByteWriter = new ByteWriter(4096);
  private itemAt = 0;
  private itemCount = 0;

  constructor() {
    this.clear();
  }

  get isEmpty(): boolean {
    return this.itemCount === 0;
  }

  /** Bytes of the message so far. */
  get length(): number {
    return this.body.length;
  }

  begin(type: number, id: number): void {
    this.itemAt = this.body.length;
    this.body.u32(0);
    this.body.u8(type);
    this.body.u32(id);
  }

  end(): void {
    this.body.patchU32(this.itemAt, this.body.length - this.itemAt - itemHeaderBytes);
    this.itemCount += 1;
  }

  /** The message, as a buffer of its own; the writer begins anew. */
  take(): Uint8Array {
    this.body.patchU64(0, hash64(this.body.view().subarray(checksumBytes)));
    const message = this.body.take();
    this.clear();
    return message;
  }

  private clear(): void {
    this.body.reset();
    this.body.u64(0n);
    this.body.u8(magic0);
    this.body.u8(magic1);
    this.itemCount = 0;
  }
}

/** Reads the items of one message, one after the other. */
export class BatchReader {
  type = 0;
  id = 0;
  /** Reads the body of the current item and no further. */
  body: ByteReader;
  private readonly message: Uint8Array;
  private readonly items: ByteReader;

  /** Throws FRAME_CORRUPT or FRAME_MALFORMED unless `message` is a batch (M1). */
  constructor(message: Uint8Array) {
    if (message.length < batchHeaderBytes) {
      throw new MokuError('FRAME_MALFORMED', { field: 'truncated', bytes: message.length });
    }
    const header = new ByteReader(message, 0, batchHeaderBytes);
    if (header.u64() !== hash64(message.subarray(checksumBytes))) {
      throw new MokuError('FRAME_CORRUPT', { field: 'checksum' });
    }
    if (header.u8() !== magic0 || header.u8() !== magic1) {
      throw new MokuError('FRAME_MALFORMED', { field: 'magic' });
    }
    this.message = message;
    this.items = new ByteReader(message, batchHeaderBytes);
    this.body = header;
  }

  /** Goes to the next item; false at the end. Throws FRAME_MALFORMED when it is cut off. */
  next(): boolean {
    const items = this.items;
    if (items.remaining === 0) return false;
    const bodyBytes = items.u32();
    this.type = items.u8();
    this.id = items.u32();
    const from = items.offset;
    items.raw(bodyBytes);
    this.body = new ByteReader(this.message, from, from + bodyBytes);
    return true;
  }
}

/** A message of one item that is nothing but its type. */
export function encodeSignal(type: number): Uint8Array {
  const batch = new BatchWriter();
  batch.begin(type, 0);
  batch.end();
  return batch.take();
}

/** A hello or welcome of this version. */
export function encodeGreeting(type: number): Uint8Array {
  const batch = new BatchWriter();
  batch.begin(type, 0);
  batch.body.uvarint(requestProtocolVersion);
  batch.end();
  return batch.take();
}

/** Throws VERSION_MISMATCH, FRAME_CORRUPT or FRAME_MALFORMED unless `message` begins with a greeting of our version. */
export function checkGreeting(message: Uint8Array, type: number): void {
  const batch = new BatchReader(message);
  if (!batch.next() || batch.type !== type) {
    throw new MokuError('FRAME_MALFORMED', { field: 'greeting' });
  }
  const version = batch.body.uvarint();
  if (version !== requestProtocolVersion) {
    const expected = requestProtocolVersion;
    throw new MokuError('VERSION_MISMATCH', { field: 'protocolVersion', expected, got: version });
  }
}

/**
 * `view`, or a copy when it is a small part of a larger buffer that it would keep alive. For bytes that
 * stay when the message they came in is done with.
 */
export function ownBytes(view: Uint8Array): Uint8Array {
  return view.length * 2 >= view.buffer.byteLength ? view : view.slice();
}
