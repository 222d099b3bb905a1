import { isMokuError, limits, type NodeId, type Timestamp, utf8 } from '@moku/base';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { decodeCommand, encodeCommand, validateCommand } from '../src/command-codec.js';
import type { Command, Operation } from '../src/commands.js';
import { storedKeyBytesMax } from '../src/keys.js';
import * as arbitrary from './arbitraries.js';
import { del, noSession, put, write } from './support.js';

const seed = 7001;

function codeOf(run: () => unknown): string {
  try {
    run();
  } catch (error) {
    if (isMokuError(error)) return error.code;
    throw error;
  }
  return 'none';
}

function detailsOf(run: () => unknown): unknown {
  try {
    run();
  } catch (error) {
    if (isMokuError(error)) return error.details;
    throw error;
  }
  return undefined;
}

describe('the form of commands', () => {
  it('gives back every command as it was', () => {
    fc.assert(
      fc.property(arbitrary.command, (command) => {
        expect(decodeCommand(encodeCommand(command))).toEqual(command);
      }),
      { seed, numRuns: 500 },
    );
  });

  it('meets damaged bytes with a coded refusal or a command that is valid', () => {
    fc.assert(
      fc.property(arbitrary.command, arbitrary.damage, (command, damage) => {
        const bytes = arbitrary.damaged(encodeCommand(command), damage);
        try {
          validateCommand(decodeCommand(bytes));
        } catch (error) {
          expect(isMokuError(error)).toBe(true);
        }
      }),
      { seed, numRuns: 2_000 },
    );
  });

  it('meets random bytes with a coded refusal or a command that is valid', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => {
        try {
          validateCommand(decodeCommand(bytes));
        } catch (error) {
          expect(isMokuError(error)).toBe(true);
        }
      }),
      { seed, numRuns: 2_000 },
    );
  });

  it('does not allocate for a count that the bytes cannot hold', () => {
    const hostile = Uint8Array.of(2, 0, 0, 0, 1, 0x90, 0x4e, 1, 1, 0x61);
    expect(codeOf(() => decodeCommand(hostile))).toBe('FRAME_MALFORMED');
    expect(detailsOf(() => decodeCommand(hostile))).toEqual({ field: 'operations', value: 10_000 });
  });

  it('refuses bytes behind a command', () => {
    expect(codeOf(() => decodeCommand(Uint8Array.of(1, 0)))).toBe('FRAME_MALFORMED');
  });
});

describe('what may not be proposed', () => {
  const cases: readonly [string, Command, string, string][] = [
    ['an empty key', write([put('', 'v')]), 'KEY_EMPTY', 'key'],
    ['an empty key of a delete', write([del('')]), 'KEY_EMPTY', 'key'],
    [
      'a key over the bound',
      write([put('k'.repeat(storedKeyBytesMax + 1), 'v')]),
      'KEY_TOO_LARGE',
      'key',
    ],
    [
      'a value over the bound',
      write([put('k', 'v'.repeat(limits.valueBytesMax + 1))]),
      'VALUE_TOO_LARGE',
      'value',
    ],
    ['no operation', write([]), 'INVALID_ARGUMENT', 'operations'],
    [
      'too many operations',
      write(new Array<Operation>(limits.batchOpsMax + 1).fill(del('k'))),
      'BATCH_TOO_LARGE',
      'operations',
    ],
    [
      'too many bytes',
      write(new Array<Operation>(3).fill(put('k', 'v'.repeat(500_000)))),
      'BATCH_TOO_LARGE',
      'operations',
    ],
    ['a time to live that is no number', ttl(Number.NaN), 'INVALID_ARGUMENT', 'ttlMs'],
    ['a time to live of nothing', ttl(0), 'INVALID_ARGUMENT', 'ttlMs'],
    ['a negative time to live', ttl(-5), 'INVALID_ARGUMENT', 'ttlMs'],
    ['a fraction of a time to live', ttl(1.5), 'INVALID_ARGUMENT', 'ttlMs'],
    ['an endless time to live', ttl(limits.ttlMsMax + 1), 'INVALID_ARGUMENT', 'ttlMs'],
    [
      'a version that is no number',
      write([del('k', { type: 'ifVersion', version: Number.NaN as Timestamp })]),
      'INVALID_ARGUMENT',
      'ifVersion',
    ],
    [
      'an unsafe epoch',
      { type: 'write', session: noSession, epochVersion: 2 ** 60, operations: [del('k')] },
      'INVALID_ARGUMENT',
      'epochVersion',
    ],
    [
      'a session without a sequence',
      write([del('k')], { sessionId: 5, sequence: 0, answeredBelow: 0 }),
      'INVALID_ARGUMENT',
      'sequence',
    ],
    [
      'a floor above the sequence',
      write([del('k')], { sessionId: 5, sequence: 3, answeredBelow: 4 }),
      'INVALID_ARGUMENT',
      'answeredBelow',
    ],
    ['an expiry of nothing', { type: 'expire', keys: [] }, 'INVALID_ARGUMENT', 'keys'],
    ['a keyspace without a name', keyspace({ name: '' }), 'INVALID_ARGUMENT', 'name'],
    ['a long name', keyspace({ name: 'é'.repeat(65) }), 'INVALID_ARGUMENT', 'name'],
    ['a name of half a character', keyspace({ name: 'a\ud800' }), 'INVALID_ARGUMENT', 'name'],
    ['a control character in a name', keyspace({ name: 'a\nb' }), 'INVALID_ARGUMENT', 'name'],
    ['no regions', keyspace({ regions: 0 }), 'INVALID_ARGUMENT', 'regions'],
    ['too many regions', keyspace({ regions: 100_001 }), 'INVALID_ARGUMENT', 'regions'],
    ['bounds of a hash keyspace', keyspace({ bounds: [utf8('m')] }), 'INVALID_ARGUMENT', 'bounds'],
    [
      'too few bounds',
      keyspace({ mode: 'range', regions: 3, bounds: [utf8('m')] }),
      'INVALID_ARGUMENT',
      'bounds',
    ],
    [
      'bounds that do not ascend',
      keyspace({ mode: 'range', regions: 3, bounds: [utf8('m'), utf8('m')] }),
      'INVALID_ARGUMENT',
      'bounds[1]',
    ],
    [
      'an empty bound',
      keyspace({ mode: 'range', regions: 2, bounds: [utf8('')] }),
      'KEY_EMPTY',
      'key',
    ],
    ['negative replication', keyspace({ replication: -1 }), 'INVALID_ARGUMENT', 'replication'],
    ['node 0', register(0, 'a:1'), 'INVALID_ARGUMENT', 'nodeId'],
    ['a node without an address', register(1, ''), 'INVALID_ARGUMENT', 'peerAddress'],
  ];

  function ttl(ttlMs: number): Command {
    return write([put('k', 'v', { ttlMs })]);
  }

  function keyspace(changed: Partial<Extract<Command, { type: 'createKeyspace' }>>): Command {
    return {
      type: 'createKeyspace',
      session: noSession,
      name: 'places',
      mode: 'hash',
      regions: 2,
      bounds: [],
      replication: 0,
      ...changed,
    };
  }

  function register(nodeId: number, address: string): Command {
    const node = { nodeId: nodeId as NodeId, peerAddress: address, clientAddress: 'a:2' };
    return { type: 'registerNode', node };
  }

  it.each(cases)('refuses %s, naming the field', (_, command, code, field) => {
    expect(codeOf(() => validateCommand(command))).toBe(code);
    expect(detailsOf(() => validateCommand(command))).toMatchObject({ field });
    expect(codeOf(() => encodeCommand(command))).toBe(code);
  });

  it('names the bound that a value passes', () => {
    const value = 'v'.repeat(limits.valueBytesMax + 1);
    expect(detailsOf(() => encodeCommand(write([put('k', value)])))).toMatchObject({
      size: limits.valueBytesMax + 1,
      max: limits.valueBytesMax,
    });
  });

  it('takes a key and a value of exactly their bounds', () => {
    const largest = write([put('k'.repeat(storedKeyBytesMax), 'v'.repeat(limits.valueBytesMax))]);
    const bytes = encodeCommand(largest);
    expect(encodeCommand(decodeCommand(bytes)).length).toBe(bytes.length);
  });
});
