/**
 * Histories on one line: operations separated by `;`, each `start-end what`, where start and end are
 * moments, `start-?` never answered, `start-end!` certainly without effect.
 *
 * Registers: `r 1`, `r -` (absent), `w 1`, `w 1 existed`, `w 1 new`, `cas 1 2`, `cas 1 2 refused`,
 * `put 1` (putIfAbsent), `put 1 refused`, `del`, `del existed`, `del none`; before it `y:` for a key
 * other than x. Values are numbers.
 *
 * Transactions: `x+1` appends, `x=1.2` reads a list, `x=` reads it empty; any number of them.
 */
import type { HistoryEvent } from '../../src/check/history.js';
import type { Json, OperationName } from '../../src/check/history-values.js';

interface Asked {
  readonly f: OperationName;
  readonly key: string | null;
  readonly argument: Json;
  readonly result: Json;
}

export function registerHistory(line: string): HistoryEvent[] {
  return historyOf(line, registerOperation);
}

export function listHistory(line: string): HistoryEvent[] {
  return historyOf(line, transaction);
}

/** Each operation is a process of its own. */
function historyOf(line: string, read: (text: string) => Asked): HistoryEvent[] {
  const events: HistoryEvent[] = [];
  line.split(';').forEach((text, process) => {
    const match = /^\s*(\d+)-(\?|\d+)(!?)\s+(.*\S)\s*$/.exec(text);
    if (match === null) throw new Error(`not an operation: ${text}`);
    const [, start = '', end = '', mark, what = ''] = match;
    const { f, key, argument, result } = read(what);
    events.push({ process, f, key, value: argument, type: 'invoke', time: Number(start) });
    if (end === '?') return;
    const type = mark === '!' ? 'fail' : 'ok';
    const value = type === 'ok' ? result : argument;
    events.push({ process, f, key, value, type, time: Number(end) });
  });
  // Of what happens in one moment, invocations come first: those operations are concurrent.
  const rank = (event: HistoryEvent): number => (event.type === 'invoke' ? 0 : 1);
  return events.sort((a, b) => a.time - b.time || rank(a) - rank(b));
}

function registerOperation(text: string): Asked {
  const [, key = 'x', what = ''] = /^(?:(\w+):)?\s*(.*)$/.exec(text) ?? [];
  const [name, ...rest] = what.split(/\s+/);
  const values = rest.filter((part) => /^(-|\d+)$/.test(part)).map(valueFrom);
  const [first = null, second = null] = values;
  const word = rest.find((part) => /^[a-z]+$/.test(part));
  const flag = word === undefined ? null : word === 'existed';
  switch (name) {
    case 'r':
      return { f: 'read', key, argument: null, result: first };
    case 'w':
      return { f: 'write', key, argument: first, result: flag };
    case 'del':
      return { f: 'delete', key, argument: null, result: flag };
    case 'put':
      return { f: 'putIfAbsent', key, argument: first, result: flag };
    case 'cas':
      return { f: 'cas', key, argument: [first, second], result: flag };
    default:
      throw new Error(`not an operation: ${text}`);
  }
}

function valueFrom(text: string): Json {
  return text === '-' ? null : Number(text);
}

function transaction(text: string): Asked {
  const argument: Json[] = [];
  const result: Json[] = [];
  for (const step of text.split(/\s+/)) {
    const [, key = '', sign, operand = ''] = /^(\w+)([+=])([\d.]*)$/.exec(step) ?? [];
    if (key === '') throw new Error(`not a step: ${step}`);
    if (sign === '+') {
      argument.push(['append', key, Number(operand)]);
      result.push(['append', key, Number(operand)]);
      continue;
    }
    argument.push(['r', key, null]);
    result.push(['r', key, operand === '' ? [] : operand.split('.').map(Number)]);
  }
  return { f: 'txn', key: null, argument, result };
}
