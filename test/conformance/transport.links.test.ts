import { createPrng, type NodeId } from '@moku/base';
import {
  createLinks,
  createSystemClock,
  formatAddress,
  type LinkPeer,
  type Links,
} from '@moku/transport';
import { vi } from 'vitest';
import { describeTransport, type TransportWorld } from './transport.suite.js';

const settleMsMax = 10_000;

function createWorld(): TransportWorld {
  const links = new Map<NodeId, Links>();
  const known = new Map<string, string>();
  const introduce = (): void => {
    const peers: LinkPeer[] = [...links].map(([nodeId, { address }]) => ({
      nodeId,
      address: formatAddress(address),
    }));
    for (const each of links.values()) each.setPeers(peers);
  };
  return {
    async start(nodeId, incarnation) {
      const started = await createLinks({
        nodeId,
        clusterId: 'conformance',
        storeId: `store-${nodeId}`,
        incarnation,
        listen: { host: '127.0.0.1', port: 0 },
        peers: [],
        knownStoreId: (peer) => known.get(`${nodeId} ${peer}`),
        rememberStoreId: (peer, storeId) => known.set(`${nodeId} ${peer}`, storeId),
        clock: createSystemClock(),
        prng: createPrng(nodeId),
      });
      links.set(nodeId, started);
      introduce();
      return started;
    },
    async stop(nodeId) {
      const stopped = links.get(nodeId);
      links.delete(nodeId);
      await stopped?.close();
    },
    async settle(condition) {
      await vi.waitFor(
        () => {
          if (!condition()) throw new Error(`not within ${settleMsMax} ms`);
        },
        { timeout: settleMsMax, interval: 2 },
      );
    },
    async close() {
      await Promise.all([...links.values()].map((each) => each.close()));
      links.clear();
    },
  };
}

describeTransport('WebSockets', createWorld);
