/**
 * What a Database promises, however it was reached. Run on `open()` alone and on `connect()` to three
 * node processes.
 */
import { type Database, isMokuError, type Keyspace, type KeyspaceOptions, limits } from 'moku';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

let names = 0;

/** A keyspace of its own for each test. */
function freshName(): string {
  names += 1;
  return `test-${process.pid}-${names}`;
}

async function codeOf(task: Promise<unknown>): Promise<string> {
  try {
    await task;
  } catch (error) {
    return isMokuError(error) ? `${error.code} ${error.outcome}` : String(error);
  }
  return 'no error';
}

async function keysOf(scan: AsyncIterable<{ key: unknown }>): Promise<unknown[]> {
  const keys: unknown[] = [];
  for await (const { key } of scan) keys.push(key);
  return keys;
}

export function databaseSuite(
  name: string,
  start: () => Promise<{ db: Database; stop: () => Promise<void> }>,
): void {
  describe(name, () => {
    let db: Database;
    let stop: () => Promise<void>;

    beforeAll(async () => {
      const started = await start();
      db = started.db;
      stop = started.stop;
    });
    afterAll(async () => {
      await stop();
    });

    function keyspace<T = unknown>(options: KeyspaceOptions = {}): Promise<Keyspace<T>> {
      return db.keyspace<T>(freshName(), { mode: 'hash', regions: 4, ...options });
    }

    const abc = { mode: 'range', regions: 3, bounds: ['h', 'p'] } as const;

    it('reads what was written, and nothing after a delete', async () => {
      const people = await keyspace<{ age: number }>();
      expect(await people.get('ann')).toBeUndefined();
      const first = await people.put('ann', { age: 1 });
      expect(first).toMatchObject({ applied: true, existed: false });
      const second = await people.put('ann', { age: 2 });
      expect(second).toMatchObject({ applied: true, existed: true });
      expect(second.version).toBeGreaterThan(first.version);
      expect(await people.getRecord('ann')).toEqual({
        key: 'ann',
        value: { age: 2 },
        version: second.version,
        expiresAtMs: undefined,
      });
      expect(await people.has('ann')).toBe(true);
      expect(await people.delete('ann')).toMatchObject({ applied: true, existed: true });
      expect(await people.delete('ann')).toMatchObject({ applied: true, existed: false });
      expect(await people.has('ann')).toBe(false);
    });

    it('writes under conditions only while they hold', async () => {
      const space = await keyspace<number>();
      expect((await space.put('k', 1, { ifPresent: true })).applied).toBe(false);
      const first = await space.put('k', 1, { ifAbsent: true });
      expect(first.applied).toBe(true);
      expect(await space.put('k', 2, { ifAbsent: true })).toEqual({
        applied: false,
        version: first.version,
      });
      expect((await space.put('k', 2, { ifVersion: first.version })).applied).toBe(true);
      expect((await space.put('k', 3, { ifVersion: first.version })).applied).toBe(false);
      expect((await space.delete('k', { ifVersion: first.version })).applied).toBe(false);
      expect((await space.put('new', 1, { ifVersion: 0 })).applied).toBe(true);
      expect(await space.get('k')).toBe(2);
    });

    it('lets only one of many racing writers win', async () => {
      const space = await keyspace<number>();
      const results = await Promise.all(
        Array.from({ length: 20 }, (_, i) => space.put('race', i, { ifAbsent: true })),
      );
      const winners = results.flatMap((result, i) => (result.applied ? [i] : []));
      expect(winners).toHaveLength(1);
      expect(await space.get('race')).toBe(winners[0]);
    });

    it('forgets a key when its time to live is over', async () => {
      const space = await keyspace<string>();
      await space.put('soon', 'gone', { ttlMs: 150 });
      await space.put('later', 'here', { ttlMs: 600_000 });
      const record = await space.getRecord('later');
      expect(record?.expiresAtMs).toBeGreaterThan(Date.now());
      await expect.poll(() => space.get('soon'), { timeout: 5_000 }).toBeUndefined();
      expect(await space.has('later')).toBe(true);
      expect(await keysOf(space.scan())).toEqual(['later']);
      expect(await space.put('soon', 'again', { ifAbsent: true })).toMatchObject({ applied: true });
    });

    it('scans a range keyspace in order over its regions, both ways, within bounds', async () => {
      const space = await keyspace<string>(abc);
      const all = ['a', 'b', 'ha', 'hb', 'pa', 'z'];
      for (const key of all) await space.put(key, key.toUpperCase());
      expect(await keysOf(space.scan())).toEqual(all);
      expect(await keysOf(space.scan({ reverse: true }))).toEqual([...all].reverse());
      expect(await keysOf(space.scan({ start: 'b', end: 'pa' }))).toEqual(['b', 'ha', 'hb']);
      expect(await keysOf(space.scan({ start: 'b', end: 'pa', reverse: true }))).toEqual([
        'hb',
        'ha',
        'b',
      ]);
      expect(await keysOf(space.scan({ prefix: 'h' }))).toEqual(['ha', 'hb']);
      expect(await keysOf(space.scan({ limit: 3 }))).toEqual(['a', 'b', 'ha']);
      expect(await keysOf(space.scan({ pageSize: 1 }))).toEqual(all);
      expect(await keysOf(space.scan({ pageSize: 2, reverse: true }))).toEqual([...all].reverse());
      expect(await keysOf(space.scan({ start: 'x', end: 'b' }))).toEqual([]);
    });

    it('gives pages whose cursors go on exactly where they ended', async () => {
      const space = await keyspace<number>(abc);
      const all = Array.from({ length: 60 }, (_, i) => String.fromCharCode(97 + (i % 26)) + i);
      await space.putMany(all.map((key, i) => [key, i]));
      const seen: unknown[] = [];
      let cursor: string | undefined;
      do {
        const page = await space.scanPage({ pageSize: 7, cursor });
        expect(page.records.length).toBeLessThanOrEqual(7);
        for (const { key } of page.records) seen.push(key);
        cursor = page.cursor;
      } while (cursor !== undefined);
      expect(seen).toEqual([...all].sort());
    });

    it('scans a hash keyspace completely, and a bucket of it in order', async () => {
      const space = await keyspace<number>({ regions: 8 });
      const keys = ['CH/ZH/b', 'CH/ZH/a', 'CH/BE/x', 'DE/BY/m', 'FR', 'CH/ZH/c'];
      for (const [i, key] of keys.entries()) await space.put(key, i);
      expect((await keysOf(space.scan({ pageSize: 2 }))).sort()).toEqual([...keys].sort());
      expect(await keysOf(space.scan({ bucket: 'CH/ZH/' }))).toEqual([
        'CH/ZH/a',
        'CH/ZH/b',
        'CH/ZH/c',
      ]);
      expect(await keysOf(space.scan({ bucket: 'CH/ZH/', reverse: true, limit: 2 }))).toEqual([
        'CH/ZH/c',
        'CH/ZH/b',
      ]);
      expect((await keysOf(space.scan({ prefix: 'CH/' }))).sort()).toEqual([
        'CH/BE/x',
        'CH/ZH/a',
        'CH/ZH/b',
        'CH/ZH/c',
      ]);
    });

    it('applies a batch as a whole or not at all', async () => {
      const space = await keyspace<number>();
      const done = await space.batch([
        { type: 'put', key: 'acct/a', value: 10, ifAbsent: true },
        { type: 'put', key: 'acct/b', value: 20 },
        { type: 'delete', key: 'acct/c' },
      ]);
      expect(done).toMatchObject({ applied: true, existed: [false, false, false] });
      const refused = await space.batch([
        { type: 'put', key: 'acct/b', value: 21 },
        { type: 'put', key: 'acct/a', value: 11, ifAbsent: true },
      ]);
      expect(refused).toMatchObject({ applied: false, operation: 1 });
      expect(await space.getMany(['acct/a', 'acct/b', 'acct/c'])).toEqual([10, 20, undefined]);
    });

    it('refuses a batch over several regions, and writes nothing of it', async () => {
      const space = await keyspace<number>(abc);
      const batch = space.batch([
        { type: 'put', key: 'a', value: 1 },
        { type: 'put', key: 'z', value: 1 },
      ]);
      expect(await codeOf(batch)).toBe('BATCH_SPANS_REGIONS definite');
      expect(await space.getMany(['a', 'z'])).toEqual([undefined, undefined]);
    });

    it('writes and reads many keys over all regions', async () => {
      const space = await keyspace<{ i: number }>({ regions: 8 });
      const keys = Array.from({ length: 3_000 }, (_, i) => `k${i}`);
      expect(await space.putMany(keys.map((key, i) => [key, { i }]))).toEqual({ written: 3_000 });
      const values = await space.getMany([...keys, 'missing']);
      expect(values.map((value) => value?.i)).toEqual([...keys.keys(), undefined]);
      expect(await keysOf(space.scan({ pageSize: 1_000 }))).toHaveLength(3_000);
    });

    it('keeps the last of several writes of one key in putMany', async () => {
      const space = await keyspace<number>();
      const records = Array.from({ length: 2_000 }, (_, i): [string, number] => [`k${i % 3}`, i]);
      await space.putMany(records);
      expect(await space.getMany(['k0', 'k1', 'k2'])).toEqual([1_998, 1_999, 1_997]);
    });

    it('keeps values of every encoding, and keys as bytes', async () => {
      const values = {
        json: [{ a: [1, null, 'ü'] }, 'text', 0],
        utf8: ['', 'Zürich ✓'],
        bytes: [new Uint8Array(0), Uint8Array.of(0, 255, 1)],
        msgpack: [{ a: [1, 'b'], n: null }, 1.5, 'text'],
      } as const;
      for (const encoding of ['json', 'utf8', 'bytes', 'msgpack'] as const) {
        const space = await keyspace({ values: encoding, keys: 'bytes' });
        for (const [i, value] of values[encoding].entries()) {
          const key = Uint8Array.of(255, i);
          await space.put(key, value);
          expect(await space.getRecord(key)).toMatchObject({ key, value });
        }
      }
    });

    it('names the field and the bound of bad input, and does nothing', async () => {
      const space = await keyspace<unknown>({ values: 'utf8' });
      const cases: [() => Promise<unknown>, string][] = [
        [() => space.put('', 'x'), 'KEY_EMPTY definite'],
        [() => space.put('k'.repeat(limits.keyBytesMax + 1), 'x'), 'KEY_TOO_LARGE definite'],
        [() => space.put('k', 'x'.repeat(limits.valueBytesMax + 1)), 'VALUE_TOO_LARGE definite'],
        [() => space.put('k', 5), 'VALUE_NOT_ENCODABLE definite'],
        [() => space.put('k', 'x', { ttlMs: Number.NaN }), 'INVALID_ARGUMENT definite'],
        [() => space.put('k', 'x', { ttlMs: 0 }), 'INVALID_ARGUMENT definite'],
        [
          () => space.put('k', 'x', { ifAbsent: true, ifPresent: true }),
          'INVALID_ARGUMENT definite',
        ],
        [() => space.put('k', 'x', { ifVersion: -1 }), 'INVALID_ARGUMENT definite'],
        [() => space.put('k', 'x', { timeoutMs: Number.NaN }), 'INVALID_ARGUMENT definite'],
        [() => space.batch([]), 'BATCH_TOO_LARGE definite'],
        [() => space.scanPage({ pageSize: 0 }), 'INVALID_ARGUMENT definite'],
        [() => space.scanPage({ limit: Number.NaN }), 'INVALID_ARGUMENT definite'],
        [() => space.scanPage({ start: 'a' }), 'INVALID_ARGUMENT definite'],
        [() => space.scanPage({ cursor: 'not a cursor' }), 'CURSOR_INVALID definite'],
        [() => space.scanPage({ bucket: 'no-slash' }), 'INVALID_ARGUMENT definite'],
        [() => db.keyspace('', { mode: 'hash' }), 'INVALID_ARGUMENT definite'],
        [() => db.keyspace('x'.repeat(129), { mode: 'hash' }), 'INVALID_ARGUMENT definite'],
        [() => db.keyspace(freshName(), { mode: 'hash', regions: 0 }), 'INVALID_ARGUMENT definite'],
        [
          () => db.keyspace(freshName(), { mode: 'range', bounds: ['b', 'a'] }),
          'INVALID_ARGUMENT definite',
        ],
        [() => db.keyspace(freshName()), 'KEYSPACE_UNKNOWN definite'],
      ];
      for (const [task, expected] of cases) expect(await codeOf(task())).toBe(expected);
      expect(await keysOf(space.scan())).toEqual([]);
    });

    it('refuses arguments of wrong types by name, definitely', async () => {
      // As a caller in plain JavaScript would.
      const space = (await keyspace<unknown>()) as unknown as Record<
        string,
        (...a: unknown[]) => Promise<unknown>
      >;
      const cases: [string, unknown[]][] = [
        ['get', [7]],
        ['put', [null, 1]],
        ['put', ['k', 1, 'options']],
        ['put', ['k', 1, { signal: 5 }]],
        ['batch', [null]],
        ['batch', [[null]]],
        ['getMany', ['keys']],
        ['getMany', [null]],
        ['putMany', [null]],
        ['putMany', [{ a: 1 }]],
        ['putMany', [['ab', 'cd']]],
        ['scanPage', ['options']],
      ];
      for (const [method, args] of cases) {
        const call = (async () => space[method]?.(...args))();
        expect([method, await codeOf(call)]).toEqual([method, 'INVALID_ARGUMENT definite']);
      }
    });

    it('takes keys and values as large as the limits', async () => {
      const space = await keyspace<Uint8Array>({ values: 'bytes' });
      const key = 'k'.repeat(limits.keyBytesMax);
      const value = new Uint8Array(limits.valueBytesMax).fill(7);
      await space.put(key, value);
      const read = await space.get(key);
      expect(read !== undefined && Buffer.compare(read, value) === 0).toBe(true);
    });

    it('opens a keyspace again, and refuses other settings for it', async () => {
      const name = freshName();
      const first = await db.keyspace<number>(name, { mode: 'hash', regions: 3 });
      await first.put('k', 1);
      expect(await (await db.keyspace(name)).get('k')).toBe(1);
      expect(await (await db.keyspace(name, { mode: 'hash', regions: 3 })).get('k')).toBe(1);
      expect(await codeOf(db.keyspace(name, { mode: 'range' }))).toBe('KEYSPACE_EXISTS definite');
      expect(await codeOf(db.keyspace(name, { mode: 'hash', regions: 4 }))).toBe(
        'KEYSPACE_EXISTS definite',
      );
    });

    it('creates a keyspace once when many ask at the same time', async () => {
      const name = freshName();
      const opened = await Promise.all(
        Array.from({ length: 5 }, () => db.keyspace<number>(name, { mode: 'hash', regions: 2 })),
      );
      await opened[0]?.put('k', 1);
      for (const space of opened) expect(await space.get('k')).toBe(1);
    });

    it('ends a call when its signal aborts, before anything was sent or after', async () => {
      const space = await keyspace<number>();
      const before = AbortSignal.abort();
      expect(await codeOf(space.put('k', 1, { signal: before }))).toBe('ABORTED definite');
      const controller = new AbortController();
      const calls = Array.from({ length: 50 }, (_, i) =>
        space.put(`k${i}`, i, { signal: controller.signal }),
      );
      controller.abort();
      for (const code of await Promise.all(calls.map(codeOf))) {
        expect(code).toMatch(/^(ABORTED (maybe|definite)|no error)$/);
      }
    });

    it('tells versions that ascend within a key', async () => {
      const space = await keyspace<number>();
      let last = 0;
      for (let i = 0; i < 20; i++) {
        const { version } = await space.put('k', i);
        expect(version).toBeGreaterThan(last);
        last = version;
      }
    });
  });
}
