/** Addresses as text: `host:port`, `[v6]:port`. */
import { MokuError } from '@moku/base';

/** Where to listen. Port 0: any free one. */
export interface ListenAddress {
  readonly host: string;
  readonly port: number;
}

/** `host:port`, an IPv6 host in brackets. */
export function formatAddress({ host, port }: ListenAddress): string {
  return host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`;
}

/** Splits `host:port`. Throws INVALID_ARGUMENT with `field` unless it has a host and a port 1 … 65,535. */
export function parseAddress(address: string, field: string): ListenAddress {
  const match = /^(?:\[([0-9a-fA-F:.%]+)\]|([^\s:/?#@[\]]+)):(\d{1,5})$/.exec(address);
  const host = match?.[1] ?? match?.[2];
  const port = Number(match?.[3] ?? '0');
  if (host === undefined || port < 1 || port > 0xffff) {
    throw new MokuError('INVALID_ARGUMENT', { field, value: address, expected: 'host:port' });
  }
  return { host, port };
}
