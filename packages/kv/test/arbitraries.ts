/** Generators of commands, queries and outcomes for property tests. */
import type { NodeId, Timestamp } from '@moku/base';
import fc from 'fast-check';
import type {
  Command,
  CommandOutcome,
  Condition,
  Operation,
  Query,
  QueryOutcome,
  RecordFound,
  SessionRef,
  WriteRefusal,
} from '../src/commands.js';

const bytes = (minLength: number, maxLength: number) => fc.uint8Array({ minLength, maxLength });
const count = fc.maxSafeNat();
const timestamp = fc.maxSafeNat() as fc.Arbitrary<Timestamp>;
const version = fc.integer({ min: 1, max: Number.MAX_SAFE_INTEGER }) as fc.Arbitrary<Timestamp>;
const key = bytes(1, 40);
const name = fc
  .string({ minLength: 1, maxLength: 30, unit: 'grapheme' })
  .filter((text) => !/[\p{Cc}\ufeff]/u.test(text));

const condition: fc.Arbitrary<Condition | undefined> = fc.oneof(
  fc.constant(undefined),
  fc.constant({ type: 'ifAbsent' } as const),
  fc.constant({ type: 'ifPresent' } as const),
  fc.record({ type: fc.constant('ifVersion' as const), version: timestamp }),
);

const operation: fc.Arbitrary<Operation> = fc.oneof(
  fc.record({
    type: fc.constant('put' as const),
    key,
    value: bytes(0, 60),
    condition,
    ttlMs: fc.option(fc.integer({ min: 1, max: 1e9 }), { nil: undefined }),
  }),
  fc.record({ type: fc.constant('delete' as const), key, condition }),
);

const session: fc.Arbitrary<SessionRef> = fc
  .tuple(version, version, fc.double({ min: 0, max: 1, noNaN: true }))
  .map(([sessionId, sequence, part]) => ({
    sessionId,
    sequence,
    answeredBelow: Math.max(1, Math.floor(sequence * part)),
  }));

const versionedKey = fc.record({ key, version });

export const command: fc.Arbitrary<Command> = fc.oneof(
  fc.constant({ type: 'openSession' } as const),
  fc.record({
    type: fc.constant('write' as const),
    session,
    epochVersion: count,
    operations: fc.array(operation, { minLength: 1, maxLength: 8 }),
  }),
  fc.record({
    type: fc.constant('expire' as const),
    keys: fc.array(versionedKey, { minLength: 1, maxLength: 8 }),
  }),
  fc.record({
    type: fc.constant('createKeyspace' as const),
    session,
    name,
    mode: fc.constant('hash' as const),
    regions: fc.integer({ min: 1, max: 100_000 }),
    bounds: fc.constant([]),
    replication: fc.integer({ min: 0, max: 7 }),
  }),
  fc.uniqueArray(fc.integer({ min: 1, max: 255 }), { maxLength: 8 }).chain((starts) =>
    fc.record({
      type: fc.constant('createKeyspace' as const),
      session,
      name,
      mode: fc.constant('range' as const),
      regions: fc.constant(starts.length + 1),
      bounds: fc.constant(starts.sort((a, b) => a - b).map((start) => Uint8Array.of(start))),
      replication: fc.integer({ min: 0, max: 7 }),
    }),
  ),
  fc.record({
    type: fc.constant('registerNode' as const),
    node: fc.record({
      nodeId: fc.integer({ min: 1, max: 65_535 }) as fc.Arbitrary<NodeId>,
      peerAddress: name,
      clientAddress: name,
    }),
  }),
);

export const query: fc.Arbitrary<Query> = fc.oneof(
  fc.record({
    type: fc.constant('get' as const),
    epochVersion: count,
    keys: fc.array(key, { minLength: 1, maxLength: 8 }),
    withValues: fc.boolean(),
  }),
  fc.record({
    type: fc.constant('scan' as const),
    epochVersion: count,
    start: bytes(0, 40),
    end: fc.option(bytes(0, 40), { nil: undefined }),
    isReverse: fc.boolean(),
    recordsMax: fc.integer({ min: 1, max: 10_000 }),
    bytesMax: fc.integer({ min: 1, max: 1024 * 1024 }),
    withValues: fc.boolean(),
    userPrefix: bytes(0, 20),
  }),
  fc.constant({ type: 'digest' } as const),
);

const refusal: fc.Arbitrary<WriteRefusal> = fc.constantFrom(
  'conditionFailed',
  'epochMismatch',
  'sessionUnknown',
  'invalid',
  'keyspaceConflict',
  'keyOutsideRegion',
  'limitReached',
);

export const commandOutcome: fc.Arbitrary<CommandOutcome> = fc.oneof(
  fc.record({ type: fc.constant('sessionOpened' as const), sessionId: count }),
  fc.record({
    type: fc.constant('written' as const),
    version: timestamp,
    existed: fc.array(fc.boolean(), { maxLength: 40 }),
  }),
  fc.record({
    type: fc.constant('refused' as const),
    reason: refusal,
    operation: count,
    version: timestamp,
  }),
  fc.record({ type: fc.constant('keyspaceCreated' as const), keyspaceId: count }),
  fc.constant({ type: 'done' } as const),
);

const record: fc.Arbitrary<RecordFound> = fc.record({
  key,
  version: timestamp,
  value: bytes(0, 60),
  expiresAtMs: fc.option(count, { nil: undefined }),
});

export const queryOutcome: fc.Arbitrary<QueryOutcome> = fc.oneof(
  fc.record({
    type: fc.constant('found' as const),
    records: fc.array(fc.option(record, { nil: undefined }), { maxLength: 8 }),
  }),
  fc.record({
    type: fc.constant('page' as const),
    records: fc.array(record, { maxLength: 8 }),
    hasMore: fc.boolean(),
    lastKey: fc.option(key, { nil: undefined }),
  }),
  fc.record({
    type: fc.constant('digest' as const),
    appliedIndex: count,
    records: count,
    digest: fc.string({ maxLength: 20 }).map((text) => text.replace(/\ufeff/gu, '')),
  }),
  fc.record({
    type: fc.constant('refused' as const),
    reason: fc.constantFrom(
      'epochMismatch' as const,
      'invalid' as const,
      'keyOutsideRegion' as const,
    ),
  }),
  fc.record({
    type: fc.constant('expired' as const),
    keys: fc.array(versionedKey, { maxLength: 8 }),
  }),
);

/** How bytes are damaged on their way. */
export type Damage =
  | { readonly kind: 'flip'; readonly at: number; readonly bits: number }
  | { readonly kind: 'cut'; readonly at: number }
  | { readonly kind: 'insert'; readonly at: number; readonly bytes: Uint8Array };

export const damage: fc.Arbitrary<Damage> = fc.oneof(
  fc.record({
    kind: fc.constant('flip' as const),
    at: fc.nat(),
    bits: fc.integer({ min: 1, max: 255 }),
  }),
  fc.record({ kind: fc.constant('cut' as const), at: fc.nat() }),
  fc.record({ kind: fc.constant('insert' as const), at: fc.nat(), bytes: bytes(1, 9) }),
);

export function damaged(bytes: Uint8Array, damage: Damage): Uint8Array {
  const at = bytes.length === 0 ? 0 : damage.at % bytes.length;
  switch (damage.kind) {
    case 'flip': {
      const copy = bytes.slice();
      if (copy.length > 0) copy[at]! ^= damage.bits;
      return copy;
    }
    case 'cut':
      return bytes.slice(0, at);
    case 'insert':
      return Uint8Array.of(...bytes.slice(0, at), ...damage.bytes, ...bytes.slice(at));
    default:
      throw new Error('unknown damage');
  }
}
