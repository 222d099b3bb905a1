import {
  createPrng,
  InvariantError,
  MokuError,
  type RegionId,
  type ReplicaId,
  type Timestamp,
  utf8,
} from '@moku/base';
import type { EngineWrite } from '@moku/kv';
import type { ConfState, Entry, Message } from '@moku/raft';
import { describe, expect, it } from 'vitest';
import { BoundedQueues } from '../src/invariants/bounded-queues.js';
import { Configuration } from '../src/invariants/configuration.js';
import { NeverRegress } from '../src/invariants/never-regress.js';
import { RequestEffects } from '../src/invariants/request-effects.js';
import { SimCluster } from '../src/run/cluster.js';
import { drawProfile } from '../src/run/profile.js';

const region = 1 as RegionId;
const cluster = new SimCluster({
  profile: drawProfile('network', createPrng(1)),
  prng: createPrng(1),
});
const node = cluster.nodes[0]!;
const other = cluster.nodes[1]!;

function confOf(voters: readonly number[], votersOutgoing: readonly number[] = []): ConfState {
  return {
    voters: voters as readonly ReplicaId[],
    votersOutgoing: votersOutgoing as readonly ReplicaId[],
    learners: [],
    learnersNext: [],
    autoLeave: false,
  };
}

function applied(index: number, term: number, key: string, value: string): EngineWrite {
  const stored = new Uint8Array(9 + key.length);
  stored[0] = 1;
  stored.set(utf8(key), 9);
  const payload = utf8(`\0${JSON.stringify(value)}`);
  const timestamp = index as Timestamp;
  return {
    regionId: region,
    appliedIndex: index,
    appliedTerm: term,
    puts: [{ key: stored, timestamp, value: payload }],
    removes: [],
  };
}

function effects(termOf: () => number | undefined = () => undefined) {
  const broken: string[] = [];
  const invariant = new RequestEffects((name) => broken.push(name), { termOf });
  return { broken, invariant };
}

describe('a request', () => {
  it('takes effect on every replica at one index', () => {
    const { broken, invariant } = effects();
    invariant.onApply(node, applied(5, 2, 'k', 'v'));
    invariant.onApply(other, applied(5, 2, 'k', 'v'));
    invariant.onApply(node, applied(6, 2, 'k', 'w'));
    expect(broken).toEqual([]);
    invariant.onApply(other, applied(7, 2, 'k', 'v'));
    expect(broken).toEqual(['deduplication']);
  });

  it('that is acknowledged has taken effect', () => {
    const { broken, invariant } = effects();
    invariant.onApply(node, applied(5, 2, 'k', 'v'));
    invariant.acknowledged('k', 'v');
    expect(broken).toEqual([]);
    invariant.acknowledged('k', 'w');
    expect(broken).toEqual(['acknowledged is present']);
  });

  it('that is acknowledged stands in the entry that is committed', () => {
    const { broken, invariant } = effects(() => 3);
    invariant.onApply(node, applied(5, 3, 'k', 'v'));
    invariant.acknowledged('k', 'v');
    expect(broken).toEqual([]);
    invariant.onApply(node, applied(6, 2, 'k', 'w'));
    invariant.acknowledged('k', 'w');
    expect(broken).toEqual(['acknowledged is present']);
  });

  it('is held against the entries of the end of the run, whatever it was at first', () => {
    let term: number | undefined;
    const { broken, invariant } = effects(() => term);
    invariant.onApply(node, applied(5, 3, 'k', 'v'));
    invariant.acknowledged('k', 'v');
    term = 4;
    const call = { process: 0, f: 'write', key: 'k', value: 'v', time: 0 } as const;
    invariant.checkHistory(
      [
        { ...call, type: 'invoke' },
        { ...call, type: 'ok', value: null },
      ],
      [],
    );
    expect(broken).toEqual(['acknowledged is present']);
  });
});

function configuration() {
  const broken: string[] = [];
  const invariant = new Configuration((name) => broken.push(name));
  const create = { truncatedIndex: 0, truncatedTerm: 0, confState: confOf([1, 2, 3]) };
  for (const each of [node, other]) {
    invariant.onLogWrite(each, {
      regionId: region,
      create: { ...create, replicaId: each.nodeId as number as ReplicaId },
    });
  }
  return { broken, invariant };
}

function vote(from: number, to: number, term: number): Message {
  const ids = { from: from as ReplicaId, to: to as ReplicaId };
  return { type: 'voteResponse', ...ids, term, isGranted: true };
}

function leads(replicaId: number, term: number, confState: ConfState) {
  return {
    regionId: region,
    keyspaceId: 1,
    replicaId: replicaId as ReplicaId,
    role: 'leader',
    term,
    leaderNodeId: node.nodeId,
    firstIndex: 1,
    lastIndex: 1,
    commitIndex: 1,
    appliedIndex: 1,
    logBytes: 0,
    confState,
    peers: [],
    why: [],
    failure: undefined,
  } as const;
}

function change(index: number): Entry {
  return { index, term: 1, kind: 'confChange', data: new Uint8Array(0) };
}

describe('a configuration', () => {
  it('elects by a majority of its voters, and by nobody else', () => {
    const { broken, invariant } = configuration();
    invariant.onSend(other, node.nodeId, region, vote(2, 1, 4));
    invariant.onLeader(node, leads(1, 4, confOf([1, 2, 3])));
    expect(broken).toEqual([]);
    invariant.onLeader(node, leads(1, 5, confOf([1, 2, 3])));
    expect(broken).toEqual(['only voters elect']);
  });

  it('elects by votes of a term that is over elsewhere', () => {
    const { broken, invariant } = configuration();
    invariant.onSend(other, node.nodeId, region, vote(2, 1, 4));
    invariant.onSend(other, node.nodeId, region, vote(2, 3, 5));
    invariant.onLeader(other, leads(3, 5, confOf([1, 2, 3])));
    // Its votes waited while it was paused.
    invariant.onLeader(node, leads(1, 4, confOf([1, 2, 3])));
    expect(broken).toEqual([]);
  });

  it('elects by a majority of the outgoing voters, too', () => {
    const { broken, invariant } = configuration();
    invariant.onSend(other, node.nodeId, region, vote(2, 1, 4));
    invariant.onLeader(node, leads(1, 4, confOf([1, 2], [1, 3, 4])));
    expect(broken).toEqual(['only voters elect']);
  });

  it('is followed by one voter more or less, or through a joint one', () => {
    const { broken, invariant } = configuration();
    const steps = [
      confOf([1, 2, 3, 4]),
      confOf([1, 5, 6], [1, 2, 3, 4]),
      confOf([1, 5, 6]),
      confOf([1, 2, 3]),
    ];
    const adopt = (index: number): void =>
      invariant.onLogWrite(node, {
        regionId: region,
        confState: { index, confState: steps[index - 1]! },
      });
    for (const index of [1, 2, 3]) adopt(index);
    expect(broken).toEqual([]);
    adopt(4);
    expect(broken).toEqual(['configuration']);
  });

  it('is the same on all replicas as of an index', () => {
    const { broken, invariant } = configuration();
    const of = (voters: number[]) => ({
      regionId: region,
      confState: { index: 7, confState: confOf(voters) },
    });
    invariant.onLogWrite(node, of([1, 2, 3, 4]));
    invariant.onLogWrite(other, of([1, 2, 3, 4]));
    expect(broken).toEqual([]);
    invariant.onLogWrite(other, of([1, 2, 3, 5]));
    expect(broken).toEqual(['configuration']);
  });

  it('lets nobody act who never was in it', () => {
    const { broken, invariant } = configuration();
    invariant.onSend(other, node.nodeId, region, vote(3, 1, 4));
    expect(broken).toEqual([]);
    invariant.onSend(other, node.nodeId, region, vote(9, 1, 4));
    expect(broken).toEqual(['no stranger acts']);
  });

  it('is without a replica once that was destroyed', () => {
    const { broken, invariant } = configuration();
    const replicaId = 1 as ReplicaId;
    invariant.onLogWrite(node, { regionId: region, destroy: { replicaId } });
    expect(broken).toEqual([]);
    invariant.onSend(node, other.nodeId, region, vote(1, 2, 4));
    expect(broken).toEqual(['no zombie replica']);
    invariant.onLogWrite(node, { regionId: region, entries: [change(1)] });
    expect(broken).toEqual(['no zombie replica', 'no zombie replica']);
  });
});

describe('a voter', () => {
  it('votes once a term, whatever its disk and its status show', () => {
    const broken: string[] = [];
    const invariant = new NeverRegress((name) => broken.push(name));
    for (const [to, term] of [
      [1, 4],
      [1, 4],
      [3, 5],
    ] as const) {
      invariant.onSend(other, node.nodeId, region, vote(2, to, term));
    }
    invariant.onSend(node, other.nodeId, region, vote(1, 2, 4));
    expect(broken).toEqual([]);
    invariant.onSend(other, node.nodeId, region, vote(2, 1, 5));
    expect(broken).toEqual(['one vote a term']);
    invariant.onSend(other, node.nodeId, region, vote(2, 1, 4));
    expect(broken).toEqual(['one vote a term', 'term never regresses']);
  });
});

describe('a node that gives up', () => {
  function afterFatal(error: Error, how: 'isDiskBroken' | 'isDiskFull' | 'sound') {
    const watched = new SimCluster({
      profile: drawProfile('network', createPrng(1)),
      prng: createPrng(1),
    });
    const gaveUp = watched.nodes[0]!;
    if (how !== 'sound') gaveUp[how] = true;
    watched.watch.onFatal(gaveUp, error);
    return watched.failure?.invariant;
  }

  it('may do so for errors of a disk that fails or is full, and for nothing else', () => {
    for (const how of ['isDiskBroken', 'isDiskFull'] as const) {
      expect(afterFatal(new MokuError('LOG_IO'), how)).toBeUndefined();
      expect(afterFatal(new MokuError('ENGINE_IO'), how)).toBeUndefined();
      expect(afterFatal(new InvariantError('P1'), how)).toBe('no node gives up');
    }
    expect(afterFatal(new MokuError('LOG_IO'), 'sound')).toBe('no node gives up');
  });
});

describe('an engine that is full', () => {
  it('takes what is under way in one event, and nothing in a later one', () => {
    const watched = new SimCluster({
      profile: drawProfile('network', createPrng(1)),
      prng: createPrng(1),
    });
    const full = watched.nodes[0]!;
    const broken: string[] = [];
    let nowMs = 1;
    let isFull = false;
    full.disk.isEngineFull = () => isFull;
    const invariant = new BoundedQueues(
      (name) => broken.push(name),
      () => nowMs,
    );
    invariant.onApply(full, applied(1, 1, 'k', 'v'));
    isFull = true;
    invariant.onApply(full, applied(2, 1, 'k', 'w'));
    expect(broken).toEqual([]);
    nowMs = 2;
    invariant.onApply(full, applied(3, 1, 'k', 'x'));
    expect(broken).toEqual(['queues are bounded']);
  });
});
