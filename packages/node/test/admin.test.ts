import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { connect, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { isMokuError, noAddress, toNodeId } from '@moku/base';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { type RunningNode, startNode } from '../src/start.js';

const dir = mkdtempSync(join(tmpdir(), 'moku-admin-'));
const nodeId = toNodeId(1);
let node: RunningNode;

async function ask(path: string, method = 'GET') {
  const response = await fetch(`http://${node.adminAddress}${path}`, { method });
  return { status: response.status, text: await response.text() };
}

function start(name: string, port: number): Promise<RunningNode> {
  return startNode({
    dir: join(dir, name),
    clusterId: 'admin',
    nodeId,
    nodes: [{ nodeId, peerAddress: noAddress, clientAddress: noAddress }],
    adminListen: { host: '127.0.0.1', port },
  });
}

describe('the admin port', () => {
  beforeAll(async () => {
    node = await start('node', 0);
  });
  afterAll(async () => {
    await node.close();
    rmSync(dir, { recursive: true, force: true });
  });

  it('says that the process lives, and when it is ready', async () => {
    expect(await ask('/healthz')).toMatchObject({ status: 200, text: '{"ok":true}\n' });
    await vi.waitFor(async () => expect((await ask('/readyz')).status).toBe(200), 5_000);
    expect((await ask('/readyz')).text).toBe('{"ready":true}\n');
  });

  it('shows the node as JSON, with its regions when asked', async () => {
    const status = JSON.parse((await ask('/status')).text);
    expect(status).toMatchObject({ clusterId: 'admin', node: { nodeId: 1, regions: 1 } });
    expect(status.process.rssBytes).toBeGreaterThan(1e6);
    // A node that is alone has no links, and says so.
    expect(status).toMatchObject({ links: [], engine: { overlayBytes: expect.any(Number) } });
    const withRegions = JSON.parse((await ask('/status?regions')).text);
    expect(withRegions.regions).toMatchObject([{ regionId: 0, role: 'leader', why: [] }]);
  });

  it('shows counters and gauges to Prometheus', async () => {
    const { status, text } = await ask('/metrics');
    expect(status).toBe(200);
    expect(text).toContain('# TYPE moku_regions gauge\nmoku_regions 1\n');
    expect(text).toMatch(/^moku_turns_total \d+$/m);
  });

  it('refuses other paths and methods, and changes nothing', async () => {
    expect((await ask('/nothing')).status).toBe(404);
    expect((await ask('/status', 'POST')).status).toBe(405);
    expect(await ask('/healthz', 'HEAD')).toMatchObject({ status: 200, text: '' });
  });

  it('answers again soon when silent connections took all places', async () => {
    const port = Number(node.adminAddress?.split(':')[1]);
    const silent: Socket[] = Array.from({ length: 300 }, () => connect(port, '127.0.0.1'));
    for (const socket of silent) socket.on('error', () => {});
    await Promise.all(silent.map((socket) => once(socket, 'connect')));
    const isRefused = await ask('/healthz').then(
      () => false,
      () => true,
    );
    expect(isRefused).toBe(true);
    await vi.waitFor(async () => expect((await ask('/healthz')).status).toBe(200), {
      timeout: 10_000,
      interval: 250,
    });
    for (const socket of silent) socket.destroy();
  }, 15_000);

  it('names the port that is taken', async () => {
    const port = Number(node.adminAddress?.split(':')[1]);
    const error = await start('other', port).catch((cause: unknown) => cause);
    expect(isMokuError(error, 'PORT_IN_USE') && error.details).toMatchObject({
      field: 'admin',
      port,
    });
    const again = await start('other', 0);
    await again.close();
  });
});
