/**
 * The disk in memory: what it keeps, loses and refuses. What it refuses is what the real stores refuse
 * after the same damage; those are tested in packages/storage/test/log and test/conformance.
 */
import {
  createPrng,
  isMokuError,
  type MokuError,
  type NodeId,
  type RegionId,
  type ReplicaId,
  type Timestamp,
  utf8,
} from '@moku/base';
import { confStateOf, type RegionWrite } from '@moku/raft';
import { beforeEach, describe, expect, it } from 'vitest';
import { SimDisk } from '../src/world/disk.js';
import type { DiskPart, OpenedDisk } from '../src/world/disk-port.js';
import { Scheduler } from '../src/world/scheduler.js';

const regionId = 1 as RegionId;
const replicaId = 1 as ReplicaId;
const confState = confStateOf([replicaId]);
const create = { replicaId, confState, truncatedIndex: 0, truncatedTerm: 0 };
const key = utf8('k');
const latest = Number.MAX_SAFE_INTEGER as Timestamp;

let scheduler: Scheduler;
let disk: SimDisk;
let life: number;
let failures: string[];

function diskOf(nodeId: number): SimDisk {
  return new SimDisk({
    nodeId: nodeId as NodeId,
    scheduler,
    prng: createPrng(nodeId),
    times: { syncMs: () => 1, flushMs: () => 10 },
    overlayBytesMax: 1 << 20,
    run: (_life, task) => task(),
    onApply: () => {},
    onLogWrite: () => {},
  });
}

/** What an opening finds, or the code with which it refuses. */
function open(of = disk): OpenedDisk | string {
  let outcome: OpenedDisk | MokuError | undefined;
  life += 1;
  of.open(life, {
    onOpened: (opened) => {
      outcome = opened;
    },
    onRefused: (error) => {
      outcome = error;
    },
  });
  return isMokuError(outcome) ? outcome.code : outcome!;
}

function opened(): OpenedDisk {
  const found = open();
  if (typeof found === 'string') throw new TypeError(`refused: ${found}`);
  found.log.subscribe({
    onDurable: () => {},
    onFetched: () => {},
    onFailure: (error) => failures.push(error.message),
  });
  found.engine.subscribe({
    onFlushed: () => {},
    onFailure: (error) => failures.push(error.message),
  });
  return found;
}

function pass(ms: number): void {
  const untilMs = scheduler.nowMs + ms;
  while (scheduler.nextAtMs() <= untilMs) scheduler.step();
}

function entry(index: number): RegionWrite {
  const data = utf8(`entry ${index}`);
  return { regionId, entries: [{ index, term: 1, kind: 'normal', data }] };
}

/** Ten entries in batches of their own, synced; the first five applied and flushed. Then the power fails. */
function filled(): void {
  const { log, engine } = opened();
  log.write([{ regionId, create }]);
  engine.createReplica(regionId, replicaId);
  for (let index = 1; index <= 10; index++) {
    log.write([entry(index)]);
    pass(2);
    if (index > 5) continue;
    const puts = [{ key, timestamp: index as Timestamp, value: Uint8Array.of(index) }];
    engine.write({ regionId, appliedIndex: index, appliedTerm: 1, puts, removes: [] });
  }
  pass(100);
  disk.crash();
}

beforeEach(() => {
  scheduler = new Scheduler();
  life = 0;
  failures = [];
  disk = diskOf(1);
  filled();
});

describe('a simulated disk', () => {
  it('keeps what was synced and what was flushed, and names its directory', () => {
    expect(disk.synced(regionId)?.lastIndex()).toBe(10);
    const { log, engine, incarnation, storeId } = opened();
    expect(log.region(regionId)?.lastIndex()).toBe(10);
    expect(engine.get(regionId, key, latest)?.value).toEqual(Uint8Array.of(5));
    expect([incarnation, storeId]).toEqual([2, 'store 1.1']);
  });

  it('that lost synced batches is refused with LOG_AMNESIA, at each opening, until it is wiped', () => {
    expect(disk.loseSyncedSuffix(createPrng(1))).toBe(true);
    expect(disk.synced(regionId)!.lastIndex()).toBeLessThan(10);
    expect(open()).toBe('LOG_AMNESIA');
    expect(open()).toBe('LOG_AMNESIA');
    disk.wipe('all');
    expect(opened()).toMatchObject({ storeId: 'store 1.2', incarnation: 1 });
  });

  it('with a new log beside old data is refused; with new data beside an old log it is not', () => {
    const refusals = (['log', 'engine'] as DiskPart[]).map((part) => {
      disk = diskOf(1);
      filled();
      disk.wipe(part);
      open();
      disk.crash();
      return open();
    });
    expect(refusals[0]).toBe('LOG_AMNESIA');
    expect(refusals[1]).toMatchObject({ storeId: 'store 1.1' });
  });

  it('of another node is refused with DIR_FOREIGN, and is whole when it is put back', () => {
    const other = diskOf(2);
    disk.exchange(other);
    expect([open(), open(other)]).toEqual(['DIR_FOREIGN', 'DIR_FOREIGN']);
    disk.exchange(other);
    expect(opened().log.region(regionId)?.lastIndex()).toBe(10);
  });

  it('without space fails syncs, flushes and openings, and has lost nothing synced once there is some', () => {
    const { log, engine } = opened();
    disk.fill();
    engine.write({ regionId, appliedIndex: 6, appliedTerm: 1, puts: [], removes: [] });
    pass(11);
    log.write([entry(11)]);
    pass(2);
    expect(failures[0]).toMatch(/ENGINE_IO.*SQLITE_FULL/);
    expect(failures.at(-1)).toMatch(/LOG_IO.*SQLITE_FULL/);
    disk.crash();
    expect(open()).toBe('LOG_IO');
    disk.free();
    expect(opened().log.region(regionId)!.lastIndex()).toBeGreaterThanOrEqual(10);
  });

  it('reports a failed flush once, of the process that runs then', () => {
    disk.failFlush();
    const { engine } = opened();
    engine.write({ regionId, appliedIndex: 6, appliedTerm: 1, puts: [], removes: [] });
    pass(50);
    expect(failures).toEqual([]);
    disk.failFlush();
    engine.write({ regionId, appliedIndex: 7, appliedTerm: 1, puts: [], removes: [] });
    pass(11);
    expect(failures).toHaveLength(1);
    expect(failures[0]).toMatch(/ENGINE_IO/);
  });

  it('never gives a flipped bit for what was written: it refuses, or the record does', () => {
    const seen = new Set<string>();
    for (let seed = 1; seed <= 200; seed++) {
      disk = diskOf(1);
      filled();
      expect(disk.flipBit(createPrng(seed))).toBe(true);
      const found = open();
      seen.add(typeof found === 'string' ? found : readAll(found));
    }
    // Never 'whole', which would mean that the flip hit nothing, and never a wrong value.
    expect([...seen].sort()).toEqual([
      'ENGINE_CORRUPT',
      'LOG_CORRUPT',
      'entry LOG_CORRUPT',
      'version ENGINE_CORRUPT',
    ]);
  });
});

/** Reads everything; 'whole', or what failed how. */
function readAll({ log, engine }: OpenedDisk): string {
  for (let index = 1; index <= 10; index++) {
    try {
      const entries = log.region(regionId)!.entries(index, index + 1, 999);
      if (entries === 'fetching') throw new TypeError('fetching');
      expect(entries[0]!.data).toEqual(utf8(`entry ${index}`));
    } catch (error) {
      if (isMokuError(error)) return `entry ${error.code}`;
      throw error;
    }
  }
  for (let at = 1; at <= 5; at++) {
    try {
      const version = engine.get(regionId, key, at as Timestamp);
      expect(version?.value).toEqual(Uint8Array.of(at));
    } catch (error) {
      if (isMokuError(error)) return `version ${error.code}`;
      throw error;
    }
  }
  return 'whole';
}
