/**
 * Ports on loopback for a development cluster.
 */
import { createServer, type Server } from 'node:net';
import { MokuError } from '@moku/base';

export interface PortWish {
  /** Client port of the first node; the others follow. Without it, or when one is taken: any free ones. */
  readonly firstClientPort?: number;
  /** The wish is a command: PORT_IN_USE when one is taken. */
  readonly isPortFixed?: boolean;
}

export interface NodePorts {
  readonly peer: number;
  readonly client: number;
  readonly admin: number;
}

/** Ports for `nodes` nodes that were free a moment ago, all different. Throws PORT_IN_USE. */
export async function choosePorts(
  nodes: number,
  host: string,
  { firstClientPort, isPortFixed = false }: PortWish,
): Promise<NodePorts[]> {
  const wished = firstClientPort === undefined ? [] : sequence(firstClientPort, nodes);
  const held: Server[] = [];
  try {
    const isGranted = await holdAll(wished, host, held);
    if (!isGranted && isPortFixed) {
      const max = Number(firstClientPort) + nodes - 1;
      throw new MokuError('PORT_IN_USE', { field: 'port', host, min: firstClientPort, max });
    }
    // All are held at once, so that none is given twice.
    const clients = isGranted && wished.length > 0 ? wished : await holdAny(nodes, host, held);
    const others = await holdAny(nodes * 2, host, held);
    return clients.map((client, i) => ({
      client,
      peer: others[i * 2] ?? 0,
      admin: others[i * 2 + 1] ?? 0,
    }));
  } finally {
    await Promise.all(held.map((server) => new Promise((resolve) => server.close(resolve))));
  }
}

function sequence(from: number, count: number): number[] {
  return Array.from({ length: count }, (_, i) => from + i);
}

/** False when one of them is taken. */
async function holdAll(ports: readonly number[], host: string, held: Server[]): Promise<boolean> {
  const results = await Promise.allSettled(ports.map((port) => listening(host, port)));
  for (const result of results) if (result.status === 'fulfilled') held.push(result.value);
  return results.every((result) => result.status === 'fulfilled');
}

async function holdAny(count: number, host: string, held: Server[]): Promise<number[]> {
  const servers = await Promise.all(Array.from({ length: count }, () => listening(host, 0)));
  held.push(...servers);
  return servers.map((server) => {
    const address = server.address();
    return typeof address === 'object' && address !== null ? address.port : 0;
  });
}

function listening(host: string, port: number): Promise<Server> {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.once('error', reject);
    server.listen({ host, port, exclusive: true }, () => resolve(server));
  });
}
