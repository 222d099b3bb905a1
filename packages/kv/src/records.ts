// @hot
/**
 * What a region keeps in the engine, and under which keys. The first byte of an engine key parts the
 * machine's own records from the user's; nobody above the machine sees it.
 *
 *   0x00 'c'                               counters: greatest timestamp, number of sessions
 *   0x00 'm' …                             meta (region 0)
 *   0x00 's' session u64 index u64         what one entry added to a session (big-endian)
 *   0x01 stored key                        a user's value: flags u8, [expiresAtMs f64], payload
 *
 * Machine records live under one timestamp, so that a new one replaces the old; a user's value lives
 * under its version.
 */
import { assert, ByteReader, ByteWriter, MokuError, type Timestamp } from '@moku/base';
import type { Arena } from './arena.js';

const machineSpace = 0x00;
const userSpace = 0x01;
const sessionTag = 0x73;
const flagExpires = 1;
const plainHeaderBytes = 1;
const expiryHeaderBytes = 9;

/** Timestamp of every machine record. */
export const machineTimestamp: Timestamp = 1 as Timestamp;
/** Sees the newest version of everything. */
export const newest: Timestamp = Number.MAX_SAFE_INTEGER as Timestamp;

export const countersKey: Uint8Array = machineKey('c');
/** The first engine key behind every user's key. */
export const userSpaceEnd: Uint8Array = Uint8Array.of(userSpace + 1);

/** Engine key of a machine record with an ASCII name. */
export function machineKey(name: string): Uint8Array {
  const key = new Uint8Array(1 + name.length);
  key[0] = machineSpace;
  for (let i = 0; i < name.length; i++) key[i + 1] = name.charCodeAt(i);
  return key;
}

/** Engine key of a user's record; a copy, in `arena` when one is given. */
export function engineKey(stored: Uint8Array, arena?: Arena): Uint8Array {
  const length = 1 + stored.length;
  const key = arena === undefined ? new Uint8Array(length) : arena.take(length);
  key[0] = userSpace;
  key.set(stored, 1);
  return key;
}

export function isUserKey(key: Uint8Array): boolean {
  return key[0] === userSpace;
}

/** Stored key of an engine key; aliases it. */
export function storedKeyOf(key: Uint8Array): Uint8Array {
  assert(key[0] === userSpace, 'a user record lives in the user space');
  return key.subarray(1);
}

/** Engine key of what entry `index` added to a session. Keys ascend by session, then index. */
export function sessionKey(sessionId: number, index: number): Uint8Array {
  const key = new Uint8Array(18);
  key[0] = machineSpace;
  key[1] = sessionTag;
  writeBigEndian(key, 2, sessionId);
  writeBigEndian(key, 10, index);
  return key;
}

export function sessionOfKey(key: Uint8Array): { sessionId: number; index: number } {
  if (key.length !== 18 || key[1] !== sessionTag) {
    throw new MokuError('ENGINE_CORRUPT', { record: 'session', bytes: key.length });
  }
  return { sessionId: readBigEndian(key, 2), index: readBigEndian(key, 10) };
}

/** Bounds of all session records. */
export const sessionSpaceStart: Uint8Array = Uint8Array.of(machineSpace, sessionTag);
export const sessionSpaceEnd: Uint8Array = Uint8Array.of(machineSpace, sessionTag + 1);

export interface Counters {
  /** Greatest timestamp given to a command of the region. */
  readonly maxTimestamp: Timestamp;
  readonly sessions: number;
}

const scratch = new ByteWriter(32);

export function encodeCounters(maxTimestamp: Timestamp, sessions: number): Uint8Array {
  scratch.reset();
  scratch.uvarint(maxTimestamp);
  scratch.uvarint(sessions);
  return scratch.take();
}

export function decodeCounters(record: Uint8Array): Counters {
  const reader = new ByteReader(record);
  const maxTimestamp = reader.uvarint() as Timestamp;
  const sessions = reader.uvarint();
  reader.finish();
  return { maxTimestamp, sessions };
}

/** Record of a user's value, a copy in `arena`. `expiresAtMs`: wall-clock milliseconds; undefined: never. */
export function encodeValue(
  payload: Uint8Array,
  expiresAtMs: number | undefined,
  arena: Arena,
): Uint8Array {
  if (expiresAtMs === undefined) {
    const record = arena.take(plainHeaderBytes + payload.length);
    record[0] = 0;
    record.set(payload, plainHeaderBytes);
    return record;
  }
  const record = arena.take(expiryHeaderBytes + payload.length);
  record[0] = flagExpires;
  new DataView(record.buffer, record.byteOffset).setFloat64(1, expiresAtMs, true);
  record.set(payload, expiryHeaderBytes);
  return record;
}

/** When the value of `record` expires; undefined: never. Throws ENGINE_CORRUPT. */
export function expiryOf(record: Uint8Array): number | undefined {
  const flags = record[0];
  if (flags === 0) return undefined;
  if (flags !== flagExpires || record.length < expiryHeaderBytes) {
    throw new MokuError('ENGINE_CORRUPT', { record: 'value', flags, bytes: record.length });
  }
  return new DataView(record.buffer, record.byteOffset, record.byteLength).getFloat64(1, true);
}

/** The user's bytes in `record`; aliases it. */
export function payloadOf(record: Uint8Array): Uint8Array {
  return record.subarray(record[0] === flagExpires ? expiryHeaderBytes : plainHeaderBytes);
}

function writeBigEndian(target: Uint8Array, at: number, value: number): void {
  const high = Math.floor(value / 2 ** 32);
  const low = value >>> 0;
  for (let i = 0; i < 4; i++) {
    target[at + i] = high >>> (24 - 8 * i);
    target[at + 4 + i] = low >>> (24 - 8 * i);
  }
}

function readBigEndian(source: Uint8Array, at: number): number {
  let value = 0;
  for (let i = at; i < at + 8; i++) value = value * 256 + source[i]!;
  return value;
}
