import { createPrng } from '@moku/base';
import { expect, it } from 'vitest';
import { story, tellStory, themes } from '../../src/index.js';

const all = Object.values(themes).flat();

it('there are at least forty stories, and each has a name of its own', () => {
  expect(all.length).toBeGreaterThanOrEqual(40);
  expect(new Set(all.map(({ name }) => name)).size).toBe(all.length);
});

it('the same story under the same seed has the same trace, and another under another', async () => {
  const told = story('a restart', {}, async (s) => {
    await s.put('a');
    s.restart(1);
  });
  const once = await tellStory(told, 1);
  const again = await tellStory(told, 1);
  const other = await tellStory(told, 2);
  expect(once.failure).toBeUndefined();
  expect(again.traceHash).toBe(once.traceHash);
  expect(other.traceHash).not.toBe(once.traceHash);
});

it('a story that is not as told is red', async () => {
  const told = story('nobody leads', {}, async (s) => {
    await s.elected({ among: [9], withinElectionTimeouts: 1 });
  });
  expect((await tellStory(told, 1)).failure?.invariant).toBe('the story is as told');
});

it('a story that observed too little is red', async () => {
  const told = story('no crash', { floors: { crashes: 1 } }, async (s) => {
    await s.put('a');
  });
  expect((await tellStory(told, 1)).failure?.what).toContain('crashes 0, at least 1 wanted');
});

it('a story that uses real chance is red', async () => {
  const told = story('chance', {}, async (s) => {
    await s.advance(createPrng(1).below(10) + Math.random());
  });
  await expect(tellStory(told, 1)).rejects.toThrow('Math.random');
});
