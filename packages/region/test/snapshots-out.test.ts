/** The sending end of a snapshot's stream: what it does on each answer, and on none (Q2, Q3, O1–O4). */
import type { RegionId, ReplicaId } from '@moku/base';
import type { Message } from '@moku/raft';
import { describe, expect, it } from 'vitest';
import type { RegionHostConfig } from '../src/index.js';
import {
  retryTicksMax,
  retryTicksMin,
  signalTicks,
  silentTicksMax,
  stalledTicksMax,
  windowChunks,
  yieldTicks,
} from '../src/snapshot-stream.js';
import type { SnapshotChunk, SnapshotSignalKind } from '../src/wire/types.js';
import { HostBench } from './support/bench.js';
import { put } from './support/machine.js';

const self = 1 as ReplicaId;

type Answer = Partial<Extract<Message, { type: 'appendResponse' }>>;

/** A leader, together with node 2, of regions whose other follower needs what the logs no longer have. */
class Leader {
  readonly bench: HostBench;
  readonly laggards: readonly number[];

  constructor(laggards: readonly number[], config: Partial<RegionHostConfig> = {}) {
    const soon = { logKeepBytes: 1, housekeepingMs: 50, peerGoneMs: 100 };
    this.bench = new HostBench({ ...soon, ...config });
    this.laggards = laggards;
    const { bench } = this;
    bench.connect(2);
    laggards.forEach((laggard, i) => {
      // Listed first: it campaigns at once.
      bench.open(i + 1, [1, 2, laggard]);
    });
    bench.ticks(1);
    laggards.forEach((_, i) => {
      this.answer(i + 1, { type: 'preVoteResponse', isGranted: true });
      this.answer(i + 1, { type: 'voteResponse', isGranted: true });
      for (let k = 0; k < 40; k++) this.write(i + 1, `key ${k}`);
    });
    this.cut();
  }

  write(regionId: number, key: string): void {
    const { bench } = this;
    bench.host.propose(regionId as RegionId, put(key, 'x'.repeat(200)), () => {});
    bench.turn();
    this.acknowledge(2, regionId, this.status(regionId).lastIndex);
  }

  /** The engine flushes, and logs are truncated. */
  cut(): void {
    for (const machine of this.bench.machines.values()) machine.flush();
    this.bench.host.engineFlushed();
    this.bench.ticks(4);
  }

  status(regionId: number): { lastIndex: number; firstIndex: number; term: number } {
    return this.bench.host.regionStatus(regionId as RegionId)!;
  }

  acknowledge(from: number, regionId: number, index: number, more: Answer = {}): void {
    const { term } = this.status(regionId);
    this.bench.raft(from, regionId, {
      type: 'appendResponse',
      from: from as ReplicaId,
      to: self,
      term,
      index,
      isRejected: false,
      hintIndex: 0,
      hintTerm: 0,
      ...more,
    });
  }

  private answer(
    regionId: number,
    { type, isGranted }: { type: 'preVoteResponse' | 'voteResponse'; isGranted: boolean },
  ): void {
    const from = 2 as ReplicaId;
    this.bench.raft(2, regionId, { type, from, to: self, term: 1, isGranted });
  }

  /** Its laggard comes back with an empty log; returns what it is sent. */
  meet(regionId: number): SnapshotChunk[] {
    const laggard = this.laggards[regionId - 1]!;
    this.bench.connect(laggard);
    this.bench.ticks(2);
    return this.chunks(laggard);
  }

  chunks(laggard: number): SnapshotChunk[] {
    return this.bench.take(laggard).chunks;
  }

  say(chunk: SnapshotChunk, kind: SnapshotSignalKind, sequence = 0): void {
    const { regionId, to, streamId } = chunk;
    this.bench.signal(to, { regionId, from: to, to: self, streamId, kind, sequence });
  }
}

/** Ticks until `laggard` is sent a chunk; its chunks. */
function nextOffer(leader: Leader, laggard: number, ticksMax: number): [number, SnapshotChunk] {
  for (let ticks = 0; ticks <= ticksMax; ticks++) {
    const [chunk] = leader.chunks(laggard);
    if (chunk !== undefined) return [ticks, chunk];
    leader.bench.ticks(1);
  }
  throw new Error(`no offer within ${ticksMax} ticks`);
}

describe('a snapshot that is sent', () => {
  it('is offered by one chunk, and goes on within the window as it is taken', () => {
    const leader = new Leader([3]);
    const first = leader.meet(1);
    expect(first.map(({ sequence }) => sequence)).toEqual([0]);
    leader.bench.ticks(2);
    expect(leader.chunks(3)).toEqual([]);
    leader.say(first[0]!, 'taken', 1);
    expect(leader.chunks(3).map(({ sequence }) => sequence)).toEqual(
      Array.from({ length: windowChunks }, (_, i) => i + 1),
    );
    leader.say(first[0]!, 'taken', 3);
    expect(leader.chunks(3).map(({ sequence }) => sequence)).toEqual([
      windowChunks + 1,
      windowChunks + 2,
    ]);
    const last: SnapshotChunk[] = [];
    for (let taken = 3; last.at(-1)?.isLast !== true; taken += 4) {
      leader.say(first[0]!, 'taken', taken);
      last.push(...leader.chunks(3));
    }
    expect(leader.bench.host.status().counters['snapshotsSent']).toBe(0);
    leader.acknowledge(3, 1, first[0]!.meta.index);
    expect(leader.bench.host.status().counters['snapshotsSent']).toBe(1);
    expect(leader.bench.host.regionStatus(1 as RegionId)!.why).not.toContain('snapshotSending');
  });

  it.each(['busy', 'installing', 'unwanted', 'broken', 'unknown'] as const)(
    'and refused as %s is offered anew within fractions of a second',
    (kind) => {
      const leader = new Leader([3]);
      let [chunk] = leader.meet(1);
      const waits: number[] = [];
      for (let i = 0; i < 5; i++) {
        const former = chunk!;
        leader.say(former, kind);
        const [ticks, next] = nextOffer(leader, 3, 3 * retryTicksMax);
        expect(next.streamId).toBeGreaterThan(former.streamId);
        expect(next.sequence).toBe(0);
        waits.push(ticks);
        chunk = next;
      }
      expect(waits).toEqual([
        retryTicksMin,
        2 * retryTicksMin,
        retryTicksMax,
        retryTicksMax,
        retryTicksMax,
      ]);
      // What is said of a former stream, or in another's name, is passed over.
      leader.say({ ...chunk!, streamId: chunk!.streamId - 1 }, 'broken');
      leader.say({ ...chunk!, regionId: 8 as RegionId }, 'broken');
      leader.say(chunk!, 'taken', 1);
      expect(leader.chunks(3)[0]).toMatchObject({ streamId: chunk!.streamId, sequence: 1 });
    },
  );

  it('to a node that is busy keeps back what is for other regions of that node, too', () => {
    const leader = new Leader([3, 3]);
    const [first, second] = leader.meet(1);
    expect([first!.regionId, second!.regionId].sort()).toEqual([1, 2]);
    leader.say(second!, 'broken');
    leader.bench.ticks(retryTicksMin - 1);
    leader.say(first!, 'busy');
    leader.bench.ticks(retryTicksMin - 1);
    expect(leader.chunks(3)).toEqual([]);
    leader.bench.ticks(1);
    expect(leader.chunks(3)).toHaveLength(2);
  });

  it('is not needed when what was acknowledged suffices', () => {
    const leader = new Leader([3]);
    const [first] = leader.meet(1);
    leader.write(1, 'later');
    leader.acknowledge(3, 1, first!.meta.index);
    const { messages, signals } = leader.bench.take(3);
    expect(signals).toMatchObject([{ kind: 'ended', streamId: first!.streamId }]);
    expect(messages.some(({ message }) => message.type === 'append')).toBe(true);
  });

  it('is begun anew at once when its log has left it behind, or what was acknowledged does not suffice', () => {
    const leader = new Leader([3], { peerGoneMs: 1 });
    const [first] = leader.meet(1);
    leader.say(first!, 'taken', 1);
    leader.chunks(3);
    // As when the log has grown too long meanwhile: it no longer waits for its follower.
    const log = leader.bench.log.region(1 as RegionId)!;
    leader.write(1, 'later');
    const { lastIndex: index, term } = leader.status(1);
    leader.bench.log.write([{ regionId: 1 as RegionId, truncate: { index, term } }]);
    expect(log.firstIndex()).toBeGreaterThan(first!.meta.index + 1);
    leader.bench.ticks(1);
    const { chunks, signals } = leader.bench.take(3);
    expect(signals).toMatchObject([{ kind: 'ended', streamId: first!.streamId }]);
    expect(chunks).toMatchObject([{ sequence: 0, meta: { index } }]);
    // An acknowledgement of the former leader's snapshot comes late.
    leader.acknowledge(3, 1, first!.meta.index);
    expect(leader.bench.take(3)).toMatchObject({ chunks: [], signals: [] });
    leader.say(chunks[0]!, 'taken', 1);
    expect(leader.chunks(3)[0]).toMatchObject({ streamId: chunks[0]!.streamId, sequence: 1 });
  });

  it('ends with the leadership, and the receiver is told', () => {
    const leader = new Leader([3]);
    const [first] = leader.meet(1);
    leader.acknowledge(2, 1, 0, { term: 9, isRejected: true });
    const { chunks, signals } = leader.bench.take(3);
    expect(chunks).toEqual([]);
    expect(signals).toMatchObject([{ kind: 'ended', streamId: first!.streamId }]);
    leader.say(first!, 'taken', 1);
    leader.bench.ticks(2 * retryTicksMax);
    expect(leader.chunks(3)).toEqual([]);
  });

  it('is begun anew in the next session, also when the receiver restarts', () => {
    const leader = new Leader([3]);
    const [first] = leader.meet(1);
    leader.say(first!, 'taken', 1);
    leader.chunks(3);
    const again = leader.meet(1);
    expect(again.map(({ sequence }) => sequence)).toEqual([0]);
    expect(again[0]!.streamId).toBeGreaterThan(first!.streamId);
  });

  it('is begun anew when nothing is heard of it, though nothing waits in the socket', () => {
    const leader = new Leader([3]);
    const [first] = leader.meet(1);
    leader.bench.bulkBytes = 1;
    leader.bench.ticks(silentTicksMax + 2);
    expect(leader.chunks(3)).toEqual([]);
    leader.bench.bulkBytes = 0;
    leader.bench.ticks(1);
    expect(leader.bench.take(3).signals).toMatchObject([
      { kind: 'ended', streamId: first!.streamId },
    ]);
    nextOffer(leader, 3, retryTicksMin);
  });

  it('that stands still keeps no picture for ever, whatever the receiver says', () => {
    const leader = new Leader([3]);
    const [first] = leader.meet(1);
    leader.say(first!, 'taken', 1);
    leader.chunks(3);
    for (let ticks = 0; ticks < stalledTicksMax; ticks += signalTicks) {
      expect(leader.bench.take(3).signals).toEqual([]);
      leader.say(first!, 'taken', 1);
      leader.bench.ticks(signalTicks);
    }
    leader.bench.ticks(2);
    expect(leader.bench.take(3).signals).toMatchObject([{ kind: 'ended' }]);
  });

  it('that stands still gives its place to one for another node', () => {
    const leader = new Leader([3, 4], { snapshotsOutMax: 1 });
    const [first] = leader.meet(1);
    leader.say(first!, 'taken', 1);
    leader.chunks(3);
    expect(leader.meet(2)).toEqual([]);
    const [ticks, second] = nextOffer(leader, 4, 2 * yieldTicks);
    expect(second.regionId).toBe(2);
    expect(ticks).toBeLessThanOrEqual(yieldTicks);
    expect(leader.bench.take(3).signals).toMatchObject([{ kind: 'ended' }]);
  });
});
