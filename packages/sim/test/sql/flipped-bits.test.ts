/**
 * One bit of what the real log has on disk becomes another: the log refuses by a code, says that data is
 * missing, says LOG_CORRUPT of the entry, or it was a bit that nobody needs. It never lies.
 */
import { createPrng, isMokuError, type RegionId, type ReplicaId } from '@moku/base';
import type { ConfState, Entry, LogStore, RegionWrite } from '@moku/raft';
import { openLogStoreOver, type SqliteLogStore } from '@moku/storage';
import { expect, it } from 'vitest';
import { flipStoredBit } from '../../src/sql/damage.js';
import { type Machine, MachineRoom } from '../../src/sql/machine.js';
import { type Actor, logLinks } from '../../src/sql/threads.js';

const seed = 20_261_122;
const flips = 300;
const regions = 3;
const confState: ConfState = {
  voters: [1 as ReplicaId],
  votersOutgoing: [],
  learners: [],
  learnersNext: [],
  autoLeave: false,
};

interface Opened {
  readonly store: SqliteLogStore;
  readonly actor: Actor;
}

async function open(machine: Machine): Promise<Opened> {
  let actor: Actor | undefined;
  const soon = (task: () => void): void => {
    setImmediate(task);
  };
  const start = logLinks(machine, { work: soon, answer: soon }, (started) => {
    actor = started;
  });
  const options = { dir: machine.dir, clusterId: 'flipped', nodeId: 1, checkpointBytes: 1 << 30 };
  try {
    const store = await openLogStoreOver(options, start);
    store.subscribe({ onDurable: () => {}, onFetched: () => {}, onFailure: () => {} });
    return { store, actor: actor! };
  } catch (error) {
    actor?.kill();
    machine.crash('everything');
    throw error;
  }
}

/** Regions with entries, votes and truncations, in several rows; a part of it in the write-ahead log. */
async function fill(store: LogStore): Promise<void> {
  const create = (id: number): RegionWrite => ({
    regionId: id as RegionId,
    create: { replicaId: 1 as ReplicaId, confState, truncatedIndex: 0, truncatedTerm: 0 },
  });
  store.write([1, 2, 3].map(create));
  for (let index = 1; index <= 40; index++) {
    const writes: RegionWrite[] = [];
    for (let id = 1; id <= regions; id++) {
      const data = new Uint8Array(20 + ((index * 37 * id) % 900)).fill(index);
      const entries: Entry[] = [{ index, term: 1 + Math.floor(index / 10), kind: 'normal', data }];
      const votedFor = (1 + (index % 3)) as ReplicaId;
      writes.push({
        regionId: id as RegionId,
        entries,
        ...(index % 10 === 0
          ? { hardState: { term: index, votedFor, commitIndex: index - 1 } }
          : {}),
        ...(index === 25 ? { truncate: { index: 12, term: 2 } } : {}),
      });
    }
    store.write(writes);
    while (store.health().batchesInFlight > 0) await new Promise((done) => setImmediate(done));
  }
}

/** Everything that the log says; an entry that it calls corrupt is a question mark. */
async function told(store: LogStore): Promise<string[]> {
  const lines: string[] = [];
  for (const region of store.recovered().regions) {
    lines.push(JSON.stringify(region));
    const log = store.region(region.regionId)!;
    for (let index = log.firstIndex(); index <= log.lastIndex(); index++) {
      lines.push(`${region.regionId}/${index} ${log.term(index)} ${await dataOf(log, index)}`);
    }
  }
  return lines;
}

async function dataOf(
  log: NonNullable<ReturnType<LogStore['region']>>,
  index: number,
): Promise<string> {
  for (;;) {
    try {
      const found = log.entries(index, index + 1, 1 << 20);
      if (found !== 'fetching') return Buffer.from(found[0]!.data).toString('hex');
      await new Promise((done) => setImmediate(done));
    } catch (error) {
      if (isMokuError(error, 'LOG_CORRUPT')) return '?';
      throw error;
    }
  }
}

function isHonest(before: readonly string[], after: readonly string[]): boolean {
  if (before.length !== after.length) return false;
  return before.every((line, i) => {
    const now = after[i]!;
    return now === line || (now.endsWith('?') && line.startsWith(now.slice(0, -1)));
  });
}

/** The log's files after `fill`: as a kill leaves them, mostly write-ahead log, or as an orderly end does. */
async function filled(machine: Machine, isKilled: boolean): Promise<void> {
  const { store, actor } = await open(machine);
  await fill(store);
  if (!isKilled) await store.close();
  actor.kill();
  machine.crash('everything');
}

/** What came of one flipped bit; 'lied' is what must not be. */
type Outcome = 'refused' | 'amnesiac' | 'honest' | 'lied' | 'not coded';

async function outcomeOf(machine: Machine, before: readonly string[]): Promise<Outcome> {
  let opened: Opened;
  try {
    opened = await open(machine);
  } catch (error) {
    return isMokuError(error) ? 'refused' : 'not coded';
  }
  const { store, actor } = opened;
  let outcome: Outcome = 'amnesiac';
  if (!store.isAmnesiac) outcome = isHonest(before, await told(store)) ? 'honest' : 'lied';
  actor.kill();
  machine.crash('everything');
  return outcome;
}

it.each([
  { what: 'the write-ahead log', isKilled: true, noticedAs: 'amnesiac' as const },
  { what: 'the file', isKilled: false, noticedAs: 'refused' as const },
])('a flipped bit in $what is noticed, or harms nothing', async ({ isKilled, noticedAs }) => {
  const prng = createPrng(seed);
  const room = await MachineRoom.open();
  room.begin(prng.split());
  const original = room.machine('original', prng.split());
  await filled(original, isKilled);
  const sound = room.machine('sound', prng.split());
  sound.copyFrom(original);
  const before = await told((await open(sound)).store);
  expect(before.length).toBeGreaterThan(50);
  const counts = new Map<Outcome, number>();
  for (let flip = 0; flip < flips; flip++) {
    const machine = room.machine(`flip-${flip}`, prng.split());
    machine.copyFrom(original);
    if (!flipStoredBit(machine.disk, prng, () => [])) continue;
    const outcome = await outcomeOf(machine, before);
    counts.set(outcome, (counts.get(outcome) ?? 0) + 1);
    expect(outcome, `flip ${flip}`).not.toBe('not coded');
    expect(outcome, `flip ${flip}`).not.toBe('lied');
  }

  expect(counts.get(noticedAs) ?? 0).toBeGreaterThan(0);
  expect(counts.get('honest') ?? 0).toBeGreaterThan(0);
});
