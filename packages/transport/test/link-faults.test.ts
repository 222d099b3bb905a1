import type { Clock, TimerHandle } from '@moku/base';
import { afterEach, describe, expect, it } from 'vitest';
import { FrameProxy, type Rewrite } from '../../../test/support/frame-proxy.js';
import { createSystemClock, formatAddress } from '../src/index.js';
import {
  type LinkNode,
  LinkNodes,
  linked,
  type NodeOptions,
  until,
  untilStill,
} from './support/link-nodes.js';

const nodes = new LinkNodes();
afterEach(() => nodes.stop());

interface Proxied {
  readonly a: LinkNode;
  readonly b: LinkNode;
  readonly proxy: FrameProxy;
}

/** Node 1 dials node 2 through a proxy. */
async function proxied(rewrite?: Rewrite, options: NodeOptions = {}): Promise<Proxied> {
  const a = await nodes.start(1, options);
  const b = await nodes.start(2, options);
  const proxy = nodes.keep(await FrameProxy.start(b.links.address));
  proxy.rewrite = rewrite;
  b.links.setPeers([{ nodeId: a.nodeId, address: a.address }]);
  a.links.setPeers([{ nodeId: b.nodeId, address: formatAddress(proxy.address) }]);
  await linked(a, b);
  return { a, b, proxy };
}

/** Does something once to the first message that holds the text MARK. */
function once(change: (payload: Buffer) => readonly Uint8Array[]): Rewrite {
  let isDone = false;
  return ({ payload }) => {
    if (isDone || !payload.includes('MARK')) return [payload];
    isDone = true;
    return change(payload);
  };
}

describe('a fault on the way', () => {
  const faults: [string, (payload: Buffer) => readonly Uint8Array[], string, string][] = [
    [
      'a changed byte',
      (payload) => {
        payload[payload.length - 1]! ^= 1;
        return [payload];
      },
      'FRAME_CORRUPT',
      'checksum',
    ],
    ['a lost message', () => [], 'FRAME_MALFORMED', 'sequence'],
    ['a repeated message', (payload) => [payload, payload], 'FRAME_MALFORMED', 'sequence'],
    ['a truncated message', (payload) => [payload.subarray(0, 26)], 'FRAME_CORRUPT', 'checksum'],
    ['a stub of a message', (payload) => [payload.subarray(0, 3)], 'FRAME_MALFORMED', 'truncated'],
    [
      'an oversized message',
      (payload) => [Buffer.concat([payload, Buffer.alloc(2 * 1024 * 1024)])],
      'FRAME_TOO_LARGE',
      'WS_ERR_UNSUPPORTED_MESSAGE_LENGTH',
    ],
  ];
  it.each(faults)(
    'like %s ends the session with a code on both ends, and the next one works',
    async (_, change, reason, detail) => {
      const { a, b } = await proxied(once(change));
      const former = a.session(b).sessionId;
      for (const text of ['before', 'MARK', 'after']) a.say(b, text);
      await until(() => a.seen.length >= 3 && b.closeReasons().length === 1 && b.hasSession(a));
      expect(b.status(a).lastClose).toEqual({ reason, detail, isByPeer: false });
      expect(a.status(b).lastClose).toMatchObject({ reason, isByPeer: true });
      expect(b.texts('control')).not.toContain('after');
      expect(b.texts('control')[0]).toBe('before');
      await linked(a, b);
      expect(a.session(b).sessionId).not.toBe(former);
      a.say(b, 'anew');
      await until(() => b.texts('control').at(-1) === 'anew');
    },
  );

  it('on one link leaves the node’s other links alone', async () => {
    const { a, b } = await proxied(once(() => []));
    const c = await nodes.start(3);
    c.links.setPeers([a, b].map(({ nodeId, address }) => ({ nodeId, address })));
    b.links.setPeers([a, c].map(({ nodeId, address }) => ({ nodeId, address })));
    await linked(b, c);
    for (const text of ['MARK', 'after']) a.say(b, text);
    await until(() => b.closeReasons().length === 1);
    b.say(c, 'still here');
    await until(() => c.texts('control').length === 1);
    expect(c.closeReasons()).toEqual([]);
  });

  it('is noticed when two messages change places', async () => {
    let held: Buffer | undefined;
    const { a, b } = await proxied(({ payload }) => {
      if (payload.includes('MARK')) {
        held = payload;
        return [];
      }
      const late = held;
      held = undefined;
      return late === undefined ? [payload] : [payload, late];
    });
    for (const text of ['MARK', 'after']) a.say(b, text);
    await until(() => b.closeReasons().length === 1);
    expect(b.closeReasons()).toEqual(['FRAME_MALFORMED']);
    expect(b.texts('control')).toEqual([]);
  });
});

describe('the end of one socket', () => {
  it.each([0, 1])('is the end of the session on both ends (socket %i)', async (connection) => {
    const { a, b, proxy } = await proxied();
    const former = a.session(b).sessionId;
    proxy.reset(connection);
    await until(() => a.closeReasons().length === 1 && b.closeReasons().length === 1);
    expect(a.closeReasons()).toEqual(['CONNECTION_LOST']);
    expect(b.closeReasons()).toEqual(['CONNECTION_LOST']);
    await linked(a, b);
    expect(a.session(b).sessionId).not.toBe(former);
  });

  it('leads to dialing again for as long as it takes', async () => {
    const { a, b, proxy } = await proxied();
    proxy.cut();
    await until(() => a.closeReasons().length === 1 && b.closeReasons().length === 1);
    await until(() => a.status(b).lastRefusal !== undefined);
    expect(a.links.status()[0]).toMatchObject({ sessionsOpened: 1, sessionId: undefined });
    proxy.heal();
    await linked(a, b);
    expect(a.status(b).sessionsOpened).toBe(2);
  });
});

describe('the wait before dialing again', () => {
  /** A clock that can leap, and that remembers the delays asked of it. */
  function watchedClock(): { clock: Clock; delaysMs: number[]; leap(ms: number): void } {
    const system = createSystemClock();
    const delaysMs: number[] = [];
    let leapMs = 0;
    const clock: Clock = {
      monotonicMs: () => system.monotonicMs() + leapMs,
      wallMs: () => system.wallMs(),
      after: (delayMs, task) => {
        delaysMs.push(delayMs);
        return system.after(delayMs, task);
      },
      soon: (task) => system.soon(task),
    };
    const leap = (ms: number): void => {
      leapMs += ms;
    };
    return { clock, delaysMs, leap };
  }

  it.each([
    ['is short after a session that stood for a while', 5_000, 5, 10],
    ['stays long after one that ended at once', 0, 40, 640],
  ])('%s', async (_, stoodMs, leastMs, mostMs) => {
    const { clock, delaysMs, leap } = watchedClock();
    // Ticks and handshakes have longer delays than any wait here.
    const silenceMs = 9_000;
    const { a, b, proxy } = await proxied(undefined, { clock, silenceMs, backoffMinMs: 10 });
    const waits = (): number[] => delaysMs.filter((delayMs) => delayMs < 700);
    proxy.cut();
    await until(() => waits().length >= 4);
    proxy.heal();
    await linked(a, b);
    leap(stoodMs);
    delaysMs.length = 0;
    proxy.reset();
    await until(() => waits().length >= 1);
    expect(waits()[0]).toBeGreaterThanOrEqual(leastMs);
    expect(waits()[0]).toBeLessThanOrEqual(mostMs);
  });

  it('is as long as it gets when the peer will not change its mind', async () => {
    const a = await nodes.start(1, { backoffMinMs: 10, backoffMaxMs: 60_000 });
    const b = await nodes.start(2, { clusterId: 'other' });
    const proxy = nodes.keep(await FrameProxy.start(b.links.address));
    b.links.setPeers([{ nodeId: a.nodeId, address: a.address }]);
    a.links.setPeers([{ nodeId: b.nodeId, address: formatAddress(proxy.address) }]);
    await until(() => a.status(b).phase === 'waiting');
    await untilStill(() => proxy.connectionsMade);
    expect(proxy.connectionsMade).toBe(2);
    expect(a.status(b).lastRefusal?.reason).toBe('CLUSTER_MISMATCH');
  });
});

describe('a frame of a former session', () => {
  it('is not delivered after the session ended, however many are on the way', async () => {
    const { a, b } = await proxied();
    let received = 0;
    b.onEachFrame = (_lane, _bytes, session) => {
      received += 1;
      if (received === 10) b.links.closeSession(session, 'closed');
    };
    const session = a.session(b);
    for (let i = 0; i < 1_000; i++)
      a.links.send(session, i % 2 ? 'bulk' : 'control', Buffer.alloc(99));
    await until(() => a.closeReasons().length === 1 && b.hasSession(a));
    await linked(a, b);
    a.say(b, 'x');
    await until(() => received > 10);
    expect(received).toBe(11);
  });
});

describe('a silent peer', () => {
  it('is noticed within a second on both ends of a half-open link', async () => {
    const { a, b, proxy } = await proxied();
    const startMs = performance.now();
    proxy.setFlow('up', 'swallow');
    proxy.setFlow('down', 'swallow');
    await until(() => a.closeReasons().length === 1 && b.closeReasons().length === 1);
    // Both by themselves: neither hears the other. 900 ms, and some for a busy machine.
    expect(performance.now() - startMs).toBeLessThan(1_500);
    expect(a.status(b).lastClose).toMatchObject({ reason: 'PEER_SILENT', isByPeer: false });
    expect(b.status(a).lastClose).toMatchObject({ reason: 'PEER_SILENT', isByPeer: false });
    proxy.setFlow('up', 'pass');
    proxy.setFlow('down', 'pass');
    await linked(a, b);
  });

  it.each(['up', 'down'] as const)(
    'is noticed when only %s is dead, and told',
    async (direction) => {
      const { a, b, proxy } = await proxied();
      proxy.setFlow(direction, 'swallow');
      await until(() => a.closeReasons().length === 1 && b.closeReasons().length === 1);
      const [deaf, other] = direction === 'up' ? [b, a] : [a, b];
      expect(deaf.status(other).lastClose).toMatchObject({
        reason: 'PEER_SILENT',
        isByPeer: false,
      });
      expect(other.status(deaf).lastClose).toMatchObject({ reason: 'PEER_SILENT', isByPeer: true });
    },
  );

  it('is noticed when only the bulk socket is dead, in its own time', async () => {
    const { a, b, proxy } = await proxied(undefined, { silenceMs: 200 });
    proxy.setFlowOf(1, 'up', 'swallow');
    proxy.setFlowOf(1, 'down', 'swallow');
    await until(() => a.closeReasons().length === 1 && b.closeReasons().length === 1);
    expect(a.status(b).lastClose).toMatchObject({ reason: 'PEER_SILENT' });
  });

  it('is not one that is merely idle, and idling costs a few frames a second', async () => {
    const { a, b } = await proxied(undefined, { silenceMs: 300 });
    const before = a.status(b);
    const startMs = performance.now();
    await until(() => performance.now() - startMs > 1_500);
    const seconds = (performance.now() - startMs) / 1_000;
    expect([...a.closeReasons(), ...b.closeReasons()]).toEqual([]);
    const frames = a.status(b).control.framesOut - before.control.framesOut;
    expect(frames).toBeGreaterThan(0);
    expect(frames / seconds).toBeLessThan(12);
    const bulkFrames = a.status(b).bulk.framesOut - before.bulk.framesOut;
    expect(bulkFrames / seconds).toBeLessThan(4);
  });

  it('is not one behind a slow network', async () => {
    const { a, b, proxy } = await proxied();
    proxy.setDelay('up', () => 150);
    proxy.setDelay('down', () => 150);
    a.say(b, 'slow');
    await until(() => b.texts('control').length === 1);
    const startMs = performance.now();
    await until(() => performance.now() - startMs > 1_000);
    expect([...a.closeReasons(), ...b.closeReasons()]).toEqual([]);
  });

  it('is judged by nobody who was asleep: both ends stop for longer than the silence', async () => {
    const { a, b } = await proxied();
    const endMs = performance.now() + 1_500;
    while (performance.now() < endMs);
    a.say(b, 'awake');
    await until(() => b.texts('control').length === 1);
    const laterMs = performance.now() + 500;
    await until(() => performance.now() > laterMs);
    expect([...a.closeReasons(), ...b.closeReasons()]).toEqual([]);
  });

  it('is judged by a clock of its own: a leap of it alone closes nothing', async () => {
    const system = createSystemClock();
    let leapMs = 0;
    const leaping: Clock = {
      monotonicMs: () => system.monotonicMs() + leapMs,
      wallMs: () => system.wallMs(),
      after: (delayMs: number, task: () => void): TimerHandle => system.after(delayMs, task),
      soon: (task) => system.soon(task),
    };
    const { a, b } = await proxied(undefined, { clock: leaping });
    leapMs = 60_000;
    const laterMs = performance.now() + 500;
    await until(() => performance.now() > laterMs);
    expect([...a.closeReasons(), ...b.closeReasons()]).toEqual([]);
  });
});

describe('a peer that does not read', () => {
  it('makes the queue grow up to its bound, and then the session end with PEER_OVERRUN', async () => {
    const bufferedBytesMax = 1024 * 1024;
    const { a, b, proxy } = await proxied(undefined, { bufferedBytesMax });
    proxy.setFlow('up', 'hold');
    const session = a.session(b);
    const frame = Buffer.alloc(64 * 1024);
    let queuedMax = 0;
    let sent = 0;
    while (a.links.send(session, 'control', frame)) {
      sent += 1;
      queuedMax = Math.max(queuedMax, a.links.bufferedBytes(session, 'control'));
      if (sent % 16 === 0) await until(() => true);
    }
    expect(queuedMax).toBeGreaterThan(bufferedBytesMax / 2);
    expect(queuedMax).toBeLessThanOrEqual(bufferedBytesMax + 64);
    await until(() => a.closeReasons().length === 1);
    expect(a.status(b).lastClose).toEqual({
      reason: 'PEER_OVERRUN',
      detail: 'control',
      isByPeer: false,
    });
    proxy.setFlow('up', 'pass');
    await linked(a, b);
  });

  it('loses nothing when it only pauses', async () => {
    const { a, b, proxy } = await proxied();
    proxy.setFlow('up', 'hold');
    const texts = Array.from({ length: 400 }, (_, i) => `${i} ${'x'.repeat(10_000)}`);
    for (const text of texts) expect(a.say(b, text)).toBe(true);
    await until(() => a.links.bufferedBytes(a.session(b), 'control') > 0);
    proxy.setFlow('up', 'pass');
    await until(() => b.texts('control').length === 400);
    expect(b.texts('control')).toEqual(texts);
    expect(a.closeReasons()).toEqual([]);
  });
});

describe('the control lane', () => {
  it('does not wait for the bulk lane, which is stuck with a full queue', async () => {
    const { a, b, proxy } = await proxied();
    proxy.setFlowOf(1, 'up', 'hold');
    const session = a.session(b);
    const chunk = Buffer.alloc(256 * 1024);
    await until(() => {
      a.links.send(session, 'bulk', chunk);
      return a.links.bufferedBytes(session, 'bulk') > 4 * 1024 * 1024;
    });
    b.onEachFrame = (lane, bytes) => {
      if (lane === 'control') b.links.send(b.session(a), 'control', bytes);
    };
    for (let i = 1; i <= 20; i++) {
      a.say(b, `round trip ${i}`);
      await until(() => a.texts('control').length === i);
    }
    expect(a.links.bufferedBytes(session, 'bulk')).toBeGreaterThan(4 * 1024 * 1024);
  });
});
