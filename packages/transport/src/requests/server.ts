/**
 * A node's socket for clients: accepts connections, bounds them, and drains them at the end.
 *
 * Invariant Q1: nothing a client sends ends anything but its own connection.
 */
import { type Clock, limits } from '@moku/base';
import { BoundedLogger, silentLogger, type TransportLogger } from '../logger.js';
import type { ListenAddress } from '../sockets/address.js';
import type { FrameSocket, SocketLayer, SocketListener } from '../sockets/frame-socket.js';
import { plainSockets } from '../sockets/plain-sockets.js';
import { Ticker } from '../sockets/ticker.js';
import { createSystemClock } from '../system-clock.js';
import { requestPath } from './batch.js';
import { ClientConnection, type ConnectionContext, type ServerLoad } from './connection.js';
import type { RequestHandler } from './contract.js';
import { requestMessageBytesMax, silenceMsDefault } from './sizes.js';

export interface RequestServerOptions {
  readonly listen: ListenAddress;
  /** Name of the setting that a refused `listen` is blamed on. Default 'clientPort'. */
  readonly listenField?: string;
  readonly handler: RequestHandler;
  /** Default: the system's. */
  readonly clock?: Clock;
  readonly logger?: TransportLogger;
  /** Default limits.clientConnectionsMax. */
  readonly connectionsMax?: number;
  /** Requests under way per connection. Default limits.requestsInFlightMax. */
  readonly requestsInFlightMax?: number;
  /** Bytes of requests under way on all connections. Default limits.proposalBytesPerNodeMax. */
  readonly requestBytesInFlightMax?: number;
  /** A client that sends nothing for this long is gone. Default 9,000. */
  readonly silenceMs?: number;
  /** A client that takes none of its answers for this long while many wait is cut off. Default 10,000. */
  readonly stalledMsMax?: number;
  /** How long a new connection may take to greet. Default 3,000. */
  readonly greetingTimeoutMs?: number;
  /** How sockets are made. Default: plain, without encryption or authentication. */
  readonly sockets?: SocketLayer;
}

export interface RequestServerStatus extends Readonly<ServerLoad> {
  readonly connections: number;
}

export interface RequestServer {
  /** As bound: the port is never 0. */
  readonly address: ListenAddress;
  status(): RequestServerStatus;
  /**
   * Refuses new connections and requests, waits up to `graceMs` for the answers of those under way,
   * then ends all connections and frees the port.
   */
  close(graceMs?: number): Promise<void>;
}

const greetingTimeoutMsDefault = 3_000;
const closeGraceMsDefault = 5_000;
const stalledMsMaxDefault = 10_000;
const drainPollMs = 10;
/** Raw connections beyond the bound that are accepted only to be told so. */
const connectionsSpare = 64;

/** Binds the socket. Rejects with PORT_IN_USE or CONFIG_INVALID, naming field, host and port. */
export async function createRequestServer(options: RequestServerOptions): Promise<RequestServer> {
  const server = new SocketRequestServer(options);
  await server.listen(options);
  return server;
}

class SocketRequestServer implements RequestServer {
  private readonly clock: Clock;
  private readonly connectionsMax: number;
  private readonly connections = new Set<ClientConnection>();
  private readonly load: ServerLoad = {
    requestsInFlight: 0,
    requestBytesInFlight: 0,
    requests: 0,
    refusals: 0,
  };
  private readonly context: ConnectionContext;
  private readonly ticker: Ticker;
  private listener: SocketListener | undefined;
  private closing: Promise<void> | undefined;

  constructor(options: RequestServerOptions) {
    const { clock = createSystemClock(), handler } = options;
    const logger = new BoundedLogger(options.logger ?? silentLogger, clock);
    const silenceMs = options.silenceMs ?? 3 * silenceMsDefault;
    this.clock = clock;
    this.connectionsMax = options.connectionsMax ?? limits.clientConnectionsMax;
    this.context = {
      handler,
      clock,
      logger,
      load: this.load,
      requestsInFlightMax: options.requestsInFlightMax ?? limits.requestsInFlightMax,
      requestBytesInFlightMax: options.requestBytesInFlightMax ?? limits.proposalBytesPerNodeMax,
      greetingTimeoutMs: options.greetingTimeoutMs ?? greetingTimeoutMsDefault,
      stalledMsMax: options.stalledMsMax ?? stalledMsMaxDefault,
      silence: { aliveMs: Math.min(silenceMsDefault, silenceMs) / 3, silenceMs },
      onEnd: (connection) => this.connections.delete(connection),
    };
    this.ticker = new Ticker(clock, this.context.silence.aliveMs / 2, (nowMs, lateMs) => {
      for (const connection of this.connections) connection.tick(nowMs, lateMs);
    });
  }

  async listen(options: RequestServerOptions): Promise<void> {
    const { listen, listenField = 'clientPort', sockets = plainSockets } = options;
    try {
      this.listener = await sockets.listen(
        {
          listen,
          path: requestPath,
          messageBytesMax: requestMessageBytesMax,
          connectionsMax: this.connectionsMax + connectionsSpare,
          upgradeTimeoutMs: this.context.greetingTimeoutMs,
          field: listenField,
          clock: this.clock,
          logger: this.context.logger,
        },
        (socket) => this.connected(socket),
      );
    } catch (error) {
      this.ticker.stop();
      throw error;
    }
  }

  get address(): ListenAddress {
    return this.listener?.address ?? { host: '', port: 0 };
  }

  status(): RequestServerStatus {
    return { ...this.load, connections: this.connections.size };
  }

  private connected(socket: FrameSocket): void {
    if (this.closing !== undefined) {
      socket.close('UNAVAILABLE', 'closing');
    } else if (this.connections.size >= this.connectionsMax) {
      this.load.refusals += 1;
      socket.close('BUSY', `connections ${this.connectionsMax}`);
    } else {
      this.connections.add(new ClientConnection(socket, this.context));
    }
  }

  close(graceMs: number = closeGraceMsDefault): Promise<void> {
    this.closing ??= this.drain(graceMs);
    return this.closing;
  }

  private async drain(graceMs: number): Promise<void> {
    const endMs = this.clock.monotonicMs() + graceMs;
    for (const connection of this.connections) connection.drain();
    await new Promise<void>((resolve) => {
      const look = (): void => {
        const isDone = this.connections.size === 0 || this.clock.monotonicMs() >= endMs;
        if (isDone) resolve();
        else this.clock.after(drainPollMs, look);
      };
      look();
    });
    this.ticker.stop();
    for (const connection of [...this.connections]) connection.end('closed', 'drained');
    await this.listener?.close();
  }
}
