import { createServer } from 'node:net';
import { type NodeId, toNodeId } from '@moku/base';
import { afterEach, describe, expect, it } from 'vitest';
import { WebSocketServer } from 'ws';
import { encodeFrame, frameTypes } from '../src/links/frame.js';
import {
  decodeHello,
  decodeWelcome,
  encodeHello,
  encodeWelcome,
  type Hello,
  linkPath,
} from '../src/links/handshake.js';
import { introduce, type LinkNode, LinkNodes, linked, until } from './support/link-nodes.js';
import { RawPeer } from './support/raw-peer.js';

const nodes = new LinkNodes();
afterEach(() => nodes.stop());

const hello: Hello = {
  clusterId: 'moku',
  nodeId: toNodeId(1),
  storeId: 'store-1',
  incarnation: 1,
  to: toNodeId(2),
  lane: 'control',
  counter: 1,
};

/** A node 2 that knows a node 1 which is played by the test. */
async function acceptor(options: Parameters<LinkNodes['start']>[1] = {}): Promise<LinkNode> {
  const b = await nodes.start(2, options);
  b.links.setPeers([{ nodeId: toNodeId(1), address: '127.0.0.1:1' }]);
  return b;
}

async function dialRaw(node: LinkNode): Promise<RawPeer> {
  return nodes.keep(await RawPeer.dial(node.address, linkPath));
}

async function greet(node: LinkNode, said: Partial<Hello>): Promise<RawPeer> {
  const peer = await dialRaw(node);
  peer.send(encodeHello({ ...hello, ...said }));
  return peer;
}

/** Two greeted lanes of one session. */
async function greetBoth(node: LinkNode, said: Partial<Hello>): Promise<[RawPeer, RawPeer]> {
  const control = await greet(node, { ...said, lane: 'control' });
  const bulk = await greet(node, { ...said, lane: 'bulk' });
  await control.heard(1);
  await bulk.heard(1);
  return [control, bulk];
}

describe('the handshake frames', () => {
  it('carry what they are given', () => {
    expect(decodeHello(encodeHello({ ...hello, lane: 'bulk' }))).toEqual({
      ...hello,
      lane: 'bulk',
    });
    const { to: _, ...welcome } = hello;
    expect(decodeWelcome(encodeWelcome(welcome))).toEqual(welcome);
  });

  it('are refused when they are cut, lengthened, or one is taken for the other', () => {
    const frame = encodeHello(hello);
    expect(() => decodeWelcome(frame)).toThrow(/FRAME_MALFORMED.*type/);
    const payload = frame.subarray(24);
    for (let length = 0; length < payload.length; length++) {
      const cut = encodeFrame(frameTypes.hello, 0, 0, payload.subarray(0, length));
      expect(() => decodeHello(cut)).toThrow(/FRAME_MALFORMED/);
    }
    const longer = Buffer.concat([payload, Buffer.of(0)]);
    expect(() => decodeHello(encodeFrame(frameTypes.hello, 0, 0, longer))).toThrow(/trailing/);
  });
});

describe('an accepting node', () => {
  it('welcomes each lane and opens the session with the first frame', async () => {
    const b = await acceptor();
    const [control] = await greetBoth(b, {});
    expect(b.seen).toEqual([]);
    control.send(encodeFrame(frameTypes.alive, 1, 1));
    await until(() => b.seen.length === 1);
    expect(b.seen[0]).toMatchObject({ kind: 'open', session: { peer: 1, sessionId: '1.1.1' } });
  });

  it('delivers the first frame when that is what opens the session, also on the bulk lane', async () => {
    const b = await acceptor();
    const [, bulk] = await greetBoth(b, {});
    bulk.send(encodeFrame(frameTypes.data, 1, 1, Buffer.from('early')));
    await until(() => b.seen.length === 2);
    expect(b.texts('bulk')).toEqual(['early']);
  });

  const refusals: [string, Partial<Hello>, string][] = [
    ['another cluster', { clusterId: 'other' }, 'CLUSTER_MISMATCH clusterId'],
    ['another addressee', { to: toNodeId(3) }, 'NODE_MISMATCH to'],
    ['an unknown node', { nodeId: toNodeId(9) }, 'NODE_MISMATCH unknownPeer'],
    ['an empty store id', { storeId: '' }, 'FRAME_MALFORMED storeId'],
    ['an endless cluster id', { clusterId: 'x'.repeat(300) }, 'FRAME_MALFORMED clusterId'],
  ];
  it.each(refusals)('refuses %s and says why', async (_, said, reason) => {
    const b = await acceptor();
    const peer = await greet(b, said);
    expect(await peer.closed()).toBe(reason);
    expect(peer.closeCode).toBe(4000);
    expect(b.seen).toEqual([]);
  });

  it('refuses a node that ought to be dialed, not to dial', async () => {
    const b = await nodes.start(2);
    b.links.setPeers([{ nodeId: toNodeId(3), address: '127.0.0.1:1' }]);
    const peer = await greet(b, { nodeId: toNodeId(3), storeId: 'store-3' });
    expect(await peer.closed()).toBe('NODE_MISMATCH dialer');
  });

  it('refuses another protocol version before it reads on', async () => {
    const b = await acceptor();
    const peer = await dialRaw(b);
    peer.send(encodeFrame(frameTypes.hello, 0, 0, Buffer.of(99, 255, 255)));
    expect(await peer.closed()).toBe('VERSION_MISMATCH protocolVersion');
  });

  it('refuses whatever is not a hello', async () => {
    const b = await acceptor();
    const cases: [Uint8Array | string, string][] = [
      [Buffer.from('x'), 'FRAME_MALFORMED truncated'],
      [Buffer.alloc(24), 'FRAME_CORRUPT checksum'],
      [encodeFrame(frameTypes.data, 0, 0), 'FRAME_MALFORMED type'],
      [encodeFrame(frameTypes.hello, 1, 0), 'FRAME_MALFORMED sequence'],
      ['text', 'FRAME_MALFORMED text frame'],
    ];
    for (const [said, reason] of cases) {
      const peer = await dialRaw(b);
      peer.send(said);
      expect(await peer.closed()).toBe(reason);
    }
  });

  it('gives a silent stranger up in bounded time', async () => {
    const b = await acceptor({ handshakeTimeoutMs: 100 });
    const peer = await dialRaw(b);
    expect(await peer.closed()).toBe('HANDSHAKE_TIMEOUT hello');
  });

  it('gives a session up whose second lane does not come, or whose dialer stays silent', async () => {
    const b = await acceptor({ handshakeTimeoutMs: 100 });
    const half = await greet(b, {});
    expect(await half.closed()).toBe('HANDSHAKE_TIMEOUT lanes');
    const [control, bulk] = await greetBoth(b, { counter: 2 });
    expect(await control.closed()).toBe('HANDSHAKE_TIMEOUT lanes');
    expect(await bulk.closed()).toBe('HANDSHAKE_TIMEOUT lanes');
    expect(b.status(toNodeId(1)).lastRefusal?.reason).toBe('HANDSHAKE_TIMEOUT');
  });

  it('refuses a lane that is there already, a frame before the second lane, and unlike lanes', async () => {
    const b = await acceptor();
    await greet(b, {});
    const twice = await greet(b, {});
    expect(await twice.closed()).toBe('FRAME_MALFORMED lane');
    const early = await greet(b, { counter: 2 });
    await early.heard(1);
    early.send(encodeFrame(frameTypes.alive, 1, 2));
    expect(await early.closed()).toBe('FRAME_MALFORMED order');
    await greet(b, { counter: 3 });
    const unlike = await greet(b, { counter: 3, lane: 'bulk', storeId: 'store-x' });
    expect(await unlike.closed()).toBe('FRAME_MALFORMED lanes');
  });

  it('lets a newer attempt of the same dialer replace one under way, and refuses an older', async () => {
    const b = await acceptor();
    const first = await greet(b, { counter: 5 });
    await first.heard(1);
    const second = await greet(b, { counter: 6 });
    expect(await first.closed()).toBe('LINK_REPLACED counter');
    const older = await greet(b, { counter: 4 });
    expect(await older.closed()).toBe('LINK_REPLACED counter');
    expect(second.closeText).toBeUndefined();
  });

  it('lets a newer session replace an open one, told first of the end', async () => {
    const b = await acceptor();
    const [former] = await greetBoth(b, { counter: 1 });
    former.send(encodeFrame(frameTypes.alive, 1, 1));
    await until(() => b.seen.length === 1);
    const [present] = await greetBoth(b, { counter: 2 });
    present.send(encodeFrame(frameTypes.alive, 1, 2));
    expect(await former.closed()).toBe('LINK_REPLACED session');
    await until(() => b.seen.length === 3);
    expect(b.seen.map((event) => event.kind)).toEqual(['open', 'close', 'open']);
    expect(b.closeReasons()).toEqual(['LINK_REPLACED']);
    const again = await greet(b, { counter: 2 });
    expect(await again.closed()).toBe('LINK_REPLACED counter');
  });

  it.each([0, 1])('closes the other lane when lane %i of a session goes away', async (gone) => {
    const b = await acceptor();
    const lanes = await greetBoth(b, {});
    lanes[0].send(encodeFrame(frameTypes.alive, 1, 1));
    await until(() => b.seen.length === 1);
    await lanes[gone]?.close();
    expect(await lanes[1 - gone]?.closed()).toMatch(/^CONNECTION_LOST/);
    await until(() => b.closeReasons().length === 1);
  });

  it('refuses a process older than one it has had a session with', async () => {
    const b = await acceptor();
    const [control] = await greetBoth(b, { incarnation: 3 });
    control.send(encodeFrame(frameTypes.alive, 1, 1));
    await until(() => b.seen.length === 1);
    const older = await greet(b, { incarnation: 2, counter: 99 });
    expect(await older.closed()).toBe('NODE_REPLACED incarnation');
  });
});

describe('a dialing node', () => {
  it('refuses a peer whose directory is another than before, and so does the other end', async () => {
    for (const wiped of [1, 2]) {
      const known = new Map<NodeId, string>([[toNodeId(wiped), 'store-before']]);
      const a = await nodes.start(1, wiped === 2 ? { known } : {});
      const b = await nodes.start(2, wiped === 1 ? { known } : {});
      introduce(a, b);
      await until(() => a.status(b).lastRefusal?.reason === 'NODE_REPLACED');
      await until(() => b.status(a).lastRefusal?.reason === 'NODE_REPLACED');
      expect(a.status(b).lastRefusal).toMatchObject({ isByPeer: wiped === 1, detail: 'storeId' });
      expect(a.seen).toEqual([]);
      expect(b.seen).toEqual([]);
      await nodes.stop();
    }
  });

  it('remembers the directory of a peer with the first session, on both ends', async () => {
    const known1 = new Map<NodeId, string>();
    const known2 = new Map<NodeId, string>();
    const a = await nodes.start(1, { known: known1 });
    const b = await nodes.start(2, { known: known2 });
    introduce(a, b);
    await linked(a, b);
    expect([...known1]).toEqual([[2, 'store-2']]);
    expect([...known2]).toEqual([[1, 'store-1']]);
  });

  it('opens nothing with a node of another cluster', async () => {
    const a = await nodes.start(1);
    const b = await nodes.start(2, { clusterId: 'other' });
    introduce(a, b);
    await until(() => a.status(b).lastRefusal?.reason === 'CLUSTER_MISMATCH');
    expect(a.status(b).lastRefusal).toMatchObject({ isByPeer: true, detail: 'clusterId' });
  });

  it('refuses whoever answers under the address of another node', async () => {
    const a = await nodes.start(1);
    const c = await nodes.start(3);
    a.links.setPeers([{ nodeId: toNodeId(2), address: c.address }]);
    c.links.setPeers([{ nodeId: a.nodeId, address: a.address }]);
    await until(() => a.status(toNodeId(2)).lastRefusal?.reason === 'NODE_MISMATCH');
  });

  /** A WebSocket server that answers every message with `answer`. */
  async function impostor(answer: (lane: number) => Uint8Array | string): Promise<number> {
    const server = new WebSocketServer({ port: 0, host: '127.0.0.1' });
    let connections = 0;
    server.on('connection', (ws) => {
      connections += 1;
      const lane = connections;
      ws.on('message', () => ws.send(answer(lane)));
    });
    await until(() => server.address() !== null);
    nodes.keep({
      close: async () => {
        for (const ws of server.clients) ws.terminate();
        await new Promise((resolve) => server.close(resolve));
      },
    });
    const address = server.address();
    return typeof address === 'object' && address !== null ? address.port : 0;
  }

  async function refusalOf(port: number): Promise<string> {
    const a = await nodes.start(1, { handshakeTimeoutMs: 200 });
    a.links.setPeers([{ nodeId: toNodeId(2), address: `127.0.0.1:${port}` }]);
    await until(() => a.status(toNodeId(2)).lastRefusal !== undefined);
    const { reason, detail } = a.status(toNodeId(2)).lastRefusal ?? {};
    return `${reason} ${detail}`;
  }

  it('refuses a welcome that does not answer its hello', async () => {
    const { to: _, ...said } = { ...hello, nodeId: toNodeId(2), storeId: 'store-2' };
    const port = await impostor(() => encodeWelcome({ ...said, counter: 77 }));
    expect(await refusalOf(port)).toMatch(/^FRAME_MALFORMED (counter|lane)$/);
    const other = await impostor(() => encodeWelcome({ ...said, clusterId: 'other' }));
    expect(await refusalOf(other)).toBe('CLUSTER_MISMATCH clusterId');
    const text = await impostor(() => 'welcome!');
    expect(await refusalOf(text)).toBe('FRAME_MALFORMED text frame');
    const newer = await impostor(() => encodeFrame(frameTypes.welcome, 0, 0, Buffer.of(2)));
    expect(await refusalOf(newer)).toBe('VERSION_MISMATCH protocolVersion');
  });

  it('gives up on a server that accepts connections and says nothing', async () => {
    const server = createServer(() => {});
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const sockets = new Set<{ destroy(): void }>();
    server.on('connection', (socket) => sockets.add(socket));
    nodes.keep({
      close: async () => {
        for (const socket of sockets) socket.destroy();
        await new Promise((resolve) => server.close(resolve));
      },
    });
    const address = server.address();
    const port = typeof address === 'object' && address !== null ? address.port : 0;
    expect(await refusalOf(port)).toMatch(/^HANDSHAKE_TIMEOUT/);
  });
});
