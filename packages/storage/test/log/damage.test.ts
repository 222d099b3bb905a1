/** What a damaged file does to the regions in it: one damaged record hides no other, and no end is made up. */
import { join } from 'node:path';
import Database from 'better-sqlite3';
import { expect, it } from 'vitest';
import { openLogStore } from '../../src/log/open.js';
import { rowHeaderBytes, tocItemBytes } from '../../src/log/row-codec.js';
import { openQuiet, readAll, rejection, tempDir } from './fixtures.js';
import { append, create, entriesOf, owner, region } from './histories.js';

const rows = 5;

/** A closed store with two regions, one entry of each in each of `rows` rows. */
async function written(): Promise<string> {
  const dir = tempDir();
  const store = await openQuiet(dir);
  store.write([create(1), create(2)]);
  for (let index = 1; index <= rows; index++) {
    store.write([append(1, index, index), append(2, index, index)]);
  }
  await store.close();
  return dir;
}

/** Changes row `seq`; undefined deletes it. */
function damage(dir: string, seq: number, change: (bytes: Buffer) => Buffer | undefined): void {
  const database = new Database(join(dir, 'log.db'));
  const row = database.prepare('SELECT bytes FROM batch WHERE seq = ?').get(seq) as {
    bytes: Buffer;
  };
  const bytes = change(row.bytes);
  if (bytes === undefined) database.prepare('DELETE FROM batch WHERE seq = ?').run(seq);
  else database.prepare('UPDATE batch SET bytes = ? WHERE seq = ?').run(bytes, seq);
  database.close();
}

it('a damaged table of contents hides no record', async () => {
  for (const at of [0, 4, 8, 17, rowHeaderBytes + 2, rowHeaderBytes + tocItemBytes + 30]) {
    const dir = await written();
    damage(dir, 3, (bytes) => bytes.fill(0xee, at, at + 2));
    const store = await openQuiet(dir);
    expect(store.amnesia, `byte ${at}`).toBe('');
    expect(await readAll(store, 1, 1, rows)).toEqual(entriesOf(1, 1, rows));
    expect(await readAll(store, 2, 1, rows)).toEqual(entriesOf(2, 1, rows));
  }
});

it('a damaged record is corrupt for its region alone', async () => {
  const dir = await written();
  damage(dir, 3, (bytes) =>
    bytes.fill(
      0xee,
      rowHeaderBytes + 2 * tocItemBytes + 60,
      rowHeaderBytes + 2 * tocItemBytes + 62,
    ),
  );
  const store = await openQuiet(dir);
  expect(store.amnesia).toBe('');
  expect(store.region(region(1))!.lastIndex()).toBe(rows);
  expect(await rejection(readAll(store, 1, 1, rows))).toMatchObject({
    code: 'LOG_CORRUPT',
    details: { regionId: 1, index: 3, seq: 3 },
  });
  expect(await readAll(store, 2, 1, rows)).toEqual(entriesOf(2, 1, rows));
});

it('a row found under another seq is not believed to be complete', async () => {
  const dir = await written();
  damage(dir, 5, (bytes) => {
    const database = new Database(join(dir, 'log.db'));
    database.prepare('UPDATE batch SET bytes = ? WHERE seq = 4').run(bytes);
    database.close();
    return bytes;
  });
  const store = await openQuiet(dir);
  expect(store.isAmnesiac).toBe(true);
  expect(store.amnesia).toMatch(/lacks entries 4 to 4/);
  expect(store.region(region(1))!.lastIndex()).toBe(3);
});

it.each([
  ['whose records cannot all be found', (bytes: Buffer) => bytes.fill(0xee, 10, bytes.length - 60)],
  ['that was cut short', (bytes: Buffer) => bytes.subarray(0, 80)],
  ['that vanished', () => undefined],
])('a row %s makes the node amnesiac, now and later', async (_what, change) => {
  const dir = await written();
  damage(dir, 3, change);
  const store = await openQuiet(dir);
  expect(store.isAmnesiac).toBe(true);
  expect(store.region(region(1))!.lastIndex()).toBe(2);
  expect(await readAll(store, 1, 1, 2)).toEqual(entriesOf(1, 1, 2));
  store.write([append(1, 3, 6), append(2, 3, 6)]);
  await store.close();
  const again = await openQuiet(dir);
  expect(again.isAmnesiac).toBe(true);
  expect(await readAll(again, 1, 1, 6)).toEqual(entriesOf(1, 1, 6));
});

it('a damaged last row makes the node amnesiac, because more may have been in it', async () => {
  const dir = await written();
  damage(dir, rows, (bytes) => bytes.fill(0xee, 10));
  const store = await openQuiet(dir);
  expect(store.isAmnesiac).toBe(true);
  expect(store.amnesia).toMatch(/row 5 is damaged/);
});

it('a damaged state of a region is refused with LOG_CORRUPT: its vote may be in it', async () => {
  const dir = await written();
  const database = new Database(join(dir, 'log.db'));
  database.prepare('UPDATE region SET state = ? WHERE id = 2').run(Buffer.alloc(60, 7));
  database.close();
  expect(await rejection(openLogStore({ dir, ...owner }))).toMatchObject({
    code: 'LOG_CORRUPT',
    details: { field: 'region.state', regionId: 2 },
  });
});

it('a state of one region under the id of another is refused', async () => {
  const dir = await written();
  const database = new Database(join(dir, 'log.db'));
  database.exec('UPDATE region SET state = (SELECT state FROM region WHERE id = 1) WHERE id = 2');
  database.close();
  expect(await rejection(openLogStore({ dir, ...owner }))).toMatchObject({ code: 'LOG_CORRUPT' });
});

it.each([
  ['a table of names that lost one', "DELETE FROM meta WHERE key = 'clusterId'"],
  ['a format that is gone', "DELETE FROM meta WHERE key = 'format'"],
  ['a store id that is gone', "DELETE FROM meta WHERE key = 'storeId'"],
  ['a schema that is gone', 'DELETE FROM sqlite_schema'],
])('%s is refused with LOG_CORRUPT: it is neither foreign nor new', async (_what, sql) => {
  const dir = await written();
  const database = new Database(join(dir, 'log.db'));
  database.unsafeMode(true);
  database.pragma('writable_schema = ON');
  database.exec(sql);
  database.close();
  expect(await rejection(openLogStore({ dir, ...owner }))).toMatchObject({ code: 'LOG_CORRUPT' });
});

it('a name that a flipped bit changed in the schema is refused with LOG_CORRUPT, or does not count', async () => {
  const openedWith = async (before: string, after: string): Promise<unknown> => {
    const dir = await written();
    const database = new Database(join(dir, 'log.db'));
    database.unsafeMode(true);
    database.pragma('writable_schema = ON');
    database.prepare('UPDATE sqlite_schema SET sql = replace(sql, ?, ?)').run(before, after);
    database.close();
    return await openLogStore({ dir, ...owner }).then(
      async (store) => {
        const found = store.region(region(1))?.lastIndex();
        await store.close();
        return found;
      },
      (error: unknown) => error,
    );
  };
  // The same letter but for one bit.
  for (const [before, after] of [
    ['key TEXT', 'kEY TEXT'],
    ['bytes', 'bYtes'],
    ['state', 'sTate'],
  ] as const) {
    expect(await openedWith(before, after)).toBe(rows);
  }
  for (const [before, after] of [
    ['key TEXT', 'kez TEXT'],
    ['bytes', 'cytes'],
    ['TABLE batch', 'TABLE bauch'],
  ] as const) {
    expect(await openedWith(before, after)).toMatchObject({ code: 'LOG_CORRUPT' });
  }
});

it.each([
  [
    'a row',
    'batch',
    'seq INTEGER PRIMARY KEY, bytes',
    'UPDATE copy SET bytes = NULL WHERE seq = 3',
    undefined,
  ],
  [
    'a state',
    'region',
    'id INTEGER PRIMARY KEY, state',
    'UPDATE copy SET state = NULL WHERE id = 1',
    'LOG_CORRUPT',
  ],
  [
    'a name',
    'meta',
    'key TEXT PRIMARY KEY, value',
    "UPDATE copy SET value = 7 WHERE key = 'storeId'",
    'LOG_CORRUPT',
  ],
])(
  '%s that a flipped bit made no bytes is damage, not a failure of the disk',
  async (_what, table, columns, sql, code) => {
    const dir = await written();
    const database = new Database(join(dir, 'log.db'));
    // A damaged page can do it, where a strict table does not.
    database.exec(`CREATE TABLE copy (${columns}); INSERT INTO copy SELECT * FROM ${table}; ${sql};
    DROP TABLE ${table}; ALTER TABLE copy RENAME TO ${table}`);
    database.close();
    const opening = openLogStore({ dir, ...owner });
    if (code !== undefined) {
      expect(await rejection(opening)).toMatchObject({ code });
      return;
    }
    const store = await opening;
    expect(store.isAmnesiac).toBe(true);
    await store.close();
  },
);

it('rows that are there twice are refused with LOG_CORRUPT, and nothing stays held', async () => {
  const dir = await written();
  const database = new Database(join(dir, 'log.db'));
  // A damaged page can do it, where SQL cannot.
  database.exec(`CREATE TABLE copy (seq INTEGER, bytes BLOB);
    INSERT INTO copy SELECT * FROM batch; INSERT INTO copy SELECT * FROM batch WHERE seq = 3;
    DROP TABLE batch; ALTER TABLE copy RENAME TO batch`);
  database.close();
  for (let opening = 1; opening <= 2; opening++) {
    expect(await rejection(openLogStore({ dir, ...owner }))).toMatchObject({ code: 'LOG_CORRUPT' });
  }
});
