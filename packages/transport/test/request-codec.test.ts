import {
  type ByteReader,
  type ErrorCode,
  errorTable,
  MokuError,
  type NodeId,
  type RegionId,
  type ReplicaId,
} from '@moku/base';
import type { ClusterView } from '@moku/kv';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { ClientAnswer, ClientRequest } from '../src/index.js';
import { readAnswer, writeAnswer } from '../src/requests/answer-codec.js';
import { BatchReader, BatchWriter, ownBytes } from '../src/requests/batch.js';
import { decodePlain, encodePlain } from '../src/requests/plain-value.js';
import { readRequest, writeRequest } from '../src/requests/request-codec.js';

const regionId = fc.integer({ min: 0, max: 2 ** 48 }).map((id) => id as RegionId);
const nodeId = fc.integer({ min: 1, max: 0xffff }).map((id) => id as NodeId);
const bytes = fc.uint8Array({ maxLength: 200 });
const id = fc.integer({ min: 0, max: 2 ** 32 - 1 });
const count = fc.nat({ max: 2 ** 40 });

const request: fc.Arbitrary<ClientRequest> = fc.oneof(
  fc.record({ kind: fc.constant('execute' as const), regionId, command: bytes }),
  fc.record({
    kind: fc.constantFrom('query' as const, 'inspect' as const),
    regionId,
    query: bytes,
  }),
  fc.record({
    kind: fc.constant('describe' as const),
    keyspace: fc.option(fc.string({ unit: 'grapheme', maxLength: 20 }), { nil: undefined }),
  }),
  fc.record({ kind: fc.constant('status' as const) }),
  fc.record({ kind: fc.constant('regions' as const), withWhy: fc.boolean() }),
  fc.record({ kind: fc.constant('transferLeadership' as const), regionId, to: nodeId }),
);

const epoch = fc.record({ version: count, config: count });
const replica = fc.record({
  replicaId: fc.integer({ min: 1, max: 2 ** 32 - 1 }).map((replicaId) => replicaId as ReplicaId),
  nodeId,
  isLearner: fc.boolean(),
});

/** Regions of which some lie next to each other, as those of one keyspace do. */
const regions = fc
  .array(
    fc.record({
      regionId,
      keyspaceId: count,
      startKey: bytes,
      endKey: fc.option(bytes, { nil: undefined }),
      epoch,
      replicas: fc.array(replica, { maxLength: 5 }),
      isNext: fc.boolean(),
    }),
    { maxLength: 6 },
  )
  .map((list) =>
    list.map(({ isNext, ...region }, index) => {
      const startKey = isNext ? list[index - 1]?.endKey : undefined;
      return { ...region, startKey: startKey ?? region.startKey };
    }),
  );

const view: fc.Arbitrary<ClusterView> = fc.record({
  clusterId: fc.string(),
  revision: count,
  nodes: fc.array(fc.record({ nodeId, peerAddress: fc.string(), clientAddress: fc.string() }), {
    maxLength: 3,
  }),
  keyspaces: fc.array(
    fc.record({
      keyspaceId: count,
      name: fc.string({ unit: 'grapheme' }),
      mode: fc.constantFrom('hash' as const, 'range' as const),
    }),
    { maxLength: 3 },
  ),
  regions,
  leaders: fc.array(fc.record({ regionId, nodeId: fc.nat({ max: 0xffff }) }), { maxLength: 4 }),
});

const codes = Object.keys(errorTable) as ErrorCode[];
const plain = fc.jsonValue().filter((value) => !JSON.stringify(value).includes('__proto__'));

const answer: fc.Arbitrary<ClientAnswer> = fc.oneof(
  fc.record({ kind: fc.constant('bytes' as const), bytes }),
  fc.record({ kind: fc.constant('view' as const), view }),
  fc.record({ kind: fc.constant('json' as const), value: plain }),
  fc.record({
    kind: fc.constant('error' as const),
    code: fc.constantFrom(...codes),
    outcome: fc.constantFrom('definite' as const, 'maybe' as const),
    message: fc.string(),
    details: fc.dictionary(fc.constantFrom('field', 'leaderNodeId', 'bound'), fc.nat()),
  }),
);

function* itemsOf(message: Uint8Array): Generator<BatchReader> {
  const batch = new BatchReader(message);
  while (batch.next()) yield batch;
}

/** What reading gives, without prototypes and negative zeros, which JSON does not know. */
function normal(value: unknown): unknown {
  return JSON.parse(encodePlain(value));
}

describe('a batch', () => {
  it('gives back every request that was put into it, in order, under its id', () => {
    fc.assert(
      fc.property(fc.array(fc.tuple(id, request), { minLength: 1, maxLength: 20 }), (wanted) => {
        const batch = new BatchWriter();
        for (const [itemId, item] of wanted) writeRequest(batch, itemId, item);
        const got = [...itemsOf(batch.take())].length;
        expect(got).toBe(wanted.length);
        for (const [itemId, item] of wanted) writeRequest(batch, itemId, item);
        const read: [number, ClientRequest][] = [];
        for (const { type, id: itemId, body } of itemsOf(batch.take())) {
          read.push([itemId, readRequest(type, body)]);
        }
        expect(read).toEqual(wanted);
      }),
      { seed: 21 },
    );
  });

  it('gives back every answer', () => {
    fc.assert(
      fc.property(id, answer, (itemId, wanted) => {
        const batch = new BatchWriter();
        writeAnswer(batch, itemId, wanted);
        const [item] = itemsOf(batch.take());
        if (item === undefined) throw new Error('no item');
        const read = readAnswer(item.type, item.body);
        if (wanted.kind === 'json') expect(normal(read)).toEqual(normal(wanted));
        else expect(read).toEqual(wanted);
      }),
      { seed: 22 },
    );
  });

  it('is refused when any bit of it is flipped', () => {
    fc.assert(
      fc.property(request, fc.nat(), (item, position) => {
        const batch = new BatchWriter();
        writeRequest(batch, 1, item);
        const message = batch.take();
        const bit = position % (message.length * 8);
        message[bit >> 3]! ^= 1 << (bit & 7);
        expect(() => new BatchReader(message)).toThrow(/FRAME_CORRUPT/);
      }),
      { seed: 23 },
    );
  });

  it('is refused when it ends within an item', () => {
    const batch = new BatchWriter();
    batch.begin(3, 1);
    batch.body.raw(Buffer.from('body'));
    batch.end();
    batch.begin(3, 2);
    batch.end();
    batch.body.patchU32(10, 1_000);
    const reader = new BatchReader(batch.take());
    expect(() => reader.next()).toThrow(/FRAME_MALFORMED/);
  });
});

describe('reading', () => {
  const junk = fc.tuple(fc.integer({ min: 0, max: 255 }), fc.uint8Array({ maxLength: 100 }));

  function bodyOf(content: Uint8Array): ByteReader {
    const batch = new BatchWriter();
    batch.begin(0, 0);
    batch.body.raw(content);
    batch.end();
    const reader = new BatchReader(batch.take());
    reader.next();
    return reader.body;
  }

  it('arbitrary bodies gives a request or a coded error, never anything else', () => {
    fc.assert(
      fc.property(junk, ([type, content]) => {
        try {
          readRequest(type, bodyOf(content));
        } catch (error) {
          expect(error).toBeInstanceOf(MokuError);
        }
      }),
      { seed: 24, numRuns: 2_000 },
    );
  });

  it('arbitrary bodies gives an answer or a coded error, never anything else', () => {
    fc.assert(
      fc.property(junk, ([type, content]) => {
        try {
          readAnswer(type, bodyOf(content));
        } catch (error) {
          expect(error).toBeInstanceOf(MokuError);
        }
      }),
      { seed: 25, numRuns: 2_000 },
    );
  });

  it('a code of a newer node keeps the outcome that it tells', () => {
    const batch = new BatchWriter();
    batch.begin(5, 1);
    batch.body.string('SOMETHING_NEW');
    batch.body.u8(0);
    batch.body.string('new');
    batch.body.string('{"field":"x"}');
    batch.end();
    const reader = new BatchReader(batch.take());
    reader.next();
    expect(readAnswer(reader.type, reader.body)).toEqual({
      kind: 'error',
      code: 'INTERNAL',
      outcome: 'definite',
      message: 'new',
      details: { field: 'x', code: 'SOMETHING_NEW' },
    });
  });
});

describe('plain values', () => {
  it('never set a prototype', () => {
    const value = decodePlain('{"a":{"__proto__":{"isAdmin":true}},"__proto__":{"isAdmin":true}}');
    expect(value).toEqual({ a: {} });
    expect((value as { isAdmin?: boolean }).isAdmin).toBeUndefined();
    expect(Object.keys(value as object)).toEqual(['a']);
  });

  it('say big integers, bytes and nothing in words', () => {
    const text = encodePlain({ big: 2n ** 64n, bytes: Uint8Array.of(1, 2), buffer: Buffer.of(3) });
    expect(text).toBe('{"big":"18446744073709551616","bytes":"AQI=","buffer":"Aw=="}');
    expect(encodePlain(undefined)).toBe('null');
  });

  it('are refused when they are not JSON, and survive any depth', () => {
    expect(() => decodePlain('{')).toThrow(/FRAME_MALFORMED/);
    expect(() => decodePlain('['.repeat(1_000_000))).toThrow(/FRAME_MALFORMED/);
    const deep = '['.repeat(100_000) + ']'.repeat(100_000);
    try {
      decodePlain(deep);
    } catch (error) {
      expect(error).toBeInstanceOf(MokuError);
    }
  });
});

describe('own bytes', () => {
  it('are a copy when they are a small part of a large buffer, else the view itself', () => {
    const buffer = new Uint8Array(1_000);
    const small = buffer.subarray(0, 100);
    const copy = ownBytes(small);
    expect(copy.buffer.byteLength).toBe(100);
    const large = buffer.subarray(0, 600);
    expect(ownBytes(large)).toBe(large);
  });
});
