/**
 * A process that is killed behind an acknowledgement, and opened again: what it finds at once (P1, P2).
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { open } from 'moku';
import { afterAll, describe, expect, it } from 'vitest';

const dir = mkdtempSync(join(tmpdir(), 'moku-reopened-'));

/** Makes a keyspace, writes into it, and dies before anything is in data.db. */
const program = `
const { open } = await import(process.argv[1]);
const db = await open({ dir: process.argv[2] });
const space = await db.keyspace('kept', { mode: 'hash', regions: 2 });
await space.put('a', 1);
process.kill(process.pid, 'SIGKILL');
`;

describe('a database whose process was killed', () => {
  afterAll(() => rmSync(dir, { recursive: true, force: true }));

  it('has its keyspaces and records as soon as it is open again', async () => {
    const moku = import.meta.resolve('moku');
    const argv = ['--input-type=module', '-e', program, moku, dir];
    const child = spawn(process.execPath, argv, { stdio: 'inherit' });
    expect(await once(child, 'exit')).toEqual([null, 'SIGKILL']);
    const db = await open({ dir });
    try {
      const space = await db.keyspace<number>('kept');
      expect(await space.get('a')).toBe(1);
    } finally {
      await db.close();
    }
  }, 15_000);

  it('still says of a keyspace that it never had that there is none', async () => {
    const db = await open({ dir });
    try {
      await expect(db.keyspace('never')).rejects.toMatchObject({ code: 'KEYSPACE_UNKNOWN' });
    } finally {
      await db.close();
    }
  }, 15_000);
});
