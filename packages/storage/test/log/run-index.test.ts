/** The index of one region against a list with one item per entry, and the row table against its sums. */
import fc from 'fast-check';
import { expect, it } from 'vitest';
import { RowTable } from '../../src/log/row-table.js';
import { RunIndex } from '../../src/log/run-index.js';

const seed = 93;

type Change =
  | {
      readonly type: 'append';
      readonly count: number;
      readonly bytes: number;
      readonly term: number;
    }
  | { readonly type: 'suffix' | 'prefix' | 'rewrite'; readonly part: number }
  | { readonly type: 'reset'; readonly ahead: number };

const part = fc.integer({ min: 0, max: 100 });
const change: fc.Arbitrary<Change> = fc.oneof(
  {
    weight: 5,
    arbitrary: fc.record({
      type: fc.constant('append' as const),
      count: fc.integer({ min: 1, max: 9 }),
      bytes: fc.integer({ min: 100, max: 3000 }),
      term: fc.integer({ min: 0, max: 2 }),
    }),
  },
  { weight: 2, arbitrary: fc.record({ type: fc.constant('suffix' as const), part }) },
  { weight: 2, arbitrary: fc.record({ type: fc.constant('prefix' as const), part }) },
  { weight: 1, arbitrary: fc.record({ type: fc.constant('rewrite' as const), part }) },
  {
    weight: 1,
    arbitrary: fc.record({
      type: fc.constant('reset' as const),
      ahead: fc.integer({ min: 0, max: 5 }),
    }),
  },
);

interface Item {
  readonly index: number;
  readonly term: number;
  readonly seq: number;
}

/** An index and, beside it, what it ought to say. */
class Twin {
  readonly table = new RowTable();
  readonly index = new RunIndex(this.table, 5, 1);
  items: Item[] = [];
  floor = 5;
  floorTerm = 1;
  private seq = 0;

  apply(change: Change): void {
    const { items, index } = this;
    const last = this.floor + items.length;
    switch (change.type) {
      case 'append': {
        const term = (items.at(-1)?.term ?? this.floorTerm) + change.term;
        this.seq += 1;
        this.table.open(this.seq);
        this.table.add(this.seq, change.bytes);
        index.append(change.count, this.seq, change.bytes, term);
        this.table.seal(this.seq, this.seq + 1);
        for (let i = 1; i <= change.count; i++)
          items.push({ index: last + i, term, seq: this.seq });
        return;
      }
      case 'suffix': {
        const kept = Math.floor((items.length * change.part) / 100);
        index.cutSuffix(this.floor + 1 + kept);
        this.items = items.slice(0, kept);
        return;
      }
      case 'prefix': {
        const count = Math.ceil((items.length * change.part) / 100);
        if (count === 0) return;
        index.cutPrefix(this.floor + count);
        this.floor += count;
        this.floorTerm = items[count - 1]!.term;
        this.items = items.slice(count);
        return;
      }
      case 'rewrite': {
        if (items.length === 0) return;
        const at = Math.floor(((items.length - 1) * change.part) / 100);
        index.rewritten(index.find(items[at]!.index), 100);
        return;
      }
      case 'reset':
        index.reset(last + change.ahead, this.floorTerm);
        this.floor = last + change.ahead;
        this.items = [];
    }
  }

  check(): void {
    const { index, items, table, floor } = this;
    expect([index.firstIndex, index.lastIndex]).toEqual([floor + 1, floor + items.length]);
    expect(index.term(floor)).toBe(this.floorTerm);
    expect(index.term(floor - 1)).toBeUndefined();
    expect(index.term(floor + items.length + 1)).toBeUndefined();
    for (const item of items) {
      expect(index.term(item.index)).toBe(item.term);
      const position = index.find(item.index);
      expect(index.seqOf(position)).toBe(item.seq);
      expect(index.liveStart(position)).toBeLessThanOrEqual(item.index);
      expect(index.endOf(position)).toBeGreaterThan(item.index);
    }
    expect(index.oldestSeq()).toBe(items[0]?.seq);
    expect(table.liveBytes).toBe(index.liveBytes);
    expect(table.count).toBe(new Set(items.map(({ seq }) => seq)).size);
    if (items.length === 0) expect(index.liveBytes).toBe(0);
  }
}

it('any history of changes leaves the index and the sums right', () => {
  fc.assert(
    fc.property(fc.array(change, { maxLength: 40 }), (changes) => {
      const twin = new Twin();
      const dead = new Set<number>();
      for (const what of changes) {
        twin.apply(what);
        twin.check();
        for (const seq of twin.table.takeDead()) {
          expect(dead.has(seq)).toBe(false);
          dead.add(seq);
          expect(twin.items.some((item) => item.seq === seq)).toBe(false);
        }
      }
    }),
    { seed, numRuns: 200 },
  );
});

it('terms that decrease are refused', () => {
  const table = new RowTable();
  const index = new RunIndex(table, 0, 0);
  table.add(1, 100);
  index.append(1, 1, 100, 5);
  expect(() => index.append(1, 1, 100, 4)).toThrow(/I3/);
});
