/**
 * Whom a region's requests are sent to while one of its nodes knows nothing of it, as one with a new
 * directory does.
 */
import { createPrng, MokuError, type NodeId, type Timestamp, toNodeId } from '@moku/base';
import { decodeCommand, encodeCommandOutcome } from '@moku/kv';
import { type ClientAnswer, createSystemClock, localChannel } from '@moku/transport';
import { expect, it, vi } from 'vitest';
import { ClientDatabase } from '../src/client.js';
import { viewOf } from './support/view.js';

const [empty, leader] = [toNodeId(1), toNodeId(2)] as [NodeId, NodeId];
const view = viewOf([empty, leader]);

function refused(of: 'REGION_UNKNOWN' | 'INVALID_ARGUMENT'): ClientAnswer {
  const { code, outcome, message } = new MokuError(of);
  return { kind: 'error', code, outcome, message, details: {} };
}

/** A database whose requests to the empty node are counted; `hold` delays what it answers. */
function database(
  hold: () => Promise<void>,
  onWrite: () => Promise<void> = async () => {},
): { db: ClientDatabase; asked: () => number } {
  let asked = 0;
  const dial = async (address: string) =>
    localChannel({
      async handle(request) {
        if (request.kind === 'describe') return { kind: 'view', view };
        if (address === 'node1:1') {
          asked++;
          await hold();
          return refused('REGION_UNKNOWN');
        }
        if (request.kind !== 'execute') return refused('INVALID_ARGUMENT');
        const { type } = decodeCommand(request.command);
        if (type === 'write') await onWrite();
        const outcome =
          type === 'openSession'
            ? ({ type: 'sessionOpened', sessionId: 7 } as const)
            : ({ type: 'written', version: 5 as Timestamp, existed: [false] } as const);
        return { kind: 'bytes', bytes: encodeCommandOutcome(outcome) };
      },
    });
  const prng = createPrng(1);
  const db = new ClientDatabase({ clock: createSystemClock(), prng, dial, seeds: ['node2:1'] });
  return { db, asked: () => asked };
}

it('who answers a write leads, and is asked from then on', async () => {
  const { db, asked } = database(async () => {});
  const space = await db.keyspace('k');
  await space.put('a', 1);
  const before = asked();
  await Promise.all(Array.from({ length: 20 }, (_, i) => space.put(`b${i}`, i)));
  for (let i = 0; i < 5; i++) await space.put(`c${i}`, i);
  expect(asked() - before).toBe(0);
  await db.close();
});

it('what a node that knows nothing says late does not make the client forget who leads', async () => {
  let release: () => void = () => {};
  const held = new Promise<void>((resolve) => {
    release = resolve;
  });
  const { db, asked } = database(() => held);
  const space = await db.keyspace('k');
  const read = space.get('a').catch((error: unknown) => error);
  await vi.waitFor(() => expect(asked()).toBe(1));
  await space.put('a', 1);
  release();
  await read;
  for (let i = 0; i < 10; i++) await space.put(`c${i}`, i);
  expect(asked()).toBeLessThanOrEqual(2);
  await db.close();
});

it('small writes beyond what a node may be asked at once wait in the client', async () => {
  let underWay = 0;
  let most = 0;
  const { db } = database(
    async () => {},
    async () => {
      most = Math.max(most, ++underWay);
      await new Promise((resolve) => setImmediate(resolve));
      underWay--;
    },
  );
  const space = await db.keyspace('k');
  await space.put('a', 1);
  await Promise.all(Array.from({ length: 12_000 }, (_, i) => space.put(`b${i}`, i)));
  expect(most).toBeGreaterThan(1_000);
  expect(most).toBeLessThanOrEqual(4_096);
  await db.close();
});
