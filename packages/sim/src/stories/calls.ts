/**
 * Calls of a story's clients: begun, and answered later or never. Each client has one call at a time, and
 * a key one writer, as the oracle and the history want it.
 */
import { isMokuError, type Outcome } from '@moku/base';
import type { Keyspace } from '@moku/client';
import type { SimClient } from '../clients/client.js';

/** What became of a call. */
export type Answer<T = unknown> =
  | { readonly kind: 'ok'; readonly value: T }
  | { readonly kind: 'error'; readonly code: string; readonly outcome: Outcome };

/** A call that was begun. */
export class Call<T = unknown> {
  readonly what: string;
  answer: Answer<T> | undefined;

  constructor(what: string, promise: Promise<T>, onEnd: (error: unknown) => void) {
    this.what = what;
    promise.then(
      (value) => {
        this.answer = { kind: 'ok', value };
        onEnd(undefined);
      },
      (error: unknown) => {
        const isCoded = isMokuError(error);
        this.answer = isCoded
          ? { kind: 'error', code: error.code, outcome: error.outcome }
          : { kind: 'error', code: String(error), outcome: 'maybe' };
        onEnd(isCoded ? undefined : error);
      },
    );
  }

  get isOver(): boolean {
    return this.answer !== undefined;
  }
}

export class Calls {
  /** Calls begun and not yet answered. */
  open = 0;
  /** An error that no client should see. */
  unexpected: unknown;
  private readonly clients: readonly SimClient[];
  private readonly busy = new Set<SimClient>();
  private readonly writers = new Map<string, SimClient>();

  constructor(clients: readonly SimClient[]) {
    this.clients = clients;
  }

  /** Keys that somebody wrote or tried to. */
  keys(): readonly string[] {
    return [...this.writers.keys()];
  }

  /** Every client finds its way before the story begins. */
  openAll(timeoutMs: number): readonly Call[] {
    return this.clients.map((client) => this.begin(client, 'open', client.open(timeoutMs)));
  }

  put(key: string, timeoutMs = 30_000): Call {
    const client = this.writers.get(key) ?? this.free();
    this.writers.set(key, client);
    return this.begin(client, `put ${key}`, client.put(key, timeoutMs));
  }

  /** A write of a new key under a condition that only itself can break. */
  putOnce(timeoutMs = 30_000): Call {
    const client = this.free();
    return this.begin(client, 'putOnce', client.putOnce(timeoutMs));
  }

  /** A key that others may write, too. */
  putIfAbsent(key: string, timeoutMs = 30_000): Call<boolean> {
    const client = this.free();
    return this.begin(client, `putIfAbsent ${key}`, client.putIfAbsent(key, timeoutMs));
  }

  get(key: string, timeoutMs = 30_000): Call<string | undefined> {
    const client = this.free();
    return this.begin(client, `get ${key}`, client.get(key, timeoutMs));
  }

  /** Anything that the history has no words for. */
  plain<T>(what: string, task: (keyspace: Keyspace<string>) => Promise<T>): Call<T> {
    const client = this.free();
    return this.begin(client, what, client.plain(30_000).then(task));
  }

  /** Makes a keyspace, or finds it. */
  keyspace(name: string, regions: number): Call<Keyspace<string>> {
    const client = this.free();
    return this.begin(client, `keyspace ${name}`, client.makeKeyspace(name, regions, 30_000));
  }

  private free(): SimClient {
    const client = this.clients.find((each) => !this.busy.has(each));
    if (client === undefined) throw new RangeError('every client of the story has a call open');
    return client;
  }

  private begin<T>(client: SimClient, what: string, promise: Promise<T>): Call<T> {
    if (this.busy.has(client)) throw new RangeError(`${what}: its client has a call open`);
    this.busy.add(client);
    this.open += 1;
    return new Call(what, promise, (error) => {
      this.busy.delete(client);
      this.open -= 1;
      this.unexpected ??= error;
    });
  }
}
