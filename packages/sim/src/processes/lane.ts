/**
 * Lanes: so many processes at a time, each replaced when it has died. And what ends them all: an interrupt,
 * or the end of the command.
 */
import { SeedProcess } from './seed-process.js';

export class Lane {
  private readonly mutant: string | undefined;
  private readonly running: Set<Lane>;
  private process: SeedProcess | undefined;
  private formerCpuMs = 0;

  constructor(mutant: string | undefined, running: Set<Lane>) {
    this.mutant = mutant;
    this.running = running;
    running.add(this);
  }

  /** CPU time of its processes as they reported it; of one that died, up to its last answer. */
  get cpuMs(): number {
    return this.formerCpuMs + (this.process?.cpuMs ?? 0);
  }

  /** The process that lives, or a new one. */
  current(): SeedProcess {
    if (this.process?.isAlive !== true) {
      this.renew();
      this.process = new SeedProcess(this.mutant);
    }
    return this.process!;
  }

  /** The next run is in a new process. */
  renew(): void {
    if (this.process === undefined) return;
    this.formerCpuMs += this.process.cpuMs;
    this.process.end();
    this.process = undefined;
  }

  end(): void {
    this.renew();
    this.running.delete(this);
  }
}

export class Lanes {
  isStopped = false;
  private readonly running = new Set<Lane>();
  private endedCpuMs = 0;

  /** Does `work` for every item, `jobs` at a time, in order of the items. Stops early after `stop`. */
  async forEach<T>(
    items: Iterable<T>,
    jobs: number,
    work: (item: T) => Promise<void>,
  ): Promise<void> {
    const iterator = items[Symbol.iterator]();
    const workers = Array.from({ length: jobs }, async () => {
      for (let next = iterator.next(); !next.done && !this.isStopped; next = iterator.next()) {
        await work(next.value);
      }
    });
    await Promise.all(workers);
  }

  /** Runs `work` with a lane of its own. */
  async with<T>(mutant: string | undefined, work: (lane: Lane) => Promise<T>): Promise<T> {
    const lane = new Lane(mutant, this.running);
    try {
      return await work(lane);
    } finally {
      lane.end();
      this.endedCpuMs += lane.cpuMs;
    }
  }

  /** CPU minutes of all processes so far, this one included. */
  cpuMinutes(): number {
    const { user, system } = process.cpuUsage();
    let ms = (user + system) / 1_000 + this.endedCpuMs;
    for (const lane of this.running) ms += lane.cpuMs;
    return ms / 60_000;
  }

  /** Ends every process; runs under way are 'stopped'. */
  stop(): void {
    this.isStopped = true;
    for (const lane of this.running) lane.renew();
  }

  /** Does `work`; the first interrupt stops it, a second one ends this process. Gives the signal, if any came. */
  async interruptible(work: () => Promise<void>): Promise<NodeJS.Signals | undefined> {
    let received: NodeJS.Signals | undefined;
    const onSignal = (signal: NodeJS.Signals): void => {
      received = signal;
      this.stop();
    };
    const signals = ['SIGINT', 'SIGTERM'] as const;
    for (const signal of signals) process.once(signal, onSignal);
    try {
      await work();
    } finally {
      this.stop();
      for (const signal of signals) process.off(signal, onSignal);
    }
    return received;
  }
}
