/**
 * What every Transport does, whatever carries it: the contract of packages/region/src/contracts/transport.ts.
 * An adapter brings a world in which nodes start, stop and are linked with each other.
 */
import { limits, type NodeId, toNodeId } from '@moku/base';
import type { Lane, LinkSession, Transport, TransportEvents } from '@moku/region';
import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';

export interface TransportWorld {
  /** A node that starts, or starts again after `stop`; it is linked with all others. */
  start(nodeId: NodeId, incarnation: number): Promise<Transport>;
  stop(nodeId: NodeId): Promise<void>;
  /** Lets things happen until `condition` holds; rejects when it will not. */
  settle(condition: () => boolean): Promise<void>;
  close(): Promise<void>;
}

type Event =
  | { kind: 'open'; session: LinkSession }
  | { kind: 'frame'; session: LinkSession; lane: Lane; bytes: Uint8Array }
  | { kind: 'close'; session: LinkSession; reason: string };

/** A node and what it saw. */
class Node implements TransportEvents {
  readonly nodeId: NodeId;
  readonly transport: Transport;
  readonly events: Event[] = [];
  private readonly open = new Map<NodeId, LinkSession>();
  /** True while a call into the transport is under way: nothing may come back within it. */
  private isCalling = false;
  wasReentered = false;

  constructor(nodeId: NodeId, transport: Transport) {
    this.nodeId = nodeId;
    this.transport = transport;
    transport.subscribe(this);
  }

  onSessionOpen(session: LinkSession): void {
    this.record({ kind: 'open', session });
    expect(this.open.has(session.peer)).toBe(false);
    this.open.set(session.peer, session);
  }

  onFrame(session: LinkSession, lane: Lane, bytes: Uint8Array): void {
    this.record({ kind: 'frame', session, lane, bytes });
    expect(this.open.get(session.peer)?.sessionId).toBe(session.sessionId);
  }

  onSessionClose(session: LinkSession, reason: string): void {
    this.record({ kind: 'close', session, reason });
    expect(this.open.get(session.peer)?.sessionId).toBe(session.sessionId);
    this.open.delete(session.peer);
  }

  private record(event: Event): void {
    this.wasReentered ||= this.isCalling;
    this.events.push(event);
  }

  isLinkedWith(peer: Node): boolean {
    return this.open.has(peer.nodeId);
  }

  sessionWith(peer: Node): LinkSession {
    const session = this.open.get(peer.nodeId);
    if (session === undefined) throw new Error(`${this.nodeId} has no session with ${peer.nodeId}`);
    return session;
  }

  send(session: LinkSession, lane: Lane, bytes: Uint8Array): boolean {
    this.isCalling = true;
    const isSent = this.transport.send(session, lane, bytes);
    this.isCalling = false;
    return isSent;
  }

  closeSession(session: LinkSession, reason: string): void {
    this.isCalling = true;
    this.transport.closeSession(session, reason);
    this.isCalling = false;
  }

  frames(lane: Lane): Uint8Array[] {
    return this.events.flatMap((event) =>
      event.kind === 'frame' && event.lane === lane ? [event.bytes] : [],
    );
  }

  /** Numbers that came on a lane, per session. */
  numbersBySession(lane: Lane): Map<string, number[]> {
    const numbers = new Map<string, number[]>();
    for (const event of this.events) {
      if (event.kind !== 'frame' || event.lane !== lane) continue;
      const list = numbers.get(event.session.sessionId) ?? [];
      list.push(numberOf(event.bytes));
      numbers.set(event.session.sessionId, list);
    }
    return numbers;
  }

  kinds(): string[] {
    return this.events.map(({ kind }) => kind);
  }

  closeReasons(): string[] {
    return this.events.flatMap((event) => (event.kind === 'close' ? [event.reason] : []));
  }
}

function frameOf(number: number, length = 4): Uint8Array {
  const bytes = new Uint8Array(Math.max(4, length)).fill(number & 0xff);
  new DataView(bytes.buffer).setUint32(0, number);
  return bytes;
}

function numberOf(bytes: Uint8Array): number {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength).getUint32(0);
}

export function describeTransport(name: string, createWorld: () => TransportWorld): void {
  describe(`the transport over ${name}`, () => {
    let world: TransportWorld;
    beforeEach(() => {
      world = createWorld();
    });
    afterEach(() => world.close());

    async function start(id: number, incarnation = 1): Promise<Node> {
      return new Node(toNodeId(id), await world.start(toNodeId(id), incarnation));
    }

    async function pair(): Promise<[Node, Node]> {
      const a = await start(1);
      const b = await start(2);
      await linked(a, b);
      return [a, b];
    }

    function linked(a: Node, b: Node): Promise<void> {
      return world.settle(
        () =>
          a.isLinkedWith(b) &&
          b.isLinkedWith(a) &&
          a.sessionWith(b).sessionId === b.sessionWith(a).sessionId,
      );
    }

    it('opens one session per pair, under one id on both ends', async () => {
      const a = await start(1, 5);
      const b = await start(2, 7);
      const c = await start(3);
      for (const [x, y] of [
        [a, b],
        [b, c],
        [a, c],
      ] as const)
        await linked(x, y);
      expect(a.sessionWith(b)).toMatchObject({ peer: 2, peerIncarnation: 7 });
      expect(b.sessionWith(a)).toMatchObject({ peer: 1, peerIncarnation: 5 });
      const ids = [a.sessionWith(b), a.sessionWith(c), b.sessionWith(c)].map((s) => s.sessionId);
      expect(new Set(ids).size).toBe(3);
      expect(a.kinds()).toEqual(['open', 'open']);
    });

    it('delivers the frames of a lane in the order sent, each once (T1)', async () => {
      const [a, b] = await pair();
      const wanted = Array.from({ length: 500 }, (_, i) => i);
      for (const number of wanted) {
        expect(a.send(a.sessionWith(b), 'control', frameOf(number))).toBe(true);
        expect(a.send(a.sessionWith(b), 'bulk', frameOf(number, 1_000))).toBe(true);
        expect(b.send(b.sessionWith(a), 'control', frameOf(number))).toBe(true);
      }
      await world.settle(() => b.events.length === 1_001 && a.events.length === 501);
      expect(b.frames('control').map(numberOf)).toEqual(wanted);
      expect(b.frames('bulk').map(numberOf)).toEqual(wanted);
      expect(a.frames('control').map(numberOf)).toEqual(wanted);
    });

    it('delivers empty frames and the largest', async () => {
      const [a, b] = await pair();
      const sent = [new Uint8Array(0), frameOf(1, limits.frameBytesMax), new Uint8Array(0)];
      for (const frame of sent) a.send(a.sessionWith(b), 'control', frame);
      await world.settle(() => b.events.length === 4);
      expect(b.frames('control').map((bytes) => bytes.length)).toEqual([
        0,
        limits.frameBytesMax,
        0,
      ]);
      expect(Buffer.compare(b.frames('control')[1]!, sent[1]!)).toBe(0);
    });

    it('takes what it is given as it is then, and gives it away for good (T4)', async () => {
      const [a, b] = await pair();
      const scratch = new Uint8Array(3_000);
      for (let i = 0; i < 300; i++) {
        scratch.fill(i % 256);
        a.send(a.sessionWith(b), i % 2 === 0 ? 'control' : 'bulk', scratch);
      }
      await world.settle(() => b.events.length === 301);
      const early = [...b.events];
      scratch.fill(255);
      for (let i = 0; i < 300; i++) a.send(a.sessionWith(b), 'control', scratch);
      await world.settle(() => b.events.length === 601);
      const bytesOf = (lane: Lane): number[] =>
        early.flatMap((e) => (e.kind === 'frame' && e.lane === lane ? [e.bytes[0]!] : []));
      const isWhole = (e: Event): boolean =>
        e.kind !== 'frame' || e.bytes.every((byte) => byte === e.bytes[0]);
      expect(early.every(isWhole)).toBe(true);
      const counts = Array.from({ length: 300 }, (_, i) => i);
      expect(bytesOf('control')).toEqual(counts.filter((i) => i % 2 === 0).map((i) => i % 256));
      expect(bytesOf('bulk')).toEqual(counts.filter((i) => i % 2 === 1).map((i) => i % 256));
    });

    it('hands over bytes whose slice is a copy', async () => {
      const [a, b] = await pair();
      a.send(a.sessionWith(b), 'control', frameOf(7, 100));
      await world.settle(() => b.events.length === 2);
      const [frame] = b.frames('control');
      frame?.slice().fill(0);
      expect(frame && numberOf(frame)).toBe(7);
    });

    it('ends a session on both ends with the reason given, and opens another', async () => {
      const [a, b] = await pair();
      const former = a.sessionWith(b);
      a.closeSession(former, 'PEER_SILENT');
      expect(a.kinds()).toEqual(['open']);
      await world.settle(() => a.events.length === 3 && b.events.length === 3);
      for (const node of [a, b]) {
        expect(node.kinds()).toEqual(['open', 'close', 'open']);
        expect(node.closeReasons()).toEqual(['PEER_SILENT']);
        expect(node.wasReentered).toBe(false);
      }
      expect(a.sessionWith(b).sessionId).not.toBe(former.sessionId);
    });

    it('takes nothing for a session that is over, and leaves the present one alone (T2)', async () => {
      const [a, b] = await pair();
      const former = a.sessionWith(b);
      a.send(former, 'control', frameOf(1));
      a.closeSession(former, 'closed');
      expect(a.send(former, 'control', frameOf(2))).toBe(false);
      expect(a.transport.bufferedBytes(former, 'control')).toBe(0);
      await world.settle(() => a.events.length === 3 && b.isLinkedWith(a));
      await linked(a, b);
      expect(a.send(former, 'bulk', frameOf(3))).toBe(false);
      a.closeSession(former, 'closed');
      a.send(a.sessionWith(b), 'control', frameOf(4));
      await world.settle(() => b.frames('control').some((bytes) => numberOf(bytes) === 4));
      const numbers = b.frames('control').map(numberOf);
      expect(numbers).not.toContain(2);
      expect(numbers.at(-1)).toBe(4);
      expect(a.closeReasons()).toEqual(['closed']);
    });

    it('tells of a restarted peer by a new session with its new incarnation (T3)', async () => {
      for (const restarted of [1, 2]) {
        const [a, b] = await pair();
        const [stays, leaves] = restarted === 1 ? [b, a] : [a, b];
        const former = stays.sessionWith(leaves);
        leaves.send(leaves.sessionWith(stays), 'control', frameOf(1));
        await world.stop(leaves.nodeId);
        await world.settle(() => !stays.isLinkedWith(leaves));
        expect(stays.send(former, 'control', frameOf(2))).toBe(false);
        const back = await start(restarted, 2);
        await linked(stays, back);
        expect(stays.sessionWith(back)).toMatchObject({ peerIncarnation: 2 });
        expect(stays.sessionWith(back).sessionId).not.toBe(former.sessionId);
        expect(back.frames('control')).toEqual([]);
        await world.close();
        world = createWorld();
      }
    });

    it('counts what waits, and ends a session whose queue is too long rather than drop a frame', async () => {
      const [a, b] = await pair();
      const session = a.sessionWith(b);
      let sent = 0;
      let bufferedMax = 0;
      while (a.send(session, 'control', frameOf(sent, 64 * 1024)) && sent < 10_000) {
        sent += 1;
        bufferedMax = Math.max(bufferedMax, a.transport.bufferedBytes(session, 'control'));
      }
      expect(sent).toBeLessThan(10_000);
      expect(bufferedMax).toBeGreaterThan(limits.linkBufferedBytesMax / 2);
      expect(bufferedMax).toBeLessThan(limits.linkBufferedBytesMax + limits.frameBytesMax);
      expect(a.kinds()).toEqual(['open']);
      await world.settle(() => a.closeReasons().length === 1 && b.closeReasons().length === 1);
      expect(a.closeReasons()).toEqual(['PEER_OVERRUN']);
      const numbers = b.frames('control').map(numberOf);
      expect(numbers).toEqual(numbers.map((_, i) => i));
    });

    it('gives every session a prefix of what was sent in it, whatever is sent and closed', async () => {
      const action = fc.record({
        from: fc.integer({ min: 0, max: 2 }),
        to: fc.integer({ min: 0, max: 2 }),
        what: fc.constantFrom('control', 'control', 'bulk', 'close', 'wait'),
        length: fc.constantFrom(4, 100, 70_000),
      });
      await fc.assert(
        fc.asyncProperty(fc.array(action, { minLength: 5, maxLength: 60 }), async (script) => {
          const all = [await start(1), await start(2), await start(3)];
          const sent = new Map<string, number[]>();
          const isLinked = (): boolean =>
            all.every((x) => all.every((y) => x === y || x.isLinkedWith(y)));
          await world.settle(isLinked);
          let number = 0;
          for (const { from, to, what, length } of script) {
            const [x, y] = [all[from]!, all[to]!];
            if (x === y || !x.isLinkedWith(y)) continue;
            const session = x.sessionWith(y);
            if (what === 'close') x.closeSession(session, 'closed');
            else if (what === 'wait') await world.settle(isLinked);
            else {
              number += 1;
              if (!x.send(session, what as Lane, frameOf(number, length))) continue;
              const key = `${session.sessionId} ${x.nodeId} ${what}`;
              sent.set(key, [...(sent.get(key) ?? []), number]);
            }
          }
          await world.settle(isLinked);
          for (const [key, numbers] of sent) {
            const [sessionId = '', nodeId, lane] = key.split(' ');
            for (const node of all) {
              if (node.nodeId === Number(nodeId)) continue;
              const got = node.numbersBySession(lane as Lane).get(sessionId) ?? [];
              const mine = got.filter((n) => numbers.includes(n));
              expect(mine).toEqual(numbers.slice(0, mine.length));
            }
          }
          for (const node of all) expect(node.wasReentered).toBe(false);
          await world.close();
          world = createWorld();
        }),
        { seed: 31, numRuns: 12 },
      );
    });
  });
}
