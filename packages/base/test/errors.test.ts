import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { errorTable, isErrorCode, isMokuError, MokuError } from '../src/errors.js';

const page = readFileSync(new URL('../../../docs/errors.md', import.meta.url), 'utf8');
const rows = new Map<string, string[]>();
for (const line of page.split('\n')) {
  const cells = line.split('|').map((cell) => cell.trim());
  const code = /^`([A-Z_]+)`$/.exec(cells[1] ?? '')?.[1];
  if (code !== undefined) rows.set(code, cells.slice(2, -1));
}

describe('the table of errors', () => {
  it('is explained in docs/errors.md, code by code, and nothing else is', () => {
    expect([...rows.keys()].sort()).toEqual(Object.keys(errorTable).sort());
  });

  it.each(Object.entries(errorTable))('says the same of %s as docs/errors.md', (code, traits) => {
    const [outcome, retry, cause, remedy] = rows.get(code) ?? [];
    expect(outcome).toBe(traits.outcome);
    expect(retry).toBe(traits.retryable ? 'yes' : 'no');
    expect(cause?.length).toBeGreaterThan(10);
    expect(remedy?.length).toBeGreaterThan(3);
  });
});

describe('a MokuError', () => {
  it('names its details in the message and carries the traits of its code', () => {
    const error = new MokuError('KEY_TOO_LARGE', { field: 'key', bytes: 5000, max: 4096 });
    expect(error.message).toBe('KEY_TOO_LARGE: field=key bytes=5000 max=4096');
    expect(error.outcome).toBe('definite');
    expect(error.retryable).toBe(false);
    expect(isMokuError(error, 'KEY_TOO_LARGE')).toBe(true);
    expect(isMokuError(error, 'KEY_EMPTY')).toBe(false);
  });

  it('keeps code, details and cause when its outcome becomes known', () => {
    const cause = new Error('socket');
    const error = new MokuError('TIMEOUT', { timeoutMs: 5 }, { cause }).withOutcome('definite');
    expect(error.toJSON()).toEqual({
      code: 'TIMEOUT',
      outcome: 'definite',
      retryable: false,
      details: { timeoutMs: 5 },
    });
    expect(error.cause).toBe(cause);
  });

  it('is not made of codes that objects inherit', () => {
    expect(isErrorCode('toString')).toBe(false);
    expect(isErrorCode('BUSY')).toBe(true);
  });
});
