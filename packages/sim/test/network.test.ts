import { type Clock, createPrng, type NodeId } from '@moku/base';
import type { LinkSession, Transport } from '@moku/region';
import { describe, expect, it } from 'vitest';
import {
  type Network,
  type NetworkOptions,
  type NetworkProcess,
  SimNetwork,
} from '../src/world/network.js';
import { nextTask } from '../src/world/real-world.js';
import { Scheduler } from '../src/world/scheduler.js';
import { SocketNetwork } from '../src/world/socket-network.js';
import { type Fate, type WireEffect, Wires } from '../src/world/wires.js';

const a = 1 as NodeId;
const b = 2 as NodeId;

/** One node's transport and what it was told. */
interface Node {
  readonly transport: Transport;
  session: LinkSession | undefined;
  readonly sessions: string[];
  readonly closes: string[];
  /** Per session: first bytes of its control frames. */
  readonly frames: Map<string, number[]>;
}

class World {
  readonly scheduler = new Scheduler();
  readonly network: Network;

  constructor(kind: 'model' | 'real links', seed: number) {
    const prng = createPrng(seed);
    const options: NetworkOptions = {
      scheduler: this.scheduler,
      wires: new Wires({ latencyMs: () => 1 + prng.unit() * 5 }, prng.split(), 2),
      prng: prng.split(),
      redialMs: () => 20 + prng.unit() * 50,
      onDeliver: () => {},
    };
    this.network = kind === 'model' ? new SimNetwork(options) : new SocketNetwork(options, [a, b]);
  }

  start(nodeId: NodeId, incarnation: number, storeId = `store ${nodeId}`): Node {
    const { scheduler } = this;
    const known = new Map<NodeId, string>();
    const process: NetworkProcess = {
      nodeId,
      incarnation,
      storeId,
      storeIds: {
        known: (peer) => known.get(peer),
        remember: (peer, id) => known.set(peer, id),
      },
      run: (task) => task(),
    };
    const clock: Clock = {
      monotonicMs: () => scheduler.nowMs,
      wallMs: () => scheduler.nowMs,
      after: (delayMs, task) => scheduler.after(delayMs, task),
      soon: (task) => {
        scheduler.after(0.01, task);
      },
    };
    const transport = this.network.start(process, clock);
    const node: Node = {
      transport,
      session: undefined,
      sessions: [],
      closes: [],
      frames: new Map(),
    };
    transport.subscribe({
      onSessionOpen: (session) => {
        node.session = session;
        node.sessions.push(session.sessionId);
      },
      onFrame: (session, _lane, bytes) => {
        const frames = node.frames.get(session.sessionId) ?? [];
        frames.push(bytes[0]!);
        node.frames.set(session.sessionId, frames);
      },
      onSessionClose: (session, reason) => {
        if (node.session?.sessionId === session.sessionId) node.session = undefined;
        node.closes.push(reason);
      },
    });
    return node;
  }

  async run(ms: number): Promise<void> {
    const untilMs = this.scheduler.nowMs + ms;
    let isOver = false;
    this.scheduler.after(ms, () => {
      isOver = true;
    });
    await nextTask();
    while (!isOver) {
      this.scheduler.step();
      if (!this.scheduler.needsDrain) continue;
      this.scheduler.needsDrain = false;
      await nextTask();
    }
    expect(this.scheduler.nowMs).toBeCloseTo(untilMs);
  }
}

/** Sends frames 0, 1, … in the node's present session, each in its time. */
async function sendMany(world: World, from: Node, count: number): Promise<void> {
  for (let each = 0; each < count; each++) {
    if (from.session !== undefined) {
      from.transport.send(from.session, 'control', Uint8Array.of(each, 1, 2, 3));
    }
    // Frames are apart in time on purpose.
    await world.run(1);
  }
}

const noisy: readonly Fate[] = ['lost', 'twice', 'late', 'corrupt'];

describe.each(['model', 'real links'] as const)('a simulated network (%s)', (kind) => {
  it('carries frames both ways, in order, in one session that both ends know by one name', async () => {
    const world = new World(kind, 1);
    const [one, two] = [world.start(a, 1), world.start(b, 1)];
    await world.run(1_000);
    expect(one.sessions).toHaveLength(1);
    expect(two.sessions).toEqual(one.sessions);
    await sendMany(world, one, 50);
    await sendMany(world, two, 50);
    await world.run(100);
    const all = Array.from({ length: 50 }, (_, index) => index);
    expect(two.frames.get(one.sessions[0]!)).toEqual(all);
    expect(one.frames.get(one.sessions[0]!)).toEqual(all);
    expect([...one.closes, ...two.closes]).toEqual([]);
  });

  it.each(noisy)(
    'ends the session at the first frame that is %s, and opens another',
    async (fate) => {
      const world = new World(kind, 2);
      const [one, two] = [world.start(a, 1), world.start(b, 1)];
      await world.run(1_000);
      const effect: WireEffect = { kind: 'chance', fate, chance: 0.2 };
      world.network.wire(a, b).add(effect);
      await sendMany(world, one, 200);
      world.network.wire(a, b).remove(effect);
      await world.run(5_000);
      expect(two.closes).toContain(fate === 'corrupt' ? 'FRAME_CORRUPT' : 'FRAME_MALFORMED');
      for (const frames of two.frames.values()) {
        const first = frames[0]!;
        expect(frames).toEqual(frames.map((_, index) => first + index));
      }
      expect(one.sessions.length).toBeGreaterThan(1);
      expect(two.session?.sessionId).toBe(one.session?.sessionId);
      await sendMany(world, one, 5);
      await world.run(100);
      expect(two.frames.get(two.session!.sessionId)?.slice(-5)).toEqual([0, 1, 2, 3, 4]);
    },
  );

  it('holds back what travels in a clogged direction and brings it in order when that is free', async () => {
    const world = new World(kind, 3);
    const [one, two] = [world.start(a, 1), world.start(b, 1)];
    await world.run(1_000);
    world.network.clog(a, b);
    const session = one.session!;
    await sendMany(world, one, 30);
    await world.run(100);
    expect(two.frames.get(session.sessionId)).toBeUndefined();
    world.network.free(a, b);
    await sendMany(world, one, 10);
    await world.run(100);
    const held = Array.from({ length: 30 }, (_, index) => index);
    const later = Array.from({ length: 10 }, (_, index) => index);
    expect(two.frames.get(session.sessionId)).toEqual([...held, ...later]);
  });

  it('tells one end alone of a half-open link; the next session tells the other', async () => {
    const world = new World(kind, 4);
    const [one, two] = [world.start(a, 1), world.start(b, 1)];
    await world.run(1_000);
    world.network.halfOpen(a, b);
    await world.run(0.5);
    expect(one.closes).toEqual(['CONNECTION_LOST']);
    expect(two.closes).toEqual([]);
    await world.run(3_000);
    expect(two.closes).toHaveLength(1);
    expect(two.session?.sessionId).toBe(one.session?.sessionId);
    expect(one.sessions).toHaveLength(2);
  });

  it('links a process that started again under its new incarnation', async () => {
    const world = new World(kind, 5);
    const one = world.start(a, 1);
    world.start(b, 1);
    await world.run(1_000);
    world.network.stop(b);
    await world.run(100);
    const again = world.start(b, 2);
    // Whether or not the end was told: what is sent to the former process is answered by a reset.
    await sendMany(world, one, 5);
    await world.run(10_000);
    expect(again.session?.sessionId).toBe(one.session?.sessionId);
    expect(one.session?.peerIncarnation).toBe(2);
  });

  it('links nobody who comes back with another directory', async () => {
    const world = new World(kind, 6);
    const one = world.start(a, 1);
    world.start(b, 1);
    await world.run(1_000);
    world.network.stop(b);
    const other = world.start(b, 1, 'another store');
    await world.run(10_000);
    expect(other.sessions).toEqual([]);
    expect(one.sessions).toHaveLength(1);
  });
});
