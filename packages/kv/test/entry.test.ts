import { isMokuError, limits, timestampOf } from '@moku/base';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { decodeEntry, encodeEntry, proposedTimestamp, proposedTimestampMax } from '../src/entry.js';
import { damage, damaged } from './arbitraries.js';
import { wallMs } from './support.js';

const seed = 7007;
const commands = fc.array(fc.uint8Array({ maxLength: 30 }), { minLength: 1, maxLength: 20 });

describe('the data of an entry', () => {
  it('gives back its commands and the clock of its proposer', () => {
    fc.assert(
      fc.property(commands, fc.integer({ min: 0, max: 4e12 }), (given, clock) => {
        const entry = decodeEntry(encodeEntry(given, clock));
        expect(entry.commands).toEqual(given);
        expect(entry.timestamp).toBe(Math.min(timestampOf(clock), proposedTimestampMax));
      }),
      { seed },
    );
  });

  it('is refused with a code when it is damaged, or is an entry', () => {
    fc.assert(
      fc.property(commands, damage, (given, how) => {
        try {
          decodeEntry(damaged(encodeEntry(given, wallMs), how));
        } catch (error) {
          expect(isMokuError(error)).toBe(true);
        }
      }),
      { seed, numRuns: 1_000 },
    );
  });

  it('holds at most the commands of one entry', () => {
    const many = new Array<Uint8Array>(limits.entryCommandsMax).fill(new Uint8Array(1));
    expect(decodeEntry(encodeEntry(many, wallMs)).commands).toHaveLength(4_096);
    expect(() => encodeEntry([...many, new Uint8Array(1)], wallMs)).toThrow('invariant');
    expect(() => encodeEntry([], wallMs)).toThrow('invariant');
  });

  it('bounds what any clock may say', () => {
    expect(proposedTimestamp(Number.NaN)).toBe(0);
    expect(proposedTimestamp(-1e9)).toBe(0);
    expect(proposedTimestamp(Number.NEGATIVE_INFINITY)).toBe(0);
    expect(proposedTimestamp(Number.POSITIVE_INFINITY)).toBe(proposedTimestampMax);
    expect(proposedTimestamp(1e300)).toBe(proposedTimestampMax);
    expect(proposedTimestamp(wallMs)).toBe(timestampOf(wallMs));
  });
});
