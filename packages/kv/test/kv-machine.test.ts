import { emptyBytes, InvariantError, type ReplicaId, text, utf8, wallMsOf } from '@moku/base';
import { describe, expect, it } from 'vitest';
import { encodeCommand } from '../src/command-codec.js';
import type { Command } from '../src/commands.js';
import { encodeEntry, proposedTimestampMax } from '../src/entry.js';
import { createKvMachine } from '../src/kv-machine.js';
import { createMemoryEngine } from '../src/memory-engine.js';
import {
  Driver,
  del,
  noSession,
  put,
  RegionDriver,
  replicaOne,
  version,
  wallMs,
  wholeRegion,
  write,
} from './support.js';

const ifAbsent = { type: 'ifAbsent' } as const;
const ifPresent = { type: 'ifPresent' } as const;

describe('single writes', () => {
  it('a put is read back with the version it was given', () => {
    const region = new RegionDriver();
    const outcome = region.run(write([put('k', 'v')]));
    expect(outcome).toMatchObject({ type: 'written', existed: [false] });
    expect(region.get('k')).toEqual({
      key: utf8('k'),
      value: utf8('v'),
      version: version(outcome),
      expiresAtMs: undefined,
    });
    expect(wallMsOf(version(outcome))).toBe(wallMs);
  });

  it('a put replaces the value, says so, and leaves one version behind', () => {
    const region = new RegionDriver();
    region.run(write([put('k', 'one')]));
    const second = region.run(write([put('k', 'two')]));
    expect(second).toMatchObject({ existed: [true] });
    expect(region.get('k')).toMatchObject({ value: utf8('two'), version: version(second) });
    const picture = region.engine.picture(region.region.regionId);
    const users = picture.next(1e6).filter((record) => record.key[0] === 1);
    expect(users).toHaveLength(1);
  });

  it('a delete removes the key and says whether it was there', () => {
    const region = new RegionDriver();
    region.run(write([put('k', 'v')]));
    expect(region.run(write([del('k')]))).toMatchObject({ type: 'written', existed: [true] });
    expect(region.get('k')).toBeUndefined();
    expect(region.run(write([del('k')]))).toMatchObject({ type: 'written', existed: [false] });
  });

  it('an empty value is a value', () => {
    const region = new RegionDriver();
    region.run(write([put('k', '')]));
    expect(region.value('k')).toBe('');
  });

  it('commands of one entry see each other and get ascending versions', () => {
    const region = new RegionDriver();
    const [one, two, three] = region.apply(
      write([put('k', 'one')]),
      write([put('k', 'two')]),
      write([del('k')]),
    );
    expect(two).toMatchObject({ existed: [true], version: version(one!) + 1 });
    expect(three).toMatchObject({ existed: [true], version: version(one!) + 2 });
    expect(region.get('k')).toBeUndefined();
  });
});

describe('conditions', () => {
  it('ifAbsent holds of an absent key only', () => {
    const region = new RegionDriver();
    const first = region.run(write([put('k', 'one', { condition: ifAbsent })]));
    expect(first.type).toBe('written');
    expect(region.run(write([put('k', 'two', { condition: ifAbsent })]))).toEqual({
      type: 'refused',
      reason: 'conditionFailed',
      operation: 0,
      version: version(first),
    });
    expect(region.value('k')).toBe('one');
  });

  it('ifPresent holds of a present key only, for deletes too', () => {
    const region = new RegionDriver();
    const refused = { type: 'refused', reason: 'conditionFailed', operation: 0, version: 0 };
    expect(region.run(write([put('k', 'v', { condition: ifPresent })]))).toEqual(refused);
    expect(region.run(write([del('k', ifPresent)]))).toEqual(refused);
    region.run(write([put('k', 'v')]));
    expect(region.run(write([del('k', ifPresent)])).type).toBe('written');
  });

  it('ifVersion holds of the newest version only; 0 means absent', () => {
    const region = new RegionDriver();
    const absent = { type: 'ifVersion', version: 0 } as never;
    const first = version(region.run(write([put('k', '1', { condition: absent })])));
    expect(region.run(write([put('k', '2', { condition: absent })])).type).toBe('refused');
    const isFirst = { type: 'ifVersion', version: first } as const;
    const second = version(region.run(write([put('k', '2', { condition: isFirst })])));
    expect(region.run(write([put('k', '3', { condition: isFirst })]))).toMatchObject({
      reason: 'conditionFailed',
      version: second,
    });
    expect(region.value('k')).toBe('2');
  });
});

describe('batches', () => {
  it('happen as a whole, under one version', () => {
    const region = new RegionDriver();
    const outcome = region.run(write([put('a', '1'), put('b', '2'), del('c')]));
    expect(outcome).toMatchObject({ existed: [false, false, false] });
    expect(region.get('a')?.version).toBe(version(outcome));
    expect(region.get('b')?.version).toBe(version(outcome));
  });

  it('leave no trace when one condition fails, and name the operation', () => {
    const region = new RegionDriver();
    region.run(write([put('b', 'old')]));
    const before = region.get('b');
    const batch = [put('a', '1'), put('b', 'new'), put('b', 'x', { condition: ifAbsent })];
    expect(region.run(write(batch))).toMatchObject({ reason: 'conditionFailed', operation: 2 });
    expect(region.get('a')).toBeUndefined();
    expect(region.get('b')).toEqual(before);
  });

  it('judge operations on one key in order, each seeing those before it', () => {
    const region = new RegionDriver();
    const outcome = region.run(
      write([
        put('k', '1', { condition: ifAbsent }),
        put('k', '2', { condition: ifPresent }),
        del('k', ifPresent),
        put('k', '3', { condition: ifAbsent }),
      ]),
    );
    expect(outcome).toMatchObject({ existed: [false, true, true, false] });
    expect(region.value('k')).toBe('3');
  });

  it('a failed batch does not disturb its neighbours in the entry', () => {
    const region = new RegionDriver();
    const outcomes = region.apply(
      write([put('k', '1')]),
      write([put('k', '2'), put('l', '2', { condition: ifPresent })]),
      write([put('k', '3', { condition: ifPresent })]),
    );
    expect(outcomes.map((outcome) => outcome.type)).toEqual(['written', 'refused', 'written']);
    expect(region.value('k')).toBe('3');
    expect(region.value('l')).toBeUndefined();
  });
});

describe('commands that do not fit', () => {
  it('a stale epoch is a certain no-op', () => {
    const region = new RegionDriver();
    const stale: Command = {
      type: 'write',
      session: noSession,
      epochVersion: 2,
      operations: [put('k', 'v')],
    };
    expect(region.run(stale)).toMatchObject({ type: 'refused', reason: 'epochMismatch' });
    expect(region.get('k')).toBeUndefined();
  });

  it('a key outside the region refuses the whole batch', () => {
    const region = new RegionDriver({ ...wholeRegion, startKey: utf8('g'), endKey: utf8('p') });
    expect(region.run(write([put('h', '1'), put('p', '2')]))).toMatchObject({
      reason: 'keyOutsideRegion',
      operation: 1,
    });
    expect(region.run(write([put('a', '1')]))).toMatchObject({ reason: 'keyOutsideRegion' });
    expect(region.run(write([put('g', '1')])).type).toBe('written');
    expect(region.get('h')).toBeUndefined();
  });

  it('an expiry of a key that left the region does nothing', () => {
    const engine = createMemoryEngine();
    let descriptor = wholeRegion;
    const machine = createKvMachine({
      descriptor: () => descriptor,
      engine,
      replicaId: replicaOne,
    });
    const region = new Driver(machine);
    const ttl = { ttlMs: 10 };
    const made = version(region.run(write([put('a', '1', ttl), put('z', '1', ttl)])));
    descriptor = { ...wholeRegion, endKey: utf8('m') };
    const keys = [utf8('z'), utf8('a')].map((key) => ({ key, version: made }));
    region.run({ type: 'expire', keys });
    const all = engine.picture(wholeRegion.regionId).next(1e6);
    const users = all.filter(({ key }) => key[0] === 1).map(({ key }) => text(key.subarray(1)));
    expect(users).toEqual(['z']);
  });

  it('bytes that are no command, and commands of meta, are answered and harm nothing else', () => {
    const region = new RegionDriver();
    const foreign = encodeCommand({
      type: 'registerNode',
      node: { nodeId: 1 as never, peerAddress: 'a:1', clientAddress: 'a:2' },
    });
    const good = encodeCommand(write([put('k', 'v')]));
    const outcomes = region.applyBytes([Uint8Array.of(99), foreign, good, emptyBytes]);
    expect(outcomes.map((outcome) => outcome.type)).toEqual([
      'refused',
      'refused',
      'written',
      'refused',
    ]);
    expect(outcomes[0]).toMatchObject({ reason: 'invalid' });
    expect(outcomes[1]).toMatchObject({ reason: 'invalid' });
    expect(region.value('k')).toBe('v');
  });
});

describe('entries', () => {
  it('that are empty or change the configuration only raise the applied index', () => {
    const region = new RegionDriver();
    const { machine } = region;
    expect(machine.apply({ term: 3, index: 1, kind: 'normal', data: emptyBytes })).toEqual([]);
    const data = utf8('anything');
    expect(machine.apply({ term: 3, index: 2, kind: 'confChange', data })).toEqual([]);
    expect(machine.appliedIndex).toBe(2);
    expect(machine.appliedTerm).toBe(3);
    region.reopen();
    expect(region.machine.appliedIndex).toBe(2);
    expect(region.machine.appliedTerm).toBe(3);
  });

  it('out of order break an invariant', () => {
    const { machine } = new RegionDriver();
    const skipped = { term: 1, index: 2, kind: 'normal', data: emptyBytes } as const;
    expect(() => machine.apply(skipped)).toThrow(InvariantError);
  });

  it('of a format that is not ours stop the replica, they are no command', () => {
    const region = new RegionDriver();
    expect(() => region.applyData(Uint8Array.of(2, 0, 0))).toThrow('VERSION_MISMATCH');
    expect(() => region.applyData(Uint8Array.of(1, 0))).toThrow('FRAME_MALFORMED');
  });

  it('become durable when the engine flushes', () => {
    const region = new RegionDriver();
    region.run(write([put('k', 'v')]));
    expect(region.machine.durableIndex()).toBe(0);
    region.engine.flush();
    expect(region.machine.durableIndex()).toBe(1);
  });

  it('begin anew for a new replica of the region, and never for an older one', () => {
    const region = new RegionDriver();
    region.run(write([put('k', 'v')]));
    const { engine } = region;
    const open = (id: number) =>
      createKvMachine({ descriptor: wholeRegion, engine, replicaId: id as ReplicaId });
    expect(open(1).appliedIndex).toBe(1);
    const renewed = open(2);
    expect(renewed.appliedIndex).toBe(0);
    expect(renewed.query({ type: 'digest' }, wallMs)).toMatchObject({ records: 0 });
    expect(() => open(1)).toThrow(InvariantError);
  });

  it('lost in a crash are applied again with the same outcome', () => {
    const region = new RegionDriver();
    region.engine.flush();
    const data = encodeEntry([encodeCommand(write([put('k', 'v')]))], wallMs);
    const first = region.applyData(data);
    region.engine.crash();
    region.reopen();
    expect(region.machine.appliedIndex).toBe(0);
    expect(region.applyData(data)).toEqual(first);
  });
});

describe('versions', () => {
  it('ascend when the clock jumps back, stands still or runs away', () => {
    const region = new RegionDriver();
    const clocks = [
      wallMs,
      wallMs - 1e9,
      -5,
      wallMs + 1e9,
      wallMs,
      Number.NaN,
      0,
      Infinity,
      wallMs,
    ];
    let last = 0;
    for (const clock of [...clocks, ...clocks]) {
      region.wallMs = clock;
      const [one, two] = region.apply(write([put('k', 'a')]), write([put('k', 'b')]));
      expect(version(one!)).toBeGreaterThan(last);
      expect(version(two!)).toBe(version(one!) + 1);
      last = version(two!);
      region.reopen();
    }
    expect(last).toBeGreaterThan(proposedTimestampMax);
    expect(Number.isSafeInteger(last)).toBe(true);
  });
});

describe('time to live', () => {
  function expired(region: RegionDriver, key: string) {
    const keys = [utf8(key)];
    return region.query({ type: 'get', epochVersion: 1, keys, withValues: true });
  }

  it('begins at the entry and is told to readers', () => {
    const region = new RegionDriver();
    region.run(write([put('k', 'v', { ttlMs: 1_000 })]));
    expect(region.get('k')).toMatchObject({ value: utf8('v'), expiresAtMs: wallMs + 1_000 });
  });

  it('a key past its time is neither shown nor hidden: the reader is told to settle it', () => {
    const region = new RegionDriver();
    const written = version(region.run(write([put('k', 'v', { ttlMs: 1_000 })])));
    region.wallMs += 999;
    expect(region.value('k')).toBe('v');
    region.wallMs += 1;
    const outcome = expired(region, 'k');
    expect(outcome).toEqual({ type: 'expired', keys: [{ key: utf8('k'), version: written }] });
    if (outcome.type !== 'expired') return;
    expect(region.run({ type: 'expire', keys: outcome.keys })).toEqual({ type: 'done' });
    expect(region.get('k')).toBeUndefined();
  });

  it('an expiry that names a replaced version does nothing', () => {
    const region = new RegionDriver();
    const first = version(region.run(write([put('k', 'one', { ttlMs: 10 })])));
    region.run(write([put('k', 'two', { ttlMs: 10_000 })]));
    region.run({ type: 'expire', keys: [{ key: utf8('k'), version: first }] });
    expect(region.value('k')).toBe('two');
  });

  it('an expiry never removes a key that has no time to live', () => {
    const region = new RegionDriver();
    const written = version(region.run(write([put('k', 'v')])));
    region.run({ type: 'expire', keys: [{ key: utf8('k'), version: written }] });
    expect(region.value('k')).toBe('v');
  });

  it('a conditional write settles the key it touches, by its own entry', () => {
    const region = new RegionDriver();
    region.run(write([put('lock', 'me', { ttlMs: 1_000, condition: ifAbsent })]));
    region.wallMs += 999;
    const early = region.run(write([put('lock', 'you', { ttlMs: 1_000, condition: ifAbsent })]));
    expect(early.type).toBe('refused');
    region.wallMs += 1;
    const late = region.run(write([put('lock', 'you', { ttlMs: 1_000, condition: ifAbsent })]));
    expect(late).toMatchObject({ type: 'written', existed: [false] });
    expect(region.value('lock')).toBe('you');
  });

  it('a write that is refused settles what it touched all the same', () => {
    const region = new RegionDriver();
    region.run(write([put('k', 'v', { ttlMs: 1_000 })]));
    region.wallMs += 1_000;
    expect(region.run(write([put('k', 'w', { condition: ifPresent })]))).toMatchObject({
      reason: 'conditionFailed',
      version: 0,
    });
    expect(region.get('k')).toBeUndefined();
  });

  it('a key is present while the clock of the entries stands before its time', () => {
    const region = new RegionDriver();
    region.run(write([put('k', 'v', { ttlMs: 1_000 })]));
    region.wallMs -= 60_000;
    expect(region.run(write([put('k', 'w', { condition: ifPresent })])).type).toBe('written');
    expect(text(region.get('k')!.value)).toBe('w');
  });
});
