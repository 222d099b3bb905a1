/**
 * A region's whole state as a stream of chunks, and back. Everything the engine holds of the replica is
 * in it, the machine's own records too, so that deduplication and the clock travel along.
 *
 *   chunk := kind u8, number uvarint, payload, xxHash64 of all before u64
 *   data  := a piece of the stream of records: length u32, key, timestamp uvarint, has value u8, value
 *   end   := region, index, term, records, bytes (uvarints), xxHash64 chained over the data payloads u64
 *
 * Invariants:
 *  C1 A chunk is at most limits.snapshotChunkBytesMax long; memory on both ends is bounded by one chunk
 *     and one record.
 *  C2 Nothing of a snapshot is visible before `finish`, and then only if every chunk, their order, the
 *     order of the records, their number and the digest over all hold together; else FRAME_CORRUPT.
 */
import {
  ByteReader,
  ByteWriter,
  compareBytes,
  emptyBytes,
  hash64,
  limits,
  MokuError,
  type RegionId,
  type Timestamp,
} from '@moku/base';
import type { SnapshotSink, SnapshotSource } from '@moku/raft';
import type { Engine, StoreInstall, StorePicture, VersionedValue } from './contracts/engine.js';

const kindData = 1;
const kindEnd = 2;
const checksumBytes = 8;
/** Kind, number and checksum. */
const chunkOverheadBytes = 1 + 8 + checksumBytes;
const payloadBytesMax: number = limits.snapshotChunkBytesMax - chunkOverheadBytes;
/** Longer than any record that a machine writes: a whole entry, and then some. */
const recordBytesMax: number = 2 * limits.entryBytesMax;

/** What a snapshot stands for. */
export interface SnapshotPoint {
  readonly regionId: RegionId;
  readonly index: number;
  readonly term: number;
}

/** Chunks of the region's state as it is now; later writes do not change them. */
export function createSnapshotSource(engine: Engine, point: SnapshotPoint): SnapshotSource {
  return new EngineSnapshotSource(engine.picture(point.regionId), point);
}

/**
 * Takes the chunks in. `onInstalled` runs once the snapshot is the state. A `write` or `finish` that
 * throws FRAME_CORRUPT has already aborted the installation.
 */
export function createSnapshotSink(
  engine: Engine,
  point: SnapshotPoint,
  onInstalled: () => void,
): SnapshotSink {
  return new EngineSnapshotSink(engine.install(point.regionId), point, onInstalled);
}

class EngineSnapshotSource implements SnapshotSource {
  readonly index: number;
  readonly term: number;
  private readonly point: SnapshotPoint;
  private readonly picture: StorePicture;
  private readonly stream = new ByteWriter(limits.snapshotChunkBytesMax);
  private readonly chunk = new ByteWriter(limits.snapshotChunkBytesMax);
  private phase: 'records' | 'rest' | 'ended' = 'records';
  private number = 0;
  private records = 0;
  private bytes = 0;
  private digest = 0n;

  constructor(picture: StorePicture, point: SnapshotPoint) {
    this.picture = picture;
    this.point = point;
    this.index = point.index;
    this.term = point.term;
  }

  next(): Uint8Array | undefined {
    if (this.phase === 'ended') return undefined;
    while (this.phase === 'records' && this.stream.length < payloadBytesMax) {
      const versions = this.picture.next(payloadBytesMax - this.stream.length);
      if (versions.length === 0) this.phase = 'rest';
      for (const version of versions) this.writeRecord(version);
    }
    if (this.stream.length > 0) return this.dataChunk();
    this.close();
    return this.endChunk();
  }

  close(): void {
    if (this.phase === 'ended') return;
    this.phase = 'ended';
    this.picture.close();
  }

  private writeRecord(version: VersionedValue): void {
    const start = this.stream.length;
    this.stream.u32(0);
    this.stream.bytes(version.key);
    this.stream.uvarint(version.timestamp);
    this.stream.u8(version.value === undefined ? 0 : 1);
    this.stream.bytes(version.value ?? emptyBytes);
    this.stream.patchU32(start, this.stream.length - start - 4);
    this.records += 1;
  }

  private dataChunk(): Uint8Array {
    const all = this.stream.view();
    const payload = all.subarray(0, Math.min(all.length, payloadBytesMax));
    this.digest = hash64(payload, this.digest);
    this.bytes += payload.length;
    this.startChunk(kindData);
    this.chunk.raw(payload);
    const rest = all.slice(payload.length);
    this.stream.reset();
    this.stream.raw(rest);
    return this.sealedChunk();
  }

  private endChunk(): Uint8Array {
    this.startChunk(kindEnd);
    this.chunk.uvarint(this.point.regionId);
    this.chunk.uvarint(this.index);
    this.chunk.uvarint(this.term);
    this.chunk.uvarint(this.records);
    this.chunk.uvarint(this.bytes);
    this.chunk.u64(this.digest);
    return this.sealedChunk();
  }

  private startChunk(kind: number): void {
    this.chunk.reset();
    this.chunk.u8(kind);
    this.chunk.uvarint(this.number);
    this.number += 1;
  }

  private sealedChunk(): Uint8Array {
    this.chunk.u64(hash64(this.chunk.view()));
    return this.chunk.take();
  }
}

class EngineSnapshotSink implements SnapshotSink {
  private readonly point: SnapshotPoint;
  private readonly install: StoreInstall;
  private readonly onInstalled: () => void;
  private phase: 'records' | 'complete' | 'closed' = 'records';
  /** What arrived and is not yet a whole record. */
  private rest: Uint8Array = emptyBytes;
  private number = 0;
  private records = 0;
  private bytes = 0;
  private digest = 0n;
  private lastKey: Uint8Array | undefined;
  private lastTimestamp = 0;

  constructor(install: StoreInstall, point: SnapshotPoint, onInstalled: () => void) {
    this.install = install;
    this.point = point;
    this.onInstalled = onInstalled;
  }

  write(chunk: Uint8Array): void {
    try {
      if (this.phase !== 'records') throw this.corrupt('phase', this.phase);
      this.takeIn(chunk);
    } catch (error) {
      throw this.failed(error);
    }
  }

  finish(): void {
    if (this.phase !== 'complete') throw this.failed(this.corrupt('phase', this.phase));
    this.phase = 'closed';
    this.install.commit({ appliedIndex: this.point.index, appliedTerm: this.point.term });
    this.onInstalled();
  }

  abort(): void {
    if (this.phase === 'closed') return;
    this.phase = 'closed';
    this.rest = emptyBytes;
    this.install.abort();
  }

  private takeIn(chunk: Uint8Array): void {
    if (chunk.length > limits.snapshotChunkBytesMax) throw this.corrupt('chunk', chunk.length);
    if (chunk.length < 2 + checksumBytes) throw this.corrupt('chunk', chunk.length);
    const end = chunk.length - checksumBytes;
    const checksum = new ByteReader(chunk, end).u64();
    if (hash64(chunk.subarray(0, end)) !== checksum) throw this.corrupt('checksum', this.number);
    const reader = new ByteReader(chunk, 0, end);
    const kind = reader.u8();
    const number = reader.uvarint();
    if (number !== this.number) throw this.corrupt('number', number);
    this.number += 1;
    if (kind === kindData) this.takeData(reader.raw(reader.remaining));
    else if (kind === kindEnd) this.takeEnd(reader);
    else throw this.corrupt('kind', kind);
  }

  private takeData(payload: Uint8Array): void {
    this.digest = hash64(payload, this.digest);
    this.bytes += payload.length;
    let stream = payload;
    if (this.rest.length > 0) {
      stream = new Uint8Array(this.rest.length + payload.length);
      stream.set(this.rest);
      stream.set(payload, this.rest.length);
    }
    const versions: VersionedValue[] = [];
    let at = 0;
    while (stream.length - at >= 4) {
      const length = new ByteReader(stream, at).u32();
      if (length > recordBytesMax) throw this.corrupt('record', length);
      if (stream.length - at - 4 < length) break;
      versions.push(this.readRecord(new ByteReader(stream, at + 4, at + 4 + length)));
      at += 4 + length;
    }
    this.rest = stream.slice(at);
    if (versions.length > 0) this.install.put(versions);
  }

  private readRecord(reader: ByteReader): VersionedValue {
    const key = reader.bytes().slice();
    const timestamp = reader.uvarint() as Timestamp;
    const hasValue = reader.u8();
    const value = reader.bytes();
    reader.finish();
    if (hasValue > 1) throw this.corrupt('hasValue', hasValue);
    const order = this.lastKey === undefined ? -1 : compareBytes(this.lastKey, key);
    if (order > 0 || (order === 0 && timestamp >= this.lastTimestamp)) {
      throw this.corrupt('order', this.records);
    }
    this.lastKey = key;
    this.lastTimestamp = timestamp;
    this.records += 1;
    return { key, timestamp, value: hasValue === 1 ? value.slice() : undefined };
  }

  private takeEnd(reader: ByteReader): void {
    const regionId = reader.uvarint();
    const index = reader.uvarint();
    const term = reader.uvarint();
    const records = reader.uvarint();
    const bytes = reader.uvarint();
    const digest = reader.u64();
    reader.finish();
    if (regionId !== this.point.regionId) throw this.corrupt('regionId', regionId);
    if (index !== this.point.index) throw this.corrupt('index', index);
    if (term !== this.point.term) throw this.corrupt('term', term);
    if (records !== this.records) throw this.corrupt('records', records);
    if (bytes !== this.bytes || this.rest.length > 0) throw this.corrupt('bytes', bytes);
    if (digest !== this.digest) throw this.corrupt('digest', this.number);
    this.phase = 'complete';
  }

  private corrupt(field: string, value: unknown): MokuError {
    const { regionId, index } = this.point;
    return new MokuError('FRAME_CORRUPT', { part: 'snapshot', regionId, index, field, value });
  }

  /** Aborts; what was malformed inside a chunk is corrupt too, anything else stays what it is. */
  private failed(error: unknown): unknown {
    this.abort();
    if (!(error instanceof MokuError) || error.code !== 'FRAME_MALFORMED') return error;
    const { regionId, index } = this.point;
    return new MokuError('FRAME_CORRUPT', { part: 'snapshot', regionId, index }, { cause: error });
  }
}
