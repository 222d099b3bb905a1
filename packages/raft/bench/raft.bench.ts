/**
 * What the core costs, without disk or network: `npx tsx packages/raft/bench/raft.bench.ts` after a
 * build. First the heap of idle replicas, then the hot path: one proposal of 100 bytes through a leader
 * of three (propose, Ready, sync, two acknowledgements, commit, Ready, apply), a follower's side of it, an
 * idle question, and the binary form of an append.
 */
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { ByteReader, ByteWriter, createPrng, type ReplicaId } from '@moku/base';
import { bench, do_not_optimize, run } from 'mitata';
import {
  confStateOf,
  type Entry,
  type Message,
  Raft,
  type RegionLog,
  readMessage,
  writeMessage,
} from '../src/index.js';

const self = 1 as ReplicaId;
const confState = confStateOf([1, 2, 3] as ReplicaId[]);
const prng = createPrng(1);
const data = new Uint8Array(100);
/** Entries kept by BenchLog; older ones are never asked for. */
const keptEntries = 64;

/** A log that keeps the last entries of one term and takes everything for durable. */
class BenchLog implements RegionLog {
  private readonly ring: Entry[] = [];
  private last = 0;

  append(entries: readonly Entry[]): void {
    for (const entry of entries) {
      this.ring[entry.index % keptEntries] = entry;
      this.last = entry.index;
    }
  }

  firstIndex(): number {
    return 1;
  }

  lastIndex(): number {
    return this.last;
  }

  term(index: number): number | undefined {
    if (index > this.last) return undefined;
    return index === 0 ? 0 : 1;
  }

  entries(from: number, to: number): readonly Entry[] {
    const found: Entry[] = [];
    for (let index = from; index < to; index++) found.push(this.ring[index % keptEntries]!);
    return found;
  }

  bytes(): number {
    return 0;
  }
}

interface Host {
  readonly raft: Raft;
  readonly log: BenchLog;
}

function open(): Host {
  const log = new BenchLog();
  const hardState = { term: 0, votedFor: 0 as ReplicaId, commitIndex: 0 };
  const config = { replicaId: self, electionTicks: 10, heartbeatTicks: 0, prng, appliedIndex: 0 };
  return { log, raft: new Raft({ ...config, log, hardState, confState }) };
}

/** Does at once what a Ready asks for. */
function settle({ raft, log }: Host): void {
  while (raft.hasReady()) {
    const ready = raft.ready();
    log.append(ready.entries);
    if (ready.mustSync) raft.persisted(ready.number);
    const { committedEntries } = ready;
    if (committedEntries.length > 0) raft.applied(committedEntries.at(-1)!.index);
  }
}

function acknowledge(raft: Raft, from: number, index: number): void {
  raft.step({
    type: 'appendResponse',
    from: from as ReplicaId,
    to: self,
    term: 1,
    index,
    isRejected: false,
    hintIndex: 0,
    hintTerm: 0,
  });
}

function leader(): Host {
  const host = open();
  const grant = { from: 2 as ReplicaId, to: self, term: 1, isGranted: true } as const;
  host.raft.campaign();
  host.raft.step({ type: 'preVoteResponse', ...grant });
  settle(host);
  host.raft.step({ type: 'voteResponse', ...grant });
  settle(host);
  acknowledge(host.raft, 2, 1);
  acknowledge(host.raft, 3, 1);
  settle(host);
  return host;
}

function appendBehind(prevLogIndex: number, entries: readonly Entry[]): Message {
  return {
    type: 'append',
    from: 2 as ReplicaId,
    to: self,
    term: 1,
    prevLogIndex,
    prevLogTerm: prevLogIndex === 0 ? 0 : 1,
    entries,
    commitIndex: prevLogIndex,
  };
}

function entryAt(index: number): Entry {
  return { term: 1, index, kind: 'normal', data };
}

function follower(): Host {
  const host = open();
  host.raft.step(appendBehind(0, [entryAt(1)]));
  settle(host);
  host.raft.step(appendBehind(1, []));
  settle(host);
  host.raft.setAttached(true);
  return host;
}

function heapPerReplica(make: () => Host): number {
  setFlagsFromString('--expose-gc');
  const collect = runInNewContext('gc') as () => void;
  const count = 20_000;
  const kept = new Array<Host | undefined>(count).fill(undefined);
  make();
  collect();
  const before = process.memoryUsage().heapUsed;
  for (let i = 0; i < count; i++) kept[i] = make();
  collect();
  const bytes = (process.memoryUsage().heapUsed - before) / count;
  if (kept.at(-1) === undefined) throw new Error('nothing was kept');
  return Math.round(bytes);
}

process.stdout.write(`Node ${process.version}, log stub included\n`);
process.stdout.write(`heap of an attached follower: ${heapPerReplica(follower)} bytes\n`);
process.stdout.write(`heap of an idle leader of three: ${heapPerReplica(leader)} bytes\n`);

const leading = leader();
bench('leader: one proposal to commit and apply', () => {
  leading.raft.propose(data);
  settle(leading);
  acknowledge(leading.raft, 2, leading.raft.lastIndex);
  acknowledge(leading.raft, 3, leading.raft.lastIndex);
  settle(leading);
});

const following = follower();
bench('follower: one append to acknowledgement and apply', () => {
  const { lastIndex } = following.raft;
  following.raft.step(appendBehind(lastIndex, [entryAt(lastIndex + 1)]));
  settle(following);
});

const idle = leader();
bench('hasReady of an idle replica', () => do_not_optimize(idle.raft.hasReady()));

const writer = new ByteWriter(64 * 1024);
const block = Array.from({ length: 10 }, (_, i) => entryAt(i + 1));
const message = appendBehind(0, block);
bench('write an append of ten entries', () => {
  writer.reset();
  writeMessage(writer, message);
});
const bytes = (() => {
  writer.reset();
  writeMessage(writer, message);
  return writer.take();
})();
bench('read an append of ten entries', () => do_not_optimize(readMessage(new ByteReader(bytes))));

await run();
