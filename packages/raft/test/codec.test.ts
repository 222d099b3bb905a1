/**
 * The binary forms: round trips, and hostile bytes.
 * Replay: CODEC_SEED=<seed> npx vitest run packages/raft/test/codec.test.ts
 */
import { ByteReader, ByteWriter, isMokuError, limits } from '@moku/base';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  type Entry,
  type Message,
  readConfState,
  readEntries,
  readHardState,
  readMessage,
  writeConfState,
  writeEntries,
  writeHardState,
  writeMessage,
} from '../src/index.js';
import { entries, id } from './harness/lone.js';

const seed = Number(process.env['CODEC_SEED'] ?? 77);

const replica = fc.integer({ min: 1, max: 0xffff_ffff }).map(id);
const index = fc.oneof(fc.nat(1000), fc.nat(Number.MAX_SAFE_INTEGER - 1_000_000));
const term = fc.oneof(fc.nat(300), fc.nat(2 ** 50));
const ids = fc.uniqueArray(replica, { maxLength: 9 }).map((list) => list.sort((a, b) => a - b));
const confState = fc.record({
  voters: ids,
  votersOutgoing: ids,
  learners: ids,
  learnersNext: ids,
  autoLeave: fc.boolean(),
});
const hardState = fc.record({
  term,
  votedFor: fc.oneof(replica, fc.constant(id(0))),
  commitIndex: index,
});

function block(firstIndex: number, lowTerm: number): fc.Arbitrary<Entry[]> {
  const entry = fc.record({
    step: fc.nat(3),
    kind: fc.constantFrom('normal' as const, 'confChange' as const),
    data: fc.uint8Array({ maxLength: 40 }),
  });
  return fc.array(entry, { maxLength: 12 }).map((all) => {
    let at = lowTerm;
    return all.map(({ step, kind, data }, i) => {
      at += step;
      return { term: at, index: firstIndex + i, kind, data };
    });
  });
}

const envelope = { from: replica, to: replica, term };
const flag = fc.boolean();
const append: fc.Arbitrary<Message> = fc
  .tuple(replica, replica, index, term, index)
  .chain(([from, to, prevLogIndex, prevLogTerm, commitIndex]) =>
    block(prevLogIndex + 1, prevLogTerm).map((all): Message => {
      const last = all.at(-1)?.term ?? prevLogTerm;
      const head = { type: 'append', from, to, term: last } as const;
      return { ...head, prevLogIndex, prevLogTerm, entries: all, commitIndex };
    }),
  );
const message: fc.Arbitrary<Message> = fc.oneof(
  append,
  fc.record({
    type: fc.constant('appendResponse' as const),
    ...envelope,
    index,
    isRejected: flag,
    hintIndex: index,
    hintTerm: term,
  }),
  fc.record({
    type: fc.constantFrom('vote' as const, 'preVote' as const),
    ...envelope,
    lastLogIndex: index,
    lastLogTerm: term,
  }),
  fc.record({
    type: fc.constantFrom('voteResponse' as const, 'preVoteResponse' as const),
    ...envelope,
    isGranted: flag,
  }),
  fc.record({
    type: fc.constant('heartbeat' as const),
    ...envelope,
    commitIndex: index,
    matchIndex: index,
    readRound: index,
  }),
  fc.record({ type: fc.constant('heartbeatResponse' as const), ...envelope, readRound: index }),
  fc.record({
    type: fc.constant('snapshot' as const),
    ...envelope,
    snapshot: fc.record({ index, term, confState }),
  }),
  fc.record({ type: fc.constant('timeoutNow' as const), ...envelope }),
  fc.record({ type: fc.constant('readIndex' as const), ...envelope, context: index }),
  fc.record({
    type: fc.constant('readIndexResponse' as const),
    ...envelope,
    context: index,
    index: fc.oneof(index, fc.constant(-1)),
  }),
);

function written<T>(write: (writer: ByteWriter, value: T) => void, value: T): Uint8Array {
  const writer = new ByteWriter(8);
  write(writer, value);
  return writer.take();
}

function read<T>(bytes: Uint8Array, one: (reader: ByteReader) => T): T {
  const reader = new ByteReader(bytes);
  const value = one(reader);
  reader.finish();
  return value;
}

describe('round trips', () => {
  test('messages of every type', () => {
    fc.assert(
      fc.property(message, (each) => {
        expect(read(written(writeMessage, each), readMessage)).toEqual(each);
      }),
      { seed, numRuns: 1500 },
    );
  });

  test('several messages in one buffer', () => {
    fc.assert(
      fc.property(fc.array(message, { maxLength: 6 }), (all) => {
        const writer = new ByteWriter();
        for (const each of all) writeMessage(writer, each);
        const reader = new ByteReader(writer.view());
        const back: Message[] = [];
        while (reader.remaining > 0) back.push(readMessage(reader));
        expect(back).toEqual(all);
      }),
      { seed, numRuns: 200 },
    );
  });

  test('hard states and configurations', () => {
    fc.assert(
      fc.property(hardState, confState, (hard, conf) => {
        expect(read(written(writeHardState, hard), readHardState)).toEqual(hard);
        expect(read(written(writeConfState, conf), readConfState)).toEqual(conf);
      }),
      { seed, numRuns: 300 },
    );
  });

  test('a block of entries is the same in a frame as in a record', () => {
    const all = entries('3/7', '3/8', '4/9-');
    const bytes = written(writeEntries, all);
    expect(read(bytes, (reader) => readEntries(reader, 7))).toEqual(all);
    const head = { type: 'append', from: id(1), to: id(2), term: 4 } as const;
    const frame = written(writeMessage, {
      ...head,
      prevLogIndex: 6,
      prevLogTerm: 3,
      entries: all,
      commitIndex: 2,
    });
    expect(frame.subarray(frame.length - bytes.length)).toEqual(bytes);
  });

  test('data of entries aliases what was read', () => {
    const bytes = written(writeEntries, entries('1/1'));
    const [entry] = read(bytes, (reader) => readEntries(reader, 1));
    expect(entry!.data.buffer).toBe(bytes.buffer);
  });
});

describe('hostile bytes give FRAME_MALFORMED and nothing else', () => {
  function survives(bytes: Uint8Array, one: (reader: ByteReader) => unknown): void {
    try {
      read(bytes, one);
    } catch (error) {
      if (!isMokuError(error, 'FRAME_MALFORMED')) throw error;
    }
  }

  const readers: ((reader: ByteReader) => unknown)[] = [
    readMessage,
    readHardState,
    readConfState,
    (reader) => readEntries(reader, 5),
  ];

  test('random bytes', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 80 }), (bytes) => {
        for (const one of readers) survives(bytes, one);
      }),
      { seed, numRuns: 2000 },
    );
  });

  test('good messages with a byte changed, cut or added', () => {
    const damage = fc.record({ at: fc.nat(), byte: fc.nat(255), cut: fc.nat(6), added: fc.nat(3) });
    fc.assert(
      fc.property(message, damage, (each, { at, byte, cut, added }) => {
        const good = written(writeMessage, each);
        const bad = new Uint8Array(Math.max(1, good.length - cut) + added);
        bad.set(good.subarray(0, bad.length));
        bad[at % bad.length] = byte;
        survives(bad, readMessage);
      }),
      { seed, numRuns: 3000 },
    );
  });

  const huge = [0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f];
  test.each([
    ['an unknown type', readMessage, [13, 1, 2, 0], 'type'],
    ['type 0', readMessage, [0, 1, 2, 0], 'type'],
    ['sender 0', readMessage, [10, 0, 2, 0], 'from'],
    ['a replica id above 2^32 - 1', readMessage, [10, 1, 0x80, 0x80, 0x80, 0x80, 0x10, 0], 'to'],
    ['a flag that is neither 0 nor 1', readMessage, [4, 1, 2, 0, 2], 'isGranted'],
    ['a count beyond the bytes', readers[3]!, [...huge, 1, 0, 0], 'count'],
    ['an unknown kind', readers[3]!, [1, 1, 2, 0], 'kind'],
    ['data beyond the bytes', readers[3]!, [1, 1, 0, 9], 'length'],
    ['falling terms', readers[3]!, [2, 3, 0, 0, 2, 0, 0], 'term'],
    ['a voter list beyond the bytes', readConfState, [...huge], 'voters'],
    ['voters that do not ascend', readConfState, [2, 2, 2, 0, 0, 0, 0], 'voters'],
    [
      'an entry above the term of its append',
      readMessage,
      [1, 1, 2, 3, 0, 0, 0, 1, 4, 0, 0],
      'term',
    ],
    ['an entry below prevLogTerm', readMessage, [1, 1, 2, 9, 5, 5, 0, 1, 4, 0, 0], 'term'],
  ])('%s', (_, one, bytes, field) => {
    expect(() => read(Uint8Array.from(bytes), one)).toThrow(`FRAME_MALFORMED: field=${field}`);
  });

  test('an index that is no safe integer any more', () => {
    const bytes = written(writeEntries, entries('1/1', '1/2'));
    expect(() => readEntries(new ByteReader(bytes), Number.MAX_SAFE_INTEGER)).toThrow(
      'field=index',
    );
  });

  test('an entry above limits.entryBytesMax', () => {
    const data = new Uint8Array(limits.entryBytesMax + 1);
    const bytes = written(writeEntries, [{ term: 1, index: 1, kind: 'normal', data }]);
    expect(() => readEntries(new ByteReader(bytes), 1)).toThrow('field=data');
  });

  test('entries that are not contiguous are never written', () => {
    expect(() => written(writeEntries, entries('1/1', '1/3'))).toThrow('W1');
  });
});
