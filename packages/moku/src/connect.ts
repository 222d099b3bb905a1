/**
 * A Database over nodes in other processes. Apart from `open.ts`, so that what only connects loads no
 * storage.
 */
import { randomBytes } from 'node:crypto';
import { createPrng, MokuError, type Prng } from '@moku/base';
import { ClientDatabase, type Database } from '@moku/client';
import { createSystemClock, dialRequestChannel, parseAddress } from '@moku/transport';

export interface ConnectOptions {
  /** host:port of the client sockets of some nodes, at least one; the others are learned. */
  readonly nodes: readonly string[];
}

/**
 * Connects to nodes elsewhere. Nothing is sent before the first call.
 * Throws INVALID_ARGUMENT naming `nodes` when it is empty or holds no host:port.
 */
export function connect(options: ConnectOptions): Database {
  const nodes: unknown = (options as ConnectOptions | null | undefined)?.nodes;
  if (!Array.isArray(nodes) || nodes.length === 0) {
    throw new MokuError('INVALID_ARGUMENT', {
      field: 'nodes',
      rule: 'an array of host:port, at least one',
    });
  }
  for (const address of nodes) parseAddress(address, 'nodes');
  return new ClientDatabase({
    clock: createSystemClock(),
    prng: randomPrng(),
    dial: (address) => dialRequestChannel({ address }),
    seeds: nodes,
  });
}

/** For jitter; never for secrets. */
export function randomPrng(): Prng {
  return createPrng(randomBytes(6).readUIntLE(0, 6));
}
