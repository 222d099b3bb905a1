import { describe, expect, it } from 'vitest';
import { type Story, type StoryResult, seedsOf, tellStory, themes } from '../../src/index.js';

const boundMs = 120_000;

/** What a failure says: enough to replay it. */
function verdict({ name, seed, failure }: StoryResult): string {
  if (failure === undefined) return 'as told';
  return `seed ${seed}: ${failure.invariant}: ${failure.what}; replay: pnpm sim stories --only "${name}" --trace`;
}

/** One test per story of the theme, under each of its seeds. */
export function tellTheme(theme: string): void {
  const stories: readonly Story[] = themes[theme] ?? [];
  describe(`stories of ${theme}`, () => {
    it.each(stories.map((story) => [story.name, story] as const))(
      '%s',
      async (_name, story) => {
        for (const seed of seedsOf(story)) {
          // One after the other: a run has the thread to itself.
          expect(verdict(await tellStory(story, seed))).toBe('as told');
        }
      },
      boundMs,
    );
  });
}
