/**
 * The end of a node whose parts do not all end well.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { isMokuError, noAddress, toNodeId } from '@moku/base';
import { openLogStore } from '@moku/storage';
import { describe, expect, it } from 'vitest';
import { startNode } from '../src/start.js';

interface Connection {
  exec(sql: string): void;
  close(): void;
}

// The package of `storage`, which alone may use it.
const load = createRequire(new URL('../../storage/package.json', import.meta.url));
const Database = load('better-sqlite3') as new (path: string) => Connection;

describe('a node whose engine cannot flush', () => {
  it('says so when it closes, and lets go of its log', async () => {
    const dir = mkdtempSync(join(tmpdir(), 'moku-node-'));
    const nodeId = toNodeId(1);
    const fatal: unknown[] = [];
    const node = await startNode({
      dir,
      clusterId: 'test',
      nodeId,
      nodes: [{ nodeId, peerAddress: noAddress, clientAddress: noAddress }],
      onFatal: (error) => fatal.push(error),
    });
    // Somebody else writes to the file: the engine's flush runs out of patience.
    const other = new Database(join(dir, 'data.db'));
    try {
      other.exec('BEGIN IMMEDIATE');
      const error: unknown = await node.close(0).then(
        () => undefined,
        (cause: unknown) => cause,
      );
      expect(isMokuError(error, 'ENGINE_IO')).toBe(true);
      expect(fatal.length).toBe(1);
    } finally {
      other.close();
    }
    const log = await openLogStore({ dir, clusterId: 'test', nodeId });
    await log.close();
    rmSync(dir, { recursive: true, force: true });
  });
});
