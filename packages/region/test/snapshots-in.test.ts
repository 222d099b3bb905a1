/** The receiving end of a snapshot's stream, chunk by chunk: everything that comes is answered (Q1). */
import type { RegionId, ReplicaId } from '@moku/base';
import { confStateOf } from '@moku/raft';
import { describe, expect, it } from 'vitest';
import { signalTicks, windowChunks } from '../src/snapshot-stream.js';
import type { SnapshotChunk, SnapshotSignal } from '../src/wire/types.js';
import { HostBench } from './support/bench.js';
import { DigestBook, Disk, put, TestMachine } from './support/machine.js';

const regionId = 1 as RegionId;
const ids = [2, 3, 1] as ReplicaId[];

/** Chunks of a leader's machine at `index`. */
function snapshotOf(index: number, about: Partial<SnapshotChunk> = {}): SnapshotChunk[] {
  const machine = new TestMachine(regionId, new Disk(), new DigestBook());
  for (let at = 1; at <= index; at++) {
    const data = machine.encodeEntry([put(`key ${at}`, 'x'.repeat(200))], 0);
    machine.apply({ index: at, term: 3, kind: 'normal', data });
  }
  const source = machine.snapshot();
  const contents: Uint8Array[] = [];
  for (let next = source.next(); next !== undefined; next = source.next()) contents.push(next);
  return contents.map((chunk, sequence) => ({
    regionId,
    from: 2 as ReplicaId,
    to: 1 as ReplicaId,
    term: 3,
    streamId: 7,
    sequence,
    meta: { index, term: 3, confState: confStateOf(ids, []) },
    chunk,
    isLast: sequence === contents.length - 1,
    ...about,
  }));
}

function follower(config: ConstructorParameters<typeof HostBench>[0] = {}): HostBench {
  const bench = new HostBench(config);
  bench.open(1, [2, 3, 1]);
  bench.connect(2);
  bench.connect(3);
  bench.take(2);
  bench.take(3);
  return bench;
}

function said(bench: HostBench, peer: number): [number, string, number][] {
  return bench
    .take(peer)
    .signals.map(({ streamId, kind, sequence }: SnapshotSignal) => [streamId, kind, sequence]);
}

describe('a snapshot that comes in', () => {
  it('is taken chunk by chunk, installed, and acknowledged once the engine holds it', () => {
    const bench = follower();
    const chunks = snapshotOf(20);
    expect(chunks.length).toBeGreaterThan(5);
    for (const chunk of chunks) {
      bench.chunk(2, chunk);
      expect(said(bench, 2)).toEqual([[7, 'taken', chunk.sequence + 1]]);
    }
    const machine = bench.machines.get(regionId)!;
    expect(machine.installs).toBe(1);
    bench.ticks(signalTicks + 1);
    const waiting = bench.take(2);
    expect(waiting.signals.map(({ kind }) => kind)).toEqual(['taken']);
    expect(waiting.messages.filter(({ message }) => message.type === 'appendResponse')).toEqual([]);
    machine.flush();
    bench.host.engineFlushed();
    bench.turn();
    const [answer] = bench.take(2).messages.map(({ message }) => message);
    expect(answer).toMatchObject({ type: 'appendResponse', index: 20, isRejected: false });
  });

  it('is refused while the engine is full, and held within the window when it becomes full', () => {
    const bench = follower();
    const chunks = snapshotOf(40);
    expect(chunks.length).toBeGreaterThan(windowChunks + 3);
    bench.canApply = false;
    bench.chunk(2, chunks[0]!);
    expect(said(bench, 2)).toEqual([[7, 'busy', 0]]);
    bench.canApply = true;
    const again = snapshotOf(40, { streamId: 8 });
    bench.chunk(2, again[0]!);
    expect(said(bench, 2)).toEqual([[8, 'taken', 1]]);
    bench.canApply = false;
    for (const chunk of again.slice(1, 1 + windowChunks)) bench.chunk(2, chunk);
    expect(said(bench, 2)).toEqual([]);
    bench.ticks(3 * signalTicks + 3);
    expect(said(bench, 2)).toEqual([
      [8, 'taken', 1],
      [8, 'taken', 1],
      [8, 'taken', 1],
    ]);
    bench.canApply = true;
    bench.host.engineFlushed();
    bench.turn();
    expect(said(bench, 2)).toEqual([[8, 'taken', 1 + windowChunks]]);
    for (const chunk of again.slice(1 + windowChunks)) bench.chunk(2, chunk);
    expect(bench.machines.get(regionId)!.installs).toBe(1);
  });

  it('is given up when its sender goes beyond the window', () => {
    const bench = follower();
    const chunks = snapshotOf(40);
    bench.chunk(2, chunks[0]!);
    bench.canApply = false;
    for (const chunk of chunks.slice(1, 2 + windowChunks)) bench.chunk(2, chunk);
    expect(said(bench, 2).at(-1)).toEqual([7, 'broken', 0]);
    bench.canApply = true;
    bench.turn();
    bench.chunk(2, chunks[2 + windowChunks]!);
    expect(said(bench, 2)).toEqual([[7, 'broken', 0]]);
  });

  it('is broken by a gap, by a chunk twice, and by content that does not hold together', () => {
    const bench = follower();
    const play = (streamId: number, at: readonly number[]): void => {
      const chunks = snapshotOf(20, { streamId });
      for (const i of at) bench.chunk(2, chunks[i]!);
    };
    play(1, [0, 2]);
    expect(said(bench, 2)).toEqual([
      [1, 'taken', 1],
      [1, 'broken', 0],
    ]);
    play(2, [0, 1, 1]);
    expect(said(bench, 2).at(-1)).toEqual([2, 'broken', 0]);
    play(3, [0, 0]);
    expect(said(bench, 2).at(-1)).toEqual([3, 'broken', 0]);
    const [first] = snapshotOf(20, { streamId: 4 });
    bench.chunk(2, { ...first!, isLast: true });
    expect(said(bench, 2)).toEqual([[4, 'broken', 0]]);
    expect(bench.machines.get(regionId)!.installs).toBe(0);
  });

  it('for a replica that is not here, or from a node that is not its sender’s, is unknown', () => {
    const bench = follower();
    const [chunk] = snapshotOf(20);
    bench.chunk(2, { ...chunk!, regionId: 9 as RegionId });
    bench.chunk(2, { ...chunk!, to: 5 as ReplicaId });
    bench.chunk(3, chunk!);
    expect(said(bench, 2).map(([, kind]) => kind)).toEqual(['unknown', 'unknown']);
    expect(said(bench, 3).map(([, kind]) => kind)).toEqual(['unknown']);
  });

  it('of a former leader is unwanted, and its sender told the term', () => {
    const bench = follower();
    bench.chunk(3, snapshotOf(20, { from: 3 as ReplicaId, term: 4 })[0]!);
    bench.chunk(2, snapshotOf(20)[0]!);
    const { signals, messages } = bench.take(2);
    expect(signals.map(({ kind }) => kind)).toEqual(['unwanted']);
    expect(messages.at(-1)!.message).toMatchObject({ type: 'appendResponse', term: 4 });
  });

  it('gives way to the stream of a new leader', () => {
    const bench = follower();
    bench.chunk(2, snapshotOf(20)[0]!);
    const chunks = snapshotOf(24, { from: 3 as ReplicaId, term: 4, streamId: 2 });
    for (const chunk of chunks) bench.chunk(3, chunk);
    expect(said(bench, 2)).toEqual([
      [7, 'taken', 1],
      [7, 'unwanted', 0],
    ]);
    expect(said(bench, 3).at(-1)).toEqual([2, 'taken', chunks.length]);
    bench.chunk(2, snapshotOf(20)[1]!);
    expect(said(bench, 2)).toEqual([[7, 'broken', 0]]);
    expect(bench.machines.get(regionId)!.appliedIndex).toBe(24);
  });

  it('is told off within a tick when the term changes in the middle', () => {
    const bench = follower();
    bench.chunk(2, snapshotOf(20)[0]!);
    said(bench, 2);
    bench.raft(3, 1, {
      type: 'vote',
      from: 3 as ReplicaId,
      to: 1 as ReplicaId,
      term: 4,
      lastLogIndex: 30,
      lastLogTerm: 3,
    });
    bench.ticks(1);
    expect(said(bench, 2)).toEqual([[7, 'unwanted', 0]]);
  });

  it('finds another that waits for the engine: not now; and is taken once that is done', () => {
    const bench = follower();
    for (const chunk of snapshotOf(20)) bench.chunk(2, chunk);
    const later = { from: 3 as ReplicaId, term: 4, streamId: 1 };
    bench.chunk(3, snapshotOf(18, later)[0]!);
    bench.chunk(3, snapshotOf(24, { ...later, streamId: 2 })[0]!);
    expect(said(bench, 3).map(([, kind]) => kind)).toEqual(['installing', 'installing']);
    bench.machines.get(regionId)!.flush();
    bench.host.engineFlushed();
    bench.turn();
    // The older one is acknowledged to the new leader, which knows then that it does not suffice.
    const [answer] = bench.take(3).messages.map(({ message }) => message);
    expect(answer).toMatchObject({ type: 'appendResponse', to: 3, term: 4, index: 20 });
    bench.chunk(3, snapshotOf(18, { ...later, streamId: 3 })[0]!);
    bench.chunk(3, snapshotOf(24, { ...later, streamId: 4 })[0]!);
    expect(said(bench, 3).map(([, kind]) => kind)).toEqual(['unwanted', 'taken']);
  });

  it('that the log has reached by itself is unwanted, and acknowledged', () => {
    const bench = follower();
    const entries = [1, 2, 3].map((index) => ({
      index,
      term: 3,
      kind: 'normal' as const,
      data: new Uint8Array(),
    }));
    const [from, to] = [2 as ReplicaId, 1 as ReplicaId];
    const append = { from, to, term: 3, prevLogIndex: 0, prevLogTerm: 0, entries };
    bench.raft(2, 1, { type: 'append', ...append, commitIndex: 1 });
    bench.take(2);
    bench.chunk(2, snapshotOf(3)[0]!);
    const { signals, messages } = bench.take(2);
    expect(signals.map(({ kind }) => kind)).toEqual(['unwanted']);
    expect(messages[0]!.message).toMatchObject({ type: 'appendResponse', index: 3 });
  });

  it('finds all places taken: busy; until a sender gives its stream up', () => {
    const bench = follower({ snapshotsInMax: 1 });
    bench.open(4, [2, 3, 1]);
    const other = { regionId: 4 as RegionId, streamId: 9 };
    bench.chunk(2, snapshotOf(20)[0]!);
    bench.chunk(2, snapshotOf(20, other)[0]!);
    expect(said(bench, 2).at(-1)).toEqual([9, 'busy', 0]);
    const ended = { regionId, from: 2 as ReplicaId, to: 1 as ReplicaId, sequence: 0 };
    bench.signal(2, { ...ended, streamId: 6, kind: 'ended' });
    bench.chunk(2, snapshotOf(20, other)[0]!);
    expect(said(bench, 2).at(-1)).toEqual([9, 'busy', 0]);
    bench.signal(2, { ...ended, streamId: 7, kind: 'ended' });
    bench.chunk(2, snapshotOf(20, other)[0]!);
    expect(said(bench, 2).at(-1)).toEqual([9, 'taken', 1]);
  });

  it('is begun anew in a new session; what comes of the former stream is broken', () => {
    const bench = follower();
    const chunks = snapshotOf(20);
    bench.chunk(2, chunks[0]!);
    bench.connect(2);
    bench.chunk(2, chunks[1]!);
    expect(said(bench, 2).at(-1)).toEqual([7, 'broken', 0]);
    for (const chunk of chunks) bench.chunk(2, chunk);
    expect(bench.machines.get(regionId)!.installs).toBe(1);
  });

  it('whose replica is destroyed in the middle is unknown', () => {
    const bench = follower();
    bench.chunk(2, snapshotOf(20)[0]!);
    said(bench, 2);
    bench.host.destroyReplica(regionId);
    bench.ticks(1);
    expect(said(bench, 2)).toEqual([[7, 'unknown', 0]]);
  });
});
