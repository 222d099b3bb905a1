/** What stays in memory: the last bytes written, of whichever region. */
import { expect, it } from 'vitest';
import { EntryCache, EntryWindow } from '../../src/log/entry-cache.js';
import { entriesOf } from './histories.js';

it('entries leave in the order in which they were written, whichever region wrote them', () => {
  const cache = new EntryCache(10_000);
  const windows = [new EntryWindow(cache), new EntryWindow(cache)];
  for (let index = 1; index <= 10; index++) {
    for (const [id, window] of windows.entries()) {
      window.append(entriesOf(id, index, index, 1, 1_000));
      expect(cache.bytes).toBeLessThanOrEqual(10_000);
    }
  }
  const held = windows.map((window) =>
    Array.from({ length: 10 }, (_, i) => i + 1).filter((index) => window.get(index) !== undefined),
  );
  expect(held).toEqual([
    [7, 8, 9, 10],
    [7, 8, 9, 10],
  ]);
});

it('the newest batch stays, however large it is', () => {
  const cache = new EntryCache(1_000);
  const window = new EntryWindow(cache);
  window.append(entriesOf(1, 1, 1));
  window.append(entriesOf(1, 2, 9, 1, 1_000));
  expect(window.get(1)).toBeUndefined();
  expect(window.get(2)?.index).toBe(2);
  expect(window.get(9)?.index).toBe(9);
});

it('an idle region keeps nothing in memory once enough was written behind it', () => {
  const cache = new EntryCache(10_000);
  const [idle, busy] = [new EntryWindow(cache), new EntryWindow(cache)];
  idle.append(entriesOf(1, 1, 1));
  for (let index = 1; index <= 20; index++) {
    busy.append(entriesOf(2, index, index, 1, 1_000));
    busy.cutPrefix(index);
  }
  expect(idle.get(1)).toBeUndefined();
  expect(cache.bytes).toBe(0);
});

it('what is cut from a window is given back', () => {
  const cache = new EntryCache(100_000);
  const window = new EntryWindow(cache);
  window.append(entriesOf(1, 1, 50, 1, 100));
  const full = cache.bytes;
  window.cutSuffix(41);
  window.cutPrefix(20);
  expect([window.get(20), window.get(41)]).toEqual([undefined, undefined]);
  expect([window.get(21)?.index, window.get(40)?.index]).toEqual([21, 40]);
  expect(cache.bytes).toBe((full * 20) / 50);
  window.cutPrefix(40);
  expect(cache.bytes).toBe(0);
});
