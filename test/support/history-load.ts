/**
 * Clients that read and write while things go wrong, and write down what they asked and were told.
 *
 * Some work on few keys that all of them share; others write each key once, so that a lost write cannot
 * hide behind a later one. In the end all keys are read.
 */
import type { Prng } from '@moku/base';
import { type HistoryEvent, HistoryRecorder, type Json, type OpenOperation } from '@moku/sim';
import { type Database, isMokuError, type Keyspace } from 'moku';
import { keyspaceName } from './process-cluster.js';
import { until } from './until.js';

const sharedKeys = 5;
/** Clients that write each key once. */
const onceClients = 2;
/** Short, so that calls end uncertain while nodes are away. */
const callTimeoutMs = 1_200;
const readBackTimeoutMs = 60_000;
const readBackKeysMax = 500;
const answersWithinMs = 40_000;

export interface LoadOptions {
  /** One client each. */
  readonly databases: readonly Database[];
  /** Begins every key: a history begins with absent keys. */
  readonly prefix: string;
  readonly prng: Prng;
}

export class Load {
  private readonly recorder = new HistoryRecorder(() => performance.now());
  private readonly spaces: readonly Keyspace<number>[];
  private readonly prefix: string;
  private readonly running: Promise<unknown>;
  private isStopped = false;
  private failure: unknown;
  private value = 0;

  private constructor(spaces: readonly Keyspace<number>[], { prefix, prng }: LoadOptions) {
    this.spaces = spaces;
    this.prefix = prefix;
    const runs = spaces.map((space, number) => {
      const client = new Client(number, space, this.recorder);
      const ownPrng = prng.split();
      return number < onceClients ? this.runOnce(client, number) : this.runShared(client, ownPrng);
    });
    this.running = Promise.all(runs).catch((error: unknown) => {
      this.failure = error;
    });
  }

  static async start(options: LoadOptions): Promise<Load> {
    const spaces = await Promise.all(
      options.databases.map((db) => db.keyspace<number>(keyspaceName)),
    );
    return new Load(spaces, options);
  }

  get events(): readonly HistoryEvent[] {
    return this.recorder.events;
  }

  /** Operations that have ended, however. */
  get ended(): number {
    return this.events.filter(({ type }) => type !== 'invoke').length;
  }

  /** Waits for so many further answers. */
  async answered(count: number): Promise<void> {
    const from = this.events.length;
    await this.until(`${count} answers`, () => {
      return this.events.slice(from).filter(({ type }) => type === 'ok').length >= count;
    });
  }

  /** Waits while clients go on; ends at once when one of them failed. */
  async until(what: string, isSo: () => boolean, boundMs: number = answersWithinMs): Promise<void> {
    await until(what, boundMs, () => this.failure !== undefined || isSo());
    if (this.failure !== undefined) throw this.failure;
  }

  /** Resolves when all clients have ended. */
  async stop(): Promise<void> {
    this.isStopped = true;
    await this.running;
  }

  /** Reads every key that was ever named, each by a process of its own. */
  async readBack(): Promise<void> {
    if (this.failure !== undefined) throw this.failure;
    const keys = [...new Set(this.events.map(({ key }) => key ?? ''))];
    for (let from = 0; from < keys.length; from += readBackKeysMax) {
      const some = keys.slice(from, from + readBackKeysMax);
      const space = this.spaces[(from / readBackKeysMax) % this.spaces.length];
      if (space === undefined) throw new Error('no client');
      const processOf = (i: number): number => this.spaces.length + from + i;
      const open = some.map((key, i) => this.recorder.invoke(processOf(i), 'read', key, null));
      // In order on purpose: a few large requests.
      const values = await space.getMany(some, { timeoutMs: readBackTimeoutMs });
      for (const [i, operation] of open.entries()) operation.ok(values[i] ?? null);
    }
  }

  private async runShared(client: Client, prng: Prng): Promise<void> {
    while (!this.isStopped) {
      const key = `${this.prefix}/${prng.below(sharedKeys)}`;
      await client.step(key, prng.below(10), () => this.nextValue());
    }
  }

  private async runOnce(client: Client, number: number): Promise<void> {
    for (let n = 0; !this.isStopped; n++) {
      await client.write(`${this.prefix}/once-${number}-${n}`, this.nextValue());
    }
  }

  private nextValue(): number {
    this.value += 1;
    return this.value;
  }
}

/** One client: one call after the other, each written down. */
class Client {
  private readonly process: number;
  private readonly space: Keyspace<number>;
  private readonly recorder: HistoryRecorder;
  private readonly options = { timeoutMs: callTimeoutMs };

  constructor(process: number, space: Keyspace<number>, recorder: HistoryRecorder) {
    this.process = process;
    this.space = space;
    this.recorder = recorder;
  }

  /** One operation, or a read and what follows from it; `draw` in 0 … 9. */
  async step(key: string, draw: number, nextValue: () => number): Promise<void> {
    const { space, options } = this;
    if (draw < 4) {
      await this.call('read', key, null, async () => (await space.get(key, options)) ?? null);
    } else if (draw < 6) {
      await this.write(key, nextValue());
    } else if (draw < 7) {
      await this.call('delete', key, null, async () => {
        const result = await space.delete(key, options);
        return result.applied && result.existed;
      });
    } else if (draw < 8) {
      const value = nextValue();
      await this.call('putIfAbsent', key, value, async () => {
        return (await space.put(key, value, { ...options, ifAbsent: true })).applied;
      });
    } else await this.readAndSwap(key, nextValue());
  }

  async write(key: string, value: number): Promise<void> {
    await this.call('write', key, value, async () => {
      const result = await this.space.put(key, value, this.options);
      return result.applied && result.existed;
    });
  }

  /** By version; as each write has a value of its own, that is by value. */
  private async readAndSwap(key: string, value: number): Promise<void> {
    const { space, options } = this;
    let version = 0;
    const found = await this.call('read', key, null, async () => {
      const record = await space.getRecord(key, options);
      version = record?.version ?? 0;
      return record?.value ?? null;
    });
    if (found === undefined) return;
    await this.call('cas', key, [found, value], async () => {
      return (await space.put(key, value, { ...options, ifVersion: version })).applied;
    });
  }

  /** The answer, or undefined when there was none. */
  private async call(
    f: HistoryEvent['f'],
    key: string,
    argument: Json,
    act: () => Promise<Json>,
  ): Promise<Json | undefined> {
    const operation: OpenOperation = this.recorder.invoke(this.process, f, key, argument);
    try {
      const answer = await act();
      operation.ok(answer);
      return answer;
    } catch (error) {
      if (!isMokuError(error)) throw error;
      if (error.outcome === 'definite') operation.fail();
      else operation.info();
      return undefined;
    }
  }
}
