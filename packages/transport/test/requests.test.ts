import { createServer as createHttpServer } from 'node:http';
import { createServer, type Socket } from 'node:net';
import { InvariantError, limits, MokuError } from '@moku/base';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { FrameProxy } from '../../../test/support/frame-proxy.js';
import type { ClientAnswer, RequestHandler } from '../src/index.js';
import { dialRequestChannel, formatAddress, localChannel } from '../src/index.js';
import { requestPath } from '../src/requests/batch.js';
import { LinkNodes, until, untilStill } from './support/link-nodes.js';
import { RawPeer } from './support/raw-peer.js';
import {
  EchoHandler,
  execute,
  greeting,
  item,
  RequestNodes,
  sealed,
  textOf,
} from './support/request-nodes.js';

const nodes = new RequestNodes();
const linkNodes = new LinkNodes();
afterEach(async () => {
  await nodes.stop();
  await linkNodes.stop();
});

/** Code and outcome with which a request failed. */
async function failureOf(answer: Promise<unknown>): Promise<string> {
  try {
    await answer;
  } catch (error) {
    if (error instanceof MokuError) return `${error.code} ${error.outcome}`;
    throw error;
  }
  throw new Error('expected a rejection');
}

describe('a request channel', () => {
  it('gives each request its answer, in whatever order they come', async () => {
    const handler = new EchoHandler();
    const channel = await nodes.dial(await nodes.serve(handler));
    handler.isHolding = true;
    const order: string[] = [];
    const texts = Array.from({ length: 100 }, (_, i) => `request ${i}`);
    const answers = texts.map(async (text) => {
      const answer = textOf(await channel.request(execute(text)));
      order.push(answer);
      return answer;
    });
    await until(() => handler.heldCount === 100);
    handler.release();
    expect(await Promise.all(answers)).toEqual(texts);
    expect(order).toEqual([...texts].reverse());
  });

  it('keeps thousands of requests under way at once, up to the limit', async () => {
    const handler = new EchoHandler();
    const server = await nodes.serve(handler);
    const channel = await nodes.dial(server);
    handler.isHolding = true;
    const bound = limits.requestsInFlightMax;
    const answers = Array.from({ length: bound }, (_, i) => channel.request(execute(`${i}`)));
    expect(await failureOf(channel.request(execute('one more')))).toBe('BUSY definite');
    await until(() => handler.heldCount === bound);
    expect(server.status()).toMatchObject({
      connections: 1,
      requestsInFlight: bound,
      requests: bound,
    });
    handler.release();
    const texts = (await Promise.all(answers)).map(textOf);
    expect(texts).toEqual(Array.from({ length: bound }, (_, i) => `${i}`));
    expect(server.status()).toMatchObject({ requestsInFlight: 0, requestBytesInFlight: 0 });
    expect(textOf(await channel.request(execute('again')))).toBe('again');
  });

  it('puts requests of one turn into one message, and their answers too', async () => {
    const server = await nodes.serve(new EchoHandler());
    const proxy = nodes.keep(await FrameProxy.start(server.address));
    let up = 0;
    let down = 0;
    proxy.rewrite = ({ direction, payload }) => {
      if (direction === 'up') up += 1;
      else down += 1;
      return [payload];
    };
    const channel = await nodes.dial(proxy);
    expect([up, down]).toEqual([1, 1]);
    await Promise.all(Array.from({ length: 500 }, (_, i) => channel.request(execute(`${i}`))));
    expect([up, down]).toEqual([2, 2]);
  });

  it('splits what is too much for one message', async () => {
    const channel = await nodes.dial(await nodes.serve(new EchoHandler()));
    const texts = Array.from({ length: 20 }, (_, i) => String(i).repeat(400_000));
    const answers = await Promise.all(texts.map((text) => channel.request(execute(text))));
    expect(answers.map(textOf)).toEqual(texts);
  });

  it('carries the largest request and answer, and refuses a larger request', async () => {
    const channel = await nodes.dial(await nodes.serve(new EchoHandler()));
    const largest = 'x'.repeat(limits.requestBytesMax);
    expect(textOf(await channel.request(execute(largest))).length).toBe(largest.length);
    const larger = channel.request(execute(`${largest}x`));
    await expect(larger).rejects.toMatchObject({
      code: 'FRAME_TOO_LARGE',
      outcome: 'definite',
      details: { field: 'execute', bound: limits.requestBytesMax },
    });
  });

  it('answers with a coded error where an answer is larger than any message', async () => {
    const bytes = new Uint8Array(limits.requestBytesMax + 1);
    const answers: ClientAnswer[] = [
      { kind: 'bytes', bytes },
      { kind: 'json', value: 'x'.repeat(limits.requestBytesMax) },
    ];
    const handler: RequestHandler = {
      handle: async ({ kind }) => answers[kind === 'status' ? 0 : 1]!,
    };
    const channel = await nodes.dial(await nodes.serve(handler));
    const refused = { kind: 'error', code: 'INTERNAL', details: { field: 'answer' } };
    expect(await channel.request({ kind: 'status' })).toMatchObject(refused);
    expect(await channel.request({ kind: 'regions', withWhy: true })).toMatchObject(refused);
  });

  it('hands over answers that are bytes of their own', async () => {
    const channel = await nodes.dial(await nodes.serve(new EchoHandler()));
    const answers = await Promise.all(
      Array.from({ length: 100 }, () => channel.request(execute('small'))),
    );
    for (const answer of answers) {
      if (answer.kind !== 'bytes') throw new Error('expected bytes');
      expect(Buffer.isBuffer(answer.bytes)).toBe(false);
      expect(answer.bytes.buffer.byteLength).toBeLessThanOrEqual(2 * answer.bytes.length);
    }
  });

  it('passes on errors with code, outcome and details', async () => {
    const handler: RequestHandler = {
      handle: () => Promise.reject(new MokuError('NOT_LEADER', { leaderNodeId: 3 })),
    };
    const channel = await nodes.dial(await nodes.serve(handler));
    expect(await channel.request(execute('x'))).toEqual({
      kind: 'error',
      code: 'NOT_LEADER',
      outcome: 'definite',
      message: 'NOT_LEADER: leaderNodeId=3',
      details: { leaderNodeId: 3 },
    });
  });
});

describe('aborting', () => {
  it('before a request is sent is definite, and the node never sees it', async () => {
    const handler = new EchoHandler();
    const channel = await nodes.dial(await nodes.serve(handler));
    const controller = new AbortController();
    const answer = channel.request(execute('never'), controller.signal);
    controller.abort();
    expect(await failureOf(answer)).toBe('ABORTED definite');
    expect(await failureOf(channel.request(execute('x'), controller.signal))).toBe(
      'ABORTED definite',
    );
    expect(textOf(await channel.request(execute('next')))).toBe('next');
    expect(handler.seen).toHaveLength(1);
  });

  it('after a request is sent may have come too late, and tells the handler', async () => {
    const handler = new EchoHandler();
    const server = await nodes.serve(handler);
    const channel = await nodes.dial(server);
    handler.isHolding = true;
    const controller = new AbortController();
    const cancelled = channel.request(execute('cancelled'), controller.signal);
    const kept = channel.request(execute('kept'));
    await until(() => handler.heldCount === 2);
    controller.abort();
    expect(await failureOf(cancelled)).toBe('ABORTED maybe');
    await until(() => handler.aborted.length === 1);
    expect(handler.aborted).toEqual([execute('cancelled')]);
    handler.release();
    expect(textOf(await kept)).toBe('kept');
    expect(server.status().requestsInFlight).toBe(0);
  });

  it('a signal that thousands of requests share ends them all and is not taken for a leak', async () => {
    const warned = vi.fn();
    process.on('warning', warned);
    const handler = new EchoHandler();
    const channel = await nodes.dial(await nodes.serve(handler));
    handler.isHolding = true;
    const { signal, abort } = sharedAbort();
    const answers = Array.from({ length: 2_000 }, () => channel.request(execute('x'), signal));
    await until(() => handler.heldCount === 2_000);
    abort();
    const failures = await Promise.all(answers.map(failureOf));
    expect(new Set(failures)).toEqual(new Set(['ABORTED maybe']));
    await until(() => handler.aborted.length === 2_000);
    handler.release();
    process.off('warning', warned);
    expect(warned).not.toHaveBeenCalled();
  });

  it('counts what the node still works on against the limit', async () => {
    const handler = new EchoHandler();
    const channel = await nodes.dial(await nodes.serve(handler));
    handler.isHolding = true;
    const { signal, abort } = sharedAbort();
    const bound = limits.requestsInFlightMax;
    const answers = Array.from({ length: bound }, () => channel.request(execute('x'), signal));
    await until(() => handler.heldCount === bound);
    abort();
    await Promise.all(answers.map(failureOf));
    expect(await failureOf(channel.request(execute('more')))).toBe('BUSY definite');
    handler.release();
    let last = '';
    await vi.waitFor(async () => {
      last = textOf(await channel.request(execute('free')));
    });
    expect(last).toBe('free');
  });

  function sharedAbort(): { signal: AbortSignal; abort: () => void } {
    const controller = new AbortController();
    return { signal: controller.signal, abort: () => controller.abort() };
  }
});

describe('the end of a connection', () => {
  it('is a loss that may have come too late for what was sent, and definite for what was not', async () => {
    const handler = new EchoHandler();
    const server = await nodes.serve(handler);
    const proxy = nodes.keep(await FrameProxy.start(server.address));
    const channel = await nodes.dial(proxy);
    handler.isHolding = true;
    const sent = channel.request(execute('sent'));
    await until(() => handler.heldCount === 1);
    proxy.reset();
    expect(await failureOf(sent)).toBe('CONNECTION_LOST maybe');
    expect(channel.isOpen).toBe(false);
    expect(await failureOf(channel.request(execute('late')))).toBe('UNAVAILABLE definite');
    await until(() => handler.aborted.length === 1);
    await until(() => server.status().connections === 0);
    handler.release();
    await until(() => server.status().requestsInFlight === 0);
  });

  it('by close settles what is under way', async () => {
    const handler = new EchoHandler();
    const channel = await nodes.dial(await nodes.serve(handler));
    handler.isHolding = true;
    const sent = channel.request(execute('sent'));
    await until(() => handler.heldCount === 1);
    const queued = channel.request(execute('queued'));
    await channel.close();
    expect(await failureOf(sent)).toBe('CONNECTION_LOST maybe');
    expect(await failureOf(queued)).toBe('UNAVAILABLE definite');
    await channel.close();
  });

  it('is noticed when the node stays silent', async () => {
    const handler = new EchoHandler();
    const proxy = nodes.keep(await FrameProxy.start((await nodes.serve(handler)).address));
    const channel = await nodes.dial(proxy, { silenceMs: 300 });
    proxy.setFlow('down', 'swallow');
    expect(await failureOf(channel.request(execute('x')))).toBe('CONNECTION_LOST maybe');
    expect(channel.isOpen).toBe(false);
  });

  it('is noticed when the client stays silent, and not when it is idle', async () => {
    const server = await nodes.serve(new EchoHandler(), { silenceMs: 300 });
    const proxy = nodes.keep(await FrameProxy.start(server.address));
    const channel = await nodes.dial(proxy, { silenceMs: 300 });
    const startMs = performance.now();
    await until(() => performance.now() - startMs > 800);
    expect(channel.isOpen).toBe(true);
    expect(server.status().connections).toBe(1);
    proxy.setFlow('up', 'swallow');
    await until(() => server.status().connections === 0);
  });

  it('follows a corrupt message, either way', async () => {
    for (const bad of ['up', 'down'] as const) {
      const server = await nodes.serve(new EchoHandler());
      const proxy = nodes.keep(await FrameProxy.start(server.address));
      proxy.rewrite = ({ direction, index, payload }) => {
        if (direction === bad && index === 1) payload[payload.length - 1]! ^= 1;
        return [payload];
      };
      const channel = await nodes.dial(proxy);
      const lost = channel.request(execute('x'));
      await expect(lost).rejects.toMatchObject({
        code: 'CONNECTION_LOST',
        details: { reason: 'FRAME_CORRUPT', detail: 'checksum' },
      });
    }
  });
});

describe('dialing', () => {
  const dialTo = (port: number, timeoutMs = 300): Promise<unknown> =>
    dialRequestChannel({ address: `127.0.0.1:${port}`, timeoutMs });

  /** A bare TCP server; gives its port. */
  async function bare(onSocket: (socket: Socket) => void): Promise<number> {
    const sockets = new Set<Socket>();
    const server = createServer((socket) => {
      sockets.add(socket);
      socket.on('error', () => {});
      onSocket(socket);
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    nodes.keep({
      close: async () => {
        for (const socket of sockets) socket.destroy();
        await new Promise((resolve) => server.close(resolve));
      },
    });
    const address = server.address();
    return typeof address === 'object' && address !== null ? address.port : 0;
  }

  it('where nobody listens, or nobody answers, is UNAVAILABLE', async () => {
    const server = await nodes.serve(new EchoHandler());
    const { port } = server.address;
    await server.close();
    expect(await failureOf(dialTo(port))).toBe('UNAVAILABLE definite');
    const silent = await bare(() => {});
    expect(await failureOf(dialTo(silent, 100))).toBe('UNAVAILABLE definite');
    const rude = await bare((socket) => socket.destroy());
    expect(await failureOf(dialTo(rude))).toBe('UNAVAILABLE definite');
  });

  it('where something else answers is VERSION_MISMATCH', async () => {
    const noHttp = await bare((socket) => socket.end('220 mail.example ESMTP\r\n'));
    expect(await failureOf(dialTo(noHttp))).toBe('VERSION_MISMATCH definite');
    const http = createHttpServer((_request, response) => response.end('hello'));
    await new Promise<void>((resolve) => http.listen(0, '127.0.0.1', resolve));
    nodes.keep({
      close: () =>
        new Promise<void>((resolve) => {
          http.close(() => resolve());
          http.closeAllConnections();
        }),
    });
    const address = http.address();
    const httpPort = typeof address === 'object' && address !== null ? address.port : 0;
    expect(await failureOf(dialTo(httpPort))).toBe('VERSION_MISMATCH definite');
    const peerPort = (await linkNodes.start(1)).links.address.port;
    expect(await failureOf(dialTo(peerPort))).toBe('VERSION_MISMATCH definite');
  });

  it('a node of another protocol version is VERSION_MISMATCH, on both ends', async () => {
    const server = await nodes.serve(new EchoHandler());
    const proxy = nodes.keep(await FrameProxy.start(server.address));
    for (const direction of ['up', 'down'] as const) {
      proxy.rewrite = (message) => {
        if (message.direction !== direction) return [message.payload];
        return [greeting(9)];
      };
      const address = formatAddress(proxy.address);
      expect(await failureOf(dialRequestChannel({ address }))).toBe('VERSION_MISMATCH definite');
    }
  });

  it('can be aborted', async () => {
    const silent = await bare(() => {});
    const controller = new AbortController();
    const address = `127.0.0.1:${silent}`;
    const dialing = dialRequestChannel({ address, signal: controller.signal });
    controller.abort();
    expect(await failureOf(dialing)).toBe('ABORTED definite');
    const late = dialRequestChannel({ address, signal: controller.signal });
    expect(await failureOf(late)).toBe('ABORTED definite');
  });

  it('refuses what is no address', async () => {
    const nowhere = dialRequestChannel({ address: 'nowhere' });
    expect(await failureOf(nowhere)).toBe('INVALID_ARGUMENT definite');
  });
});

describe('a request server', () => {
  it('answers a malformed request with MALFORMED_REQUEST and goes on', async () => {
    const server = await nodes.serve(new EchoHandler());
    const peer = nodes.keep(await RawPeer.dial(formatAddress(server.address), requestPath));
    peer.send(greeting());
    await peer.heard(1);
    // An unknown type, a describe without its flag, then a good status.
    peer.send(sealed(Buffer.concat([item(99, 1, 'x'), item(2, 2, ''), item(6, 3, '')])));
    await until(() => peer.messages.length >= 3);
    const heard = Buffer.concat(peer.messages.slice(1)).toString('latin1');
    expect(heard.match(/MALFORMED_REQUEST: /g)).toHaveLength(2);
    expect(heard).toContain('{"kind":"status"}');
    expect(peer.closeText).toBeUndefined();
  });

  it('tells off whoever breaks the frame, repeats an id, or does not greet', async () => {
    const handler = new EchoHandler();
    handler.isHolding = true;
    const server = await nodes.serve(handler, { greetingTimeoutMs: 200 });
    const cases: [Uint8Array[] | string[], string][] = [
      [[greeting(), Buffer.from('junk')], 'FRAME_MALFORMED truncated'],
      [[greeting(), Buffer.alloc(100)], 'FRAME_CORRUPT checksum'],
      [[greeting(), sealed(Buffer.alloc(5))], 'FRAME_MALFORMED length'],
      [[greeting(), sealed(Buffer.concat([item(6, 1, ''), item(6, 1, '')]))], 'FRAME_MALFORMED id'],
      [[sealed(item(6, 1, ''))], 'FRAME_MALFORMED greeting'],
      [['text'], 'FRAME_MALFORMED text frame'],
      [[], 'HANDSHAKE_TIMEOUT greeting'],
    ];
    for (const [messages, reason] of cases) {
      const peer = await RawPeer.dial(formatAddress(server.address), requestPath);
      for (const message of messages) peer.send(message);
      expect(await peer.closed()).toBe(reason);
    }
    await until(() => server.status().connections === 0);
  });

  it('refuses a port that is taken, naming it', async () => {
    const { port } = (await nodes.serve(new EchoHandler())).address;
    const taken = nodes.serve(new EchoHandler(), { listen: { host: '127.0.0.1', port } });
    await expect(taken).rejects.toMatchObject({
      code: 'PORT_IN_USE',
      details: { field: 'clientPort', host: '127.0.0.1', port },
    });
  });

  it('refuses connections, requests and bytes beyond its bounds', async () => {
    const handler = new EchoHandler();
    const server = await nodes.serve(handler, {
      connectionsMax: 2,
      requestsInFlightMax: 3,
      requestBytesInFlightMax: 1_000,
    });
    const channel = await nodes.dial(server);
    const other = await nodes.dial(server);
    const third = nodes.dial(server);
    await expect(third).rejects.toMatchObject({ code: 'UNAVAILABLE', details: { reason: 'BUSY' } });
    handler.isHolding = true;
    const held = ['1', '2', '3'].map((text) => channel.request(execute(text)));
    await until(() => handler.heldCount === 3);
    expect(await channel.request(execute('4'))).toMatchObject({
      kind: 'error',
      code: 'BUSY',
      outcome: 'definite',
      details: { queue: 'requestsInFlight', bound: 3 },
    });
    expect(await other.request(execute('x'.repeat(998)))).toMatchObject({
      code: 'BUSY',
      details: { queue: 'requestBytes', bound: 1_000 },
    });
    expect(server.status().refusals).toBe(3);
    handler.release();
    expect((await Promise.all(held)).map(textOf)).toEqual(['1', '2', '3']);
  });

  it('stops reading from a client that does not take its answers, and goes on when it does', async () => {
    const handler = new EchoHandler();
    const server = await nodes.serve(handler);
    const proxy = nodes.keep(await FrameProxy.start(server.address));
    const channel = await nodes.dial(proxy, { silenceMs: 20_000 });
    proxy.setFlow('down', 'hold');
    const text = 'x'.repeat(1_000_000);
    const answers = Array.from({ length: 48 }, () => channel.request(execute(text)));
    await until(() => handler.seen.length > 3);
    await untilStill(() => handler.seen.length);
    // 4 MiB wait in the server, some more in the systems' buffers; what is behind is not read.
    expect(handler.seen.length).toBeLessThan(40);
    proxy.setFlow('down', 'pass');
    const all = await Promise.all(answers);
    expect(all.every((answer) => textOf(answer).length === text.length)).toBe(true);
    expect(handler.seen).toHaveLength(48);
  });

  it('cuts off a client that takes nothing for long, or lets too much pile up', async () => {
    const big = new Uint8Array(limits.requestBytesMax - 100);
    const handler: RequestHandler = { handle: async () => ({ kind: 'bytes', bytes: big }) };
    for (const [requests, stalledMsMax] of [
      [8, 300],
      [40, 60_000],
    ] as const) {
      const warned: object[] = [];
      const logger = { info: () => {}, warn: (fields: object) => warned.push(fields) };
      const server = await nodes.serve(handler, { stalledMsMax, silenceMs: 600, logger });
      const proxy = nodes.keep(await FrameProxy.start(server.address));
      const channel = await nodes.dial(proxy, { silenceMs: 5_000 });
      proxy.setFlow('down', 'hold');
      const answers = Array.from({ length: requests }, () => channel.request({ kind: 'status' }));
      const settled = Promise.allSettled(answers);
      await until(() => server.status().connections === 0);
      expect(warned).toMatchObject([{ reason: 'PEER_OVERRUN', detail: 'answers' }]);
      proxy.setFlow('down', 'pass');
      await settled;
      await until(() => !channel.isOpen);
    }
  });

  it('closes in order: answers what is under way, refuses the rest, and frees the port', async () => {
    const handler = new EchoHandler();
    const server = await nodes.serve(handler);
    const channel = await nodes.dial(server);
    const idle = await nodes.dial(server);
    handler.isHolding = true;
    const underWay = channel.request(execute('under way'));
    await until(() => handler.heldCount === 1);
    const closed = server.close(5_000);
    await until(() => !idle.isOpen);
    expect(await channel.request(execute('late'))).toMatchObject({
      kind: 'error',
      code: 'UNAVAILABLE',
      outcome: 'definite',
    });
    expect(await failureOf(nodes.dial(server))).toBe('UNAVAILABLE definite');
    handler.release();
    expect(textOf(await underWay)).toBe('under way');
    await closed;
    expect(channel.isOpen).toBe(false);
    const { port } = server.address;
    await nodes.serve(handler, { listen: { host: '127.0.0.1', port } });
  });

  it('closes after its grace, whatever is still under way', async () => {
    const handler = new EchoHandler();
    const server = await nodes.serve(handler);
    const channel = await nodes.dial(server);
    handler.isHolding = true;
    const stuck = channel.request(execute('stuck'));
    await until(() => handler.heldCount === 1);
    await server.close(50);
    expect(await failureOf(stuck)).toBe('CONNECTION_LOST maybe');
    await until(() => handler.aborted.length === 1);
  });

  it('lets a broken invariant of its handler end the process, and answers INTERNAL', async () => {
    const handler: RequestHandler = {
      handle: () => Promise.reject(new InvariantError('invariant broken: test')),
    };
    const channel = await nodes.dial(await nodes.serve(handler));
    const others = process.listeners('uncaughtException');
    process.removeAllListeners('uncaughtException');
    const uncaught = new Promise((resolve) => process.once('uncaughtException', resolve));
    const answer = await channel.request(execute('x'));
    expect(answer).toMatchObject({ kind: 'error', code: 'INTERNAL', outcome: 'maybe' });
    expect(await uncaught).toBeInstanceOf(InvariantError);
    for (const listener of others) process.on('uncaughtException', listener);
  });
});

describe('a local channel', () => {
  it('gives the handler the request and its answer back', async () => {
    const channel = localChannel(new EchoHandler());
    expect(channel.isOpen).toBe(true);
    expect(textOf(await channel.request(execute('here')))).toBe('here');
  });

  it('is bounded like any other', async () => {
    const handler = new EchoHandler();
    handler.isHolding = true;
    const channel = localChannel(handler);
    const bound = limits.requestsInFlightMax;
    const answers = Array.from({ length: bound }, () => channel.request(execute('x')));
    expect(await failureOf(channel.request(execute('more')))).toBe('BUSY definite');
    handler.release();
    await Promise.all(answers);
    expect(textOf(await channel.request(execute('more')))).toBe('more');
  });

  it('aborts like any other, and tells the handler', async () => {
    const handler = new EchoHandler();
    handler.isHolding = true;
    const channel = localChannel(handler);
    const controller = new AbortController();
    const answer = channel.request(execute('x'), controller.signal);
    controller.abort();
    expect(await failureOf(answer)).toBe('ABORTED maybe');
    expect(handler.aborted).toHaveLength(1);
    expect(await failureOf(channel.request(execute('x'), controller.signal))).toBe(
      'ABORTED definite',
    );
  });

  it('settles what is under way when it is closed, and takes nothing afterwards', async () => {
    const handler = new EchoHandler();
    handler.isHolding = true;
    const channel = localChannel(handler);
    const answer = channel.request(execute('x'));
    await channel.close();
    expect(await failureOf(answer)).toBe('CONNECTION_LOST maybe');
    expect(await failureOf(channel.request(execute('x')))).toBe('UNAVAILABLE definite');
    expect(channel.isOpen).toBe(false);
  });
});
