/**
 * What the clients of a random run do: each writes its own keys, reads everybody's, and races with the others
 * for new ones; one call at a time, each with a temper of its own.
 */
import { isMokuError, type Prng } from '@moku/base';
import type { ClientWorld, SimClient } from './client.js';

export interface WorkloadOptions {
  readonly world: ClientWorld;
  readonly clients: readonly SimClient[];
  readonly prng: Prng;
  readonly keysPerClient: number;
  /** Mean pause between two calls of a client. */
  readonly thinkMs: number;
}

/**
 * One that gives up soon finds a new leader while others still ask the old one; one that mostly reads does
 * not wait for what an old leader can no longer do.
 */
interface Temper {
  readonly readsOfTen: number;
  /** Of a call, at most; 100 more. */
  readonly patienceMs: number;
}

/** The first client mostly writes, the second mostly reads. */
function drawTemper(number: number, prng: Prng): Temper {
  const one = <T>(values: readonly T[]): T => values[prng.below(values.length)]!;
  const readsOfTen = one([2, 4, 8]);
  const patienceMs = one([400, 2_000, 10_000]);
  return { readsOfTen: number === 0 ? 2 : number === 1 ? 8 : readsOfTen, patienceMs };
}

export class Workload {
  openCalls = 0;
  /** An error that no client should see. */
  unexpected: unknown;
  private readonly options: WorkloadOptions;
  private readonly prngs: readonly Prng[];
  private readonly tempers: readonly Temper[];
  private isStopping = false;

  constructor(options: WorkloadOptions) {
    this.options = options;
    this.prngs = options.clients.map(() => options.prng.split());
    const tempers = options.prng.split();
    this.tempers = options.clients.map(({ number }) => drawTemper(number, tempers));
  }

  start(): void {
    for (const client of this.options.clients) void this.run(client);
  }

  /** No further calls; those under way go on. */
  stop(): void {
    this.isStopping = true;
  }

  /** Every client writes and reads each of its keys; resolves to the first failure, if any. */
  async settle(timeoutMs: number): Promise<unknown> {
    const all = this.options.clients.map(async (client) => {
      for (let key = 0; key < this.options.keysPerClient; key++) {
        const name = keyOf(client.number, key);
        // One after the other on purpose: a client waits for its answers.
        await client.put(name, timeoutMs);
        await client.get(name, timeoutMs);
      }
    });
    const ended = await Promise.allSettled(all);
    return ended.find((each) => each.status === 'rejected')?.reason;
  }

  private async run(client: SimClient): Promise<void> {
    const { world, thinkMs } = this.options;
    const prng = this.prngs[client.number]!;
    this.openCalls += 1;
    while (!this.isStopping) {
      try {
        await client.open(5_000);
        await this.call(client, prng);
      } catch (error) {
        if (!isMokuError(error)) this.unexpected ??= error;
        world.trace.note(`c${client.number} ${isMokuError(error) ? error.code : String(error)}`);
      }
      if (!this.isStopping) await this.pause(prng.unit() * 2 * thinkMs);
    }
    this.openCalls -= 1;
  }

  private async call(client: SimClient, prng: Prng): Promise<void> {
    const { clients, keysPerClient } = this.options;
    const { readsOfTen, patienceMs } = this.tempers[client.number]!;
    const timeoutMs = 100 + prng.below(patienceMs);
    if (prng.below(10) < readsOfTen) {
      await client.get(keyOf(prng.below(clients.length), prng.below(keysPerClient)), timeoutMs);
      return;
    }
    const kind = prng.below(6);
    if (kind === 0) await client.putOnce(timeoutMs);
    else if (kind === 1) await client.putIfAbsent(this.sharedKey(), timeoutMs);
    else await client.put(keyOf(client.number, prng.below(keysPerClient)), timeoutMs);
  }

  /** For half a second all clients race for the same one. */
  private sharedKey(): string {
    return `race/${Math.floor(this.options.world.scheduler.nowMs / 500)}`;
  }

  private pause(ms: number): Promise<void> {
    const { scheduler } = this.options.world;
    return new Promise((resolve) => {
      scheduler.after(ms, () => {
        scheduler.needsDrain = true;
        resolve();
      });
    });
  }
}

function keyOf(client: number, key: number): string {
  return `c${client}/k${key}`;
}
