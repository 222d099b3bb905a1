/** The bytes of a row: what goes in comes out, and no damage goes unnoticed or hides what is whole. */
import type { Entry } from '@moku/raft';
import fc from 'fast-check';
import { expect, it } from 'vitest';
import { emptyPlan } from '../../src/log/batch-builder.js';
import {
  decodeEntries,
  encodeRow,
  entryOverheadBytes,
  isRecordWhole,
  type RecordPlan,
  readToc,
  recordHeaderBytes,
  rowHeaderBytes,
  tocItemBytes,
  tocStride,
} from '../../src/log/row-codec.js';
import { entriesOf } from './histories.js';

const seed = 4_711;
const seq = 2 ** 40 + 3;

function planOf(id: number, entries: readonly Entry[]): RecordPlan {
  const plan = emptyPlan();
  let dataBytes = 0;
  for (const entry of entries) dataBytes += entry.data.length;
  plan.regionId = id;
  plan.replicaId = 0xffff_ffff - id;
  plan.firstIndex = entries[0]!.index;
  plan.term = entries[0]!.term;
  plan.count = entries.length;
  plan.recordBytes = recordHeaderBytes + entries.length * entryOverheadBytes + dataBytes;
  plan.entries = entries;
  return plan;
}

function rowOf(records: readonly (readonly Entry[])[]): Uint8Array {
  const plans = records.map((entries, i) => planOf(2 ** 40 + i, entries));
  let rowBytes = rowHeaderBytes;
  for (const plan of plans) rowBytes += tocItemBytes + plan.recordBytes;
  return encodeRow(seq, plans, 0, plans.length, rowBytes);
}

/** The row's readable records: region id and entries. */
function contentOf(bytes: Uint8Array): { regionId: number; entries: Entry[] }[] {
  const { items } = readToc(bytes, seq);
  const content: { regionId: number; entries: Entry[] }[] = [];
  for (let at = 0; at < items.length; at += tocStride) {
    const [regionId, , first, , count, offset, length] = items.subarray(
      at,
      at + tocStride,
    ) as unknown as number[];
    if (!isRecordWhole(bytes, offset!, length!)) continue;
    const entries: Entry[] = [];
    const range = { from: first!, to: first! + count! };
    decodeEntries(bytes, offset!, range, Number.MAX_SAFE_INTEGER, entries);
    content.push({ regionId: regionId!, entries });
  }
  return content;
}

const records = fc
  .array(
    fc.record({
      first: fc.integer({ min: 1, max: 2 ** 50 }),
      term: fc.integer({ min: 1, max: 2 ** 40 }),
      sizes: fc.array(fc.integer({ min: 0, max: 90 }), { minLength: 1, maxLength: 4 }),
    }),
    { minLength: 1, maxLength: 5 },
  )
  .map((list) =>
    list.map(({ first, term, sizes }) =>
      sizes.map((size, i): Entry => {
        const kind = (first + i) % 3 === 0 ? 'confChange' : 'normal';
        return { term, index: first + i, kind, data: new Uint8Array(size).fill(size + i) };
      }),
    ),
  );

it('a row gives back its records', () => {
  fc.assert(
    fc.property(records, (list) => {
      const bytes = rowOf(list);
      expect(readToc(bytes, seq)).toMatchObject({ count: list.length, isComplete: true });
      expect(contentOf(bytes).map(({ entries }) => entries)).toEqual(list);
    }),
    { seed, numRuns: 100 },
  );
});

it('a flipped bit is noticed, and costs at most the record that it is in', () => {
  fc.assert(
    fc.property(records, fc.nat(), fc.integer({ min: 0, max: 7 }), (list, where, bit) => {
      const bytes = rowOf(list);
      const whole = contentOf(bytes);
      const at = where % bytes.length;
      bytes[at] = bytes[at]! ^ (1 << bit);
      const found = contentOf(bytes);
      for (const record of found) expect(whole).toContainEqual(record);
      expect(found.length).toBeGreaterThanOrEqual(list.length - 1);
      const isInToc = at < rowHeaderBytes + list.length * tocItemBytes;
      expect(found.length).toBe(isInToc ? list.length : list.length - 1);
    }),
    { seed, numRuns: 200 },
  );
});

it('a row cut short or of zeros is not complete, whatever is left of it', () => {
  fc.assert(
    fc.property(records, fc.nat(), fc.boolean(), (list, where, isZeroed) => {
      const bytes = rowOf(list);
      const at = where % bytes.length;
      const damaged = isZeroed ? bytes.slice().fill(0, at) : bytes.slice(0, at);
      if (Buffer.compare(damaged, bytes) === 0) return;
      const toc = readToc(damaged, seq);
      const readable = contentOf(damaged).length;
      expect(readable < list.length).toBe(true);
      expect(toc.isComplete && toc.count < list.length).toBe(false);
    }),
    { seed, numRuns: 200 },
  );
});

it('a row of another seq is not believed', () => {
  const bytes = rowOf([entriesOf(1, 1, 2)]);
  // Its records are whole and say themselves where they belong: they are found one by one.
  expect(readToc(bytes, seq + 1)).toMatchObject({ count: 1, isComplete: true });
  bytes[bytes.length - 1] = bytes[bytes.length - 1]! ^ 1;
  expect(readToc(bytes, seq + 1)).toMatchObject({ count: 0, isComplete: false });
});

it('decoding stops at bytesMax and gives the range asked for', () => {
  const entries = entriesOf(1, 11, 20, 3, 100);
  const bytes = rowOf([entries]);
  const at = rowHeaderBytes + tocItemBytes;
  const out: Entry[] = [];
  expect(decodeEntries(bytes, at, { from: 13, to: 19 }, 250, out)).toBe(200);
  expect(out).toEqual(entries.slice(2, 4));
  expect(decodeEntries(bytes, at, { from: 15, to: 17 }, 50, out)).toBe(0);
  const one: Entry[] = [];
  expect(decodeEntries(bytes, at, { from: 20, to: 21 }, 1, one)).toBe(100);
  expect(one).toEqual(entries.slice(9));
});
