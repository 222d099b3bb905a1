/** Hostile bytes on a client port: the process lives, and other clients are served. */
import { connect } from 'node:net';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { formatAddress, type RequestChannel, type RequestServer } from '../src/index.js';
import { requestPath } from '../src/requests/batch.js';
import { until } from './support/link-nodes.js';
import { RawPeer } from './support/raw-peer.js';
import {
  EchoHandler,
  execute,
  greeting,
  RequestNodes,
  sealed,
  textOf,
} from './support/request-nodes.js';

const nodes = new RequestNodes();
let server: RequestServer;
let channel: RequestChannel;

beforeAll(async () => {
  server = await nodes.serve(new EchoHandler(), { greetingTimeoutMs: 300 });
  channel = await nodes.dial(server);
});
afterAll(() => nodes.stop());

async function expectServed(): Promise<void> {
  expect(channel.isOpen).toBe(true);
  expect(textOf(await channel.request(execute('served')))).toBe('served');
  await until(() => server.status().connections === 1);
  expect(server.status()).toMatchObject({ requestsInFlight: 0, requestBytesInFlight: 0 });
}

const junk = fc.uint8Array({ minLength: 1, maxLength: 200 });

describe('a client port', () => {
  it('survives arbitrary bytes on a bare connection', async () => {
    await fc.assert(
      fc.asyncProperty(junk, async (bytes) => {
        const socket = connect(server.address);
        let isOver = false;
        socket.on('error', () => {});
        socket.on('close', () => {
          isOver = true;
        });
        socket.resume();
        socket.end(bytes);
        await until(() => isOver);
      }),
      { seed: 41, numRuns: 60 },
    );
    await expectServed();
  });

  it('survives arbitrary messages, with and without a good greeting and checksum', async () => {
    await fc.assert(
      fc.asyncProperty(junk, fc.boolean(), fc.boolean(), async (bytes, isGreeted, isSealed) => {
        const peer = await RawPeer.dial(formatAddress(server.address), requestPath);
        if (isGreeted) peer.send(greeting());
        peer.send(isSealed ? sealed(bytes) : bytes);
        peer.ws.close();
        await peer.closed();
      }),
      { seed: 42, numRuns: 100 },
    );
    await expectServed();
  });

  it('survives items of arbitrary type, id and body, and answers all of them', async () => {
    const item = fc.record({
      type: fc.integer({ min: 2, max: 255 }).filter((type) => type !== 9 && type !== 10),
      body: fc.uint8Array({ maxLength: 40 }),
    });
    await fc.assert(
      fc.asyncProperty(fc.array(item, { minLength: 1, maxLength: 10 }), async (items) => {
        const peer = await RawPeer.dial(formatAddress(server.address), requestPath);
        peer.send(greeting());
        const parts = items.map(({ type, body }, id) => {
          const head = Buffer.alloc(9);
          head.writeUInt32LE(body.length, 0);
          head[4] = type;
          head.writeUInt32LE(id, 5);
          return Buffer.concat([head, body]);
        });
        peer.send(sealed(Buffer.concat(parts)));
        await until(() => countAnswers(peer.messages.slice(1)) === items.length);
        expect(peer.closeText).toBeUndefined();
        await peer.close();
      }),
      { seed: 43, numRuns: 60 },
    );
    await expectServed();
  });
});

function countAnswers(messages: readonly Buffer[]): number {
  let count = 0;
  for (const message of messages) {
    for (let at = 10; at < message.length; at += 9 + message.readUInt32LE(at)) count += 1;
  }
  return count;
}
