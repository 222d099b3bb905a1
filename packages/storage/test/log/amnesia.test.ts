/**
 * Synced data that was lost is noticed before SQLite forgets it; a torn end, which any crash may leave, is
 * not taken for a loss (P6).
 */
import { cpSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { diskMedium } from '../../src/disk-medium.js';
import { scanWal } from '../../src/log/wal-scan.js';
import { copyDir, openQuiet, readAll, settle, tempDir } from './fixtures.js';
import { append, create, entriesOf, region } from './histories.js';

const frameBytes = 24 + 4096;
const batches = 10;

/** The files of a store that crashed after `batches` batches of one entry, each of several frames. */
async function crashed(): Promise<string> {
  const dir = tempDir();
  const store = await openQuiet(dir);
  store.write([create(1)]);
  for (let index = 1; index <= batches; index++) {
    store.write([append(1, index, index, 1, 10_000)]);
    await settle(store);
  }
  return copyDir(dir);
}

/** Changes the write-ahead log of `dir`; frames are numbered from 0, negative from the end. */
function damage(
  dir: string,
  change: (wal: Buffer, frameAt: (n: number) => number) => Buffer,
): void {
  const path = join(dir, 'log.db-wal');
  const wal = readFileSync(path);
  const frames = Math.floor((wal.length - 32) / frameBytes);
  const frameAt = (n: number): number => 32 + (n < 0 ? frames + n : n) * frameBytes;
  writeFileSync(path, change(wal, frameAt));
}

/** Leaves what a power loss may: the note of what was synced is not synced itself. */
function powerLost(dir: string): void {
  rmSync(join(dir, 'log.mark'));
}

function flip(wal: Buffer, at: number): Buffer {
  wal[at] = wal[at]! ^ 1;
  return wal;
}

async function lastIndexAfter(dir: string): Promise<number> {
  const store = await openQuiet(dir);
  expect(store.isAmnesiac).toBe(false);
  const last = store.region(region(1))!.lastIndex();
  const entries = await readAll(store, 1, 1, last);
  expect(entries).toHaveLength(last);
  return last;
}

it('an undamaged log after a crash has lost nothing', async () => {
  const dir = await crashed();
  expect(scanWal(join(dir, 'log.db-wal'), diskMedium)).toMatchObject({ loss: '' });
  expect(scanWal(join(dir, 'log.db-wal'), diskMedium).commits).toBeGreaterThanOrEqual(batches);
  expect(await lastIndexAfter(dir)).toBe(batches);
});

it('a missing log has lost nothing', () => {
  expect(scanWal(join(tempDir(), 'none'), diskMedium)).toEqual({
    commits: 0,
    loss: '',
  });
});

type Damage = readonly [
  what: string,
  change: (wal: Buffer, frameAt: (n: number) => number) => Buffer,
];

const lastCommit: readonly Damage[] = [
  [
    'a flipped bit in its last commit',
    (wal: Buffer, at: (n: number) => number) => flip(wal, at(-1) + 999),
  ],
  [
    'a last commit cut short',
    (wal: Buffer, at: (n: number) => number) => wal.subarray(0, at(-1) + 999),
  ],
  ['a last commit of zeros', (wal: Buffer, at: (n: number) => number) => wal.fill(0, at(-1))],
  [
    'a last commit whose first frame alone did not arrive',
    (wal: Buffer, at: (n: number) => number) => flip(wal, at(-2) + 999),
  ],
];

it.each(lastCommit)(
  '%s is a torn end where it may not have been synced: the last batch is gone and nothing else',
  async (_what, change) => {
    const dir = await crashed();
    powerLost(dir);
    damage(dir, change);
    expect(await lastIndexAfter(dir)).toBe(batches - 1);
  },
);

it.each([
  ...lastCommit,
  ['its last three commits cut off', (wal, at) => wal.subarray(0, at(-9))] as Damage,
  ['all of it cut off', (wal) => wal.subarray(0, 0)] as Damage,
])('%s is a loss where it was noted as synced, now and later', async (_what, change) => {
  const dir = await crashed();
  damage(dir, change);
  const first = await openQuiet(dir);
  expect(first.amnesia).toMatch(/commits that were synced are missing/);
  await first.close();
  const second = await openQuiet(dir);
  expect(second.isAmnesiac).toBe(true);
});

it('what was noted as synced is found whole while the write-ahead log begins anew, and missed when it is not', async () => {
  const dir = tempDir();
  const store = await openQuiet(dir, { checkpointBytes: 64 * 1024 });
  store.write([create(1)]);
  for (let index = 1; index <= 60; index++) {
    store.write([append(1, index, index, 1, 5_000)]);
    await settle(store);
    if (index % 7 > 0) continue;
    const whole = await openQuiet(copyDir(dir));
    expect(whole.amnesia).toBe('');
    const torn = copyDir(dir);
    damage(torn, (wal, at) => flip(wal, at(-1) + 999));
    // Unless frames of a former generation stand behind the last commit, it is the one that was hit.
    const found = await openQuiet(torn);
    const isWhole = found.region(region(1))!.lastIndex() === index;
    expect(found.isAmnesiac).toBe(!isWhole);
  }
  await store.close();
  // A log that was closed needs none of its companions.
  rmSync(join(dir, 'log.db-wal'), { force: true });
  expect((await openQuiet(dir)).amnesia).toBe('');
});

it.each(['removed', 'of an earlier time'])(
  'a log that is %s beside its note is a loss',
  async (what) => {
    const dir = tempDir();
    const store = await openQuiet(dir);
    store.write([create(1)]);
    await settle(store);
    await store.close();
    const earlier = copyDir(dir);
    const later = await openQuiet(dir);
    later.write([append(1, 1, 1)]);
    await settle(later);
    await later.close();
    if (what === 'removed') rmSync(join(dir, 'log.db'));
    else cpSync(join(earlier, 'log.db'), join(dir, 'log.db'));
    expect((await openQuiet(dir)).amnesia).toMatch(/are missing/);
  },
);

it('a note that is torn says nothing', async () => {
  const dir = await crashed();
  const path = join(dir, 'log.mark');
  const note = readFileSync(path, 'utf8');
  for (const written of ['', note.slice(0, 15), note.replace(/^ {3}/, '999'), `${note}x`]) {
    const copy = copyDir(dir);
    writeFileSync(join(copy, 'log.mark'), written);
    damage(copy, (wal, at) => flip(wal, at(-1) + 999));
    expect((await openQuiet(copy)).amnesia).toBe('');
  }
});

it.each([
  ['a flipped bit', (wal: Buffer, at: (n: number) => number) => flip(wal, at(12) + 999)],
  ['a frame of zeros', (wal: Buffer, at: (n: number) => number) => wal.fill(0, at(12), at(13))],
  ['a damaged header', (wal: Buffer) => flip(wal, 20)],
  [
    'a damaged commit before the last one',
    (wal: Buffer, at: (n: number) => number) => {
      let frame = -2;
      while (wal.readUInt32BE(at(frame) + 4) === 0) frame -= 1;
      return flip(wal, at(frame) + 999);
    },
  ],
])(
  '%s before the end is a loss, remembered until the peers have made the node safe',
  async (_what, change) => {
    const dir = await crashed();
    damage(dir, change);
    const first = await openQuiet(dir);
    expect(first.isAmnesiac).toBe(true);
    expect(first.amnesia).toMatch(/write-ahead log/);
    await first.close();
    const second = await openQuiet(dir);
    expect(second.isAmnesiac).toBe(true);
    await second.clearAmnesia();
    expect(second.isAmnesiac).toBe(false);
    await second.close();
    const third = await openQuiet(dir);
    expect(third.isAmnesiac).toBe(false);
  },
);

it('is remembered also when the power or the space went while it was being written down', async () => {
  const dir = await crashed();
  damage(dir, (wal, at) => flip(wal, at(12) + 999));
  await (await openQuiet(dir)).close();
  writeFileSync(join(dir, 'log.amnesia'), '');
  const store = await openQuiet(dir);
  expect(store.isAmnesiac).toBe(true);
  await store.close();
});

it('frames of an earlier lifetime behind a torn end are no sign of loss', async () => {
  const dir = await crashed();
  powerLost(dir);
  damage(dir, (wal, at) => flip(wal, at(-2) + 999));
  const store = await openQuiet(dir);
  store.write([append(1, batches, batches, 1, 10)]);
  await settle(store);
  const again = copyDir(dir);
  powerLost(again);
  damage(again, (wal, at) => flip(wal, at(-1) + 999));
  const reopened = await openQuiet(again);
  expect(reopened.amnesia).toBe('');
  expect(reopened.region(region(1))!.lastIndex()).toBe(batches - 1);
});

it('a log that was emptied into the file and begun anew has lost nothing', async () => {
  const dir = tempDir();
  const store = await openQuiet(dir, { checkpointBytes: 64 * 1024 });
  store.write([create(1)]);
  for (let index = 1; index <= 60; index++) {
    store.write([append(1, index, index, 1, 5_000)]);
    await settle(store);
  }
  const copy = copyDir(dir);
  const reopened = await openQuiet(copy);
  expect(reopened.amnesia).toBe('');
  expect(await readAll(reopened, 1, 60, 60)).toEqual(entriesOf(1, 60, 60, 1, 5_000));
});
