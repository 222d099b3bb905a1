// @hot
/**
 * Client sessions of one region: which requests were applied, and what was answered (P4). Part of the
 * replicated state. Each entry that uses a session writes one record of what it added; records are
 * removed once everything in them was answered. Sessions are read from the engine when they are used
 * and kept in a bounded cache, so an idle region keeps none in memory.
 *
 * Invariants:
 *  S1 A sequence is applied at most once: it is either below the floor, or remembered, or new.
 *  S2 The floor never goes back. A result is forgotten only below the floor or with its session.
 *  S3 A session that was dropped is unknown for ever: ids are timestamps of the region (N1).
 *  S4 Which sessions are dropped depends on the replicated state only, never on what is cached.
 */
import {
  assert,
  ByteReader,
  ByteWriter,
  limits,
  MokuError,
  present,
  type RegionId,
  type Timestamp,
} from '@moku/base';
import type { SessionRef } from './commands.js';
import type { Engine, VersionedValue } from './contracts/engine.js';
import { successor } from './keys.js';
import {
  machineTimestamp,
  newest,
  sessionKey,
  sessionOfKey,
  sessionSpaceEnd,
  sessionSpaceStart,
} from './records.js';

const cachedSessionsMax = 128;
const cachedResultBytesMax = 1024 * 1024;
const scanRecordsMax = 1_000;
const scanBytesMax = 1024 * 1024;

/** One record in the engine: what the entry `index` added. */
interface Chunk {
  readonly index: number;
  /** Greatest sequence in it; 0: none. */
  readonly sequenceMax: number;
}

export interface Session {
  readonly sessionId: number;
  /** Sequences below were answered, or are refused. */
  floor: number;
  /** Results by sequence, all >= floor. */
  readonly results: Map<number, Uint8Array>;
  resultBytes: number;
  /** Records in the engine, ascending by index. */
  chunks: Chunk[];
  /** Sequences remembered by the entry that is being applied. */
  readonly added: number[];
  isTouched: boolean;
}

interface Removal {
  key: Uint8Array;
  timestamp: Timestamp;
}

/** What is to be done with a command of a session. */
export type Admission =
  | { readonly kind: 'apply'; readonly session: Session }
  | { readonly kind: 'repeat'; readonly result: Uint8Array }
  | { readonly kind: 'unknown' }
  | { readonly kind: 'full' };

const unknown: Admission = { kind: 'unknown' };
const full: Admission = { kind: 'full' };

export class Sessions {
  private readonly engine: Engine;
  private readonly regionId: RegionId;
  private readonly sessionsMax: number;
  /** Least recently used first. */
  private readonly cache = new Map<number, Session>();
  private cachedResultBytes = 0;
  /** The last session of the cache, when its place is known. */
  private lastUsedId = 0;
  private readonly touched: Session[] = [];
  /** Sessions dropped by the entry that is being applied, and their records, still in the engine. */
  private readonly dropped = new Set<number>();
  private readonly droppedKeys: Uint8Array[] = [];
  private count = 0;

  constructor(engine: Engine, regionId: RegionId, sessionsMax: number) {
    this.engine = engine;
    this.regionId = regionId;
    this.sessionsMax = sessionsMax;
  }

  /** Sessions of the region, those of the entry being applied included. */
  get size(): number {
    return this.count;
  }

  /** Forgets the cache, at opening and after a snapshot; `count` as recorded. */
  reset(count: number): void {
    this.cache.clear();
    this.cachedResultBytes = 0;
    this.touched.length = 0;
    this.dropped.clear();
    this.droppedKeys.length = 0;
    this.count = count;
  }

  /** Begins a session; at the limit the least recently used sixteenth is dropped (S4). */
  open(sessionId: Timestamp): void {
    if (this.count >= this.sessionsMax) this.dropOldest();
    const session = emptySession(sessionId);
    this.cache.set(sessionId, session);
    this.lastUsedId = sessionId;
    this.touch(session);
    this.count += 1;
  }

  /**
   * Decides what to do with a command (S1). A known session counts as used, and its floor rises to
   * `answeredBelow`.
   */
  admit(ref: SessionRef): Admission {
    const session = this.find(ref.sessionId);
    if (session === undefined || ref.sequence < session.floor) return unknown;
    this.touch(session);
    const result = session.results.get(ref.sequence);
    this.raiseFloor(session, ref.answeredBelow);
    if (result !== undefined) return { kind: 'repeat', result };
    if (
      session.results.size >= limits.resultsPerSessionMax ||
      session.resultBytes >= limits.resultBytesPerSessionMax
    ) {
      return full;
    }
    return { kind: 'apply', session };
  }

  /** Remembers the result of a sequence that `admit` let through. */
  remember(session: Session, sequence: number, result: Uint8Array): void {
    assert(!session.results.has(sequence) && sequence >= session.floor, 'S1');
    session.results.set(sequence, result);
    session.added.push(sequence);
    session.resultBytes += result.length;
    this.cachedResultBytes += result.length;
  }

  /** Adds the records of the sessions that entry `index` used to the engine's write. */
  drain(index: number, puts: VersionedValue[], removes: Removal[]): void {
    for (let i = 0; i < this.droppedKeys.length; i++) {
      removes.push({ key: this.droppedKeys[i]!, timestamp: machineTimestamp });
    }
    this.droppedKeys.length = 0;
    this.dropped.clear();
    for (let i = 0; i < this.touched.length; i++) {
      const session = this.touched[i]!;
      removeAnswered(session, removes);
      puts.push({
        key: sessionKey(session.sessionId, index),
        timestamp: machineTimestamp,
        value: encodeChunk(session),
      });
      session.chunks.push({ index, sequenceMax: greatest(session.added) });
      session.added.length = 0;
      session.isTouched = false;
      this.moveToEnd(session);
    }
    this.touched.length = 0;
    this.shrinkCache();
  }

  private moveToEnd(session: Session): void {
    if (session.sessionId === this.lastUsedId) return;
    this.lastUsedId = session.sessionId;
    this.cache.delete(session.sessionId);
    this.cache.set(session.sessionId, session);
  }

  private touch(session: Session): void {
    if (session.isTouched) return;
    session.isTouched = true;
    this.touched.push(session);
  }

  private raiseFloor(session: Session, answeredBelow: number): void {
    const from = session.floor;
    if (answeredBelow <= from) return; // S2
    session.floor = answeredBelow;
    if (session.results.size === 0) return;
    // Walk whichever is shorter: a client may skip any number of sequences.
    if (answeredBelow - from <= session.results.size) {
      for (let sequence = from; sequence < answeredBelow; sequence++) {
        this.forget(session, sequence);
      }
      return;
    }
    for (const sequence of session.results.keys()) {
      if (sequence < answeredBelow) this.forget(session, sequence);
    }
  }

  private forget(session: Session, sequence: number): void {
    const result = session.results.get(sequence);
    if (result === undefined) return;
    session.results.delete(sequence);
    session.resultBytes -= result.length;
    this.cachedResultBytes -= result.length;
  }

  private find(sessionId: number): Session | undefined {
    const cached = this.cache.get(sessionId);
    if (cached !== undefined) return cached;
    return this.dropped.has(sessionId) ? undefined : this.load(sessionId); // S3
  }

  private load(sessionId: number): Session | undefined {
    const session = emptySession(sessionId);
    let last: Uint8Array | undefined;
    this.scan(sessionKey(sessionId, 0), sessionKey(sessionId + 1, 0), (key, record) => {
      last = record;
      const { index } = sessionOfKey(key);
      session.chunks.push({ index, sequenceMax: readChunk(record, session.results) });
    });
    if (last === undefined) return undefined;
    session.floor = floorOf(last); // The newest record holds the newest floor (S2).
    for (const sequence of session.results.keys()) {
      if (sequence < session.floor) session.results.delete(sequence);
    }
    for (const result of session.results.values()) session.resultBytes += result.length;
    this.cachedResultBytes += session.resultBytes;
    this.cache.set(sessionId, session);
    this.lastUsedId = sessionId;
    return session;
  }

  private shrinkCache(): void {
    if (this.cache.size <= cachedSessionsMax && this.cachedResultBytes <= cachedResultBytesMax) {
      return;
    }
    for (const session of this.cache.values()) {
      this.uncache(session);
      if (this.cache.size <= cachedSessionsMax && this.cachedResultBytes <= cachedResultBytesMax) {
        return;
      }
    }
  }

  private uncache(session: Session): void {
    if (this.cache.delete(session.sessionId)) this.cachedResultBytes -= session.resultBytes;
  }

  /** Drops the sessions whose last use is the longest ago, at least one. */
  private dropOldest(): void {
    const keysOf = new Map<number, Uint8Array[]>();
    const lastIndexOf = new Map<number, number>();
    this.scan(sessionSpaceStart, sessionSpaceEnd, (key) => {
      const { sessionId, index } = sessionOfKey(key);
      const keys = keysOf.get(sessionId);
      if (keys === undefined) keysOf.set(sessionId, [key]);
      else keys.push(key);
      lastIndexOf.set(sessionId, index);
    });
    // What the entry being applied has dropped or used already counts as of now.
    for (const sessionId of this.dropped) lastIndexOf.delete(sessionId);
    for (const session of this.touched) {
      lastIndexOf.set(session.sessionId, Number.MAX_SAFE_INTEGER);
    }
    const oldest = [...lastIndexOf].sort((a, b) => a[1] - b[1] || a[0] - b[0]);
    oldest.length = Math.min(oldest.length, Math.max(1, Math.floor(this.sessionsMax / 16)));
    for (const [sessionId] of oldest) this.drop(sessionId, keysOf.get(sessionId) ?? []);
  }

  private drop(sessionId: number, keys: readonly Uint8Array[]): void {
    this.dropped.add(sessionId);
    for (const key of keys) this.droppedKeys.push(key);
    const session = this.cache.get(sessionId);
    if (session !== undefined) {
      const at = this.touched.indexOf(session);
      if (at >= 0) this.touched.splice(at, 1);
      this.uncache(session);
    }
    this.count -= 1;
  }

  /** Visits the machine records of [start, end) in order, in pages. */
  private scan(
    start: Uint8Array,
    end: Uint8Array,
    visit: (key: Uint8Array, record: Uint8Array) => void,
  ): void {
    let from = start;
    for (;;) {
      const page = this.engine.scan(this.regionId, {
        start: from,
        end,
        isReverse: false,
        at: newest,
        recordsMax: scanRecordsMax,
        bytesMax: scanBytesMax,
      });
      for (const record of page.records) {
        visit(record.key, present(record.value, 'machine records are no deletions'));
      }
      if (!page.hasMore) return;
      from = successor(present(page.lastKey, 'a page that has more has looked at a key'));
    }
  }
}

function emptySession(sessionId: number): Session {
  return {
    sessionId,
    floor: 1,
    results: new Map(),
    resultBytes: 0,
    chunks: [],
    added: [],
    isTouched: false,
  };
}

function greatest(sequences: readonly number[]): number {
  let max = 0;
  for (let i = 0; i < sequences.length; i++) if (sequences[i]! > max) max = sequences[i]!;
  return max;
}

/**
 * Removes the records in which everything was answered; the entry writes a new one, with the floor.
 * Results are mostly answered in order, so dead records are at the head. Others are looked for only
 * once there are more records than results, which bounds them without a walk per entry.
 */
function removeAnswered(session: Session, removes: Removal[]): void {
  const { chunks, floor } = session;
  while (chunks.length > 0 && chunks[0]!.sequenceMax < floor) {
    removes.push(removalOf(session, chunks.shift()!));
  }
  if (chunks.length <= session.results.size) return;
  let kept = 0;
  for (let i = 0; i < chunks.length; i++) {
    const chunk = chunks[i]!;
    if (chunk.sequenceMax >= floor) chunks[kept++] = chunk;
    else removes.push(removalOf(session, chunk));
  }
  chunks.length = kept;
}

function removalOf(session: Session, chunk: Chunk): Removal {
  return { key: sessionKey(session.sessionId, chunk.index), timestamp: machineTimestamp };
}

const scratch = new ByteWriter(1024);

/** chunk := floor uvarint, count uvarint, (sequence uvarint, result)* */
function encodeChunk(session: Session): Uint8Array {
  const { added, results } = session;
  let count = 0;
  for (let i = 0; i < added.length; i++) if (results.has(added[i]!)) count += 1;
  scratch.reset();
  scratch.uvarint(session.floor);
  scratch.uvarint(count);
  for (let i = 0; i < added.length; i++) {
    const result = results.get(added[i]!);
    if (result === undefined) continue; // Answered within the same entry.
    scratch.uvarint(added[i]!);
    scratch.bytes(result);
  }
  return scratch.take();
}

function floorOf(record: Uint8Array): number {
  return new ByteReader(record).uvarint();
}

/** Adds the results of a chunk to `results`; returns its greatest sequence, 0 when it has none. */
function readChunk(record: Uint8Array, results: Map<number, Uint8Array>): number {
  let sequenceMax = 0;
  try {
    const reader = new ByteReader(record);
    reader.uvarint();
    const count = reader.uvarint();
    for (let i = 0; i < count; i++) {
      const sequence = reader.uvarint();
      results.set(sequence, reader.bytes().slice());
      if (sequence > sequenceMax) sequenceMax = sequence;
    }
    reader.finish();
  } catch (cause) {
    throw new MokuError('ENGINE_CORRUPT', { record: 'session', bytes: record.length }, { cause });
  }
  return sequenceMax;
}
