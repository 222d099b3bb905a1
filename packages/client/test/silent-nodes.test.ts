/**
 * A client whose every reachable node was silent once, as behind a partition, and whose other node is gone.
 */
import { createPrng, MokuError, type NodeId, type Timestamp, toNodeId } from '@moku/base';
import { decodeCommand, encodeCommandOutcome } from '@moku/kv';
import { createSystemClock, localChannel } from '@moku/transport';
import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import { ClientDatabase } from '../src/client.js';
import { viewOf } from './support/view.js';

const ids = [toNodeId(1), toNodeId(2), toNodeId(3)] as NodeId[];
const gone = 'node1:1';

const view = viewOf(ids);

beforeEach(() => {
  vi.useFakeTimers();
});

afterEach(() => {
  vi.useRealTimers();
});

it('asks nodes that were silent again when the others cannot be reached', async () => {
  let isParted = true;
  const clock = createSystemClock();
  const db = new ClientDatabase({
    clock,
    prng: createPrng(1),
    seeds: ['node2:1'],
    dial: async (address) => {
      if (address === gone) throw new MokuError('UNAVAILABLE', { address });
      return localChannel({
        async handle(request, signal) {
          if (request.kind === 'describe') return { kind: 'view', view };
          if (isParted) {
            await new Promise((_, reject) => {
              signal?.addEventListener('abort', () => reject(new MokuError('ABORTED')));
            });
          }
          const isSession =
            request.kind === 'execute' && decodeCommand(request.command).type === 'openSession';
          const outcome = isSession
            ? ({ type: 'sessionOpened', sessionId: 7 } as const)
            : ({ type: 'written', version: 5 as Timestamp, existed: [false] } as const);
          return { kind: 'bytes', bytes: encodeCommandOutcome(outcome) };
        },
      });
    },
  });
  const space = await db.keyspace('k');
  const first = space.put('a', 1, { timeoutMs: 14_000 }).catch((error: unknown) => error);
  await vi.advanceTimersByTimeAsync(15_000);
  expect(await first).toMatchObject({ code: 'TIMEOUT' });
  isParted = false;
  const second = space.put('a', 2, { timeoutMs: 10_000 });
  await vi.advanceTimersByTimeAsync(10_000);
  await expect(second).resolves.toMatchObject({ applied: true });
  await db.close();
});
