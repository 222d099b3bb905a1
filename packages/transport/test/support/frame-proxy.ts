/**
 * A proxy between two ends of WebSocket connections, for faults that networks have: bytes that are
 * swallowed or held one way, delay, cuts, and messages that are changed, dropped or repeated. It knows
 * just enough of WebSockets to see messages; it never answers by itself.
 *
 * `up` is from the dialing end to the listening end, `down` the other way.
 */
import { createServer, connect as dial, type Server, type Socket } from 'node:net';
import type { Clock } from '@moku/base';
import { createSystemClock, type ListenAddress } from '../../src/index.js';

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

export class FrameProxy {
  private readonly target: ListenAddress;
  private readonly server: Server;
  private readonly pipes = new Set<Pipe>();
  private readonly flows: Record<Direction, Flow> = { up: 'pass', down: 'pass' };
  private isCut = false;
  private made = 0;
  readonly clock: Clock = createSystemClock();
  /** Every chunk is sent on this much later, in order. */
  delayMs = 0;
  /** Applied to complete messages; undefined: bytes pass as they are. Set before the connection is made. */
  rewrite: Rewrite | undefined;
  /** Payloads of passing messages, when `rewrite` is set. */
  private port = 0;

  private constructor(target: ListenAddress) {
    this.target = target;
    this.server = createServer((near) => this.connected(near));
  }

  /** A proxy on a free port of the loopback interface, before `target`. */
  static async start(target: ListenAddress): Promise<FrameProxy> {
    const proxy = new FrameProxy(target);
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
    const pipe = new Pipe(this, near, dial(this.target), this.made);
    this.made += 1;
    this.pipes.add(pipe);
    pipe.setFlow('up', this.flows.up);
    pipe.setFlow('down', this.flows.down);
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

  constructor(proxy: FrameProxy, near: Socket, far: Socket, number: number) {
    this.proxy = proxy;
    this.near = near;
    this.far = far;
    this.number = number;
    this.join('up', near, far);
    this.join('down', far, near);
  }

  private join(direction: Direction, from: Socket, to: Socket): void {
    const { rewrite } = this.proxy;
    const parser = rewrite === undefined ? undefined : new MessageParser();
    from.setNoDelay(true);
    from.on('data', (chunk: Buffer) => {
      if (this.flows[direction] === 'swallow') return;
      if (parser === undefined || rewrite === undefined) {
        this.pass(to, chunk);
        return;
      }
      for (const part of parser.take(chunk)) {
        if (part.kind === 'raw') {
          this.pass(to, part.bytes);
          continue;
        }
        const { index, payload } = part;
        for (const message of rewrite({ direction, connection: this.number, index, payload })) {
          this.pass(to, encodeMessage(message, direction === 'up'));
        }
      }
    });
    from.on('end', () => {
      if (this.flows[direction] === 'pass') this.later(() => to.end());
    });
    from.on('error', () => this.destroy());
    from.on('close', () => {
      this.proxy.forget(this);
      if (this.flows[direction] === 'pass') this.later(() => to.destroy());
    });
  }

  private pass(to: Socket, bytes: Uint8Array): void {
    this.later(() => {
      if (!to.destroyed) to.write(bytes);
    });
  }

  private later(task: () => void): void {
    if (this.proxy.delayMs === 0) task();
    else this.proxy.clock.after(this.proxy.delayMs, task);
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

type Part = { kind: 'raw'; bytes: Buffer } | { kind: 'message'; index: number; payload: Buffer };

const headerEnd = Buffer.from('\r\n\r\n');

/** Cuts a stream into the HTTP head, data messages, and control frames (passed on as they are). */
class MessageParser {
  private rest: Buffer = Buffer.alloc(0);
  private isUpgraded = false;
  private count = 0;

  take(chunk: Buffer): Part[] {
    this.rest = Buffer.concat([this.rest, chunk]);
    const parts: Part[] = [];
    if (!this.isUpgraded) {
      const end = this.rest.indexOf(headerEnd);
      if (end === -1) return parts;
      parts.push({ kind: 'raw', bytes: this.rest.subarray(0, end + headerEnd.length) });
      this.rest = this.rest.subarray(end + headerEnd.length);
      this.isUpgraded = true;
    }
    for (let frame = this.nextFrame(); frame !== undefined; frame = this.nextFrame()) {
      parts.push(frame);
    }
    return parts;
  }

  private nextFrame(): Part | undefined {
    const { rest } = this;
    if (rest.length < 2) return undefined;
    const isMasked = (rest[1]! & 0x80) !== 0;
    const short = rest[1]! & 0x7f;
    const lengthBytes = short === 126 ? 2 : short === 127 ? 8 : 0;
    const headBytes = 2 + lengthBytes + (isMasked ? 4 : 0);
    if (rest.length < headBytes) return undefined;
    const length =
      lengthBytes === 0
        ? short
        : Number(rest.readUIntBE(lengthBytes === 2 ? 2 : 4, lengthBytes === 2 ? 2 : 6));
    if (rest.length < headBytes + length) return undefined;
    const bytes = rest.subarray(0, headBytes + length);
    this.rest = rest.subarray(headBytes + length);
    if ((bytes[0]! & 0x0f) >= 0x08) return { kind: 'raw', bytes };
    const index = this.count;
    this.count += 1;
    // Masks are zero on this wire, so the payload is plain.
    return { kind: 'message', index, payload: Buffer.from(bytes.subarray(headBytes)) };
  }
}

/** A binary WebSocket message, masked with zeros when it comes from the dialing end. */
function encodeMessage(payload: Uint8Array, isMasked: boolean): Buffer {
  const head = Buffer.alloc(14);
  head[0] = 0x82;
  head[1] = (isMasked ? 0x80 : 0) | 127;
  head.writeUIntBE(payload.length, 4, 6);
  return Buffer.concat([head.subarray(0, isMasked ? 14 : 10), payload]);
}
