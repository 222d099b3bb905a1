/**
 * Looks at a SQLite write-ahead log before SQLite does, for signs that synced commits are missing.
 * SQLite itself takes the first bad frame for the end and forgets what follows, silently.
 *
 * With synchronous=FULL a transaction's frames are written only after every earlier commit was synced.
 * So a torn end is at most one transaction: a bad frame, and at most one commit frame from there on. Two
 * or more mean that the first of them was synced and is damaged now; that the last one was synced, only the
 * note beside the log can tell (`sync-mark.ts`). The scan relies on the store to empty
 * the log at each opening: frames of the current salts beyond a torn end would mislead it.
 * Source: sqlite.org/fileformat2.html, §4.
 */
import type { FileReading, Medium } from '../medium.js';

const headerBytes = 32;
const frameHeaderBytes = 24;
const magicLittleEndian = 0x377f_0682;
const magicBigEndian = 0x377f_0683;

export interface WalVerdict {
  /** Commits up to the first bad frame, which SQLite will recover. */
  readonly commits: number;
  /** Why synced data is missing; empty when nothing speaks for it. */
  readonly loss: string;
}

const nothing: WalVerdict = { commits: 0, loss: '' };

/** Scans the file at `path`; a missing or empty one is in order. Throws what the medium throws. */
export function scanWal(path: string, medium: Medium): WalVerdict {
  const file = medium.openReading(path);
  if (file === undefined) return nothing;
  try {
    return scanOpen(file);
  } finally {
    file.close();
  }
}

function scanOpen(file: FileReading): WalVerdict {
  const { size } = file;
  // The header is synced before the first frame is written.
  if (size <= headerBytes) return nothing;
  const header = Buffer.alloc(headerBytes);
  file.read(header, 0);
  const magic = header.readUInt32BE(0);
  const isBigEndian = magic === magicBigEndian;
  const sum = { a: 0, b: 0 };
  addChecksum(sum, header.subarray(0, 24), isBigEndian);
  const isHeaderGood =
    (isBigEndian || magic === magicLittleEndian) &&
    sum.a === header.readUInt32BE(24) &&
    sum.b === header.readUInt32BE(28);
  if (!isHeaderGood) return { ...nothing, loss: 'the header of the write-ahead log is damaged' };
  return scanFrames(file, { header, isBigEndian, sum });
}

interface WalHead {
  readonly header: Buffer;
  readonly isBigEndian: boolean;
  readonly sum: { a: number; b: number };
}

function scanFrames(file: FileReading, head: WalHead): WalVerdict {
  const { header, isBigEndian, sum } = head;
  const frame = Buffer.alloc(frameHeaderBytes + header.readUInt32BE(8));
  let commits = 0;
  let firstBadAt = -1;
  let commitsBehind = 0;
  for (let at = headerBytes; at + frame.length <= file.size; at += frame.length) {
    file.read(frame, at);
    const hasSalts = frame.compare(header, 16, 24, 8, 16) === 0;
    const isCommit = frame.readUInt32BE(4) !== 0;
    if (firstBadAt < 0) {
      if (hasSalts) {
        addChecksum(sum, frame.subarray(0, 8), isBigEndian);
        addChecksum(sum, frame.subarray(frameHeaderBytes), isBigEndian);
      }
      if (hasSalts && sum.a === frame.readUInt32BE(16) && sum.b === frame.readUInt32BE(20)) {
        if (isCommit) commits += 1;
        continue;
      }
      firstBadAt = at;
    }
    if (hasSalts && isCommit) commitsBehind += 1;
  }
  if (commitsBehind < 2) return { commits, loss: '' };
  return {
    commits,
    loss: `a bad frame at byte ${firstBadAt} of the write-ahead log, and ${commitsBehind} commits from there on`,
  };
}

function addChecksum(sum: { a: number; b: number }, bytes: Buffer, isBigEndian: boolean): void {
  let { a, b } = sum;
  for (let at = 0; at < bytes.length; at += 8) {
    const x = isBigEndian ? bytes.readUInt32BE(at) : bytes.readUInt32LE(at);
    const y = isBigEndian ? bytes.readUInt32BE(at + 4) : bytes.readUInt32LE(at + 4);
    a = (a + x + b) >>> 0;
    b = (b + y + a) >>> 0;
  }
  sum.a = a;
  sum.b = b;
}
