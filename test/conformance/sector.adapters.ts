/**
 * The real stores on SQLite over the simulator's sectors, for the conformance suites: a crash cuts the power
 * at any operation of the disk, and what was not synced is torn, dropped and reordered.
 */
import { createPrng } from '@moku/base';
import { type Actor, logLinks, type Machine, MachineRoom, type Pace, writerLinks } from '@moku/sim';
import {
  openEngineOver,
  openLogStoreOver,
  type SqliteEngine,
  type SqliteLogStore,
} from '@moku/storage';
import { type EngineAdapter, SteppedClock, steppedEngine } from './engine.adapters.js';
import { type LogAdapter, SqlHost } from './log-store.adapters.js';

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

class SectorHost extends SqlHost {
  private readonly machine: Machine;
  private actor!: Actor;

  constructor(machine: Machine, rewritesRows: boolean) {
    super(rewritesRows);
    this.machine = machine;
  }

  protected openStore(): Promise<SqliteLogStore> {
    // Small, so that checkpoints come between the commits.
    const options = { dir: this.machine.dir, ...this.common, checkpointBytes: 100_000 };
    const start = logLinks(this.machine, pace, (actor) => {
      this.actor = actor;
    });
    return openLogStoreOver(options, start);
  }

  protected rawDatabase() {
    return this.machine.connect(`${this.machine.dir}/log.db`);
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

  async breakDisk(): Promise<void> {
    this.machine.disk.failsNextSync = true;
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
    return steppedEngine(reopened, clock);
  },
};
