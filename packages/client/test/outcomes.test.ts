/**
 * What a call says of its outcome (P5) when a node's answers are in the test's hands.
 */
import {
  createPrng,
  emptyBytes,
  isMokuError,
  MokuError,
  noAddress,
  type RegionDescriptor,
  type RegionId,
  type ReplicaId,
  type Timestamp,
  toNodeId,
  utf8,
} from '@moku/base';
import {
  type ClusterView,
  type CommandOutcome,
  decodeCommand,
  encodeCommandOutcome,
} from '@moku/kv';
import { type ClientAnswer, createSystemClock, localChannel } from '@moku/transport';
import { describe, expect, it } from 'vitest';
import { ClientDatabase } from '../src/client.js';

const nodeId = toNodeId(1);
const bound = utf8('m');

function region(regionId: number, startKey: Uint8Array, endKey?: Uint8Array): RegionDescriptor {
  return {
    regionId: regionId as RegionId,
    keyspaceId: 1,
    startKey,
    endKey,
    epoch: { version: 1, config: 1 },
    replicas: [{ replicaId: 1 as ReplicaId, nodeId, isLearner: false }],
  };
}

const view: ClusterView = {
  clusterId: 'test',
  revision: 1,
  nodes: [{ nodeId, peerAddress: noAddress, clientAddress: noAddress }],
  keyspaces: [{ keyspaceId: 1, name: 'k', mode: 'range' }],
  regions: [region(1, emptyBytes, bound), region(2, bound)],
  leaders: [
    { regionId: 1 as RegionId, nodeId },
    { regionId: 2 as RegionId, nodeId },
  ],
};

const written: CommandOutcome = { type: 'written', version: 5 as Timestamp, existed: [false] };

function bytes(outcome: CommandOutcome): ClientAnswer {
  return { kind: 'bytes', bytes: encodeCommandOutcome(outcome) };
}

function refusal(code: 'LOG_IO' | 'BATCH_TOO_LARGE'): ClientAnswer {
  const { outcome, message } = new MokuError(code);
  return { kind: 'error', code, outcome, message, details: {} };
}

type OnWrite = (regionId: number) => ClientAnswer | Promise<ClientAnswer>;

/** A database whose only node answers writes with `onWrite`, and `describe` after `onDescribe`. */
function database(onWrite: OnWrite, onDescribe = async (): Promise<void> => {}): ClientDatabase {
  const channel = localChannel({
    async handle(request) {
      if (request.kind === 'describe') {
        try {
          await onDescribe();
        } catch (error) {
          if (!isMokuError(error)) throw error;
          const { code, outcome, message } = error;
          return { kind: 'error', code, outcome, message, details: {} };
        }
        return { kind: 'view', view };
      }
      if (request.kind !== 'execute') throw new TypeError(request.kind);
      const command = decodeCommand(request.command);
      if (command.type === 'openSession') return bytes({ type: 'sessionOpened', sessionId: 7 });
      return onWrite(request.regionId);
    },
  });
  return new ClientDatabase({
    clock: createSystemClock(),
    prng: createPrng(1),
    dial: () => Promise.reject(new MokuError('UNAVAILABLE')),
    seeds: [],
    local: { nodeId, channel },
  });
}

async function failure(call: Promise<unknown>): Promise<MokuError> {
  const error = await call.then(
    () => undefined,
    (cause: unknown) => cause,
  );
  if (error instanceof MokuError) return error;
  throw new TypeError(`no coded error: ${String(error)}`);
}

describe('putMany', () => {
  it('is maybe when any of its requests is, whichever failed first', async () => {
    let fail: () => void = () => {};
    const first = new Promise<void>((resolve) => {
      fail = resolve;
    });
    const database_ = database(async (regionId) => {
      if (regionId === 1) {
        setImmediate(fail);
        return refusal('BATCH_TOO_LARGE');
      }
      await first;
      return refusal('LOG_IO');
    });
    const space = await database_.keyspace('k');
    const records: [string, number][] = [
      ['a', 1],
      ['z', 2],
    ];
    const error = await failure(space.putMany(records));
    expect(error.code).toBe('BATCH_TOO_LARGE');
    expect(error.outcome).toBe('maybe');
  });

  it('is definite when nothing can have been written', async () => {
    const space = await database(() => refusal('BATCH_TOO_LARGE')).keyspace('k');
    const error = await failure(space.putMany([['a', 1]]));
    expect(error.outcome).toBe('definite');
  });
});

describe('a session that remembers all it may', () => {
  it('makes the write wait, not fail', async () => {
    let asked = 0;
    const full: CommandOutcome = {
      type: 'refused',
      reason: 'limitReached',
      operation: 0,
      version: 0 as Timestamp,
    };
    const space = await database(() => bytes(++asked < 3 ? full : written)).keyspace('k');
    expect(await space.put('a', 1)).toMatchObject({ applied: true, version: 5 });
    expect(asked).toBe(3);
  });
});

describe('a node that is closing', () => {
  it('does not end calls that only ask for the way', async () => {
    let asked = 0;
    const closing = database(
      () => bytes(written),
      async () => {
        asked += 1;
        if (asked === 1) throw new MokuError('CLOSED');
      },
    );
    expect((await closing.keyspace('k')).name).toBe('k');
  });
});

describe('calls that share a request', () => {
  it('do not end when the one that made it is aborted', async () => {
    let answer: () => void = () => {};
    let noteAsked: () => void = () => {};
    let asked = 0;
    const firstAsked = new Promise<void>((resolve) => {
      noteAsked = resolve;
    });
    const held = new Promise<void>((resolve) => {
      answer = resolve;
    });
    const shared = database(
      () => bytes(written),
      async () => {
        asked += 1;
        noteAsked();
        if (asked === 1) await held;
      },
    );
    const controller = new AbortController();
    const aborted = failure(shared.keyspace('k', { signal: controller.signal }));
    const other = shared.keyspace('k');
    await firstAsked;
    controller.abort();
    expect((await aborted).code).toBe('ABORTED');
    expect((await other).name).toBe('k');
    answer();
  });
});

describe('more large writes than a node can take at once', () => {
  it('wait in the client instead of being sent again and again', async () => {
    let underWay = 0;
    let most = 0;
    const space = await database(async () => {
      underWay += 1;
      most = Math.max(most, underWay);
      await new Promise((resolve) => setImmediate(resolve));
      underWay -= 1;
      return bytes(written);
    }).keyspace<string>('k');
    const value = 'x'.repeat(1_000_000);
    const controller = new AbortController();
    const calls = Array.from({ length: 40 }, (_, i) => space.put(`a${i}`, value));
    const waiting = failure(space.put('b', value, { signal: controller.signal }));
    controller.abort();
    expect(await waiting).toMatchObject({ code: 'ABORTED', outcome: 'definite' });
    const results = await Promise.all(calls);
    expect(results.every(({ applied }) => applied)).toBe(true);
    expect(most).toBeLessThanOrEqual(4);
  });
});
