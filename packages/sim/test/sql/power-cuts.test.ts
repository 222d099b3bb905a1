/**
 * The real log and engine when the power goes at any operation of the disk: what was said to be durable is
 * there, and what is there is the state after some write. On a disk that lies about syncs it is not.
 */
import {
  createPrng,
  type Prng,
  type RegionId,
  type ReplicaId,
  type Timestamp,
  utf8,
} from '@moku/base';
import type { EngineWrite, VersionedValue } from '@moku/kv';
import type { ConfState, RegionWrite } from '@moku/raft';
import {
  openEngineOver,
  openLogStoreOver,
  type SqliteEngine,
  type SqliteLogStore,
} from '@moku/storage';
import { expect, it } from 'vitest';
import { type Machine, MachineRoom } from '../../src/sql/machine.js';
import type { Remains } from '../../src/sql/sectors.js';
import { LogShadow } from '../../src/sql/shadow.js';
import { type Actor, logLinks, type Pace, writerLinks } from '../../src/sql/threads.js';
import { Scheduler } from '../../src/world/scheduler.js';

const seed = 20_261_122;
const cuts = 60;
const remains: readonly Remains[] = ['nothing', 'everything', 'prefix', 'subset'];
const confState: ConfState = {
  voters: [1 as ReplicaId],
  votersOutgoing: [],
  learners: [],
  learnersNext: [],
  autoLeave: false,
};

/** One machine whose threads go on by hand, one piece of work or one answer at a time. */
class Bench {
  readonly machine: Machine;
  readonly prng: Prng;
  readonly actors = new Set<Actor>();
  readonly scheduler = new Scheduler();
  private readonly tasks: (() => void)[] = [];

  constructor(machine: Machine, prng: Prng) {
    this.machine = machine;
    this.prng = prng;
  }

  readonly pace: Pace = {
    work: (task) => {
      this.tasks.push(task);
    },
    answer: (task) => {
      this.tasks.push(task);
    },
  };

  readonly onStart = (actor: Actor): void => {
    this.actors.add(actor);
  };

  /** Everything that waits happens, at most `tasksMax` of it. */
  async goOn(tasksMax: number): Promise<void> {
    for (let i = 0; i < tasksMax; i++) {
      const task = this.tasks.shift();
      if (task !== undefined) task();
      else if (!this.scheduler.step()) return;
      await new Promise((resolve) => setImmediate(resolve));
    }
  }

  async until<T>(promise: Promise<T>): Promise<T> {
    let isSettled = false;
    const settled = promise.finally(() => {
      isSettled = true;
    });
    settled.catch(() => {});
    for (let i = 0; !isSettled && i < 1_000; i++) await this.goOn(1);
    return await settled;
  }

  /** Work under way goes on to some operation of the disk; there the power is cut. */
  cut(): void {
    const { machine, prng } = this;
    machine.disk.operationsLeft = 1 + prng.below(30);
    for (const actor of this.actors) while (!machine.disk.isOff && actor.step()) {}
    for (const actor of this.actors) actor.kill();
    this.actors.clear();
    this.tasks.length = 0;
    machine.crash(remains[prng.below(remains.length)]!);
  }
}

async function bench(name: string, prng: Prng): Promise<Bench> {
  const room = await MachineRoom.open();
  room.begin(prng.split());
  return new Bench(room.machine(name, prng.split()), prng);
}

// ---- The log.

interface Region {
  last: number;
  term: number;
  floor: number;
}

/** A batch of what hosts write. */
function someWrites(prng: Prng, regions: Map<number, Region>): RegionWrite[] {
  const writes: RegionWrite[] = [];
  for (let n = 1 + prng.below(3); n > 0; n--) {
    const id = 1 + prng.below(4);
    const regionId = id as RegionId;
    const region = regions.get(id);
    if (region === undefined) {
      regions.set(id, { last: 0, term: 1, floor: 0 });
      const create = { replicaId: 1 as ReplicaId, confState, truncatedIndex: 0, truncatedTerm: 0 };
      writes.push({ regionId, create });
      continue;
    }
    const kind = prng.below(10);
    if (kind === 0) {
      region.term += 1;
      const votedFor = (1 + prng.below(3)) as ReplicaId;
      writes.push({ regionId, hardState: { term: region.term, votedFor, commitIndex: 0 } });
    } else if (kind === 1 && region.last > region.floor) {
      const index = region.last;
      writes.push({ regionId, restart: { index: index + 1, term: region.term, confState } });
      Object.assign(region, { last: index + 1, floor: index + 1 });
    } else {
      const data = new Uint8Array(prng.below(4) === 0 ? 9_000 : 60).fill(region.last);
      const entries = [1, 2].map((ahead) => {
        return { index: region.last + ahead, term: region.term, kind: 'normal' as const, data };
      });
      region.last += 2;
      writes.push({ regionId, entries });
    }
  }
  return writes;
}

function openLog(at: Bench): Promise<SqliteLogStore> {
  const { machine, pace, onStart } = at;
  const options = { dir: machine.dir, clusterId: 'cut', nodeId: 1 };
  const limits = { checkpointBytes: 60_000, garbageBytesMin: 20_000 };
  return at.until(openLogStoreOver({ ...options, ...limits }, logLinks(machine, pace, onStart)));
}

/** What the shadow says after each cut; undefined: all is well. */
async function cutLog(at: Bench): Promise<string | undefined> {
  const shadow = new LogShadow(() => 0);
  for (let cut = 0; cut < cuts; cut++) {
    const log = await openLog(at);
    expect(log.amnesia, `cut ${cut}`).toBe('');
    const problem = shadow.adopt(log);
    if (problem !== undefined) return `cut ${cut}: ${problem}`;
    log.subscribe({
      onDurable: (batch) => shadow.durable(batch),
      onFetched: () => {},
      onFailure: () => {},
    });
    const regions = new Map<number, Region>();
    for (const { regionId, lastIndex, truncatedIndex, hardState } of log.recovered().regions) {
      const { term } = hardState;
      regions.set(regionId, { last: lastIndex, term: Math.max(1, term), floor: truncatedIndex });
    }
    for (let batch = at.prng.below(12); batch > 0; batch--) {
      const writes = someWrites(at.prng, regions);
      shadow.wrote(writes);
      log.write(writes);
      await at.goOn(at.prng.below(4));
    }
    at.cut();
  }
  return undefined;
}

it('the log has what it said was durable, after power cuts at any operation', async () => {
  expect(await cutLog(await bench('log', createPrng(seed)))).toBeUndefined();
});

it('on a disk that lies about syncs the log loses what it said was durable', async () => {
  const at = await bench('lying', createPrng(seed));
  at.machine.disk.liesAboutSyncs = true;
  expect(await cutLog(at)).toMatch(/was durable/);
});

// ---- The engine.

const regionId = 1 as RegionId;

function writeAt(index: number): EngineWrite {
  const prng = createPrng(index);
  const puts: VersionedValue[] = [1, 2, 3].map((n) => ({
    key: utf8(`key-${prng.below(40)}-${n}`),
    timestamp: (index * 10 + n) as Timestamp,
    value: utf8(`${index}:${'x'.repeat(prng.below(400))}`),
  }));
  return { regionId, appliedIndex: index, appliedTerm: 1, puts, removes: [] };
}

/** The newest version of every key after the writes up to `index`. */
function stateAt(index: number): string[] {
  const state = new Map<string, string>();
  for (let i = 1; i <= index; i++) {
    for (const put of writeAt(i).puts) state.set(Buffer.from(put.key).toString(), shown(put));
  }
  return [...state.values()].sort();
}

function shown({ key, timestamp, value }: VersionedValue): string {
  return `${Buffer.from(key)}@${timestamp}=${Buffer.from(value ?? [])}`;
}

function openEngineAt(at: Bench): Promise<SqliteEngine> {
  const { machine, pace, onStart, scheduler } = at;
  const after = (delayMs: number, task: () => void) => scheduler.after(delayMs, task);
  const clock = {
    monotonicMs: () => scheduler.nowMs,
    wallMs: () => 0,
    after,
    soon: (task: () => void) => void after(0, task),
  };
  const options = { dir: machine.dir, clock, flushAgeMs: 5 };
  return at.until(openEngineOver(options, machine, writerLinks(machine, pace, onStart)));
}

it('the engine is as after some write, not an older one than it called durable', async () => {
  const at = await bench('engine', createPrng(seed));
  let durableIndex = 0;
  let flushes = 0;
  for (let cut = 0; cut < cuts; cut++) {
    const engine = await openEngineAt(at);
    let appliedIndex = engine.replica(regionId)?.appliedIndex ?? 0;
    expect(appliedIndex, `cut ${cut}`).toBeGreaterThanOrEqual(durableIndex);
    if (engine.replica(regionId) === undefined) engine.createReplica(regionId, 1 as ReplicaId);
    const bounds = { start: utf8(''), end: undefined, isReverse: false, at: 1e9 as Timestamp };
    const found = engine.scan(regionId, { ...bounds, recordsMax: 10_000, bytesMax: 1 << 24 });
    expect(found.records.map(shown).sort(), `cut ${cut}`).toEqual(stateAt(appliedIndex));
    for (let n = at.prng.below(20); n > 0; n--) {
      appliedIndex += 1;
      engine.write(writeAt(appliedIndex));
      await at.goOn(at.prng.below(6));
    }
    durableIndex = engine.durableIndex(regionId);
    flushes += engine.stats().flushes;
    at.cut();
  }
  expect(flushes).toBeGreaterThan(10);
});
