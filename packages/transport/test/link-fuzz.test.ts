/**
 * Hostile bytes on a listening port: whatever is sent there, the process lives and the links that others
 * use are not disturbed.
 */
import { connect } from 'node:net';
import { toNodeId } from '@moku/base';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { encodeFrame, frameTypes } from '../src/links/frame.js';
import { encodeHello, type Hello, linkPath } from '../src/links/handshake.js';
import { type LinkNode, LinkNodes, until } from './support/link-nodes.js';
import { RawPeer } from './support/raw-peer.js';

const nodes = new LinkNodes();
let a: LinkNode;
let b: LinkNode;
let sessionId: string;
let echoes = 0;

/** Node 9 is known to node b, and played by the fuzzer as 1 is by a real node. */
const hello: Hello = {
  clusterId: 'moku',
  nodeId: toNodeId(3),
  storeId: 'store-3',
  incarnation: 1,
  to: toNodeId(9),
  lane: 'control',
  counter: 1,
};

beforeAll(async () => {
  a = await nodes.start(1, { handshakeTimeoutMs: 300 });
  b = await nodes.start(9, { handshakeTimeoutMs: 300 });
  a.links.setPeers([{ nodeId: b.nodeId, address: b.address }]);
  b.links.setPeers([
    { nodeId: a.nodeId, address: a.address },
    { nodeId: hello.nodeId, address: '127.0.0.1:1' },
  ]);
  await until(() => a.hasSession(b) && b.hasSession(a));
  sessionId = a.session(b).sessionId;
});
afterAll(() => nodes.stop());

/** The link between the real nodes has stood throughout and carries frames. */
async function expectUndisturbed(): Promise<void> {
  echoes += 1;
  a.say(b, `echo ${echoes}`);
  await until(() => b.texts('control').includes(`echo ${echoes}`));
  expect(a.session(b).sessionId).toBe(sessionId);
  expect(b.session(a).sessionId).toBe(sessionId);
}

/** Sends bytes over a bare TCP connection and waits for its end. */
async function sendBare(chunks: readonly Uint8Array[]): Promise<void> {
  const { host, port } = b.links.address;
  const socket = connect({ host, port });
  let isOver = false;
  socket.on('error', () => {});
  socket.on('close', () => {
    isOver = true;
  });
  socket.resume();
  for (const chunk of chunks) socket.write(chunk);
  await until(
    () => socket.bytesWritten > 0 || isOver || chunks.every((chunk) => chunk.length === 0),
  );
  socket.end();
  await until(() => isOver);
}

const upgrade = Buffer.from(
  `GET ${linkPath} HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n` +
    'Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n',
);

const junk = fc.uint8Array({ minLength: 1, maxLength: 200 });

describe('a listening port', () => {
  it('survives arbitrary bytes on a bare connection', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(junk, { minLength: 1, maxLength: 4 }), (chunks) =>
        sendBare(chunks),
      ),
      { seed: 11, numRuns: 60 },
    );
    await expectUndisturbed();
  });

  it('survives arbitrary bytes where WebSocket frames are due', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(junk, { maxLength: 4 }), (chunks) =>
        sendBare([upgrade, ...chunks]),
      ),
      { seed: 12, numRuns: 60 },
    );
    await expectUndisturbed();
  });

  it('refuses browsers, plain requests and other paths', async () => {
    const statusOf = async (path: string, headers: string): Promise<string> => {
      const socket = connect(b.links.address);
      let answer = '';
      socket.on('data', (chunk) => {
        answer += chunk.toString('latin1');
      });
      socket.write(upgrade.toString().replace(linkPath, path).replace('Host: x', headers));
      await until(() => answer.includes('\r\n'));
      socket.destroy();
      return answer.slice(9, 12);
    };
    expect(await statusOf(linkPath, 'Host: x')).toBe('101');
    expect(await statusOf(linkPath, 'Host: x\r\nOrigin: https://example.org')).toBe('403');
    expect(await statusOf('/', 'Host: x')).toBe('400');
    expect((await fetch(`http://${b.address}${linkPath}`)).status).toBe(426);
  });

  it('survives arbitrary messages, and tells each sender off', async () => {
    await fc.assert(
      fc.asyncProperty(junk, async (message) => {
        const peer = await RawPeer.dial(b.address, linkPath);
        peer.send(message);
        expect(await peer.closed()).toMatch(/^FRAME_(MALFORMED|CORRUPT) /);
      }),
      { seed: 13, numRuns: 60 },
    );
    await expectUndisturbed();
  });

  it('survives hellos whose payload is arbitrary', async () => {
    await fc.assert(
      fc.asyncProperty(junk, fc.boolean(), async (bytes, isVersioned) => {
        const peer = await RawPeer.dial(b.address, linkPath);
        const payload = isVersioned ? Buffer.concat([Buffer.of(1), bytes]) : bytes;
        peer.send(encodeFrame(frameTypes.hello, 0, 0, payload));
        expect(await peer.closed()).toMatch(/^[A-Z_]+ [a-zA-Z]+$/);
      }),
      { seed: 14, numRuns: 80 },
    );
    await expectUndisturbed();
  });

  it('survives a known peer that turns to arbitrary frames within its session', async () => {
    let counter = 0;
    const frame = fc.record({
      lane: fc.integer({ min: 0, max: 1 }),
      type: fc.constantFrom(1, 2, 3, 4, 5, 255),
      isNext: fc.boolean(),
      payload: fc.uint8Array({ maxLength: 50 }),
      isRaw: fc.boolean(),
    });
    await fc.assert(
      fc.asyncProperty(fc.array(frame, { minLength: 1, maxLength: 8 }), async (frames) => {
        counter += 1;
        const lanes: RawPeer[] = [];
        for (const lane of ['control', 'bulk'] as const) {
          const peer = await RawPeer.dial(b.address, linkPath);
          peer.send(encodeHello({ ...hello, lane, counter }));
          await peer.heard(1);
          expect(peer.closeText).toBeUndefined();
          lanes.push(peer);
        }
        const sequences = [0, 0];
        for (const { lane, type, isNext, payload, isRaw } of frames) {
          sequences[lane]! += isNext ? 1 : 2;
          const known = type as (typeof frameTypes)['data'];
          const bytes = isRaw ? payload : encodeFrame(known, sequences[lane]!, counter, payload);
          lanes[lane]?.send(bytes);
        }
        for (const peer of lanes) {
          peer.ws.close();
          await peer.closed();
        }
      }),
      { seed: 15, numRuns: 60 },
    );
    await until(
      () => !b.links.status().some(({ nodeId, phase }) => nodeId === 3 && phase === 'open'),
    );
    await expectUndisturbed();
  });
});
