/**
 * The admin port: health, readiness, status and metrics over HTTP. Read-only.
 */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { MokuError } from '@moku/base';
import { Gauge, Registry } from 'prom-client';
import type { MokuNode } from './node.js';

export interface AdminServer {
  /** host:port as bound. */
  readonly address: string;
  close(): Promise<void>;
}

interface Reply {
  readonly status: number;
  readonly type: string;
  readonly body: string;
}

function json(status: number, value: unknown): Reply {
  return { status, type: 'application/json', body: `${JSON.stringify(value)}\n` };
}

async function reply(node: MokuNode, url: URL): Promise<Reply> {
  switch (url.pathname) {
    case '/healthz':
      return json(200, { ok: true });
    case '/readyz': {
      const isReady = node.isReady();
      return json(isReady ? 200 : 503, { ready: isReady });
    }
    case '/status':
      return json(200, url.searchParams.has('regions') ? withRegions(node) : node.status());
    case '/metrics':
      return { status: 200, type: 'text/plain; version=0.0.4', body: await metrics(node) };
    default:
      return json(404, {
        error: 'not found',
        paths: ['/healthz', '/readyz', '/status', '/metrics'],
      });
  }
}

function withRegions(node: MokuNode): unknown {
  const { host } = node;
  return { ...node.status(), regions: host.regionIds().map((id) => host.regionStatus(id)) };
}

/** Metrics are read when asked for: counting costs the loop nothing. */
async function metrics(node: MokuNode): Promise<string> {
  const registry = new Registry();
  const gauge = (name: string, help: string, value: number): void => {
    new Gauge({ name: `moku_${name}`, help, registers: [registry] }).set(value);
  };
  const status = node.status();
  gauge('regions', 'Replicas on this node', status.node.regions);
  gauge('leaders', 'Regions led by this node', status.node.leaders);
  gauge('awake', 'Replicas that are not at rest', status.node.awake);
  gauge(
    'unattached_pairs',
    'Pairs of led region and peer without a claim',
    status.node.unattachedPairs,
  );
  gauge(
    'proposals_in_flight',
    'Commands proposed and not yet applied',
    status.node.proposalsInFlight,
  );
  gauge('proposal_bytes', 'Bytes of such commands', status.node.proposalBytes);
  gauge('log_batches_in_flight', 'Log batches not yet synced', status.log.batchesInFlight);
  gauge('log_bytes_in_flight', 'Bytes of such batches', status.log.bytesInFlight);
  gauge('log_oldest_unsynced_ms', 'Age of the oldest such batch', status.log.oldestUnsyncedMs);
  gauge('resident_bytes', 'Resident memory of the process', status.process.rssBytes);
  for (const [name, value] of Object.entries(status.node.counters)) {
    gauge(`${name.replace(/[A-Z]/g, (c) => `_${c.toLowerCase()}`)}_total`, name, value);
  }
  return registry.metrics();
}

async function serve(
  node: MokuNode,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  let answer: Reply;
  try {
    answer =
      request.method === 'GET' || request.method === 'HEAD'
        ? await reply(node, new URL(request.url ?? '/', 'http://admin'))
        : json(405, { error: 'read-only', allow: 'GET' });
  } catch (error) {
    answer = json(500, { error: error instanceof Error ? error.message : String(error) });
  }
  response.writeHead(answer.status, { 'content-type': answer.type });
  response.end(request.method === 'HEAD' ? undefined : answer.body);
}

/** Listens on host:port (port 0: any). Throws PORT_IN_USE or CONFIG_INVALID naming the field. */
export async function startAdmin(
  node: MokuNode,
  listen: { host: string; port: number },
): Promise<AdminServer> {
  const timeouts = {
    headersTimeout: 5_000,
    requestTimeout: 10_000,
    // Node's default looks every 30 s: silent connections would hold all places for that long.
    connectionsCheckingInterval: 1_000,
  };
  const server = createServer(timeouts, (request, response) => void serve(node, request, response));
  server.maxConnections = 256;
  await bind(server, listen);
  const bound = server.address() as AddressInfo;
  return {
    address: `${listen.host}:${bound.port}`,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

function bind(server: Server, { host, port }: { host: string; port: number }): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', (cause: NodeJS.ErrnoException) => {
      const code = cause.code === 'EADDRINUSE' ? 'PORT_IN_USE' : 'CONFIG_INVALID';
      reject(new MokuError(code, { field: 'admin', host, port, reason: cause.code }, { cause }));
    });
    server.listen(port, host, () => resolve());
  });
}
