/** Frames: round trips, cutting, and what a receiver makes of bytes that nobody wrote. */
import {
  ByteWriter,
  hash32,
  isMokuError,
  limits,
  MokuError,
  type RegionId,
  type ReplicaId,
} from '@moku/base';
import type { Entry, Message } from '@moku/raft';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type ControlItem, listItemsMax, repairClaimsMax } from '../../src/claims/types.js';
import { frameItemsMax, frameVersion } from '../../src/wire/frame.js';
import { FrameWriter } from '../../src/wire/frame-writer.js';
import { readFrame } from '../../src/wire/read-frame.js';
import type { FrameItem } from '../../src/wire/types.js';
import { bothEnds, heartbeatMs, Pair } from '../claims/pair.js';
import { Collector, frameItem, write } from './arbitraries.js';

const seed = 61;
const frameItems = fc.array(frameItem, { minLength: 1, maxLength: 30 });
const writer = new FrameWriter();

function framesOf(items: readonly FrameItem[]): Uint8Array[] {
  writer.begin();
  for (const item of items) write(writer, item);
  return writer.finish();
}

function read(frames: readonly Uint8Array[]): FrameItem[] {
  const collector = new Collector();
  for (const frame of frames) readFrame(frame, collector);
  return collector.items;
}

function appendOf(...dataBytes: number[]): Message {
  const entries = dataBytes.map(
    (length, i): Entry => ({
      term: 3,
      index: 8 + i,
      kind: 'normal',
      data: new Uint8Array(length).fill(length % 251),
    }),
  );
  const [from, to] = [1 as ReplicaId, 2 as ReplicaId];
  const envelope = { from, to, term: 3, prevLogIndex: 7, prevLogTerm: 3 };
  return { type: 'append', ...envelope, entries, commitIndex: 7 };
}

/** A Raft item with its entries' data as hashes, since comparing large arrays is slow. */
function summary(item: FrameItem): unknown {
  if (item.kind !== 'raft' || item.message.type !== 'append') return item;
  const entries = item.message.entries.map((entry) => ({ ...entry, data: hash32(entry.data) }));
  return { ...item, message: { ...item.message, entries } };
}

/** What reading does with bytes: the items, or the error and how many items came out before it. */
function attempt(bytes: Uint8Array): { items: FrameItem[]; error: MokuError | undefined } {
  const collector = new Collector();
  try {
    readFrame(bytes, collector);
    return { items: collector.items, error: undefined };
  } catch (error) {
    if (!(error instanceof MokuError)) throw error;
    return { items: collector.items, error };
  }
}

describe('a frame', () => {
  it('gives back what went in, in order', () => {
    fc.assert(
      fc.property(frameItems, (items) => {
        const frames = framesOf(items);
        expect(frames).toHaveLength(1);
        expect(read(frames)).toEqual(items);
      }),
      { seed, numRuns: 400 },
    );
  });

  it('is none when nothing was written, and forgets what was not finished', () => {
    writer.begin();
    expect(writer.finish()).toEqual([]);
    writer.raft(1 as RegionId, appendOf(10));
    writer.begin();
    expect(writer.bytes()).toBe(0);
    expect(writer.finish()).toEqual([]);
  });

  it('is never longer than aimed at while its items are small, and loses none to the cut', () => {
    const items: FrameItem[] = [];
    for (let i = 0; i < 900; i++) {
      items.push({ kind: 'raft', regionId: i as RegionId, message: appendOf(700, i) });
    }
    const frames = framesOf(items);
    expect(frames.length).toBeGreaterThan(2);
    for (const frame of frames) expect(frame.length).toBeLessThanOrEqual(limits.frameBytesTarget);
    expect(read(frames).map(summary)).toEqual(items.map(summary));
  });

  it('is of its own for one larger item, between others', () => {
    const large = appendOf(limits.entryBytesMax);
    const regionId = 4 as RegionId;
    const messages = [appendOf(5), large, appendOf(6)];
    const items = messages.map((message): FrameItem => ({ kind: 'raft', regionId, message }));
    const frames = framesOf(items);
    expect(frames.map((frame) => frame.length > limits.frameBytesTarget)).toEqual([
      false,
      true,
      false,
    ]);
    expect(frames[1]!.length).toBeLessThanOrEqual(limits.frameBytesMax);
    expect(read(frames).map(summary)).toEqual(items.map(summary));
  });

  it('holds a bounded number of items', () => {
    const heartbeat: ControlItem = { type: 'heartbeat', sequence: 1, oldestUnsyncedMs: 0 };
    const items = new Array<FrameItem>(frameItemsMax + 1).fill({
      kind: 'control',
      item: heartbeat,
    });
    const frames = framesOf(items);
    expect(frames).toHaveLength(2);
    expect(read(frames)).toHaveLength(frameItemsMax + 1);
    const joined = new Uint8Array([...frames[0]!, ...frames[1]!.subarray(1)]);
    expect(attempt(joined).error?.details).toMatchObject({ field: 'items' });
  });

  it('is not touched by the writer afterwards', () => {
    const [first] = framesOf([{ kind: 'raft', regionId: 1 as RegionId, message: appendOf(100) }]);
    const copy = first!.slice();
    framesOf([{ kind: 'raft', regionId: 9 as RegionId, message: appendOf(300) }]);
    expect(first).toEqual(copy);
  });

  it('holds a list item or a bucket of claims of any values, within what is accepted', () => {
    const regionId = (2 ** 48) as RegionId;
    const replicaId = (2 ** 32 - 1) as ReplicaId;
    const greatest = Number.MAX_SAFE_INTEGER;
    const claim = { regionId, term: greatest, replicaId };
    const listed = { ...claim, lastIndex: greatest, commitIndex: greatest };
    const items = new Array(listItemsMax).fill(listed);
    const list: ControlItem = { type: 'list', firstNumber: 1, items, isLast: true };
    const numbered = new Array(repairClaimsMax).fill({ ...claim, claimNumber: greatest });
    const bucket = { type: 'repairClaims', repairId: 1, bucket: 63, claims: numbered } as const;
    const [listFrame, bucketFrame] = framesOf([
      { kind: 'control', item: list },
      { kind: 'control', item: bucket },
    ]);
    expect(listFrame!.length).toBeLessThanOrEqual(limits.frameBytesTarget);
    expect(bucketFrame!.length).toBeLessThanOrEqual(limits.frameBytesMax);
  });
});

describe('a frame that nobody wrote', () => {
  it('is refused as a whole when cut short, at every byte', () => {
    const items = fc.sample(frameItem, { seed, numRuns: 40 });
    const [frame] = framesOf(items);
    const starts = new Set<number>([1]);
    for (let i = 1; i < items.length; i++) starts.add(framesOf(items.slice(0, i))[0]!.length);
    for (let length = 0; length < frame!.length; length++) {
      const { items: shown, error } = attempt(frame!.subarray(0, length));
      if (starts.has(length)) continue;
      expect(error?.code).toBe('FRAME_MALFORMED');
      expect(shown).toEqual([]);
    }
  });

  it('is read or refused as a whole when bytes were changed, with a field named', () => {
    let refused = 0;
    const changes = fc.array(fc.tuple(fc.nat(), fc.nat({ max: 255 })), {
      minLength: 1,
      maxLength: 4,
    });
    fc.assert(
      fc.property(frameItems, changes, (items, changed) => {
        const frame = framesOf(items)[0]!;
        for (const [at, value] of changed) frame[at % frame.length] = value;
        const { items: shown, error } = attempt(frame);
        if (error === undefined) {
          expect(read(framesOf(shown))).toEqual(shown);
          return;
        }
        refused += 1;
        expect(
          isMokuError(error, 'FRAME_MALFORMED') || isMokuError(error, 'VERSION_MISMATCH'),
        ).toBe(true);
        expect(error.details).toHaveProperty('field');
        expect(shown).toEqual([]);
      }),
      { seed, numRuns: 1_500 },
    );
    expect(refused).toBeGreaterThan(300);
  });

  it('is refused when it is noise', () => {
    fc.assert(
      fc.property(fc.uint8Array({ minLength: 20, maxLength: 300 }), (noise) => {
        const { items, error } = attempt(new Uint8Array([frameVersion, ...noise]));
        expect(error === undefined || items.length === 0).toBe(true);
      }),
      { seed, numRuns: 1_000 },
    );
  });

  it.each<[string, (out: ByteWriter) => void, string]>([
    ['another tag', (out) => out.u8(15), 'tag'],
    ['a tag past the last', (out) => out.u8(200), 'tag'],
    ['a list of more than it holds', (out) => numbers(out, [1, 1, 1, 4_000]), 'list.items'],
    ['a list of more than is allowed', (out) => padded(out, [1, 1, 1, 4_097]), 'list.items'],
    ['a list flag', (out) => numbers(out, [1, 2, 1, 0]), 'list.isLast'],
    ['a list from nowhere', (out) => numbers(out, [1, 1, 0, 0]), 'list.firstNumber'],
    ['a region', (out) => numbers(out, [2, 2 ** 48 + 1, 1, 1, 1, 1, 1]), 'regionId'],
    ['a term', (out) => numbers(out, [2, 1, 0, 1, 1, 1, 1]), 'attach.term'],
    ['a replica', (out) => numbers(out, [2, 1, 1, 2 ** 32, 1, 1, 1]), 'attach.replicaId'],
    ['a claim number', (out) => numbers(out, [2, 1, 1, 1, 0, 1, 1]), 'attach.claimNumber'],
    ['more committed than known', (out) => numbers(out, [2, 1, 1, 1, 1, 1, 2]), 'commitIndex'],
    ['a release by a follower', (out) => numbers(out, [3, 3, 1, 1, 1, 1]), 'detach.flags'],
    ['an unknown flag', (out) => numbers(out, [3, 4, 1, 1, 1, 1]), 'detach.flags'],
    ['a detach of nothing', (out) => numbers(out, [3, 0, 1, 1, 1, 0]), 'detach.claimNumber'],
    ['a heartbeat without number', (out) => numbers(out, [4, 0, 0]), 'heartbeat.sequence'],
    ['an answer to none', (out) => numbers(out, [5, 0]), 'heartbeatAnswer.sequence'],
    ['too many digests', (out) => padded(out, [6, 1, 65]), 'repairDigests.digests'],
    ['a bucket', (out) => numbers(out, [7, 1, 64, 0]), 'repairClaims.bucket'],
    ['too many claims', (out) => padded(out, [7, 1, 1, 32_769]), 'repairClaims.claims'],
    ['a snapshot flag', (out) => numbers(out, [17, 1, 1, 1, 1, 1, 1, 2]), 'snapshot.isLast'],
    [
      'a chunk that is too long',
      (out) => chunkOf(out, limits.snapshotChunkBytesMax + 1),
      'snapshot.chunk',
    ],
    ['a snapshot from nobody', (out) => numbers(out, [17, 1, 0, 1]), 'snapshot.from'],
    ['a signal of no kind', (out) => numbers(out, [18, 1, 1, 1, 1, 7, 0]), 'snapshotSignal.kind'],
    [
      'a number where none belongs',
      (out) => numbers(out, [18, 1, 1, 1, 1, 1, 3]),
      'snapshotSignal.sequence',
    ],
  ])('is refused by name for %s', (_, body, field) => {
    const out = new ByteWriter();
    out.u8(frameVersion);
    numbers(out, [4, 1, 0]);
    body(out);
    const { items, error } = attempt(out.take());
    expect(error?.code).toBe('FRAME_MALFORMED');
    expect(error?.details).toMatchObject({ field });
    expect(items).toEqual([]);
  });

  it('is refused for another version, and for its length', () => {
    expect(attempt(new Uint8Array([frameVersion + 1])).error?.code).toBe('VERSION_MISMATCH');
    const long = new Uint8Array(limits.frameBytesMax + 1);
    expect(attempt(long).error?.code).toBe('FRAME_TOO_LARGE');
    expect(attempt(new Uint8Array()).error?.code).toBe('FRAME_MALFORMED');
  });
});

describe('an idle link', () => {
  /** Bytes that both ends send in `beats` intervals. */
  function idleBytes(claims: number, beats: number): number {
    const ids = Array.from({ length: claims }, (_, i) => i + 1);
    const pair = Pair.attached(ids);
    expect(pair.isClaimed(claims)).toEqual(bothEnds);
    let sent = 0;
    for (let beat = 0; beat < beats; beat++) {
      pair.tick(heartbeatMs);
      for (const from of [pair.leader, pair.follower, pair.leader]) {
        writer.begin();
        for (const item of pair.deliver(from)) writer.control(item);
        for (const frame of writer.finish()) sent += frame.length;
      }
    }
    return sent;
  }

  it('costs the same few bytes for ten claims as for ten thousand', () => {
    const [few, many] = [idleBytes(10, 10), idleBytes(10_000, 10)];
    expect(many).toBe(few);
    expect(few).toBeLessThan(10 * 64);
  });
});

/** Numbers, and behind them as many bytes as any count could ask for. */
function padded(out: ByteWriter, values: readonly number[]): void {
  numbers(out, values);
  out.raw(new Uint8Array(1_000_000).fill(1));
}

/** A snapshot's piece with nothing in its meta and that many bytes. */
function chunkOf(out: ByteWriter, chunkBytes: number): void {
  numbers(out, [17, 1, 1, 1, 1, 1, 1, 0, 1, 1, 0, 0, 0, 0, 0]);
  out.bytes(new Uint8Array(chunkBytes));
}

/** Numbers below 128 are one byte, as tags and flags are. */
function numbers(out: ByteWriter, values: readonly number[]): void {
  for (const value of values) out.uvarint(value);
}
