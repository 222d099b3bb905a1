/**
 * P4 and P5 from the client's side: a real node behind a channel that loses requests and answers.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createPrng, isMokuError, MokuError, type Prng, toNodeId } from '@moku/base';
import { ClientDatabase } from '@moku/client';
import {
  createSystemClock,
  localChannel,
  type RequestChannel,
  type RequestHandler,
} from '@moku/transport';
import { type EmbeddedDatabase, open } from 'moku';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

interface Losses {
  /** Share of requests that never arrive. */
  request: number;
  /** Share of answers that never come back. */
  answer: number;
}

/** A channel that loses what a network can lose, and says so as a broken connection does. */
function lossyChannel(handler: RequestHandler, prng: Prng, losses: Losses): RequestChannel {
  const inner = localChannel(handler);
  return {
    isOpen: true,
    close: () => inner.close(),
    async request(request, signal) {
      const isData = request.kind === 'execute' || request.kind === 'query';
      if (isData && prng.unit() < losses.request) throw new MokuError('CONNECTION_LOST');
      const answer = await inner.request(request, signal);
      if (isData && prng.unit() < losses.answer) throw new MokuError('CONNECTION_LOST');
      return answer;
    },
  };
}

describe('a client whose requests and answers get lost', () => {
  const dir = mkdtempSync(join(tmpdir(), 'moku-lossy-'));
  const losses: Losses = { request: 0, answer: 0 };
  let node: EmbeddedDatabase;
  let db: ClientDatabase;

  beforeAll(async () => {
    node = await open({ dir });
    db = new ClientDatabase({
      clock: createSystemClock(),
      prng: createPrng(1),
      dial: () => Promise.reject(new MokuError('UNAVAILABLE')),
      seeds: [],
      local: {
        nodeId: toNodeId(1),
        channel: lossyChannel(node.node.handler, createPrng(2), losses),
      },
    });
  });

  afterAll(async () => {
    await db.close();
    await node.close();
    rmSync(dir, { recursive: true, force: true });
  });

  it('has each write applied exactly once', async () => {
    Object.assign(losses, { request: 0.2, answer: 0.4 });
    const space = await db.keyspace<number>('once', { mode: 'hash', regions: 4 });
    const results = await Promise.all(
      Array.from({ length: 100 }, (_, i) => space.put(`k${i}`, i, { ifAbsent: true })),
    );
    // Applied a second time, the condition would have failed.
    expect(results.every((result) => result.applied && !result.existed)).toBe(true);
    Object.assign(losses, { request: 0, answer: 0 });
    const direct = await node.keyspace<number>('once');
    const versions = await Promise.all(results.map((_, i) => direct.getRecord(`k${i}`)));
    expect(versions.map((record) => record?.version)).toEqual(
      results.map((result) => result.version),
    );
  });

  it('is told maybe when the answer never comes, and definite when nothing was sent', async () => {
    Object.assign(losses, { request: 0, answer: 0 });
    const space = await db.keyspace<number>('certainty', { mode: 'hash', regions: 1 });
    await space.put('warm', 1);
    losses.answer = 1;
    const unanswered = await space.put('k', 1, { timeoutMs: 300 }).catch((error: unknown) => error);
    losses.answer = 0;
    expect(isMokuError(unanswered, 'TIMEOUT') && unanswered.outcome).toBe('maybe');
    expect(await space.get('k')).toBe(1);
    const read = (async () => {
      losses.answer = 1;
      return space.get('k', { timeoutMs: 200 });
    })();
    const readError = await read.catch((error: unknown) => error);
    losses.answer = 0;
    expect(isMokuError(readError, 'TIMEOUT') && readError.outcome).toBe('definite');
  });

  it('refuses calls once it is closed', async () => {
    const other = new ClientDatabase({
      clock: createSystemClock(),
      prng: createPrng(3),
      dial: () => Promise.reject(new MokuError('UNAVAILABLE')),
      seeds: [],
      local: { nodeId: toNodeId(1), channel: localChannel(node.node.handler) },
    });
    const space = await other.keyspace<number>('certainty');
    await other.close();
    const error = await space.put('k', 2).catch((cause: unknown) => cause);
    expect(isMokuError(error, 'CLOSED') && error.outcome).toBe('definite');
  });
});
