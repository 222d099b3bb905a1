/**
 * Rules of snapshots: paper §7, thesis §5; content travels outside the core.
 */
import { describe, expect, test } from 'vitest';
import { confStateOf, type SnapshotMeta } from '../src/index.js';
import { entries, id, Lone } from './harness/lone.js';
import { regionId } from './harness/test-node.js';

const confState = confStateOf([1, 2, 3].map(id));

function offer(lone: Lone, index: number, term: number, leaderTerm = term): Lone {
  const snapshot = { index, term, confState };
  return lone.step({ type: 'snapshot', from: id(2), to: id(1), term: leaderTerm, snapshot });
}

function install(lone: Lone, meta: SnapshotMeta): void {
  const { index, term } = meta;
  const applied = Array.from({ length: index }, (_, i) => entries(`${term}/${i + 1}`)[0]!);
  lone.node.install({ meta, applied });
}

describe('a follower', () => {
  test('asks its host for what it lacks, once per offer', () => {
    const lone = offer(new Lone(), 9, 3);
    const ready = lone.raft.ready();
    expect(ready.snapshot).toEqual({ index: 9, term: 3, confState });
    expect(lone.raft.ready().snapshot).toBeUndefined();
    offer(lone, 9, 3);
    expect(lone.raft.ready().snapshot).toMatchObject({ index: 9 });
  });

  test('goes on with its log until the content is there', () => {
    const lone = new Lone().append(2, 1, '0/0', entries('1/1')).settle();
    offer(lone, 9, 3).append(2, 3, '1/1', entries('3/2')).settle();
    expect(lone.raft.lastIndex).toBe(2);
    lone.requestVote('vote', 3, 4, '3/2').settle();
    expect(lone.hear('voteResponse')).toMatchObject([{ isGranted: true }]);
  });

  test('restarts behind it, and acknowledges once the restart is synced', () => {
    const lone = new Lone().append(2, 1, '0/0', entries('1/1', '1/2')).settle();
    offer(lone, 9, 3).settle();
    lone.hearAll();
    install(lone, { index: 9, term: 3, confState });
    lone.turn();
    expect([lone.raft.lastIndex, lone.raft.commitIndex, lone.raft.appliedIndex]).toEqual([9, 9, 9]);
    expect(lone.raft.stableIndex).toBe(0);
    expect(lone.hear('appendResponse')).toEqual([]);
    lone.sync();
    expect(lone.raft.stableIndex).toBe(9);
    expect(lone.hear('appendResponse')).toMatchObject([{ to: 2, index: 9, isRejected: false }]);
    lone.append(2, 3, '3/9', entries('3/10'), 10).settle();
    expect(lone.node.appliedIndex).toBe(10);
  });

  test('may be given a later state than it was offered', () => {
    const lone = offer(new Lone(), 9, 3);
    lone.turn();
    install(lone, { index: 12, term: 3, confState: confStateOf([id(1), id(2)]) });
    expect(lone.raft.commitIndex).toBe(12);
    expect(lone.raft.confState.voters).toEqual([1, 2]);
    expect(lone.raft.snapshotWanted).toBeUndefined();
  });

  test('acknowledges what it has committed already, and wants nothing', () => {
    const lone = new Lone().append(2, 1, '0/0', entries('1/1', '1/2'), 2).settle();
    lone.hearAll();
    offer(lone, 1, 1).settle();
    expect(lone.raft.snapshotWanted).toBeUndefined();
    expect(lone.hear('appendResponse')).toMatchObject([{ index: 2 }]);
  });

  test('learns from an offer that its log holds up to there that this much is committed', () => {
    const lone = new Lone().append(2, 1, '0/0', entries('1/1', '1/2', '1/3')).settle();
    offer(lone, 2, 1).settle();
    expect([lone.raft.commitIndex, lone.raft.lastIndex]).toEqual([2, 3]);
    expect(lone.raft.snapshotWanted).toBeUndefined();
  });

  test('no longer wants what its log has reached meanwhile', () => {
    const lone = offer(new Lone(), 2, 1);
    lone.append(2, 1, '0/0', entries('1/1', '1/2', '1/3'), 2).settle();
    expect(lone.raft.snapshotWanted).toBeUndefined();
    expect(() => lone.raft.snapshotInstalled({ index: 2, term: 1, confState })).toThrow('R3');
  });

  test('no longer wants what its log holds, though it is not known to be committed', () => {
    const lone = offer(new Lone(), 1, 1);
    lone.append(3, 2, '0/0', entries('1/1', '2/2')).settle();
    expect(lone.hear('appendResponse')).toMatchObject([{ index: 2, isRejected: false }]);
    expect([lone.raft.commitIndex, lone.raft.snapshotWanted]).toEqual([0, undefined]);
    install(lone, { index: 1, term: 1, confState });
    expect(lone.raft.lastIndex).toBe(2);
  });

  test('a host that did not restart the log is found out', () => {
    const lone = offer(new Lone(), 9, 3);
    expect(() => lone.raft.snapshotInstalled({ index: 9, term: 3, confState })).toThrow('T1');
  });

  test('a write under way when the log restarts says nothing about the new log', () => {
    const lone = new Lone().append(2, 1, '0/0', entries('1/1', '1/2')).turn();
    offer(lone, 1, 3).turn();
    install(lone, { index: 1, term: 3, confState });
    lone.turn().sync(1);
    expect(lone.raft.stableIndex).toBe(0);
    lone.sync();
    expect(lone.raft.stableIndex).toBe(1);
  });
});

describe('a leader', () => {
  function compacted(): Lone {
    const lone = new Lone({ heartbeatTicks: 0 }).append(2, 1, '0/0', entries('1/1', '1/2'), 2);
    lone.settle().lead();
    lone.acknowledge(2, 3).settle();
    lone.node.checkpoint();
    lone.node.compact(3);
    lone.hearAll();
    lone.raft.peerReset(id(3));
    lone.raft.probe(id(3));
    return lone.turn();
  }

  test('offers the state applied, and sends nothing more until it is reported', () => {
    const lone = compacted();
    expect(lone.hear('snapshot')).toMatchObject([
      { to: 3, snapshot: { index: 3, term: 2, confState: { voters: [1, 2, 3] } } },
    ]);
    lone.raft.propose(Uint8Array.of(1));
    expect(
      lone
        .turn()
        .hear('append')
        .map((append) => append.to),
    ).toEqual([2]);
    expect(lone.raft.progress(id(3))).toMatchObject({ state: 'snapshot', nextIndex: 4 });
    lone.raft.reportSnapshot(id(3), true);
    expect(lone.turn().hear('append')).toMatchObject([{ to: 3, prevLogIndex: 3 }]);
  });

  test('goes on at once when an acknowledgement covers the snapshot', () => {
    const lone = compacted();
    lone.acknowledge(3, 3);
    expect(lone.raft.progress(id(3))).toMatchObject({ state: 'replicate', matchIndex: 3 });
  });

  test('offers it again after a failure, when it is asked to', () => {
    const lone = compacted();
    lone.hearAll();
    lone.raft.reportSnapshot(id(3), false);
    expect(lone.turn().hearAll()).toEqual([]);
    lone.raft.probe(id(3));
    expect(lone.turn().hear('snapshot')).toHaveLength(1);
  });

  test('asks for entries that are on disk in the background, and sends when they are there', () => {
    const lone = new Lone({ heartbeatTicks: 0 }).lead();
    lone.acknowledge(2, 1).settle();
    lone.node.store.evict(regionId);
    lone.hearAll();
    lone.raft.peerReset(id(3));
    lone.raft.probe(id(3));
    lone.step({
      type: 'appendResponse',
      from: id(3),
      to: id(1),
      term: 1,
      index: 0,
      isRejected: false,
      hintIndex: 0,
      hintTerm: 0,
    });
    expect(lone.turn().hear('append')).toEqual([]);
    expect(lone.raft.hasReady()).toBe(false);
    lone.node.store.fetch();
    expect(lone.turn().hear('append')).toMatchObject([{ to: 3, entries: [{ index: 1 }] }]);
  });

  test('a log that cannot be read is an error of the host, and nothing is lost by it', () => {
    const lone = new Lone({ heartbeatTicks: 0 }).lead();
    lone.acknowledge(2, 1).settle();
    lone.node.store.corrupt(regionId, 1);
    lone.raft.peerReset(id(3));
    lone.raft.probe(id(3));
    expect(() => lone.raft.ready()).toThrow('LOG_CORRUPT');
    expect(lone.raft.progress(id(3))).toMatchObject({ state: 'probe', nextIndex: 1 });
  });
});
