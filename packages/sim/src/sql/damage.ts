/**
 * Damage to what a disk holds durably, while nothing runs on it.
 */
import type { Prng } from '@moku/base';
import type { DiskPart } from '../world/disk-port.js';
import type { SectorDisk, SectorFile } from './sectors.js';

const walHeaderBytes = 32;
const frameHeaderBytes = 24;
const pageSizeAt = 8;
const saltsAt = 16;
const saltBytes = 8;

/**
 * One bit of one file becomes another; false when there is nothing. Left alone are the last commit in the
 * log's write-ahead log, without which the log looks as after a torn write, which nobody can tell; and in
 * data.db all but the values of versions, `values` as they are stored: a bit of a key, or of a page's
 * order, may hide a key without a word, which is what a checksum of pages would tell and the engine cannot.
 */
export function flipStoredBit(
  disk: SectorDisk,
  prng: Prng,
  values: () => readonly Uint8Array[],
): boolean {
  const files = [...disk.files.values()].filter(({ durable }) => durable.size > 0);
  const file = files[prng.below(Math.max(1, files.length))];
  if (file === undefined) return false;
  const range = flippable(file, prng, values);
  if (range === undefined) return false;
  const at = range.from + prng.below(range.bytes);
  const bit = 1 << prng.below(8);
  for (const image of [file.durable, file.current]) image.bytes[at] = image.bytes[at]! ^ bit;
  return true;
}

function flippable(
  file: SectorFile,
  prng: Prng,
  values: () => readonly Uint8Array[],
): { readonly from: number; readonly bytes: number } | undefined {
  const { durable, path } = file;
  if (!path.endsWith('/data.db')) {
    const bytes = isLogWal(file) ? lastCommitAt(file) : durable.size;
    return bytes > 0 ? { from: 0, bytes } : undefined;
  }
  const stored = values();
  const value = stored[prng.below(Math.max(1, stored.length))];
  if (value === undefined || value.length === 0) return undefined;
  const image = Buffer.from(durable.bytes.buffer, durable.bytes.byteOffset, durable.size);
  const from = image.indexOf(value);
  return from < 0 ? undefined : { from, bytes: value.length };
}

/**
 * Synced commits are gone from the log: what held one of them is zero. At least two are behind it, which
 * tell; false when there are not enough.
 */
export function loseWalSuffix(disk: SectorDisk, prng: Prng): boolean {
  const file = [...disk.files.values()].find(isLogWal);
  if (file === undefined) return false;
  const commits = commitFrames(file);
  if (commits.length < 2) return false;
  const at = commits[commits.length - 2 - prng.below(commits.length - 1)]!;
  const frameBytes = frameHeaderBytes + pageBytesOf(file.durable.bytes);
  for (const image of [file.durable, file.current])
    image.bytes.fill(0, at + saltBytes * 3, at + frameBytes);
  return true;
}

export function removeFiles(disk: SectorDisk, part: DiskPart): void {
  for (const path of [...disk.files.keys()]) {
    const isLog = /\/log\./.test(path);
    if (part === 'all' || isLog === (part === 'log')) disk.remove(path, true);
  }
}

function isLogWal({ path }: SectorFile): boolean {
  return path.endsWith('/log.db-wal');
}

/** Where the last commit begins: behind the commit before it. */
function lastCommitAt(file: SectorFile): number {
  const commits = commitFrames(file);
  const before = commits.at(-2);
  if (before === undefined) return 0;
  return before + frameHeaderBytes + pageBytesOf(file.durable.bytes);
}

/** Offsets of the frames that end a commit, of the write-ahead log's present salts. */
function commitFrames({ durable }: SectorFile): number[] {
  const commits: number[] = [];
  if (durable.size <= walHeaderBytes) return commits;
  const bytes = Buffer.from(durable.bytes.buffer, durable.bytes.byteOffset, durable.size);
  const frameBytes = frameHeaderBytes + pageBytesOf(bytes);
  const salts = bytes.subarray(saltsAt, saltsAt + saltBytes);
  for (let at = walHeaderBytes; at + frameBytes <= durable.size; at += frameBytes) {
    if (!salts.equals(bytes.subarray(at + saltBytes, at + 2 * saltBytes))) break;
    if (bytes.readUInt32BE(at + 4) !== 0) commits.push(at);
  }
  return commits;
}

function pageBytesOf(bytes: Uint8Array): number {
  return Buffer.from(bytes.buffer, bytes.byteOffset, walHeaderBytes).readUInt32BE(pageSizeAt);
}
