/**
 * The judges of these runs can say no.
 */
import { toNodeId } from '@moku/base';
import { type HistoryEvent, HistoryRecorder } from '@moku/sim';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { judgeHistory, judgeNodes } from '../support/judge.js';
import { ProcessCluster } from '../support/process-cluster.js';

const msMax = 5_000;

/** Two writes of a key, each read back; the last answer is `found`. */
function historyThatEndsIn(found: number | null): HistoryEvent[] {
  let time = 0;
  const recorder = new HistoryRecorder(() => ++time);
  for (const value of [1, 2]) {
    recorder.invoke(0, 'write', 'a', value).ok(null);
    recorder.invoke(0, 'read', 'a', null).ok(value);
  }
  recorder.invoke(1, 'read', 'a', null).ok(found);
  return recorder.events;
}

describe('a history', () => {
  it('passes when its answers are right and enough was observed', () => {
    const seen = judgeHistory(historyThatEndsIn(2), { killed: 1 }, { killed: 1, reads: 3 }, msMax);
    expect(seen).toMatchObject({ invoked: 5, reads: 3, acknowledged: 2, uncertain: 0, killed: 1 });
  });

  it.each([
    ['a stale read', 1],
    ['a lost write', null],
  ])('with %s is refused', (_what, found) => {
    expect(() => judgeHistory(historyThatEndsIn(found), {}, {}, msMax)).toThrow(/^fail: key a/);
  });

  it.each([
    ['faults', { reads: 3, killed: 2 }],
    ['reads', { reads: 4 }],
    ['what nobody counted', { leaderChanges: 0 }],
  ])('that shows too little of %s is refused', (_what, floors) => {
    const judge = () => judgeHistory(historyThatEndsIn(2), { killed: 1 }, floors, msMax);
    expect(judge).toThrow(/^unknown: observed too little/);
  });

  it('that cannot be judged in time is refused', () => {
    let time = 0;
    const recorder = new HistoryRecorder(() => ++time);
    // Any subset of these may have happened in any order, and none explains the last read.
    for (let n = 0; n < 16; n++) {
      recorder.invoke(n, 'cas', 'a', [n, (n * 7 + 1) % 16]);
      recorder.invoke(16 + n, 'write', 'a', n);
    }
    recorder.invoke(32, 'read', 'a', null).ok(3);
    recorder.invoke(32, 'read', 'a', null).ok(99);
    const judge = () => judgeHistory(recorder.events, {}, {}, 0);
    expect(judge).toThrow(/^unknown: key a: undecided/);
  });
});

describe('nodes', () => {
  let cluster: ProcessCluster;

  beforeAll(async () => {
    cluster = await ProcessCluster.start(3, 1);
  });
  afterAll(() => cluster?.end());

  it('pass when they are at rest', async () => {
    await judgeNodes(cluster);
  });

  it('are refused while one is away', async () => {
    const away = [toNodeId(2)];
    await cluster.kill(away);
    await expect(judgeNodes(cluster, 1_500)).rejects.toThrow('node 2 does not answer');
    await cluster.restart(away);
    await judgeNodes(cluster);
  });

  it('are refused when one ended by itself', async () => {
    const status = await cluster.watcher.admin.status(toNodeId(3));
    const { pid } = (status as { process: { pid: number } }).process;
    process.kill(pid, 'SIGKILL');
    await expect(judgeNodes(cluster)).rejects.toThrow('node 3 ended by itself: SIGKILL');
  });
});
