/**
 * host:port as users write it.
 */
import { MokuError } from '@moku/base';
import type { Listen } from '@moku/node';

/** host:port or [v6]:port; port 0 … 65,535. Throws CONFIG_INVALID naming the field. */
export function parseAddress(address: string, field: string): Listen {
  const match = /^(?:\[([^\]]+)\]|([^:[\]]+)):(\d{1,5})$/.exec(address);
  const port = Number(match?.[3]);
  const host = match?.[1] ?? match?.[2];
  if (host === undefined || !(port <= 65_535)) {
    throw new MokuError('CONFIG_INVALID', { field, value: address, rule: 'host:port, port 0 … 65535' });
  }
  return { host, port };
}
