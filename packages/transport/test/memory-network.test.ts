import { createPrng, type NodeId, toNodeId } from '@moku/base';
import type { LinkSession, Transport } from '@moku/region';
import { describe, expect, it } from 'vitest';
import { createMemoryNetwork, type MemoryNetwork } from '../src/index.js';

const [one, two, three] = [1, 2, 3].map(toNodeId) as [NodeId, NodeId, NodeId];

interface Joined {
  readonly transport: Transport;
  readonly sessions: Map<NodeId, LinkSession>;
}

/** Joins a node that writes down what it sees as lines of text. */
function join(network: MemoryNetwork, nodeId: NodeId, log: string[], incarnation = 1): Joined {
  const transport = network.join(nodeId, incarnation);
  const sessions = new Map<NodeId, LinkSession>();
  transport.subscribe({
    onSessionOpen: (session) => {
      sessions.set(session.peer, session);
      log.push(`${nodeId} open ${session.peer} ${session.sessionId}`);
    },
    onFrame: (session, lane, bytes) => log.push(`${nodeId} ${lane} ${session.peer} ${bytes[0]}`),
    onSessionClose: (session, reason) => {
      sessions.delete(session.peer);
      log.push(`${nodeId} close ${session.peer} ${reason}`);
    },
  });
  return { transport, sessions };
}

function send({ transport, sessions }: Joined, to: NodeId, byte: number): boolean {
  const session = sessions.get(to);
  return session !== undefined && transport.send(session, 'control', Uint8Array.of(byte));
}

describe('the network in memory', () => {
  it('does nothing by itself', () => {
    const log: string[] = [];
    const network = createMemoryNetwork();
    const a = join(network, one, log);
    join(network, two, log);
    expect(log).toEqual([]);
    network.deliverAll();
    log.length = 0;
    send(a, two, 7);
    expect(log).toEqual([]);
    expect(network.deliver()).toBe(true);
    expect(log).toEqual(['2 control 1 7']);
    expect(network.deliver()).toBe(false);
  });

  it('holds back what travels in a cut direction until it is healed', () => {
    const log: string[] = [];
    const network = createMemoryNetwork();
    const a = join(network, one, log);
    const b = join(network, two, log);
    network.deliverAll();
    log.length = 0;
    network.cut(one, two);
    send(a, two, 1);
    send(b, one, 2);
    network.deliverAll();
    expect(log).toEqual(['1 control 2 2']);
    network.heal(one, two);
    network.deliverAll();
    expect(log).toEqual(['1 control 2 2', '2 control 1 1']);
  });

  it('leaves the far end of a cut in its session until it hears of the end', () => {
    const log: string[] = [];
    const network = createMemoryNetwork();
    const a = join(network, one, log);
    const b = join(network, two, log);
    network.deliverAll();
    log.length = 0;
    network.cut(one, two);
    const session = a.sessions.get(two)!;
    a.transport.closeSession(session, 'PEER_SILENT');
    network.deliverAll();
    expect(log).toEqual(['1 close 2 PEER_SILENT']);
    expect(send(b, one, 3)).toBe(true);
    network.deliverAll();
    network.heal(one, two);
    network.deliverAll();
    expect(log.slice(1, 2)).toEqual(['2 close 1 PEER_SILENT']);
    expect(log.slice(2).sort()).toEqual(['1 open 2 1.1.2', '2 open 1 1.1.2']);
  });

  it('loses what is under way with a reset, and opens a new session', () => {
    const log: string[] = [];
    const network = createMemoryNetwork();
    const a = join(network, one, log);
    join(network, two, log);
    network.deliverAll();
    log.length = 0;
    send(a, two, 1);
    network.reset(one, two);
    network.deliverAll();
    expect(log).toEqual([
      '1 close 2 CONNECTION_LOST',
      '2 close 1 CONNECTION_LOST',
      '1 open 2 1.1.2',
      '2 open 1 1.1.2',
    ]);
  });

  it('forgets a crashed node, and lets it come back under a new incarnation', () => {
    const log: string[] = [];
    const network = createMemoryNetwork();
    const a = join(network, one, log);
    const b = join(network, two, log);
    join(network, three, log);
    network.deliverAll();
    log.length = 0;
    send(a, two, 1);
    network.crash(one);
    network.deliverAll();
    expect(log).toEqual(['2 close 1 CONNECTION_LOST', '3 close 1 CONNECTION_LOST']);
    expect(a.transport.send(b.sessions.get(three)!, 'control', Uint8Array.of(1))).toBe(false);
    log.length = 0;
    join(network, one, log, 2);
    network.deliverAll();
    expect(b.sessions.get(one)).toMatchObject({ peerIncarnation: 2, sessionId: '1.2.4' });
  });

  it('gives the same run for the same seed, and others for others', () => {
    const run = (seed: number): string => {
      const log: string[] = [];
      const network = createMemoryNetwork({ prng: createPrng(seed) });
      const nodes = [one, two, three].map((nodeId) => join(network, nodeId, log));
      network.deliverAll();
      nodes.forEach((node) => {
        for (let byte = 0; byte < 10; byte++)
          for (const to of [one, two, three]) send(node, to, byte);
      });
      network.deliverAll();
      return log.join('\n');
    };
    expect(run(1)).toBe(run(1));
    expect(new Set([1, 2, 3, 4].map(run)).size).toBe(4);
  });
});
