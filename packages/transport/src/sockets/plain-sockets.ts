/**
 * SocketLayer without encryption or authentication: for loopback and for networks that the operator
 * declared safe. One HTTP server per listener; whatever is not the wanted upgrade is refused.
 */
import { createServer, type IncomingMessage, type Server } from 'node:http';
import type { AddressInfo, Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { MokuError } from '@moku/base';
import { WebSocket, WebSocketServer } from 'ws';
import { formatAddress, type ListenAddress, parseAddress } from './address.js';
import type {
  DialOptions,
  FrameSocket,
  ListenOptions,
  SocketLayer,
  SocketListener,
} from './frame-socket.js';
import { sharedOptions, WebSocketFrames } from './web-socket.js';

const portMax = 0xffff;
const headerBytesMax = 8 * 1024;
/** Sockets that said goodbye may take this long to go before they are cut off. */
const closeGraceMs = 250;

/** Leaves the mask as it is: four zero bytes, so that nothing has to be masked. */
function zeroMask(): void {}

export const plainSockets: SocketLayer = { dial, listen };

function dial({ address, path, messageBytesMax }: DialOptions): FrameSocket {
  const target = formatAddress(parseAddress(address, 'address'));
  const ws = new WebSocket(`ws://${target}${path}`, {
    ...sharedOptions(messageBytesMax),
    generateMask: zeroMask,
  });
  return new WebSocketFrames(ws, target, undefined);
}

async function listen(
  options: ListenOptions,
  onSocket: (socket: FrameSocket) => void,
): Promise<SocketListener> {
  const server = createServer({
    maxHeaderSize: headerBytesMax,
    headersTimeout: options.upgradeTimeoutMs,
    requestTimeout: options.upgradeTimeoutMs,
    connectionsCheckingInterval: options.upgradeTimeoutMs,
    keepAliveTimeout: 1,
  });
  server.maxConnections = options.connectionsMax;
  const connections = new Set<Socket>();
  server.on('connection', (socket) => {
    connections.add(socket);
    socket.on('close', () => connections.delete(socket));
  });
  server.on('request', (_request, response) => {
    response.writeHead(426, { connection: 'close' }).end();
  });
  server.on('clientError', (_error, socket) => socket.destroy());
  const wss = new WebSocketServer({
    ...sharedOptions(options.messageBytesMax),
    noServer: true,
    clientTracking: false,
    path: options.path,
  });
  server.on('upgrade', (request: IncomingMessage, stream: Duplex, head: Buffer) => {
    // Only browsers say where they come from, on behalf of any page: none of ours is a page.
    if (request.headers.origin !== undefined) {
      stream.end('HTTP/1.1 403 Forbidden\r\nConnection: close\r\n\r\n');
      return;
    }
    wss.handleUpgrade(request, stream, head, (ws) => {
      const { remoteAddress = 'unknown', remotePort = 0 } = request.socket;
      const remote = formatAddress({ host: remoteAddress, port: remotePort });
      onSocket(new WebSocketFrames(ws, remote, request.socket));
    });
  });
  const address = await bind(server, options);
  // E.g. no file descriptor was left for a connection: the listener lives on.
  server.on('error', (error) => options.logger.warn({ reason: error.message }, 'listener failed'));
  return { address, close: () => closeServer(server, connections, options) };
}

function bind(server: Server, { listen, field }: ListenOptions): Promise<ListenAddress> {
  return new Promise((resolve, reject) => {
    const { port } = listen;
    if (!Number.isInteger(port) || port < 0 || port > portMax) {
      throw new MokuError('CONFIG_INVALID', { field, ...listen, max: portMax });
    }
    const onError = (cause: NodeJS.ErrnoException): void => reject(bindError(cause, listen, field));
    server.once('error', onError);
    server.listen({ host: listen.host, port }, () => {
      server.off('error', onError);
      const bound = server.address() as AddressInfo;
      resolve({ host: listen.host, port: bound.port });
    });
  });
}

function bindError(cause: NodeJS.ErrnoException, listen: ListenAddress, field: string): MokuError {
  const { host, port } = listen;
  if (cause.code === 'EADDRINUSE') {
    return new MokuError('PORT_IN_USE', { field, host, port }, { cause });
  }
  return new MokuError('CONFIG_INVALID', { field, host, port, reason: cause.code }, { cause });
}

function closeServer(
  server: Server,
  connections: ReadonlySet<Socket>,
  { clock }: ListenOptions,
): Promise<void> {
  return new Promise((resolve) => {
    const force = clock.after(closeGraceMs, () => {
      for (const socket of connections) socket.destroy();
    });
    server.close(() => {
      force.cancel();
      resolve();
    });
    server.closeIdleConnections();
  });
}
