/**
 * One simulated client: the real ClientDatabase over simulated channels. Whatever it asks and is told goes
 * to the oracle and into the history.
 */
import { type Clock, isMokuError, type Prng } from '@moku/base';
import { ClientDatabase, type Keyspace } from '@moku/client';
import type { HistoryRecorder, OpenOperation } from '../check/recorder.js';
import type { KeyOracle } from '../invariants/key-oracle.js';
import type { Trace } from '../run/trace.js';
import type { Scheduler } from '../world/scheduler.js';
import { type ChannelOptions, clientAddressOf, dialSimulated } from './channel.js';

/** What all clients of a run share. */
export interface ClientWorld {
  readonly scheduler: Scheduler;
  readonly channels: ChannelOptions;
  readonly oracle: KeyOracle;
  readonly history: HistoryRecorder;
  readonly trace: Trace;
  /** Regions of the keyspace that they write to. */
  readonly regions: number;
  /** Replicas of each; as the product chooses when absent. */
  readonly replication?: number | undefined;
}

const wallStartMs = 1_700_000_000_000;

export class SimClient {
  /** From 0; names the process in the history. */
  readonly number: number;
  operations = 0;
  acknowledged = 0;
  private readonly world: ClientWorld;
  private readonly database: ClientDatabase;
  private keyspace: Keyspace<string> | undefined;
  private sequence = 0;

  constructor(number: number, world: ClientWorld, prng: Prng) {
    this.number = number;
    this.world = world;
    const { channels, scheduler } = world;
    const seeds = channels.nodes.map(({ nodeId }) => clientAddressOf(nodeId));
    const shift = number % seeds.length;
    this.database = new ClientDatabase({
      clock: clientClock(scheduler),
      prng,
      dial: (address) => dialSimulated(channels, address),
      seeds: [...seeds.slice(shift), ...seeds.slice(0, shift)],
    });
  }

  /** Creates the keyspace or finds it. */
  async open(timeoutMs: number): Promise<void> {
    const { regions, replication } = this.world;
    const copies = replication === undefined ? {} : { replication };
    this.keyspace ??= await this.database.keyspace<string>('test', {
      mode: 'hash',
      regions,
      ...copies,
      timeoutMs,
    });
  }

  /** The keyspace itself, for calls that the history has no words for. */
  async plain(timeoutMs: number): Promise<Keyspace<string>> {
    await this.open(timeoutMs);
    return this.keyspace!;
  }

  /** Makes another keyspace, or finds it; the history does not know it. */
  makeKeyspace(name: string, regions: number, timeoutMs: number): Promise<Keyspace<string>> {
    return this.database.keyspace<string>(name, { mode: 'hash', regions, timeoutMs });
  }

  /** Writes a value that nobody wrote before. Only one client may write a key. */
  async put(key: string, timeoutMs: number): Promise<void> {
    const { oracle, scheduler, trace, history } = this.world;
    await this.open(timeoutMs);
    const value = this.nextValue();
    this.operations += 1;
    const write = oracle.begin(key, value, scheduler.nowMs);
    const operation = history.invoke(this.number, 'write', key, value);
    try {
      await this.keyspace!.put(key, value, { timeoutMs });
    } catch (error) {
      if (isCertain(error)) write.never();
      endFailed(operation, error);
      throw error;
    }
    operation.ok(null);
    write.acknowledged(scheduler.nowMs);
    this.acknowledged += 1;
    trace.note(`put ${key}=${value}`);
  }

  /** Writes a new key under a condition that only an earlier attempt of itself can break. */
  async putOnce(timeoutMs: number): Promise<void> {
    const { oracle, history, trace } = this.world;
    await this.open(timeoutMs);
    const key = `once/${this.nextValue()}`;
    this.operations += 1;
    const operation = history.invoke(this.number, 'putIfAbsent', key, 'x');
    try {
      const result = await this.keyspace!.put(key, 'x', { timeoutMs, ifAbsent: true });
      operation.ok(result.applied);
      if (!result.applied) oracle.refusedByItself(key);
    } catch (error) {
      endFailed(operation, error);
      throw error;
    }
    this.acknowledged += 1;
    trace.note(`once ${key}`);
  }

  /** Writes a key that others may write, too, unless it is there. True: it was not. */
  async putIfAbsent(key: string, timeoutMs: number): Promise<boolean> {
    const { oracle, history, trace } = this.world;
    await this.open(timeoutMs);
    oracle.share(key);
    const value = this.nextValue();
    this.operations += 1;
    const operation = history.invoke(this.number, 'putIfAbsent', key, value);
    try {
      const { applied } = await this.keyspace!.put(key, value, { timeoutMs, ifAbsent: true });
      operation.ok(applied);
      if (applied) this.acknowledged += 1;
      trace.note(`putIfAbsent ${key}=${value} ${applied}`);
      return applied;
    } catch (error) {
      endFailed(operation, error);
      throw error;
    }
  }

  /** Reads a key of anybody. */
  async get(key: string, timeoutMs: number): Promise<string | undefined> {
    const { oracle, scheduler, trace, history } = this.world;
    await this.open(timeoutMs);
    const invokedMs = scheduler.nowMs;
    this.operations += 1;
    const operation = history.invoke(this.number, 'read', key, null);
    let value: string | undefined;
    try {
      value = await this.keyspace!.get(key, { timeoutMs });
    } catch (error) {
      endFailed(operation, error);
      throw error;
    }
    operation.ok(value ?? null);
    oracle.observe(key, value, invokedMs, scheduler.nowMs);
    trace.note(`get ${key}=${value ?? ''}`);
    return value;
  }

  private nextValue(): string {
    this.sequence += 1;
    return `${this.number}.${this.sequence}`;
  }
}

function isCertain(error: unknown): boolean {
  return isMokuError(error) && error.outcome === 'definite';
}

function endFailed(operation: OpenOperation, error: unknown): void {
  if (isCertain(error)) operation.fail();
  else operation.info();
}

/** The clients' clock: virtual, and never disturbed. */
function clientClock(scheduler: Scheduler): Clock {
  const plan = (delayMs: number, task: () => void) =>
    scheduler.after(delayMs, () => {
      scheduler.needsDrain = true;
      task();
    });
  return {
    monotonicMs: () => scheduler.nowMs,
    wallMs: () => wallStartMs + scheduler.nowMs,
    after: plan,
    soon: (task) => {
      plan(0.05, task);
    },
  };
}
