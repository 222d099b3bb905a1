// @hot
/**
 * Memory of the overlays: records in fixed chunks that the loop's thread fills and the writer's thread
 * reads, shared, so that a flush copies nothing. A record is named by its location, a small integer,
 * which is all that an overlay's tree holds per record.
 *
 * Record: f64 timestamp │ u32 key length │ u32 value length or kind │ key │ seal │ value, padded to 8 bytes.
 * The seal is left blank here; the writer's thread fills it in (`row.ts`) and nobody else reads it.
 *
 * Invariants:
 *  A1 A record never changes once written, but for its seal; only whole chunks are given back.
 *  A2 Chunk 0 holds the search position and nothing else; its location is 0.
 */
import { assert, present } from '@moku/base';
import { copyOf } from './copies.js';
import { sealBytes } from './row.js';

export const chunkBytes: number = 2 * 1024 * 1024;
/** Locations count units of eight bytes. */
const chunkUnitsLog2 = 18;
const unitMask: number = 2 ** chunkUnitsLog2 - 1;
const chunksMax: number = 2 ** (31 - chunkUnitsLog2);
const headerBytes = 16;

/** In place of a value's length. */
export const deletionLength = 0xffff_ffff;
/** The version is to be forgotten: hides the one below. */
export const removalLength = 0xffff_fffe;

export class Chunk {
  readonly slot: number;
  readonly memory: SharedArrayBuffer;
  readonly bytes: Uint8Array;
  readonly words: Uint32Array;
  readonly doubles: Float64Array;

  constructor(slot: number, memory: SharedArrayBuffer) {
    this.slot = slot;
    this.memory = memory;
    this.bytes = new Uint8Array(memory);
    this.words = new Uint32Array(memory);
    this.doubles = new Float64Array(memory);
  }
}

/** All chunks by slot. Both threads have one; only the loop's hands chunks out. */
export class ChunkTable {
  private readonly chunks: Chunk[] = [];
  private readonly free: Chunk[] = [];

  /** Key ascending, then timestamp descending, of two locations. A property, so that trees can hold it. */
  readonly compare = (a: number, b: number): number => {
    const chunkA = this.chunks[a >>> chunkUnitsLog2]!;
    const chunkB = this.chunks[b >>> chunkUnitsLog2]!;
    const unitA = a & unitMask;
    const unitB = b & unitMask;
    const lengthA = chunkA.words[unitA * 2 + 2]!;
    const lengthB = chunkB.words[unitB * 2 + 2]!;
    const length = lengthA < lengthB ? lengthA : lengthB;
    // Keys begin at a multiple of eight: whole words tell where they part, bytes then tell the order.
    const wordsLength = length >>> 2;
    const wordA = unitA * 2 + 4;
    const wordB = unitB * 2 + 4;
    let i = 0;
    while (i < wordsLength && chunkA.words[wordA + i] === chunkB.words[wordB + i]) i++;
    const byteA = wordA * 4;
    const byteB = wordB * 4;
    for (i *= 4; i < length; i++) {
      const order = chunkA.bytes[byteA + i]! - chunkB.bytes[byteB + i]!;
      if (order !== 0) return order;
    }
    if (lengthA !== lengthB) return lengthA - lengthB;
    return chunkB.doubles[unitB]! - chunkA.doubles[unitA]!;
  };

  constructor() {
    this.adopt(new Chunk(0, new SharedArrayBuffer(8 * 1024)));
  }

  /** Bytes of all chunks, in use or not. */
  get bytes(): number {
    return (this.chunks.length - 1) * chunkBytes;
  }

  /** Makes `chunk` known under its slot. */
  adopt(chunk: Chunk): void {
    this.chunks[chunk.slot] = chunk;
  }

  /** A chunk to fill: one that was given back, or a new one. */
  take(): Chunk {
    const reused = this.free.pop();
    if (reused !== undefined) return reused;
    const slot = this.chunks.length;
    assert(slot < chunksMax, 'A1: locations reach all chunks');
    const chunk = new Chunk(slot, new SharedArrayBuffer(chunkBytes));
    this.adopt(chunk);
    return chunk;
  }

  /** Gives `chunk` back: nothing refers to its records any more (A1). */
  give(chunk: Chunk): void {
    this.free.push(chunk);
  }

  /** The location that sorts as (key, timestamp), for searches. Valid until the next call (A2). */
  position(key: Uint8Array, timestamp: number): number {
    let chunk = present(this.chunks[0], 'A2: chunk 0');
    if (headerBytes + key.length > chunk.bytes.length) {
      chunk = new Chunk(0, new SharedArrayBuffer((headerBytes + key.length + 7) & ~7));
      this.adopt(chunk);
    }
    chunk.doubles[0] = timestamp;
    chunk.words[2] = key.length;
    chunk.bytes.set(key, headerBytes);
    return 0;
  }

  timestamp(location: number): number {
    return this.chunks[location >>> chunkUnitsLog2]!.doubles[location & unitMask]!;
  }

  /** The value's length, `deletionLength` or `removalLength`. */
  valueLength(location: number): number {
    return this.chunks[location >>> chunkUnitsLog2]!.words[(location & unitMask) * 2 + 3]!;
  }

  /** The key, aliasing the chunk. */
  key(location: number): Uint8Array {
    const chunk = this.chunks[location >>> chunkUnitsLog2]!;
    const unit = location & unitMask;
    const at = unit * 8 + headerBytes;
    return chunk.bytes.subarray(at, at + chunk.words[unit * 2 + 2]!);
  }

  /** A copy of the key. */
  keyCopy(location: number): Uint8Array {
    const chunk = this.chunks[location >>> chunkUnitsLog2]!;
    const unit = location & unitMask;
    const at = unit * 8 + headerBytes;
    return copyOf(chunk.bytes, at, at + chunk.words[unit * 2 + 2]!);
  }

  /** Seal and value, aliasing the chunk; the seal alone for a deletion. */
  sealedValue(location: number): Uint8Array {
    const chunk = this.chunks[location >>> chunkUnitsLog2]!;
    const unit = location & unitMask;
    const at = unit * 8 + headerBytes + chunk.words[unit * 2 + 2]!;
    const length = chunk.words[unit * 2 + 3]!;
    return chunk.bytes.subarray(at, at + sealBytes + (length >= removalLength ? 0 : length));
  }

  /** A copy of the value; undefined for a deletion or a removal. */
  value(location: number): Uint8Array | undefined {
    const chunk = this.chunks[location >>> chunkUnitsLog2]!;
    const unit = location & unitMask;
    const length = chunk.words[unit * 2 + 3]!;
    if (length >= removalLength) return undefined;
    const at = unit * 8 + headerBytes + chunk.words[unit * 2 + 2]! + sealBytes;
    return copyOf(chunk.bytes, at, at + length);
  }

  /** Whether the record's key is `key`. */
  hasKey(location: number, key: Uint8Array): boolean {
    const chunk = this.chunks[location >>> chunkUnitsLog2]!;
    const unit = location & unitMask;
    if (chunk.words[unit * 2 + 2] !== key.length) return false;
    const at = unit * 8 + headerBytes;
    for (let i = 0; i < key.length; i++) {
      if (chunk.bytes[at + i] !== key[i]) return false;
    }
    return true;
  }
}

/** Fills chunks with records; one per overlay. */
export class Arena {
  private readonly table: ChunkTable;
  private readonly chunks: Chunk[] = [];
  private current: Chunk | undefined = undefined;
  private usedBytes = 0;

  constructor(table: ChunkTable) {
    this.table = table;
  }

  /** Bytes taken, with what is lost at the ends of chunks. */
  get bytes(): number {
    if (this.current === undefined) return 0;
    return (this.chunks.length - 1) * chunkBytes + this.usedBytes;
  }

  /** Chunks in use. */
  list(): readonly Chunk[] {
    return this.chunks;
  }

  /**
   * Copies a record in and returns its location. `value` undefined: `kindLength` says whether it is a
   * deletion or a removal. Key and value together stay some bytes under `chunkBytes`.
   */
  add(
    key: Uint8Array,
    timestamp: number,
    value: Uint8Array | undefined,
    kindLength: number,
  ): number {
    const valueBytes = value === undefined ? 0 : value.length;
    const bytes = (headerBytes + key.length + sealBytes + valueBytes + 7) & ~7;
    assert(bytes <= chunkBytes, 'A1: a record fits a chunk');
    let chunk = this.current;
    if (chunk === undefined || this.usedBytes + bytes > chunkBytes) {
      chunk = this.table.take();
      this.chunks.push(chunk);
      this.current = chunk;
      this.usedBytes = 0;
    }
    const at = this.usedBytes;
    const unit = at >>> 3;
    chunk.doubles[unit] = timestamp;
    chunk.words[unit * 2 + 2] = key.length;
    chunk.words[unit * 2 + 3] = value === undefined ? kindLength : valueBytes;
    chunk.bytes.set(key, at + headerBytes);
    if (value !== undefined) chunk.bytes.set(value, at + headerBytes + key.length + sealBytes);
    this.usedBytes = at + bytes;
    return (chunk.slot << chunkUnitsLog2) | unit;
  }

  /** Gives all chunks back. */
  release(): void {
    for (let i = 0; i < this.chunks.length; i++) this.table.give(this.chunks[i]!);
    this.chunks.length = 0;
    this.current = undefined;
    this.usedBytes = 0;
  }
}
