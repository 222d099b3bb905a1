/**
 * Clients of a run: each the real ClientDatabase over simulated channels, writing its own keys and reading
 * everybody's, one call at a time. What they are told goes to the oracle.
 */
import { type Clock, isMokuError, type Prng } from '@moku/base';
import { ClientDatabase, type Keyspace } from '@moku/client';
import { type ChannelOptions, clientAddressOf, dialSimulated } from './channel.js';
import { HistoryRecorder, type OpenOperation } from './check/recorder.js';
import type { KeyOracle } from './invariants/key-oracle.js';
import type { Scheduler } from './scheduler.js';
import type { Trace } from './trace.js';

export interface WorkloadOptions {
  readonly scheduler: Scheduler;
  readonly prng: Prng;
  readonly channels: ChannelOptions;
  readonly oracle: KeyOracle;
  readonly trace: Trace;
  readonly clients: number;
  readonly keysPerClient: number;
  readonly regions: number;
  /** Mean pause between two calls of a client. */
  readonly thinkMs: number;
}

const wallStartMs = 1_700_000_000_000;

export class Workload {
  operations = 0;
  acknowledged = 0;
  openCalls = 0;
  /** Everything that was asked and answered, for the checkers. */
  readonly history: HistoryRecorder;
  /** An error that no client should see. */
  unexpected: unknown;
  private readonly options: WorkloadOptions;
  private readonly clock: Clock;
  private readonly prngs: Prng[] = [];
  private readonly databases: ClientDatabase[] = [];
  private sequence = 0;
  private isStopping = false;

  constructor(options: WorkloadOptions) {
    this.options = options;
    this.clock = clientClock(options.scheduler);
    this.history = new HistoryRecorder(() => options.scheduler.nowMs);
    const { channels, clients, prng } = options;
    const seeds = channels.nodes.map(({ nodeId }) => clientAddressOf(nodeId));
    for (let i = 0; i < clients; i++) {
      this.prngs.push(prng.split());
      const shift = i % seeds.length;
      this.databases.push(
        new ClientDatabase({
          clock: this.clock,
          prng: prng.split(),
          dial: (address) => dialSimulated(channels, address),
          seeds: [...seeds.slice(shift), ...seeds.slice(0, shift)],
        }),
      );
    }
  }

  start(): void {
    this.databases.forEach((_, client) => {
      void this.runClient(client);
    });
  }

  /** No further calls; those under way go on. */
  stop(): void {
    this.isStopping = true;
  }

  /** Every client writes and reads each of its keys; resolves to the first failure, if any. */
  async settle(timeoutMs: number): Promise<unknown> {
    const all = this.databases.map(async (database, client) => {
      const keyspace = await this.open(database, timeoutMs);
      for (let key = 0; key < this.options.keysPerClient; key++) {
        const name = `c${client}/k${key}`;
        // One after the other on purpose: a client waits for its answers.
        await this.put(keyspace, client, name, timeoutMs);
        await this.get(keyspace, client, name, timeoutMs);
      }
    });
    const ended = await Promise.allSettled(all);
    return ended.find((each) => each.status === 'rejected')?.reason;
  }

  private open(database: ClientDatabase, timeoutMs: number): Promise<Keyspace<string>> {
    const { regions } = this.options;
    return database.keyspace<string>('test', { mode: 'hash', regions, timeoutMs });
  }

  private async runClient(client: number): Promise<void> {
    const database = this.databases[client]!;
    const prng = this.prngs[client]!;
    this.openCalls += 1;
    let keyspace: Keyspace<string> | undefined;
    while (!this.isStopping) {
      try {
        keyspace ??= await this.open(database, 5_000);
        await this.call(keyspace, client, prng);
      } catch (error) {
        if (!isMokuError(error)) this.unexpected ??= error;
        this.options.trace.note(`c${client} ${isMokuError(error) ? error.code : String(error)}`);
      }
      if (!this.isStopping) await this.pause(prng.unit() * 2 * this.options.thinkMs);
    }
    this.openCalls -= 1;
  }

  private call(keyspace: Keyspace<string>, client: number, prng: Prng): Promise<void> {
    const { clients, keysPerClient } = this.options;
    const timeoutMs = 500 + prng.below(9_500);
    const kind = prng.below(10);
    if (kind < 4) {
      const own = `c${client}/k${prng.below(keysPerClient)}`;
      return this.put(keyspace, client, own, timeoutMs);
    }
    if (kind < 5) return this.putOnce(keyspace, client, timeoutMs);
    const key = `c${prng.below(clients)}/k${prng.below(keysPerClient)}`;
    return this.get(keyspace, client, key, timeoutMs);
  }

  private async put(
    keyspace: Keyspace<string>,
    client: number,
    key: string,
    timeoutMs: number,
  ): Promise<void> {
    const { oracle, scheduler, trace } = this.options;
    this.sequence += 1;
    const value = `${this.sequence}`;
    this.operations += 1;
    const write = oracle.begin(key, value, scheduler.nowMs);
    const operation = this.history.invoke(client, 'write', key, value);
    try {
      await keyspace.put(key, value, { timeoutMs });
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

  private async putOnce(keyspace: Keyspace<string>, client: number, timeoutMs: number) {
    this.sequence += 1;
    const key = `once/${client}/${this.sequence}`;
    this.operations += 1;
    const operation = this.history.invoke(client, 'putIfAbsent', key, 'x');
    try {
      const result = await keyspace.put(key, 'x', { timeoutMs, ifAbsent: true });
      operation.ok(result.applied);
      if (!result.applied) this.options.oracle.refusedByItself(key);
    } catch (error) {
      endFailed(operation, error);
      throw error;
    }
    this.acknowledged += 1;
    this.options.trace.note(`once ${key}`);
  }

  private async get(
    keyspace: Keyspace<string>,
    client: number,
    key: string,
    timeoutMs: number,
  ): Promise<void> {
    const { oracle, scheduler, trace } = this.options;
    const invokedMs = scheduler.nowMs;
    this.operations += 1;
    const operation = this.history.invoke(client, 'read', key, null);
    let value: string | undefined;
    try {
      value = await keyspace.get(key, { timeoutMs });
    } catch (error) {
      endFailed(operation, error);
      throw error;
    }
    operation.ok(value ?? null);
    oracle.observe(key, value, invokedMs, scheduler.nowMs);
    trace.note(`get ${key}=${value ?? ''}`);
  }

  private pause(ms: number): Promise<void> {
    return new Promise((resolve) => {
      this.clock.after(ms, resolve);
    });
  }
}

function isCertain(error: unknown): boolean {
  return isMokuError(error) && error.outcome === 'definite';
}

function endFailed(operation: OpenOperation, error: unknown): void {
  if (isCertain(error)) operation.fail();
  else operation.info();
}

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
