/**
 * A node that takes its time to be connected to: calls end when their time is up, and what has not been sent
 * by then is not sent any more.
 */
import { createPrng, MokuError, type NodeId, toNodeId } from '@moku/base';
import { createSystemClock, localChannel, type RequestChannel } from '@moku/transport';
import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import { ClientDatabase } from '../src/client.js';
import { viewOf } from './support/view.js';

const dialMs = 4_000;
const nodeId: NodeId = toNodeId(2);

const view = viewOf([nodeId]);

beforeEach(() => {
  vi.useFakeTimers();
});

afterEach(() => {
  vi.useRealTimers();
});

/** A database whose seed answers at once, and whose only node with data is far away. */
function database(heard: string[]): ClientDatabase {
  const clock = createSystemClock();
  const channel = (name: string): RequestChannel =>
    localChannel({
      handle(request) {
        heard.push(`${name} ${request.kind}`);
        if (request.kind === 'describe') return Promise.resolve({ kind: 'view', view });
        return Promise.reject(new MokuError('BUSY', { queue: 'test' }));
      },
    });
  return new ClientDatabase({
    clock,
    prng: createPrng(1),
    seeds: ['near:1'],
    dial: async (address) => {
      if (address === 'near:1') return channel('near');
      await new Promise<void>((resolve) => {
        clock.after(dialMs, resolve);
      });
      return channel('far');
    },
  });
}

it.each(['put', 'get'] as const)(
  'a %s ends in time, definitely without effect, while a node is dialed',
  async (kind) => {
    const heard: string[] = [];
    const db = database(heard);
    const space = await db.keyspace<number>('k');
    const options = { timeoutMs: 500 };
    let ended: unknown;
    const call = kind === 'put' ? space.put('a', 1, options) : space.get('a', options);
    call.catch((error: unknown) => {
      ended = error;
    });
    await vi.advanceTimersByTimeAsync(600);
    expect(ended).toMatchObject({ code: 'TIMEOUT', outcome: 'definite' });
    await vi.advanceTimersByTimeAsync(2 * dialMs);
    expect(heard).toEqual(['near describe']);
    await db.close();
  },
);

it('a call that waits for a keyspace ends in time while a node is dialed', async () => {
  const clock = createSystemClock();
  const db = new ClientDatabase({
    clock,
    prng: createPrng(1),
    seeds: ['node2:1'],
    dial: (address) =>
      new Promise((_, reject) => {
        clock.after(dialMs, () => reject(new MokuError('UNAVAILABLE', { address })));
      }),
  });
  let ended: unknown;
  db.keyspace('k', { timeoutMs: 500 }).catch((error: unknown) => {
    ended = error;
  });
  await vi.advanceTimersByTimeAsync(600);
  expect(ended).toMatchObject({ code: 'TIMEOUT', outcome: 'definite' });
  await db.close();
});
