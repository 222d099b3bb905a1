/**
 * Opening: what is refused, by which code, and what is left alone.
 */
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { utf8 } from '@moku/base';
import Database from 'better-sqlite3';
import { expect, it } from 'vitest';
import { openEngine } from '../../src/engine/sqlite-engine.js';
import { latest, put, regionId, replicaId, temporaryDirectory, version } from './fixtures.js';

it('makes the directory when it does not exist', async () => {
  const dir = join(temporaryDirectory(), 'a', 'b');
  const engine = await openEngine({ dir });
  expect(engine.replicas()).toEqual([]);
  await engine.close();
});

it('refuses a directory that is a file', async () => {
  const dir = join(temporaryDirectory(), 'file');
  writeFileSync(dir, 'not a directory');
  await expect(openEngine({ dir })).rejects.toMatchObject({
    code: 'DIR_UNUSABLE',
    details: { dir },
  });
});

it('refuses a data.db that cannot be opened', async () => {
  const dir = temporaryDirectory();
  mkdirSync(join(dir, 'data.db'));
  await expect(openEngine({ dir })).rejects.toMatchObject({ code: 'DIR_UNUSABLE' });
});

it('refuses a data.db that is no database', async () => {
  const dir = temporaryDirectory();
  writeFileSync(join(dir, 'data.db'), Buffer.alloc(8192, 'no database '));
  await expect(openEngine({ dir })).rejects.toMatchObject({ code: 'ENGINE_CORRUPT' });
});

it.each([
  ['a table', 'TABLE replica', 'TABLE replicb'],
  ['a column of the versions', 'ts INTEGER', 'tr INTEGER'],
  ['a column of the settings', 'meta (key', 'meta (kex'],
])('refuses a data.db in whose schema a bit of %s flipped', async (_what, before, after) => {
  const dir = temporaryDirectory();
  await (await openEngine({ dir })).close();
  const db = new Database(join(dir, 'data.db'));
  db.unsafeMode(true);
  db.pragma('writable_schema = ON');
  db.prepare('UPDATE sqlite_schema SET sql = replace(sql, ?, ?)').run(before, after);
  db.close();
  await expect(openEngine({ dir })).rejects.toMatchObject({ code: 'ENGINE_CORRUPT' });
});

it('refuses a newer format and leaves it as it is', async () => {
  const dir = temporaryDirectory();
  await (await openEngine({ dir })).close();
  const db = new Database(join(dir, 'data.db'));
  db.exec("UPDATE meta SET value = 99 WHERE key = 'format'");
  db.close();
  await expect(openEngine({ dir })).rejects.toMatchObject({
    code: 'DIR_FORMAT_NEWER',
    details: { found: 99, supported: 1 },
  });
  const after = new Database(join(dir, 'data.db'), { readonly: true });
  expect(after.prepare("SELECT value FROM meta WHERE key = 'format'").pluck().get()).toBe(99);
  after.close();
});

it('refuses a directory that another engine has open, and harms nothing', async () => {
  const dir = temporaryDirectory();
  const engine = await openEngine({ dir });
  engine.createReplica(regionId, replicaId);
  put(engine, 1, version('k', 1, 'v'));
  await expect(openEngine({ dir })).rejects.toMatchObject({ code: 'DIR_LOCKED' });
  await engine.flush();
  expect(engine.get(regionId, utf8('k'), latest)?.value).toEqual(utf8('v'));
  await engine.close();
  const again = await openEngine({ dir });
  expect(again.durableIndex(regionId)).toBe(1);
  await again.close();
});

it('throws CLOSED when it is used after its close, and closes once', async () => {
  const engine = await openEngine({ dir: temporaryDirectory() });
  engine.createReplica(regionId, replicaId);
  await Promise.all([engine.close(), engine.close()]);
  expect(() => put(engine, 1, version('k', 1, 'v'))).toThrow(
    expect.objectContaining({ code: 'CLOSED' }),
  );
  expect(() => engine.get(regionId, utf8('k'), latest)).toThrow(
    expect.objectContaining({ code: 'CLOSED' }),
  );
});
