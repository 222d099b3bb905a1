/**
 * Histories as JSON lines: what is refused, and by which line and field; and what is written down.
 */
import { isMokuError } from '@moku/base';
import { describe, expect, it } from 'vitest';
import { formatHistory, parseHistory } from '../../src/check/history.js';
import { checkLinearizable } from '../../src/check/linearizable.js';
import { checkListAppend } from '../../src/check/list-append.js';
import { HistoryRecorder } from '../../src/check/recorder.js';
import { listHistory, registerHistory } from './notation.js';

type Line = Readonly<Record<string, unknown>>;

const read = { process: 1, f: 'read', key: 'x', value: null, type: 'invoke', time: 1 };
const cas = { ...read, f: 'cas', value: [1, 2] };
const txn = { ...read, f: 'txn', key: null, value: [['r', 'x', null]] };

/** A right line first, so that the wrong one is the second. */
function refusalOf(...lines: readonly (Line | string)[]): unknown {
  const first = { process: 0, f: 'read', key: 'x', value: null, type: 'invoke', time: 0 };
  const text = [first, ...lines].map((line) =>
    typeof line === 'string' ? line : JSON.stringify(line),
  );
  return refusal(() => parseHistory(text.join('\n')));
}

function refusal(act: () => unknown): unknown {
  try {
    act();
  } catch (error) {
    if (isMokuError(error, 'INVALID_ARGUMENT')) return error.details;
    throw error;
  }
  return 'accepted';
}

function withoutField(line: Line, field: string): Line {
  return Object.fromEntries(Object.entries(line).filter(([name]) => name !== field));
}

describe('a history', () => {
  it.each<[field: string, what: string, ...lines: (Line | string)[]]>([
    ['line', 'is no JSON', '{"process":'],
    ['line', 'is empty', '', read],
    ['line', 'is no object', '[]'],
    ['process', 'has no process', withoutField(read, 'process')],
    ['process', 'has a negative process', { ...read, process: -1 }],
    ['process', 'has a process that is no number', { ...read, process: '1' }],
    ['process', 'invokes twice', { ...read, process: 0 }],
    ['process', 'completes what was not invoked', { ...read, type: 'ok' }],
    ['f', 'has an unknown operation', { ...read, f: 'increment' }],
    ['f', 'completes another operation', { ...cas, process: 0, value: true, type: 'ok' }],
    ['key', 'has no key', withoutField(read, 'key')],
    ['key', 'has an empty key', { ...read, key: '' }],
    ['key', 'has a key that is no string', { ...read, key: 7 }],
    ['key', 'has a key outside its transaction', { ...txn, key: 'x' }],
    ['key', 'completes on another key', { ...read, process: 0, key: 'y', type: 'ok' }],
    ['value', 'has no value', withoutField(read, 'value')],
    ['value', 'reads a value before it is answered', { ...read, value: 1 }],
    ['value', 'writes nothing', { ...read, f: 'write' }],
    ['value', 'puts nothing', { ...read, f: 'putIfAbsent' }],
    ['value', 'deletes a value', { ...read, f: 'delete', value: 1 }],
    ['value', 'has a cas without what is new', { ...cas, value: [1] }],
    ['value', 'has a cas to absent', { ...cas, value: [1, null] }],
    ['value', 'has a transaction that is no list', { ...txn, value: 'r' }],
    ['value', 'has a step of an unknown kind', { ...txn, value: [['w', 'x', 1]] }],
    ['value', 'has a step that appends nothing', { ...txn, value: [['append', 'x', null]] }],
    ['value', 'has a list before it is answered', { ...txn, value: [['r', 'x', [1]]] }],
    ['type', 'has an unknown type', { ...read, type: 'done' }],
    ['time', 'has no time', withoutField(read, 'time')],
    ['time', 'has a time that is no number', { ...read, time: '1' }],
    ['time', 'goes back in time', { ...read, time: -1 }],
  ])('names line 2 and %s of a line that %s', (field, _what, ...lines) => {
    expect(refusalOf(...lines)).toMatchObject({ line: 2, field, rule: expect.any(String) });
  });

  it.each<[what: string, invoke: Line, answer: unknown]>([
    ['a cas by a value', cas, 2],
    ['a write by what it wrote', { ...cas, f: 'write' }, 2],
    ['a transaction by other steps', txn, [['r', 'y', []]]],
    ['a transaction without its list', txn, [['r', 'x', null]]],
  ])('names line 3 and value of an answer to %s', (_what, invoke, value) => {
    const answer = { ...invoke, type: 'ok', value, time: 2 };
    expect(refusalOf(invoke, answer)).toMatchObject({ line: 3, field: 'value' });
  });

  it('may be empty, and may end without a line break', () => {
    expect(parseHistory('')).toEqual([]);
    expect(parseHistory(JSON.stringify(read))).toHaveLength(1);
  });

  it('keeps what else a line says out', () => {
    const [event] = parseHistory(JSON.stringify({ ...read, node: 3 }));
    expect(event).toEqual(read);
  });

  it('of another kind is refused by each checker, and so is an element appended twice', () => {
    const lists = listHistory('0-1 x+1');
    const registers = registerHistory('0-1 w 1');
    expect(refusal(() => checkLinearizable(lists))).toMatchObject({ line: 1, field: 'f' });
    expect(refusal(() => checkListAppend(registers))).toMatchObject({ line: 1, field: 'f' });
    const twice = listHistory('0-1 x+1; 2-3 x+1');
    expect(refusal(() => checkListAppend(twice))).toMatchObject({ line: 3, field: 'value' });
  });

  it('is written down in the order of calls', () => {
    let time = 0;
    const recorder = new HistoryRecorder(() => time++);
    const write = recorder.invoke(1, 'write', 'x', 1);
    const lost = recorder.invoke(2, 'cas', 'x', [1, 2]);
    write.ok(null);
    const refused = recorder.invoke(1, 'delete', 'x', null);
    lost.info();
    refused.fail();
    const parsed = parseHistory(formatHistory(recorder.events));
    expect(parsed.map(({ process, f, type }) => `${process} ${f} ${type}`)).toEqual([
      '1 write invoke',
      '2 cas invoke',
      '1 write ok',
      '1 delete invoke',
      '2 cas info',
      '1 delete fail',
    ]);
    expect(parsed.map((event) => event.time)).toEqual([0, 1, 2, 3, 4, 5]);
  });
});
