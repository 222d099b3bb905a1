/**
 * A proxy between two ends of WebSocket connections, for faults that networks have: bytes that are
 * swallowed or held one way, delay, cuts, and messages that are changed, dropped or repeated. It knows
 * just enough of WebSockets to see messages; it never answers by itself.
 *
 * `up` is from the dialing end to the listening end, `down` the other way.
 */
import { createServer, connect as dial, type Server, type Socket } from 'node:net';
import type { Clock } from '@moku/base';
import { createSystemClock, type ListenAddress } from '@moku/transport';
import { type CloseFrame, encodeMessage, MessageParser } from './web-socket-stream.js';

export type Direction = 'up' | 'down';

/** `swallow`: read and thrown away, so that the sender notices nothing. `hold`: not even read. */
export type Flow = 'pass' | 'swallow' | 'hold';

export interface ProxiedMessage {
  readonly direction: Direction;
  /** Of the connection, in the order they were made: 0, 1, … */
  readonly connection: number;
  /** Of the message within its connection and direction: 0, 1, … */
  readonly index: number;
  readonly payload: Buffer;
}

/** What is sent on instead of the message: nothing, itself, another one, several. */
export type Rewrite = (message: ProxiedMessage) => readonly Uint8Array[];

/** A WebSocket's close frame that came by. */
export interface Closing {
  readonly direction: Direction;
  readonly connection: number;
  readonly code: number;
  readonly text: string;
}

const noDelay = (): number => 0;

export class FrameProxy {
  private readonly target: () => ListenAddress;
  private readonly server: Server;
  private readonly pipes = new Set<Pipe>();
  private readonly flows: Record<Direction, Flow> = { up: 'pass', down: 'pass' };
  private isCut = false;
  private made = 0;
  private readonly delays: Record<Direction, () => number> = { up: noDelay, down: noDelay };
  private port = 0;
  readonly clock: Clock = createSystemClock();
  /** Applied to complete messages; undefined: bytes pass as they are. Set before the connection is made. */
  rewrite: Rewrite | undefined;
  /** In the order in which they came by; only of connections with `rewrite`. */
  readonly closings: Closing[] = [];

  private constructor(target: () => ListenAddress) {
    this.target = target;
    this.server = createServer((near) => this.connected(near));
  }

  /** A proxy on a free port of the loopback interface, before `target`, which may be found out later. */
  static async start(target: ListenAddress | (() => ListenAddress)): Promise<FrameProxy> {
    const proxy = new FrameProxy(typeof target === 'function' ? target : () => target);
    await new Promise<void>((resolve) => proxy.server.listen(0, '127.0.0.1', resolve));
    const address = proxy.server.address();
    if (typeof address === 'object' && address !== null) proxy.port = address.port;
    return proxy;
  }

  get address(): ListenAddress {
    return { host: '127.0.0.1', port: this.port };
  }

  /** Connections that stand at the moment. */
  get connections(): number {
    return this.pipes.size;
  }

  /** Connections made since the start. */
  get connectionsMade(): number {
    return this.made;
  }

  private connected(near: Socket): void {
    if (this.isCut) {
      near.destroy();
      return;
    }
    const pipe = new Pipe(this, near, dial(this.target()), this.made);
    this.made += 1;
    this.pipes.add(pipe);
    pipe.setFlow('up', this.flows.up);
    pipe.setFlow('down', this.flows.down);
  }

  /** Whether the connection of this number still has both its ends. */
  isStanding(connection: number): boolean {
    return [...this.pipes].some(({ number }) => number === connection);
  }

  /** Milliseconds by which each chunk of this direction is late from now on; their order stays. */
  setDelay(direction: Direction, delayMs: () => number): void {
    this.delays[direction] = delayMs;
  }

  delayOf(direction: Direction): number {
    return this.delays[direction]();
  }

  /** For all connections, present and future. */
  setFlow(direction: Direction, flow: Flow): void {
    this.flows[direction] = flow;
    for (const pipe of this.pipes) pipe.setFlow(direction, flow);
  }

  /** For one connection that stands. */
  setFlowOf(connection: number, direction: Direction, flow: Flow): void {
    for (const pipe of this.pipes) {
      if (pipe.number === connection) pipe.setFlow(direction, flow);
    }
  }

  /** Ends all connections by reset and lets no new ones through. */
  cut(): void {
    this.isCut = true;
    this.reset();
  }

  heal(): void {
    this.isCut = false;
  }

  /** Ends all connections, or one; new ones are let through. */
  reset(connection?: number): void {
    for (const pipe of this.pipes) {
      if (connection === undefined || pipe.number === connection) pipe.destroy();
    }
  }

  forget(pipe: Pipe): void {
    this.pipes.delete(pipe);
  }

  async close(): Promise<void> {
    this.reset();
    await new Promise<void>((resolve) => this.server.close(() => resolve()));
  }
}

/** One connection through the proxy. */
class Pipe {
  readonly number: number;
  private readonly proxy: FrameProxy;
  private readonly near: Socket;
  private readonly far: Socket;
  private readonly flows: Record<Direction, Flow> = { up: 'pass', down: 'pass' };
  private readonly lines: Readonly<Record<Direction, DelayLine>>;

  constructor(proxy: FrameProxy, near: Socket, far: Socket, number: number) {
    this.proxy = proxy;
    this.near = near;
    this.far = far;
    this.number = number;
    this.lines = { up: new DelayLine(proxy.clock), down: new DelayLine(proxy.clock) };
    this.join('up', near, far);
    this.join('down', far, near);
  }

  private join(direction: Direction, from: Socket, to: Socket): void {
    const { rewrite } = this.proxy;
    const parser = rewrite === undefined ? undefined : new MessageParser();
    from.setNoDelay(true);
    from.on('data', (chunk: Buffer) => {
      if (this.flows[direction] === 'swallow') return;
      if (parser === undefined || rewrite === undefined) this.pass(direction, to, chunk);
      else this.passRewritten({ direction, to, chunk, parser, rewrite });
    });
    from.on('end', () => {
      if (this.flows[direction] === 'pass') this.later(direction, () => to.end());
    });
    from.on('error', () => this.destroy());
    from.on('close', () => {
      this.proxy.forget(this);
      if (this.flows[direction] === 'pass') this.later(direction, () => to.destroy());
    });
  }

  private passRewritten({ direction, to, chunk, parser, rewrite }: Arrival): void {
    const { number: connection } = this;
    for (const part of parser.take(chunk)) {
      if (part.kind !== 'message') {
        if (part.kind === 'close') this.noteClosing(direction, part);
        this.pass(direction, to, part.bytes);
        continue;
      }
      const { index, payload } = part;
      for (const message of rewrite({ direction, connection, index, payload })) {
        this.pass(direction, to, encodeMessage(message, direction === 'up'));
      }
    }
  }

  private noteClosing(direction: Direction, { code, text }: CloseFrame): void {
    this.proxy.closings.push({ direction, connection: this.number, code, text });
  }

  private pass(direction: Direction, to: Socket, bytes: Uint8Array): void {
    this.later(direction, () => {
      if (!to.destroyed) to.write(bytes);
    });
  }

  private later(direction: Direction, task: () => void): void {
    this.lines[direction].add(this.proxy.delayOf(direction), task);
  }

  setFlow(direction: Direction, flow: Flow): void {
    this.flows[direction] = flow;
    const from = direction === 'up' ? this.near : this.far;
    if (flow === 'hold') from.pause();
    else from.resume();
  }

  destroy(): void {
    this.near.resetAndDestroy();
    this.far.resetAndDestroy();
    this.proxy.forget(this);
  }
}

interface Arrival {
  readonly direction: Direction;
  readonly to: Socket;
  readonly chunk: Buffer;
  readonly parser: MessageParser;
  readonly rewrite: Rewrite;
}

/** Tasks that are done late, never one before another that was added earlier. */
class DelayLine {
  private readonly clock: Clock;
  private readonly waiting: { readonly dueMs: number; readonly task: () => void }[] = [];
  private isArmed = false;

  constructor(clock: Clock) {
    this.clock = clock;
  }

  add(delayMs: number, task: () => void): void {
    if (delayMs <= 0 && this.waiting.length === 0) {
      task();
      return;
    }
    const before = this.waiting.at(-1)?.dueMs ?? 0;
    this.waiting.push({ dueMs: Math.max(before, this.clock.monotonicMs() + delayMs), task });
    this.arm();
  }

  private arm(): void {
    const [first] = this.waiting;
    if (first === undefined || this.isArmed) return;
    this.isArmed = true;
    this.clock.after(Math.max(0, first.dueMs - this.clock.monotonicMs()), () => {
      this.isArmed = false;
      const nowMs = this.clock.monotonicMs();
      while ((this.waiting[0]?.dueMs ?? Number.POSITIVE_INFINITY) <= nowMs) {
        this.waiting.shift()?.task();
      }
      this.arm();
    });
  }
}
