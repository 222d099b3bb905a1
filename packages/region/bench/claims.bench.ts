/**
 * What claims and frames cost: `npx tsx --expose-gc packages/region/bench/claims.bench.ts`. Both ends of
 * one link live in this process; figures are per claim, item or message, on one core.
 */
import { limits, type NodeId, type RegionId, type ReplicaId } from '@moku/base';
import type { Message } from '@moku/raft';
import { Claims } from '../src/claims/claims.js';
import type { ControlItem, FollowerView, ListItem } from '../src/claims/types.js';
import { FrameWriter } from '../src/wire/frame-writer.js';
import { readFrame } from '../src/wire/read-frame.js';
import type { FrameVisitor } from '../src/wire/types.js';

const options = { heartbeatMs: 100, electionTimeoutMs: 1_000, repairIntervalMs: 5_000 };
const [leaderId, followerId] = [1 as NodeId, 2 as NodeId];
const sessionId = 's1';

function report(name: string, figure: string): void {
  process.stdout.write(`${name.padEnd(58)} ${figure}\n`);
}

function heapBytes(): number {
  globalThis.gc?.();
  globalThis.gc?.();
  return process.memoryUsage().heapUsed;
}

function elapsedMs(run: () => void): number {
  const startMs = performance.now();
  run();
  return performance.now() - startMs;
}

function pairOf(count: number): ListItem[] {
  const pairs: ListItem[] = [];
  for (let i = 1; i <= count; i++) {
    pairs.push({
      regionId: i as RegionId,
      term: 3,
      replicaId: ((i % 3) + 1) as ReplicaId,
      lastIndex: 1_000 + i,
      commitIndex: 1_000 + i,
    });
  }
  return pairs;
}

function deliver(from: Claims, fromId: NodeId, to: Claims, toId: NodeId): number {
  const items = from.outgoing(toId);
  for (const item of items) to.receive(fromId, sessionId, item, 1_000);
  return items.length;
}

function settle(leader: Claims, follower: Claims): void {
  while (
    deliver(leader, leaderId, follower, followerId) +
      deliver(follower, followerId, leader, leaderId) >
    0
  );
  leader.events();
  follower.events();
}

function measureClaims(count: number): void {
  const pairs = pairOf(count);
  const views = new Map<RegionId, FollowerView>();
  for (const { regionId, term, replicaId, lastIndex, commitIndex } of pairs) {
    const leaderNodeId = leaderId;
    views.set(regionId, { replicaId, term, leaderNodeId, lastIndex, commitIndex, canAttach: true });
  }
  const leader = new Claims(options, { follower: () => undefined, ledPairs: () => pairs });
  const follower = new Claims(options, { follower: (id) => views.get(id), ledPairs: () => [] });
  const beforeBytes = heapBytes();
  const openMs = elapsedMs(() => {
    leader.sessionOpened({ peer: followerId, sessionId, peerIncarnation: 1 }, 1_000);
    follower.sessionOpened({ peer: leaderId, sessionId, peerIncarnation: 1 }, 1_000);
    settle(leader, follower);
  });
  const bytes = (heapBytes() - beforeBytes) / count;
  report(`${count} claims, both ends together`, `${bytes.toFixed(0)} bytes a claim`);
  report(`${count} claims listed and attached`, `${openMs.toFixed(1)} ms`);

  const turns = 20_000;
  const idleMs = elapsedMs(() => {
    for (let i = 0; i < turns; i++) {
      leader.tick({ nowMs: 1_000 + 100 * (i + 1), lateMs: 100, oldestUnsyncedMs: 0 });
      settle(leader, follower);
    }
  });
  report(`heartbeat, answer, comparison over ${count} claims`, micros(idleMs, turns));
  const leaveMs = elapsedMs(() => {
    for (const { regionId } of pairs) leader.leaveLed(followerId, regionId);
    settle(leader, follower);
    for (const pair of pairs) leader.claim(followerId, pair);
    settle(leader, follower);
  });
  report(`detach and attach again, of ${count}`, micros(leaveMs, count));
  if (leader.counters.digestMismatches !== 0) throw new Error('digests differ');
}

function micros(totalMs: number, count: number): string {
  return `${((totalMs * 1_000) / count).toFixed(2)} µs each`;
}

class Counting implements FrameVisitor {
  count = 0;

  onControl(): void {
    this.count += 1;
  }

  onRaft(): void {
    this.count += 1;
  }

  onSnapshot(): void {
    this.count += 1;
  }

  onSnapshotSignal(): void {
    this.count += 1;
  }
}

function measureFrames(name: string, count: number, write: (writer: FrameWriter) => void): void {
  const writer = new FrameWriter();
  const visitor = new Counting();
  const rounds = 12;
  let [writeMs, readMs, bytes, messages] = [0, 0, 0, 0];
  for (let round = 0; round < rounds; round++) {
    let frames: Uint8Array[] = [];
    const wroteMs = elapsedMs(() => {
      writer.begin();
      for (let i = 0; i < count; i++) write(writer);
      frames = writer.finish();
    });
    const tookMs = elapsedMs(() => {
      for (const frame of frames) readFrame(frame, visitor);
    });
    // The first rounds warm up.
    if (round < 4) continue;
    writeMs += wroteMs;
    readMs += tookMs;
    messages += count;
    for (const frame of frames) bytes += frame.length;
  }
  const each = (bytes / messages).toFixed(0);
  report(`write ${name} (${each} bytes)`, rate(messages, bytes, writeMs));
  report(`read ${name}`, rate(messages, bytes, readMs));
}

function rate(messages: number, bytes: number, totalMs: number): string {
  const millions = messages / totalMs / 1_000;
  return `${millions.toFixed(2)} M/s, ${(bytes / totalMs / 1_000).toFixed(0)} MB/s`;
}

const [from, to] = [1 as ReplicaId, 2 as ReplicaId];
const regionId = 1_234 as RegionId;
const base = { from, to, term: 7, prevLogIndex: 100_000, prevLogTerm: 7, commitIndex: 99_990 };
const entry = { term: 7, index: 100_001, kind: 'normal', data: new Uint8Array(4_096) } as const;
const append: Message = { type: 'append', ...base, entries: [entry] };
const response: Message = {
  ...{ type: 'appendResponse', from, to, term: 7 },
  ...{ index: 100_001, isRejected: false, hintIndex: 0, hintTerm: 0 },
};
const detach: ControlItem = {
  ...{ type: 'detach', by: 'leader', regionId, term: 7, replicaId: to },
  ...{ claimNumber: 400, isRelease: true },
};

report('Node', process.version);
for (const count of [10_000, 100_000]) measureClaims(count);
measureFrames('append of one 4 KiB entry', 4_000, (writer) => writer.raft(regionId, append));
measureFrames('append response', 100_000, (writer) => writer.raft(regionId, response));
measureFrames('detach', 100_000, (writer) => writer.control(detach));
report('frames are cut at', `${limits.frameBytesTarget / 1_024} KiB`);
