import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { connect, open } from 'moku';
import { DevCluster } from 'moku/dev';
import { databaseSuite } from './database.suite.js';

databaseSuite('a database in this process', async () => {
  const dir = mkdtempSync(join(tmpdir(), 'moku-open-'));
  const db = await open({ dir });
  return {
    db,
    stop: async () => {
      await db.close();
      rmSync(dir, { recursive: true, force: true });
    },
  };
});

databaseSuite('a database on three nodes', async () => {
  const dir = mkdtempSync(join(tmpdir(), 'moku-three-'));
  const cluster = await DevCluster.start({ nodes: 3, dir });
  const db = connect({ nodes: cluster.clientAddresses });
  return {
    db,
    stop: async () => {
      await db.close();
      await cluster.stop();
      rmSync(dir, { recursive: true, force: true });
    },
  };
});
