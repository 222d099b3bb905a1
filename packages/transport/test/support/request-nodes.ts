/** Request servers and channels on the loopback interface, and a handler that the test directs. */
import { hash64, type RegionId } from '@moku/base';
import {
  type ClientAnswer,
  type ClientRequest,
  createRequestServer,
  type DialChannelOptions,
  dialRequestChannel,
  formatAddress,
  type RequestChannel,
  type RequestHandler,
  type RequestServer,
  type RequestServerOptions,
} from '../../src/index.js';

/** Answers with the bytes it was sent, unless it is told to hold requests back. */
export class EchoHandler implements RequestHandler {
  readonly seen: ClientRequest[] = [];
  readonly aborted: ClientRequest[] = [];
  isHolding = false;
  private readonly held: (() => void)[] = [];

  handle(request: ClientRequest, signal: AbortSignal): Promise<ClientAnswer> {
    this.seen.push(request);
    signal.addEventListener('abort', () => this.aborted.push(request));
    if (!this.isHolding) return Promise.resolve(echo(request));
    return new Promise((resolve) => this.held.push(() => resolve(echo(request))));
  }

  get heldCount(): number {
    return this.held.length;
  }

  /** Answers what was held back, the newest first. */
  release(): void {
    this.isHolding = false;
    for (const answer of this.held.splice(0).reverse()) answer();
  }
}

function echo(request: ClientRequest): ClientAnswer {
  switch (request.kind) {
    case 'execute':
      return { kind: 'bytes', bytes: request.command };
    case 'query':
    case 'inspect':
      return { kind: 'bytes', bytes: request.query };
    default:
      return { kind: 'json', value: request };
  }
}

export function execute(text: string): ClientRequest {
  return { kind: 'execute', regionId: 7 as RegionId, command: new TextEncoder().encode(text) };
}

export function textOf(answer: ClientAnswer): string {
  if (answer.kind !== 'bytes') throw new Error(`an answer of kind ${answer.kind}`);
  return new TextDecoder().decode(answer.bytes);
}

/** Starts servers and channels and ends them all with `stop`. */
export class RequestNodes {
  private readonly started: { close(): Promise<void> }[] = [];

  async serve(
    handler: RequestHandler,
    options: Partial<RequestServerOptions> = {},
  ): Promise<RequestServer> {
    const listen = { host: '127.0.0.1', port: 0 };
    const server = await createRequestServer({ listen, handler, ...options });
    this.started.unshift({ close: () => server.close(0) });
    return server;
  }

  async dial(
    server: Pick<RequestServer, 'address'>,
    options: Partial<DialChannelOptions> = {},
  ): Promise<RequestChannel> {
    const address = formatAddress(server.address);
    return this.keep(await dialRequestChannel({ address, ...options }));
  }

  /** Has `resource` closed before what was started earlier. */
  keep<T extends { close(): Promise<void> }>(resource: T): T {
    this.started.unshift(resource);
    return resource;
  }

  async stop(): Promise<void> {
    for (const resource of this.started.splice(0)) await resource.close();
  }
}

/** One item of a batch, by hand. */
export function item(type: number, id: number, body: string): Buffer {
  const head = Buffer.alloc(9);
  head.writeUInt32LE(body.length, 0);
  head[4] = type;
  head.writeUInt32LE(id, 5);
  return Buffer.concat([head, Buffer.from(body, 'latin1')]);
}

/** A message with a good checksum over whatever `items` are. */
export function sealed(items: Uint8Array): Uint8Array {
  const message = Buffer.concat([Buffer.alloc(8), Buffer.from('MQ'), items]);
  message.writeBigUInt64LE(hash64(message.subarray(8)), 0);
  return message;
}

/** The greeting of a client of this version. */
export function greeting(version = 1): Uint8Array {
  return sealed(item(1, 0, String.fromCharCode(version)));
}
