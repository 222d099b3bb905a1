/**
 * Failures under the engine: a disk that takes no more, and bytes that changed.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { utf8 } from '@moku/base';
import Database from 'better-sqlite3';
import { describe, expect, it } from 'vitest';
import { openEngine } from '../../src/engine/sqlite-engine.js';
import { latest, put, regionId, replicaId, temporaryDirectory, version } from './fixtures.js';
import { stateAt } from './history.js';

const childPath = fileURLToPath(new URL('writing-child.ts', import.meta.url));

describe('when the disk takes no more', () => {
  it('the engine reports ENGINE_IO once, and claims nothing that is not there', async () => {
    const dir = temporaryDirectory();
    // A limit on the size of files makes writes fail as a full disk does. Units of 512 bytes.
    const child = spawn(
      'sh',
      [
        '-c',
        'ulimit -f 4000; exec "$0" "$@"',
        process.execPath,
        '--import',
        'tsx',
        childPath,
        dir,
        '4',
        '0',
      ],
      { stdio: ['ignore', 'pipe', 'inherit'] },
    );
    const exited = once(child, 'exit');
    const durable = new Map<number, number>();
    const others: unknown[] = [];
    for await (const line of createInterface({ input: child.stdout })) {
      const report = JSON.parse(line) as { regionId?: number; durableIndex?: number };
      if (report.regionId === undefined) others.push(report);
      else durable.set(report.regionId, report.durableIndex ?? 0);
    }
    await exited;
    expect(others).toEqual([{ failure: 'ENGINE_IO' }, { closed: 'ENGINE_IO' }]);
    const engine = await openEngine({ dir });
    expect(engine.replicas().length).toBe(5);
    for (const replica of engine.replicas()) {
      expect(replica.appliedIndex).toBeGreaterThanOrEqual(durable.get(replica.regionId) ?? 0);
    }
    const { appliedIndex } = engine.replica(regionId) ?? { appliedIndex: 0 };
    expect(appliedIndex).toBeGreaterThan(0);
    const picture = engine.picture(regionId);
    expect(picture.next(1e9).length).toBe(stateAt(regionId, appliedIndex).length);
    picture.close();
    await engine.close();
  }, 60_000);
});

describe('when bytes of data.db change', () => {
  /** Writes one version, closes, and replaces `from` by `to` in the file. */
  async function damaged(from: string, to: string): Promise<string> {
    const dir = temporaryDirectory();
    const engine = await openEngine({ dir });
    engine.createReplica(regionId, replicaId);
    put(engine, 1, version('the-key', 7, 'the-value'), version('other', 7, 'unharmed'));
    await engine.close();
    const path = join(dir, 'data.db');
    const bytes = readFileSync(path);
    const at = bytes.indexOf(from);
    expect(at).toBeGreaterThan(0);
    bytes.set(utf8(to), at);
    writeFileSync(path, bytes);
    return dir;
  }

  it.each([
    ['a value', 'the-value', 'the-valuf', 'the-key'],
    ['a key', 'the-key', 'the-kez', 'the-kez'],
  ])(
    'a read that meets %s that changed throws ENGINE_CORRUPT, and harms no other',
    async (_what, from, to, key) => {
      const dir = await damaged(from, to);
      const engine = await openEngine({ dir });
      const failures: unknown[] = [];
      engine.subscribe({ onFlushed: () => {}, onFailure: (error) => failures.push(error) });
      for (let i = 0; i < 2; i++) {
        expect(() => engine.get(regionId, utf8(key), latest)).toThrow(
          expect.objectContaining({ code: 'ENGINE_CORRUPT' }),
        );
      }
      const picture = engine.picture(regionId);
      expect(() => {
        while (picture.next(1).length > 0);
      }).toThrow(expect.objectContaining({ code: 'ENGINE_CORRUPT' }));
      expect(engine.get(regionId, utf8('other'), latest)?.value).toEqual(utf8('unharmed'));
      put(engine, 2, version('the-key', 8, 'anew'));
      await engine.flush();
      expect(engine.get(regionId, utf8('the-key'), latest)?.value).toEqual(utf8('anew'));
      expect(failures).toEqual([]);
      await engine.close();
    },
  );

  it('an applied index that changed is refused when the file is opened', async () => {
    const dir = temporaryDirectory();
    const engine = await openEngine({ dir });
    engine.createReplica(regionId, replicaId);
    put(engine, 5, version('k', 1, 'v'));
    await engine.close();
    const db = new Database(join(dir, 'data.db'));
    db.exec('UPDATE replica SET applied_index = 6');
    db.close();
    await expect(openEngine({ dir })).rejects.toMatchObject({
      code: 'ENGINE_CORRUPT',
      details: { table: 'replica' },
    });
  });
});
