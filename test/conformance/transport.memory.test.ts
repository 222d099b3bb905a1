import { createPrng, type NodeId } from '@moku/base';
import { createMemoryNetwork, type MemoryNetworkOptions } from '@moku/transport';
import { describeTransport, type TransportWorld } from './transport.suite.js';

function createWorld(options: MemoryNetworkOptions): TransportWorld {
  const network = createMemoryNetwork(options);
  return {
    start: (nodeId: NodeId, incarnation: number) =>
      Promise.resolve(network.join(nodeId, incarnation)),
    stop: (nodeId) => {
      network.crash(nodeId);
      return Promise.resolve();
    },
    settle: (condition) => {
      while (!condition()) {
        if (!network.deliver()) return Promise.reject(new Error('the network is at rest'));
      }
      return Promise.resolve();
    },
    close: () => Promise.resolve(),
  };
}

describeTransport('memory, oldest first', () => createWorld({}));
describeTransport('memory, in drawn order', () => createWorld({ prng: createPrng(41) }));
