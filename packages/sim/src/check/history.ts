/**
 * Histories: what clients asked and what they were told, as JSON lines
 * `{process, f, key, value, type: invoke|ok|fail|info, time}`, for checkers that judge a run afterwards.
 *
 * Order in the file is order in real time; `time` explains it and never goes back.
 *
 * What `value` holds, by `f`:
 *
 * | f           | invoke                     | ok                                                         |
 * | ----------- | -------------------------- | ---------------------------------------------------------- |
 * | read        | null                       | what was found; null: absent                               |
 * | write       | what to write, not null    | null, or true/false: the key was there before              |
 * | delete      | null                       | null, or true/false: the key was there before              |
 * | cas         | [expected or null, new]    | null or true: applied; false: refused, it held another one |
 * | putIfAbsent | what to write, not null    | null or true: applied; false: refused, the key was there   |
 * | txn         | ["append", key, element] … | the same with each ["r", key, null] answered by a list     |
 *
 * `fail`: certainly no effect, nothing observed. `info`, or no completion: may take effect once at any
 * time after the invocation, or never (P5's `maybe`). Their `value` is not looked at.
 *
 * Invariants:
 *  H1 A process has at most one operation open.
 *  H2 Line numbers are 1-based positions of events: line n is `events[n - 1]`.
 */
import { MokuError } from '@moku/base';
import { checkValue, type Json, type OperationName, operationNames } from './history-values.js';

const eventTypes = ['invoke', 'ok', 'fail', 'info'] as const;
export type EventType = (typeof eventTypes)[number];

export interface HistoryEvent {
  /** Non-negative integer: one client that waits for each answer. */
  readonly process: number;
  readonly f: OperationName;
  /** Null for txn, whose keys are in its value. */
  readonly key: string | null;
  readonly value: Json;
  readonly type: EventType;
  /** Any unit, one for the whole history. */
  readonly time: number;
}

export interface Operation {
  readonly process: number;
  readonly f: OperationName;
  readonly key: string | null;
  /** Value of the invocation. */
  readonly argument: Json;
  /** `info` also when it was never completed. */
  readonly outcome: 'ok' | 'fail' | 'info';
  /** Value of the ok event; null otherwise. */
  readonly result: Json;
  readonly invokeLine: number;
  /** Infinity unless the outcome is certain: until then it may take effect. */
  readonly returnLine: number;
}

/**
 * Reads JSON lines; the last one may end without a line break. Throws INVALID_ARGUMENT with `line`
 * (1-based), `field` and `rule` for the first thing that is wrong, pairing (H1) included.
 */
export function parseHistory(text: string): HistoryEvent[] {
  const lines = text.split('\n');
  if (lines.at(-1) === '') lines.pop();
  const events = lines.map((line, i) => parseEvent(line, i + 1));
  operationsOf(events);
  return events;
}

/** JSON lines that `parseHistory` reads. */
export function formatHistory(events: readonly HistoryEvent[]): string {
  return events
    .map(({ process, f, key, value, type, time }) =>
      JSON.stringify({ process, f, key, value, type, time }),
    )
    .map((line) => `${line}\n`)
    .join('');
}

/**
 * Operations in order of invocation. Throws INVALID_ARGUMENT with `line`, `field` and `rule` when
 * events do not pair up, time goes back, or a value has not the form that its `f` asks for.
 */
export function operationsOf(events: readonly HistoryEvent[]): Operation[] {
  const operations: Operation[] = [];
  const openOf = new Map<number, number>();
  let time = Number.NEGATIVE_INFINITY;
  events.forEach((event, i) => {
    const line = i + 1;
    if (event.time < time) throw wrong(line, 'time', `at least ${time}`);
    time = event.time;
    const open = openOf.get(event.process);
    if (event.type === 'invoke') {
      if (open !== undefined) {
        throw wrong(line, 'process', 'a process that has no operation open');
      }
      checkForm(event, line, event.value);
      openOf.set(event.process, operations.length);
      operations.push(opened(event, line));
      return;
    }
    const operation = open === undefined ? undefined : operations[open];
    if (open === undefined || operation === undefined) {
      throw wrong(line, 'process', 'a process that has an operation open');
    }
    if (event.f !== operation.f) throw wrong(line, 'f', `${operation.f}, as invoked`);
    if (event.key !== operation.key) throw wrong(line, 'key', 'the key of the invocation');
    if (event.type === 'ok') checkForm(event, line, operation.argument);
    openOf.delete(event.process);
    operations[open] = completed(operation, event, line);
  });
  return operations;
}

function opened(event: HistoryEvent, line: number): Operation {
  const { process, f, key, value } = event;
  return {
    process,
    f,
    key,
    argument: value,
    outcome: 'info',
    result: null,
    invokeLine: line,
    returnLine: Number.POSITIVE_INFINITY,
  };
}

function completed(operation: Operation, event: HistoryEvent, line: number): Operation {
  switch (event.type) {
    case 'ok':
      return { ...operation, outcome: 'ok', result: event.value, returnLine: line };
    case 'fail':
      return { ...operation, outcome: 'fail', returnLine: line };
    default:
      return operation;
  }
}

function checkForm(event: HistoryEvent, line: number, argument: Json): void {
  if (event.f === 'txn' ? event.key !== null : event.key === null || event.key === '') {
    throw wrong(line, 'key', event.f === 'txn' ? 'null' : 'a string that is not empty');
  }
  const rule = checkValue(event.f, event.type === 'ok', event.value, argument);
  if (rule !== undefined) throw wrong(line, 'value', rule);
}

function parseEvent(text: string, line: number): HistoryEvent {
  let parsed: unknown;
  try {
    parsed = JSON.parse(text);
  } catch (cause) {
    throw wrong(line, 'line', 'JSON', cause);
  }
  if (typeof parsed !== 'object' || parsed === null || Array.isArray(parsed)) {
    throw wrong(line, 'line', 'an object');
  }
  const { process, f, key, value, type, time } = parsed as Record<string, unknown>;
  if (typeof process !== 'number' || !Number.isSafeInteger(process) || process < 0) {
    throw wrong(line, 'process', 'a non-negative integer');
  }
  const name = operationNames.find((candidate) => candidate === f);
  if (name === undefined) throw wrong(line, 'f', operationNames.join('|'));
  if (key !== null && typeof key !== 'string') throw wrong(line, 'key', 'a string or null');
  if (value === undefined) throw wrong(line, 'value', 'present');
  const eventType = eventTypes.find((candidate) => candidate === type);
  if (eventType === undefined) throw wrong(line, 'type', eventTypes.join('|'));
  if (typeof time !== 'number' || !Number.isFinite(time)) throw wrong(line, 'time', 'a number');
  // JSON.parse gives nothing but JSON.
  return { process, f: name, key, value: value as Json, type: eventType, time };
}

function wrong(line: number, field: string, rule: string, cause?: unknown): MokuError {
  return new MokuError('INVALID_ARGUMENT', { line, field, rule }, { cause });
}
