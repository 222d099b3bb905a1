/** One value of a lone node cannot be read any more: who asks for it is told so, and nothing else suffers. */
import { mkdtempSync, rmSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { open } from 'moku';
import { expect, it } from 'vitest';

interface Connection {
  prepare(sql: string): { run(...values: unknown[]): { changes: number } };
  close(): void;
}

const load = createRequire(import.meta.resolve('@moku/storage/package.json'));
const Database = load('better-sqlite3') as new (path: string) => Connection;

it('a damaged value of a lone node is refused by its code, each time, and its neighbours are answered', async () => {
  const dir = mkdtempSync(join(tmpdir(), 'moku-damaged-'));
  try {
    const first = await open({ dir });
    const written = await first.keyspace<string>('k', { mode: 'range' });
    await written.put('bad', 'a value to be damaged');
    await written.put('good', 'a value that stays');
    await first.close();
    const file = new Database(join(dir, 'data.db'));
    const damage = file.prepare(
      "UPDATE version SET value = zeroblob(length(value)) WHERE instr(value, CAST('a value to be damaged' AS BLOB)) > 0",
    );
    expect(damage.run().changes).toBe(1);
    file.close();
    const db = await open({ dir });
    try {
      const space = await db.keyspace<string>('k');
      for (let round = 1; round <= 2; round++) {
        const bad = space.get('bad', { timeoutMs: 5_000 });
        await expect(bad).rejects.toMatchObject({ code: 'ENGINE_CORRUPT', outcome: 'definite' });
        expect(await space.get('good', { timeoutMs: 5_000 })).toBe('a value that stays');
      }
      await space.put('good', 'changed', { timeoutMs: 5_000 });
      expect(await space.get('good')).toBe('changed');
    } finally {
      await db.close();
    }
  } finally {
    rmSync(dir, { recursive: true, force: true });
  }
});
