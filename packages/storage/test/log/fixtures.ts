/** Directories, open stores and waiting, for the tests of the log. */
import { cpSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Entry } from '@moku/raft';
import { afterEach, expect, vi } from 'vitest';
import type { SqliteLogStore } from '../../src/log/log-store.js';
import { type LogStoreOptions, openLogStore } from '../../src/log/open.js';
import { owner, region } from './histories.js';

const waitOptions = { timeout: 15_000, interval: 1 };
const dirs: string[] = [];
const stores: SqliteLogStore[] = [];

afterEach(async () => {
  await Promise.all(stores.splice(0).map((store) => store.abandon()));
  for (const dir of dirs.splice(0)) rmSync(dir, { recursive: true, force: true });
});

/** A directory that is removed after the test. */
export function tempDir(): string {
  const dir = mkdtempSync(join(tmpdir(), 'moku-log-'));
  dirs.push(dir);
  return dir;
}

/** A copy of a store's files as they are now; the store must be settled. */
export function copyDir(dir: string): string {
  const copy = tempDir();
  cpSync(dir, copy, { recursive: true });
  return copy;
}

/** Opens a store that ends with the test, with its events unheard but for failures. */
export async function openQuiet(
  dir: string,
  options: Partial<LogStoreOptions> = {},
): Promise<SqliteLogStore> {
  const store = await openLogStore({ dir, ...owner, ...options });
  stores.push(store);
  store.subscribe({
    onDurable() {},
    onFetched() {},
    onFailure(error) {
      throw error;
    },
  });
  return store;
}

export async function settle(store: SqliteLogStore): Promise<void> {
  await vi.waitFor(() => expect(store.health().batchesInFlight).toBe(0), waitOptions);
}

/** Entries `from` … `to`, polled while they are fetched. */
export async function readAll(
  store: SqliteLogStore,
  id: number,
  from: number,
  to: number,
): Promise<Entry[]> {
  const all: Entry[] = [];
  const readOn = (): void => {
    while (all.length < to - from + 1) {
      const piece = store.region(region(id))!.entries(from + all.length, to + 1, 1 << 20);
      if (piece === 'fetching') break;
      all.push(...piece);
    }
  };
  let thrown: unknown;
  await vi.waitFor(() => {
    try {
      readOn();
    } catch (error) {
      thrown = error;
      return;
    }
    expect(all.length).toBe(to - from + 1);
  }, waitOptions);
  if (thrown !== undefined) throw thrown;
  return all;
}

/** What a promise was rejected with. */
export async function rejection(promise: Promise<unknown>): Promise<unknown> {
  try {
    await promise;
  } catch (error) {
    return error;
  }
  throw new Error('it was expected to be rejected');
}
