/** Rows are read once for all who wait, and never more of them than fit into memory. */
import type { Entry } from '@moku/raft';
import { beforeEach, describe, expect, it } from 'vitest';
import { emptyPlan } from '../../src/log/batch-builder.js';
import type { FetchedRow } from '../../src/log/protocol.js';
import {
  encodeRow,
  entryOverheadBytes,
  recordHeaderBytes,
  rowHeaderBytes,
  tocItemBytes,
} from '../../src/log/row-codec.js';
import { type ReadOutcome, RowReader } from '../../src/log/row-reader.js';
import { RowTable } from '../../src/log/row-table.js';
import { entriesOf, region, replica1 } from './histories.js';

const dataBytes = 1_000;
const rowBytes = rowHeaderBytes + tocItemBytes + recordHeaderBytes + entryOverheadBytes + dataBytes;

/** Row `seq` holds entry `seq` of region 1. */
function row(seq: number): FetchedRow {
  const plan = emptyPlan();
  Object.assign(plan, { regionId: 1, replicaId: replica1, firstIndex: seq, term: 1, count: 1 });
  plan.entries = entriesOf(1, seq, seq, 1, dataBytes);
  plan.recordBytes = recordHeaderBytes + entryOverheadBytes + dataBytes;
  return { seq, bytes: encodeRow(seq, [plan], 0, 1, rowBytes), problem: '' };
}

describe('a row reader', () => {
  let requests: number[][];
  let timers: (() => void)[];
  let nowMs: number;
  let table: RowTable;
  let reader: RowReader;

  beforeEach(() => {
    requests = [];
    timers = [];
    nowMs = 0;
    table = new RowTable();
    for (let seq = 1; seq <= 100; seq++) table.add(seq, rowBytes);
    reader = readerOf(20 * rowBytes);
  });

  function readerOf(bytesMax: number): RowReader {
    const source = {
      request: (seqs: readonly number[]) => requests.push([...seqs]),
      monotonicMs: () => nowMs,
      after: (_delayMs: number, task: () => void) => timers.push(task),
    };
    return new RowReader(source, table, bytesMax);
  }

  function read(id: number, seq: number): ReadOutcome['kind'] {
    const place = { regionId: region(id), replicaId: replica1, seq, from: seq, to: seq + 1 };
    const out: Entry[] = [];
    const { kind } = reader.read(place, 1 << 20, out);
    if (kind === 'read') expect(out).toEqual(entriesOf(1, seq, seq, 1, dataBytes));
    return kind;
  }

  it('asks once for a row that several regions want, before or while it is read', () => {
    reader.want(region(1), [1]);
    reader.want(region(1), [2]);
    reader.want(region(2), [1, 2]);
    expect(requests).toEqual([[1]]);
    expect([...reader.onRows([row(1)])]).toEqual([1, 2]);
    expect(requests).toEqual([[1], [2]]);
    expect([...reader.onRows([row(2)])]).toEqual([1, 2]);
    reader.want(region(3), [1, 2]);
    expect(requests).toHaveLength(2);
    expect([read(1, 1), read(1, 2), read(1, 3)]).toEqual(['read', 'read', 'absent']);
  });

  it('asks for several waiting rows together', () => {
    reader.want(region(1), [1]);
    reader.want(region(1), [2, 3, 4]);
    reader.onRows([row(1)]);
    expect(requests).toEqual([[1], [2, 3, 4]]);
  });

  it('reads no further than memory reaches until those who waited have read', () => {
    reader = readerOf(3 * rowBytes);
    for (let seq = 1; seq <= 9; seq++) reader.want(region(1), [seq]);
    reader.onRows([row(1)]);
    expect(requests).toEqual([[1], [2, 3]]);
    reader.onRows([row(2), row(3)]);
    expect(requests).toHaveLength(2);
    expect([read(1, 1), read(1, 2)]).toEqual(['read', 'read']);
    expect(requests).toEqual([[1], [2, 3], [4]]);
    reader.onRows([row(4)]);
    expect(read(1, 3)).toBe('read');
  });

  it('gives up rows that nobody comes for', () => {
    reader = readerOf(2 * rowBytes);
    reader.want(region(1), [1]);
    reader.want(region(1), [2]);
    reader.want(region(2), [3]);
    reader.onRows([row(1)]);
    reader.onRows([row(2)]);
    expect(requests).toEqual([[1], [2]]);
    nowMs = 1_001;
    timers.shift()!();
    expect(requests).toEqual([[1], [2], [3]]);
    expect([...reader.onRows([row(3)])]).toEqual([2]);
    expect(read(1, 1)).toBe('absent');
  });

  it('gives a row that is larger than its memory to the one who waits', () => {
    reader = readerOf(10);
    reader.want(region(1), [1]);
    reader.onRows([row(1)]);
    expect(read(1, 1)).toBe('read');
  });

  it('says why a row cannot be read', () => {
    reader.want(region(1), [1, 2]);
    reader.onRows([{ seq: 1, bytes: undefined, problem: 'bad sector' }]);
    reader.onRows([{ ...row(3), seq: 2 }]);
    const place = { regionId: region(1), replicaId: replica1, from: 1, to: 2 };
    expect(reader.read({ ...place, seq: 1 }, 100, [])).toEqual({
      kind: 'corrupt',
      reason: 'bad sector',
    });
    expect(reader.read({ ...place, seq: 2 }, 100, [])).toMatchObject({ kind: 'corrupt' });
  });
});
