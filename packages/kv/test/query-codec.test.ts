import { emptyBytes, isMokuError, limits, utf8 } from '@moku/base';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { decodeCommandOutcome, encodeCommandOutcome } from '../src/command-outcome-codec.js';
import type { Query } from '../src/commands.js';
import { storedKeyBytesMax } from '../src/keys.js';
import { decodeQuery, encodeQuery, validateQuery } from '../src/query-codec.js';
import { decodeQueryOutcome, encodeQueryOutcome } from '../src/query-outcome-codec.js';
import * as arbitrary from './arbitraries.js';

const seed = 7002;

/** Every failure is coded; anything else is a bug. */
function expectCoded(run: () => unknown): void {
  try {
    run();
  } catch (error) {
    expect(isMokuError(error)).toBe(true);
  }
}

describe('the form of queries', () => {
  it('gives back every query as it was', () => {
    fc.assert(
      fc.property(arbitrary.query, (query) => {
        expect(decodeQuery(encodeQuery(query))).toEqual(query);
      }),
      { seed, numRuns: 500 },
    );
  });

  it('meets damaged bytes with a coded refusal or a query that is valid', () => {
    fc.assert(
      fc.property(arbitrary.query, arbitrary.damage, (query, damage) => {
        const bytes = arbitrary.damaged(encodeQuery(query), damage);
        expectCoded(() => validateQuery(decodeQuery(bytes)));
      }),
      { seed, numRuns: 2_000 },
    );
  });

  const scan = {
    type: 'scan',
    epochVersion: 1,
    start: emptyBytes,
    end: undefined,
    isReverse: false,
    recordsMax: 10,
    bytesMax: 1000,
    withValues: true,
    userPrefix: emptyBytes,
  } as const;
  const get = { type: 'get', epochVersion: 1, keys: [utf8('k')], withValues: true } as const;
  const cases: readonly [string, Query, string, string][] = [
    ['no key', { ...get, keys: [] }, 'INVALID_ARGUMENT', 'keys'],
    ['an empty key', { ...get, keys: [emptyBytes] }, 'KEY_EMPTY', 'key'],
    [
      'a large key',
      { ...get, keys: [new Uint8Array(storedKeyBytesMax + 1)] },
      'KEY_TOO_LARGE',
      'key',
    ],
    [
      'many keys',
      { ...get, keys: new Array(limits.batchOpsMax + 1).fill(utf8('k')) },
      'BATCH_TOO_LARGE',
      'keys',
    ],
    ['a page of no records', { ...scan, recordsMax: 0 }, 'INVALID_ARGUMENT', 'recordsMax'],
    [
      'a page of NaN records',
      { ...scan, recordsMax: Number.NaN },
      'INVALID_ARGUMENT',
      'recordsMax',
    ],
    ['a page of too many bytes', { ...scan, bytesMax: 2 ** 40 }, 'INVALID_ARGUMENT', 'bytesMax'],
    ['a negative epoch', { ...scan, epochVersion: -1 }, 'INVALID_ARGUMENT', 'epochVersion'],
    [
      'a large start',
      { ...scan, start: new Uint8Array(storedKeyBytesMax + 2) },
      'KEY_TOO_LARGE',
      'start',
    ],
  ];

  it.each(cases)('refuses %s, naming the field', (_, query, code, field) => {
    try {
      encodeQuery(query);
      expect.unreachable();
    } catch (error) {
      if (!isMokuError(error)) throw error;
      expect(error.code).toBe(code);
      expect(error.details).toMatchObject({ field });
    }
  });

  it('lets a scan go on behind the longest key', () => {
    const start = new Uint8Array(storedKeyBytesMax + 1).fill(0x61);
    expect(decodeQuery(encodeQuery({ ...scan, start }))).toEqual({ ...scan, start });
  });
});

describe('the form of outcomes', () => {
  it('gives back every outcome of a command as it was', () => {
    fc.assert(
      fc.property(arbitrary.commandOutcome, (outcome) => {
        expect(decodeCommandOutcome(encodeCommandOutcome(outcome))).toEqual(outcome);
      }),
      { seed, numRuns: 500 },
    );
  });

  it('gives back every outcome of a query as it was', () => {
    fc.assert(
      fc.property(arbitrary.queryOutcome, (outcome) => {
        expect(decodeQueryOutcome(encodeQueryOutcome(outcome))).toEqual(outcome);
      }),
      { seed, numRuns: 500 },
    );
  });

  it('meets damaged outcomes with a coded refusal', () => {
    fc.assert(
      fc.property(
        arbitrary.commandOutcome,
        arbitrary.queryOutcome,
        arbitrary.damage,
        (ofCommand, ofQuery, damage) => {
          const one = arbitrary.damaged(encodeCommandOutcome(ofCommand), damage);
          const other = arbitrary.damaged(encodeQueryOutcome(ofQuery), damage);
          expectCoded(() => decodeCommandOutcome(one));
          expectCoded(() => decodeQueryOutcome(other));
        },
      ),
      { seed, numRuns: 2_000 },
    );
  });
});
