/**
 * The real stores on SQLite over the simulator's sectors, for the conformance suites: a crash cuts the power
 * at any operation of the disk, and what was not synced is torn, dropped and reordered.
 */
import { createPrng, type RegionId } from '@moku/base';
import type { Entry } from '@moku/raft';
import { type Actor, logLinks, type Machine, MachineRoom, type Pace, writerLinks } from '@moku/sim';
import {
  openEngineOver,
  openLogStoreOver,
  type SqliteEngine,
  type SqliteLogStore,
} from '@moku/storage';
import { expect, vi } from 'vitest';
import { type EngineAdapter, SteppedClock } from './engine.adapters.js';
import {
  type Disk,
  type LogAdapter,
  type LogHost,
  type Reports,
  reportsOf,
  waitOptions,
} from './log-store.adapters.js';

const seed = 20_261_122;
const remains = ['nothing', 'everything', 'prefix', 'subset'] as const;
/** A crash comes within this many operations of the disk. */
const operationsMax = 25;
const pace: Pace = {
  work: (task) => {
    setImmediate(task);
  },
  answer: (task) => {
    setImmediate(task);
  },
};

const prng = createPrng(seed);
let machines = 0;

/** A machine with an empty disk. */
async function freshMachine(): Promise<Machine> {
  const room = await MachineRoom.open();
  if (machines === 0) room.begin(prng.split());
  machines += 1;
  return room.machine(`machine-${machines}`, prng.split());
}

class SectorHost implements LogHost {
  store!: SqliteLogStore;
  reports!: Reports;
  readonly compact: (() => Promise<void>) | undefined;
  private readonly machine: Machine;
  private readonly rewritesRows: boolean;
  private actor!: Actor;

  constructor(machine: Machine, rewritesRows: boolean) {
    this.machine = machine;
    this.rewritesRows = rewritesRows;
    this.compact = rewritesRows ? () => this.rewriteAll() : undefined;
  }

  async open(): Promise<void> {
    const options = {
      dir: this.machine.dir,
      clusterId: 'conformance',
      nodeId: 1,
      // Small, so that checkpoints come between the commits.
      checkpointBytes: 100_000,
      garbageBytesMin: this.rewritesRows ? 0 : Number.MAX_SAFE_INTEGER,
    };
    const start = logLinks(this.machine, pace, (actor) => {
      this.actor = actor;
    });
    this.store = await openLogStoreOver(options, start);
    this.reports = reportsOf(this.store);
    expect(this.store.amnesia).toBe('');
  }

  async settle(): Promise<void> {
    await vi.waitFor(() => expect(this.store.health().batchesInFlight).toBe(0), waitOptions);
  }

  progress(): void {}

  async reopen(): Promise<void> {
    await this.store.close();
    await this.open();
  }

  /** What waits for the thread goes on until the power is cut in the middle of it. */
  async crash(): Promise<void> {
    const { disk } = this.machine;
    disk.operationsLeft = 1 + prng.below(operationsMax);
    while (!disk.isOff && this.actor.step()) {}
    this.actor.kill();
    this.machine.crash(remains[prng.below(remains.length)]!);
    await this.open();
  }

  async reopenDamaged(_regionId: RegionId, entry: Entry): Promise<void> {
    await this.store.close();
    const database = this.machine.connect(`${this.machine.dir}/log.db`);
    const rows = database.prepare('SELECT seq, bytes FROM batch').all();
    let damaged = 0;
    for (const { seq, bytes } of rows as { seq: number; bytes: Buffer }[]) {
      const at = bytes.indexOf(entry.data);
      if (at < 0) continue;
      bytes[at] = bytes[at]! ^ 0x40;
      database.prepare('UPDATE batch SET bytes = ? WHERE seq = ?').run(bytes, seq);
      damaged += 1;
    }
    database.close();
    expect(damaged).toBe(1);
    await this.open();
  }

  async breakDisk(): Promise<void> {
    this.machine.disk.failsNextSync = true;
  }

  private async rewriteAll(): Promise<void> {
    const { store } = this;
    store.write([]);
    await vi.waitFor(async () => {
      const { rowBytes, liveBytes } = await store.stats();
      expect(rowBytes - liveBytes).toBeLessThanOrEqual(liveBytes);
    }, waitOptions);
    await this.settle();
  }

  readonly disk = (): Promise<Disk> => this.store.stats();

  async dispose(): Promise<void> {
    await this.store.close();
  }
}

export const sectorLog: LogAdapter = {
  name: 'sqlite over sectors',
  async open(options = {}) {
    const host = new SectorHost(await freshMachine(), options.rewritesRows ?? false);
    await host.open();
    return host;
  },
};

export const sectorEngine: EngineAdapter = {
  name: 'sqlite over sectors',
  async open(options = {}) {
    const machine = await freshMachine();
    const clock = new SteppedClock();
    const reopened = (): Promise<SqliteEngine> =>
      openEngineOver(
        { dir: machine.dir, clock, ...options },
        machine,
        writerLinks(machine, pace, () => {}),
      );
    let engine = await reopened();
    const progress = (): Promise<void> => {
      clock.step();
      return new Promise((resolve) => setImmediate(resolve));
    };
    const run = async (task: Promise<void>): Promise<void> => {
      let isDone = false;
      const done = task.finally(() => {
        isDone = true;
      });
      while (!isDone) await progress();
      await done;
    };
    return {
      get engine() {
        return engine;
      },
      beginFlush() {
        engine.requestFlush();
        clock.step();
      },
      progress,
      async settle() {
        await run(engine.flush());
      },
      async reopen() {
        await run(engine.close());
        engine = await reopened();
      },
      async dispose() {
        await run(engine.close());
      },
    };
  },
};
