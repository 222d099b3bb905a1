/**
 * Ways to make a right history wrong. Each gives undefined where it finds nothing to spoil; what it
 * gives is wrong for certain.
 */
import type { Prng } from '@moku/base';
import { type HistoryEvent, operationsOf } from '../../src/check/history.js';
import type { Json } from '../../src/check/history-values.js';

export type Mutation = (
  events: readonly HistoryEvent[],
  prng: Prng,
) => readonly HistoryEvent[] | undefined;

const phantom = 999_999;

function pick<T>(items: readonly T[], prng: Prng): T | undefined {
  return items.length === 0 ? undefined : items[prng.below(items.length)];
}

function isRead({ f, type }: HistoryEvent): boolean {
  return f === 'read' && type === 'ok';
}

function replaced(
  events: readonly HistoryEvent[],
  old: HistoryEvent,
  change: Partial<HistoryEvent>,
): HistoryEvent[] {
  return events.map((event) => (event === old ? { ...event, ...change } : event));
}

/** Steps that come before or after all others, each a process of its own. */
function steps(forms: readonly Pick<HistoryEvent, 'f' | 'key' | 'value'>[], time: number) {
  return forms.flatMap(({ f, key, value }, i): HistoryEvent[] => {
    const event = { process: 2_000_000 + i, f, key, time };
    const invoked = f === 'read' ? null : value;
    return [
      { ...event, value: invoked, type: 'invoke' },
      { ...event, value: f === 'read' ? value : null, type: 'ok' },
    ];
  });
}

export const registerMutations: Readonly<Record<string, Mutation>> = {
  'a read finds what nobody wrote': (events, prng) => {
    const read = pick(events.filter(isRead), prng);
    return read && replaced(events, read, { value: phantom });
  },
  'the write of a value that was read did not happen': (events, prng) => {
    const read = pick(
      events.filter((event) => isRead(event) && event.value !== null),
      prng,
    );
    if (read === undefined) return undefined;
    const writers = new Set(
      operationsOf(events)
        .filter(({ key, argument }) => key === read.key && writtenBy(argument) === read.value)
        .map(({ process, invokeLine }) => `${process} ${invokeLine}`),
    );
    return failed(events, writers);
  },
  'a read at the start finds what is written later': (events, prng) => {
    const read = pick(
      events.filter((event) => isRead(event) && event.value !== null),
      prng,
    );
    return read && [...steps([{ ...read }], events[0]?.time ?? 0), ...events];
  },
  'a read at the end finds what was overwritten': (events) => {
    const key = events[0]?.key ?? null;
    const time = events.at(-1)?.time ?? 0;
    const forms = [
      { f: 'write', key, value: phantom },
      { f: 'write', key, value: phantom + 1 },
      { f: 'read', key, value: phantom },
    ] as const;
    return [...events, ...steps(forms, time)];
  },
  'a read after two reads of different values finds the first again': (events) => {
    const key = events[0]?.key ?? null;
    const forms = [
      { f: 'write', key, value: phantom },
      { f: 'read', key, value: phantom },
      { f: 'delete', key, value: null },
      { f: 'read', key, value: phantom },
    ] as const;
    return [...events, ...steps(forms, events.at(-1)?.time ?? 0)];
  },
};

/** Only where each value is written once. */
export const uniqueMutations: Readonly<Record<string, Mutation>> = {
  'a read finds what had been overwritten before it began': (events, prng) => {
    const operations = operationsOf(events);
    const writes = operations.filter(({ f, outcome }) => f === 'write' && outcome === 'ok');
    const reads = operations.filter(({ f, outcome }) => f === 'read' && outcome === 'ok');
    for (let attempt = 0; attempt < 50; attempt++) {
      const read = pick(reads, prng);
      const old = pick(writes, prng);
      const isStale = writes.some(
        ({ key, invokeLine, returnLine }) =>
          key === read?.key &&
          old?.key === key &&
          old.returnLine < invokeLine &&
          returnLine < read.invokeLine,
      );
      const event = isStale ? events[(read?.returnLine ?? 0) - 1] : undefined;
      if (event !== undefined) return replaced(events, event, { value: old?.argument ?? null });
    }
    return undefined;
  },
};

function writtenBy(argument: Json): Json {
  return Array.isArray(argument) ? ((argument as readonly Json[])[1] ?? null) : argument;
}

/** `operations`: process and line of the invocation. */
function failed(events: readonly HistoryEvent[], operations: ReadonlySet<string>): HistoryEvent[] {
  const open = new Map<number, HistoryEvent>();
  const changed = events.map((event, i): HistoryEvent => {
    if (event.type === 'invoke') {
      if (operations.has(`${event.process} ${i + 1}`)) open.set(event.process, event);
      return event;
    }
    return open.delete(event.process) ? { ...event, type: 'fail' } : event;
  });
  const time = events.at(-1)?.time ?? 0;
  for (const event of open.values()) changed.push({ ...event, type: 'fail', time });
  return changed;
}

type ListStep = readonly [string, string, readonly Json[]];

/** Changes one list of at least `lengthMin` elements. */
function withList(
  lengthMin: number,
  change: (list: readonly Json[]) => readonly Json[],
  isLast = false,
): Mutation {
  return (events, prng) => {
    const places = events.flatMap((event) => {
      if (event.type !== 'ok' || (isLast && event !== events.at(-1))) return [];
      return (event.value as readonly ListStep[]).flatMap(([type, , list], step) =>
        type === 'r' && list.length >= lengthMin ? [{ event, step }] : [],
      );
    });
    const place = pick(places, prng);
    if (place === undefined) return undefined;
    const value = (place.event.value as readonly ListStep[]).map(
      ([type, key, list], i): Json =>
        i === place.step ? [type, key, change(list)] : [type, key, list],
    );
    return replaced(events, place.event, { value });
  };
}

export const listMutations: Readonly<Record<string, Mutation>> = {
  'a list holds what nobody appended': withList(0, (list) => [...list, phantom]),
  'a list holds its last element twice': withList(1, (list) => [...list, list.at(-1) ?? null]),
  'the transaction of an element that was read did not happen': (events, prng) => {
    const lists = events.flatMap(({ type, value }) =>
      type === 'ok' ? (value as readonly ListStep[]).filter(([kind]) => kind === 'r') : [],
    );
    const list = pick(
      lists.filter(([, , elements]) => elements.length > 0),
      prng,
    );
    const element = list?.[2].at(-1);
    const writers = new Set(
      operationsOf(events)
        .filter(({ argument }) =>
          (argument as readonly ListStep[]).some(
            ([type, key, operand]) =>
              type === 'append' && key === list?.[1] && (operand as Json) === element,
          ),
        )
        .map(({ process, invokeLine }) => `${process} ${invokeLine}`),
    );
    return writers.size === 0 ? undefined : failed(events, writers);
  },
};

/** Only where the last transaction reads all, after all others, and others read much before. */
export const finalReadMutations: Readonly<Record<string, Mutation>> = {
  'the last read misses the first element': withList(1, (list) => list.slice(1), true),
  'the last read finds nothing': withList(1, () => [], true),
  'the last read has two elements in the wrong order': withList(
    2,
    (list) => [list[1] ?? null, list[0] ?? null, ...list.slice(2)],
    true,
  ),
};
