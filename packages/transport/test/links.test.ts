import { Socket } from 'node:net';
import { isMokuError, type NodeId, toNodeId } from '@moku/base';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { formatAddress } from '../src/index.js';
import { introduce, LinkNode, LinkNodes, linked, until } from './support/link-nodes.js';

const nodes = new LinkNodes();
afterEach(() => nodes.stop());

describe('a session', () => {
  it('opens once on each end, under one id, with the other end as peer', async () => {
    const [a, b] = await nodes.pair();
    expect(a.seen.map((event) => event.kind)).toEqual(['open']);
    expect(b.seen.map((event) => event.kind)).toEqual(['open']);
    expect(a.session(b)).toMatchObject({ peer: 2, peerIncarnation: 1, sessionId: '1.1.1' });
    expect(b.session(a)).toMatchObject({ peer: 1, peerIncarnation: 1, sessionId: '1.1.1' });
  });

  it('is dialed by the lower id only', async () => {
    const [a, b] = await nodes.pair();
    expect(a.status(b)).toMatchObject({ isDialer: true, phase: 'open', sessionsOpened: 1 });
    expect(b.status(a)).toMatchObject({ isDialer: false, phase: 'open', sessionsOpened: 1 });
  });

  it('carries frames of both lanes, both ways, each lane in order', async () => {
    const [a, b] = await nodes.pair();
    const wanted = Array.from({ length: 200 }, (_, i) => `frame ${i}`);
    for (const text of wanted) {
      a.say(b, text);
      a.say(b, text, 'bulk');
      b.say(a, text);
    }
    await until(() => b.texts('control').length === 200 && b.texts('bulk').length === 200);
    await until(() => a.texts('control').length === 200);
    expect(b.texts('control')).toEqual(wanted);
    expect(b.texts('bulk')).toEqual(wanted);
    expect(a.texts('control')).toEqual(wanted);
  });

  it('carries empty frames and the largest allowed, and asserts on a larger one', async () => {
    const [a, b] = await nodes.pair();
    const largest = Buffer.alloc(2 * 1024 * 1024, 'x').toString();
    a.say(b, '');
    a.say(b, largest);
    await until(() => b.texts('control').length === 2);
    expect(b.texts('control')).toEqual(['', largest]);
    expect(() => a.say(b, `${largest}x`)).toThrow(/X4/);
  });

  it('hands the frames of one turn to the operating system at once', async () => {
    const [a, b] = await nodes.pair();
    const writes = [vi.spyOn(Socket.prototype, '_write'), vi.spyOn(Socket.prototype, '_writev')];
    for (let i = 0; i < 50; i++) a.say(b, `frame ${i}`);
    await until(() => b.texts('control').length === 50);
    const calls = writes.reduce((count, spy) => count + spy.mock.calls.length, 0);
    for (const spy of writes) spy.mockRestore();
    // One for the frames; a sign of life or two may come in between.
    expect(calls).toBeGreaterThanOrEqual(1);
    expect(calls).toBeLessThanOrEqual(3);
  });

  it('copies what it is given to send, and never writes to what it has handed over', async () => {
    const [a, b] = await nodes.pair();
    const scratch = Buffer.alloc(300);
    for (let i = 0; i < 500; i++) {
      scratch.fill(i % 251);
      a.links.send(a.session(b), 'control', scratch);
    }
    await until(() => b.seen.length === 501);
    // Later traffic must not overwrite what arrived before.
    for (let i = 0; i < 500; i++) a.links.send(a.session(b), 'control', scratch);
    await until(() => b.seen.length === 1001);
    b.seen.slice(1, 501).forEach((event, i) => {
      expect(event.kind === 'frame' && event.bytes.every((byte) => byte === i % 251)).toBe(true);
    });
  });

  it('hands over plain bytes, whose slice is a copy', async () => {
    const [a, b] = await nodes.pair();
    a.say(b, 'plain');
    await until(() => b.seen.length === 2);
    const event = b.seen[1];
    if (event?.kind !== 'frame') throw new Error('expected a frame');
    expect(Buffer.isBuffer(event.bytes)).toBe(false);
    event.bytes.slice()[0] = 0;
    expect(b.texts('control')).toEqual(['plain']);
  });

  it('ends on both ends with the reason it was closed for, and a new one opens', async () => {
    const [a, b] = await nodes.pair();
    const former = b.session(a);
    b.links.closeSession(former, 'PEER_SILENT');
    expect(b.closeReasons()).toEqual([]);
    await until(() => a.seen.length === 3 && b.seen.length === 3);
    expect(a.seen.map((event) => event.kind)).toEqual(['open', 'close', 'open']);
    expect(b.seen.map((event) => event.kind)).toEqual(['open', 'close', 'open']);
    expect(a.closeReasons()).toEqual(['PEER_SILENT']);
    expect(b.closeReasons()).toEqual(['PEER_SILENT']);
    expect(a.status(b).lastClose).toMatchObject({ reason: 'PEER_SILENT', isByPeer: true });
    expect(b.status(a).lastClose).toMatchObject({ reason: 'PEER_SILENT', isByPeer: false });
    expect(b.session(a).sessionId).not.toBe(former.sessionId);
  });

  it('takes nothing once it is closed, and a former one does not touch the present one', async () => {
    const [a, b] = await nodes.pair();
    const former = a.session(b);
    a.links.closeSession(former, 'closed');
    expect(a.links.send(former, 'control', Buffer.from('late'))).toBe(false);
    expect(a.links.bufferedBytes(former, 'control')).toBe(0);
    await until(() => a.seen.length === 3 && b.seen.length === 3);
    expect(a.links.send(former, 'control', Buffer.from('late'))).toBe(false);
    a.links.closeSession(former, 'closed');
    a.say(b, 'present');
    await until(() => b.texts('control').length === 1);
    expect(b.texts('control')).toEqual(['present']);
    expect(a.closeReasons()).toEqual(['closed']);
  });

  it('counts frames and bytes of each lane, over sessions', async () => {
    const [a, b] = await nodes.pair();
    a.say(b, 'ten bytes!');
    a.say(b, 'ten bytes!', 'bulk');
    await until(() => b.seen.length === 3);
    expect(a.status(b).bulk).toMatchObject({ framesOut: 1, bytesOut: 34, bufferedBytes: 0 });
    expect(b.status(a).bulk).toMatchObject({ framesIn: 1, bytesIn: 34 });
    a.links.closeSession(a.session(b), 'closed');
    await until(() => a.seen.length === 3);
    expect(a.status(b).bulk).toMatchObject({ framesOut: 1, bytesOut: 34 });
    expect(a.status(b).sessionsOpened).toBe(2);
  });
});

describe('links', () => {
  it('join every pair of several nodes', async () => {
    const all = await Promise.all([1, 2, 3, 4].map((id) => nodes.start(id)));
    introduce(...all);
    for (const a of all) for (const b of all) if (a !== b) await linked(a, b);
    for (const node of all) expect(node.links.status()).toHaveLength(3);
  });

  it('open a session with a peer that starts later', async () => {
    const a = await nodes.start(1);
    const b = await nodes.start(2);
    const { address } = b;
    const port = b.links.address.port;
    await b.links.close();
    a.links.setPeers([{ nodeId: b.nodeId, address }]);
    await until(() => a.status(b).lastRefusal?.reason === 'UNAVAILABLE');
    const late = await nodes.start(2, { listen: { host: '127.0.0.1', port } });
    introduce(a, late);
    await linked(a, late);
    expect(a.status(late).lastRefusal).toBeUndefined();
  });

  it('find a restarted peer again, in a session that tells its new incarnation', async () => {
    for (const restarted of [1, 2]) {
      const known = new Map<NodeId, string>();
      const [a, b] = await nodes.pair({ known });
      const [stays, leaves] = restarted === 1 ? [b, a] : [a, b];
      const listen = leaves.links.address;
      const former = stays.session(leaves).sessionId;
      await leaves.links.close();
      await until(() => !stays.hasSession(leaves));
      const back = await nodes.start(restarted, { listen, known, incarnation: 2 });
      introduce(stays, back);
      await linked(stays, back);
      expect(stays.session(back).peerIncarnation).toBe(2);
      expect(stays.session(back).sessionId).not.toBe(former);
      await nodes.stop();
    }
  });

  it('end when the peer is no longer one, and begin when it is one again', async () => {
    const [a, b] = await nodes.pair();
    a.links.setPeers([]);
    await until(() => !b.hasSession(a));
    expect(a.links.status()).toEqual([]);
    expect(b.closeReasons()).toEqual(['closed']);
    introduce(a, b);
    await linked(a, b);
  });

  it('use a new address of a peer that was not found under the old one', async () => {
    const a = await nodes.start(1, { backoffMinMs: 60_000, backoffMaxMs: 60_000 });
    const b = await nodes.start(2);
    a.links.setPeers([{ nodeId: b.nodeId, address: '127.0.0.1:1' }]);
    b.links.setPeers([{ nodeId: a.nodeId, address: a.address }]);
    await until(() => a.status(b).phase === 'waiting');
    introduce(a, b);
    await linked(a, b);
  });

  it('tell each open session of its end when they are closed', async () => {
    const [a, b] = await nodes.pair();
    await a.links.close();
    expect(a.closeReasons()).toEqual(['closed']);
    await until(() => b.closeReasons().length === 1);
    expect(b.closeReasons()).toEqual(['closed']);
    await a.links.close();
  });

  it('refuse a port that is taken, naming it', async () => {
    const a = await nodes.start(1);
    const { port } = a.links.address;
    const taken = nodes.start(2, { listen: { host: '127.0.0.1', port } });
    await expect(taken).rejects.toSatisfy((error) => isMokuError(error, 'PORT_IN_USE'));
    await expect(taken).rejects.toMatchObject({
      details: { field: 'peerPort', host: '127.0.0.1', port },
    });
  });

  it('refuse addresses and ports that are none', async () => {
    const bad = nodes.start(1, { peers: [{ nodeId: toNodeId(2), address: 'nowhere' }] });
    await expect(bad).rejects.toMatchObject({
      code: 'INVALID_ARGUMENT',
      details: { field: 'peers' },
    });
    const port = nodes.start(1, { listen: { host: '127.0.0.1', port: 70_000 } });
    await expect(port).rejects.toMatchObject({ code: 'CONFIG_INVALID', details: { port: 70_000 } });
    const host = nodes.start(1, { listen: { host: '192.0.2.1', port: 0 } });
    await expect(host).rejects.toMatchObject({
      code: 'CONFIG_INVALID',
      details: { host: '192.0.2.1' },
    });
    const a = await nodes.start(1);
    expect(() => a.links.setPeers([{ nodeId: toNodeId(2), address: 'host:0' }])).toThrow(
      /INVALID_ARGUMENT/,
    );
  });

  it('accept nobody before they are subscribed to', async () => {
    const b = await nodes.open(2);
    const a = await nodes.start(1);
    const addressOfB = formatAddress(b.address);
    a.links.setPeers([{ nodeId: toNodeId(2), address: addressOfB }]);
    await until(() => a.status(toNodeId(2)).lastRefusal?.reason === 'UNAVAILABLE');
    b.setPeers([{ nodeId: a.nodeId, address: a.address }]);
    const subscribed = new LinkNode(toNodeId(2), b);
    await linked(a, subscribed);
  });

  it('dial nobody before they are subscribed to', async () => {
    const b = await nodes.start(2);
    const a = await nodes.open(1, { peers: [{ nodeId: b.nodeId, address: b.address }] });
    b.links.setPeers([{ nodeId: toNodeId(1), address: formatAddress(a.address) }]);
    expect(a.status()).toEqual([]);
    await linked(new LinkNode(toNodeId(1), a), b);
  });
});
