/** Every kind of item that a frame may carry, with values from all over their ranges. */
import type { RegionId, ReplicaId } from '@moku/base';
import type { ConfState, Entry, Message, SnapshotMeta } from '@moku/raft';
import fc from 'fast-check';
import { type ControlItem, repairBuckets } from '../../src/claims/types.js';
import type { FrameWriter } from '../../src/wire/frame-writer.js';
import type {
  FrameItem,
  FrameVisitor,
  SnapshotChunk,
  SnapshotSignal,
  SnapshotSignalKind,
} from '../../src/wire/types.js';

const indexMax = 2 ** 53 - 2 ** 20;
const small = fc.nat({ max: 300 });
const index = fc.oneof(small, fc.integer({ min: 0, max: indexMax }));
const term = fc.oneof(small, index).map((value) => value + 1);
const flag = fc.boolean();
const regionId = fc.oneof(small, fc.integer({ min: 0, max: 2 ** 48 })).map((id) => id as RegionId);
const replicaId = fc
  .oneof(fc.integer({ min: 1, max: 300 }), fc.integer({ min: 1, max: 2 ** 32 - 1 }))
  .map((id) => id as ReplicaId);
const bytes = fc.uint8Array({ maxLength: 40 });
const u32 = fc.integer({ min: 0, max: 2 ** 32 - 1 });
const digest = fc.record({ count: u32, sumHigh: u32, sumLow: u32 });

const key = { regionId, term, replicaId };
const indexes = fc
  .tuple(index, index)
  .map(([a, b]) => ({ lastIndex: Math.max(a, b), commitIndex: Math.min(a, b) }));
const listItem = fc.tuple(fc.record(key), indexes).map(([k, i]) => ({ ...k, ...i }));
const claim = fc.record({ ...key, claimNumber: term });

const controlItem: fc.Arbitrary<ControlItem> = fc.oneof(
  fc.record({
    type: fc.constant('list' as const),
    firstNumber: term,
    items: fc.array(listItem, { maxLength: 20 }),
    isLast: flag,
  }),
  fc.tuple(claim, indexes).map(([c, i]) => ({ type: 'attach' as const, ...c, ...i })),
  claim.map((c) => ({ type: 'detach' as const, by: 'follower' as const, ...c, isRelease: false })),
  fc
    .tuple(claim, flag)
    .map(([c, isRelease]) => ({ type: 'detach' as const, by: 'leader' as const, ...c, isRelease })),
  fc.record(key).map((k) => ({
    type: 'detach' as const,
    by: 'leader' as const,
    ...k,
    claimNumber: 0,
    isRelease: true,
  })),
  fc.record({ type: fc.constant('heartbeat' as const), sequence: term, oldestUnsyncedMs: index }),
  fc.record({ type: fc.constant('heartbeatAnswer' as const), sequence: term, digest }),
  fc.record({
    type: fc.constant('repairDigests' as const),
    repairId: term,
    digests: fc.array(digest, { maxLength: repairBuckets }),
  }),
  fc.record({
    type: fc.constant('repairClaims' as const),
    repairId: term,
    bucket: fc.nat({ max: repairBuckets - 1 }),
    claims: fc.array(claim, { maxLength: 20 }),
  }),
);

const ids = fc.uniqueArray(replicaId, { maxLength: 5 }).map((some) => some.sort((a, b) => a - b));
const confState: fc.Arbitrary<ConfState> = fc.record({
  voters: ids,
  votersOutgoing: ids,
  learners: ids,
  learnersNext: ids,
  autoLeave: flag,
});
const meta: fc.Arbitrary<SnapshotMeta> = fc.record({ index, term, confState });
const envelope = { from: replicaId, to: replicaId, term };

const append: fc.Arbitrary<Message> = fc
  .record({
    ...envelope,
    type: fc.constant('append' as const),
    prevLogIndex: index,
    commitIndex: index,
    data: fc.array(fc.tuple(bytes, flag), { maxLength: 5 }),
  })
  .map(({ data, ...rest }) => ({
    ...rest,
    prevLogTerm: rest.term - 1,
    entries: data.map(
      ([entryBytes, isChange], i): Entry => ({
        term: rest.term,
        index: rest.prevLogIndex + 1 + i,
        kind: isChange ? 'confChange' : 'normal',
        data: entryBytes,
      }),
    ),
  }));

const raftMessage: fc.Arbitrary<Message> = fc.oneof(
  append,
  fc.record({
    ...envelope,
    type: fc.constant('appendResponse' as const),
    index,
    isRejected: flag,
    hintIndex: index,
    hintTerm: index,
  }),
  fc.record({
    ...envelope,
    type: fc.constantFrom('vote' as const, 'preVote' as const),
    lastLogIndex: index,
    lastLogTerm: index,
  }),
  fc.record({
    ...envelope,
    type: fc.constantFrom('voteResponse' as const, 'preVoteResponse' as const),
    isGranted: flag,
  }),
  fc.record({
    ...envelope,
    type: fc.constant('heartbeat' as const),
    commitIndex: index,
    matchIndex: index,
    readRound: index,
  }),
  fc.record({ ...envelope, type: fc.constant('heartbeatResponse' as const), readRound: index }),
  fc.record({ ...envelope, type: fc.constant('snapshot' as const), snapshot: meta }),
  fc.record({ ...envelope, type: fc.constant('timeoutNow' as const) }),
  fc.record({ ...envelope, type: fc.constant('readIndex' as const), context: index }),
  fc.record({
    ...envelope,
    type: fc.constant('readIndexResponse' as const),
    context: index,
    index: index.map((value) => value - 1),
  }),
);

const snapshotChunk: fc.Arbitrary<SnapshotChunk> = fc.record({
  regionId,
  ...envelope,
  streamId: index,
  sequence: index,
  meta,
  chunk: fc.uint8Array({ maxLength: 200 }),
  isLast: flag,
});

const snapshotSignal: fc.Arbitrary<SnapshotSignal> = fc.oneof(
  fc.record({
    regionId,
    from: envelope.from,
    to: envelope.to,
    streamId: index,
    kind: fc.constant('taken' as const),
    sequence: index,
  }),
  fc.record({
    regionId,
    from: envelope.from,
    to: envelope.to,
    streamId: index,
    kind: fc.constantFrom<SnapshotSignalKind>('busy', 'installing', 'unwanted', 'broken', 'ended'),
    sequence: fc.constant(0),
  }),
);

export const frameItem: fc.Arbitrary<FrameItem> = fc.oneof(
  controlItem.map((item) => ({ kind: 'control' as const, item })),
  fc.record({ kind: fc.constant('raft' as const), regionId, message: raftMessage }),
  snapshotChunk.map((chunk) => ({ kind: 'snapshot' as const, chunk })),
  snapshotSignal.map((signal) => ({ kind: 'snapshotSignal' as const, signal })),
);

export function write(writer: FrameWriter, item: FrameItem): void {
  if (item.kind === 'control') writer.control(item.item);
  else if (item.kind === 'raft') writer.raft(item.regionId, item.message);
  else if (item.kind === 'snapshot') writer.snapshot(item.chunk);
  else writer.snapshotSignal(item.signal);
}

/** Keeps what it is shown. */
export class Collector implements FrameVisitor {
  readonly items: FrameItem[] = [];

  onControl(item: ControlItem): void {
    this.items.push({ kind: 'control', item });
  }

  onRaft(region: RegionId, message: Message): void {
    this.items.push({ kind: 'raft', regionId: region, message });
  }

  onSnapshot(chunk: SnapshotChunk): void {
    this.items.push({ kind: 'snapshot', chunk });
  }

  onSnapshotSignal(signal: SnapshotSignal): void {
    this.items.push({ kind: 'snapshotSignal', signal });
  }
}
