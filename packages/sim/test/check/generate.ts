/**
 * Right histories of any length: clients whose operations take effect at one moment between
 * invocation and return, on registers and lists that are what they should be.
 */
import { createPrng, type Prng } from '@moku/base';
import type { EventType, HistoryEvent } from '../../src/check/history.js';
import type { Json, OperationName } from '../../src/check/history-values.js';

export interface Wish {
  readonly seed: number;
  readonly operations: number;
  readonly clients: number;
  readonly keys: number;
  /** Of a hundred operations, how many are never answered, and how many fail. */
  readonly uncertainPercent: number;
}

type Form = Pick<HistoryEvent, 'f' | 'key' | 'value'>;

/** Draws what a client asks, and does it; effects on a dropped one (`isLost`) are left out. */
interface Workload {
  draw(prng: Prng): Form;
  apply(form: Form): Json;
}

interface Client {
  process: number;
  form: Form | undefined;
  /** Undefined until it took effect. */
  result: { readonly value: Json } | undefined;
  ends: EventType;
}

function run(
  { seed, operations, clients, uncertainPercent }: Wish,
  load: Workload,
): HistoryEvent[] {
  const prng = createPrng(seed);
  const events: HistoryEvent[] = [];
  let invoked = 0;
  let processes = clients;
  const idle = (process: number): Client => ({
    process,
    form: undefined,
    result: undefined,
    ends: 'ok',
  });
  const all = Array.from({ length: clients }, (_, process) => idle(process));
  const add = (process: number, form: Form, type: EventType, value: Json): void => {
    events.push({ process, ...form, value, type, time: events.length });
  };
  while (invoked < operations || all.some((client) => client.form !== undefined)) {
    const at = prng.below(clients);
    const client = all[at];
    if (client === undefined) break;
    if (client.form === undefined) {
      if (invoked >= operations) continue;
      invoked += 1;
      client.form = load.draw(prng);
      const chance = prng.below(200);
      client.ends =
        chance < uncertainPercent ? 'info' : chance < uncertainPercent * 2 ? 'fail' : 'ok';
      add(client.process, client.form, 'invoke', client.form.value);
      continue;
    }
    const { form, ends, process } = client;
    // Half of the unanswered ones never take effect.
    const isLost = ends === 'fail' || (ends === 'info' && prng.below(2) === 0);
    if (client.result === undefined && !isLost) {
      client.result = { value: load.apply(form) };
      continue;
    }
    add(process, form, ends, ends === 'ok' ? (client.result?.value ?? null) : form.value);
    all[at] = idle(ends === 'info' ? processes++ : process);
  }
  return events;
}

/** Each write another value. `operationsOnly`: what is asked for, each equally often. */
export function rightRegisterHistory(
  wish: Wish,
  names: readonly OperationName[] = ['read', 'read', 'write', 'cas', 'delete', 'putIfAbsent'],
): HistoryEvent[] {
  const state = new Map<string, Json>();
  let next = 1;
  const isThere = (key: string): boolean => (state.get(key) ?? null) !== null;
  return run(wish, {
    draw: (prng) => {
      const f = names[prng.below(names.length)] ?? 'read';
      const key = `k${prng.below(wish.keys)}`;
      if (f === 'read' || f === 'delete') return { f, key, value: null };
      const value = next++;
      // Mostly what is there, so that it may apply.
      const expected = prng.below(4) === 0 ? value - 1 : (state.get(key) ?? null);
      return { f, key, value: f === 'cas' ? [expected, value] : value };
    },
    apply: ({ f, key, value }) => {
      const name = key ?? '';
      const existed = isThere(name);
      const current = state.get(name) ?? null;
      if (f === 'read') return current;
      if (f === 'write' || f === 'delete') {
        state.set(name, value);
        return f === 'delete' ? existed : null;
      }
      const [expected, written] = f === 'cas' ? (value as readonly [Json, Json]) : [null, value];
      if (current !== expected) return false;
      state.set(name, written);
      return true;
    },
  });
}

/** Ends with a read of all keys. */
export function rightListHistory(wish: Wish): HistoryEvent[] {
  const state = new Map<string, Json[]>();
  let next = 1;
  const load: Workload = {
    draw: (prng) => {
      const steps = Array.from({ length: 1 + prng.below(3) }, (): Json => {
        const key = `k${prng.below(wish.keys)}`;
        return prng.below(2) === 0 ? ['r', key, null] : ['append', key, next++];
      });
      return { f: 'txn', key: null, value: steps };
    },
    apply: ({ value }) =>
      (value as readonly [string, string, Json][]).map(([type, key, element]): Json => {
        const list = state.get(key) ?? [];
        if (type === 'r') return [type, key, list];
        state.set(key, [...list, element]);
        return [type, key, element];
      }),
  };
  const events = run(wish, load);
  const form = { process: 1_000_000, f: 'txn', key: null } as const;
  const asked = Array.from({ length: wish.keys }, (_, n): Json => ['r', `k${n}`, null]);
  const time = events.length;
  events.push({ ...form, value: asked, type: 'invoke', time });
  const value = load.apply({ ...form, value: asked });
  return [...events, { ...form, value, type: 'ok', time: time + 1 }];
}
