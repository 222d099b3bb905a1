import { createPrng, limits, type Timestamp, utf8 } from '@moku/base';
import { describe, expect, it } from 'vitest';
import { encodeCommand } from '../src/command-codec.js';
import type { Command } from '../src/commands.js';
import type { VersionedValue } from '../src/contracts/engine.js';
import { createMemoryEngine } from '../src/memory-engine.js';
import { Sessions } from '../src/sessions.js';
import { copySnapshot, del, put, RegionDriver, replicaOne, wholeRegion, write } from './support.js';

function request(sessionId: number, sequence: number, value: string, answeredBelow = 1): Command {
  return write([put('k', value)], { sessionId, sequence, answeredBelow });
}

/** Ways to lose what is only in memory. */
const losses: readonly [string, (region: RegionDriver) => RegionDriver][] = [
  ['nothing lost', (region) => region],
  [
    'a restart',
    (region) => {
      region.reopen();
      return region;
    },
  ],
  [
    'a snapshot to another replica',
    (region) => {
      const other = new RegionDriver();
      copySnapshot(region.machine, other.machine);
      other.wallMs = region.wallMs;
      return other;
    },
  ],
];

describe.each(losses)('deduplication with %s in between', (_, lose) => {
  it('answers a repeated request as before and applies it once', () => {
    let region = new RegionDriver();
    const sessionId = region.openSession();
    const first = region.run(request(sessionId, 1, 'one'));
    const second = region.run(request(sessionId, 2, 'two'));
    region = lose(region);
    expect(region.run(request(sessionId, 1, 'one'))).toEqual(first);
    expect(region.run(request(sessionId, 2, 'two'))).toEqual(second);
    expect(region.value('k')).toBe('two');
  });

  it('remembers that a condition failed, though it would hold now', () => {
    let region = new RegionDriver();
    const sessionId = region.openSession();
    const session = { sessionId, sequence: 1, answeredBelow: 1 };
    const conditional = write([put('k', 'v', { condition: { type: 'ifPresent' } })], session);
    const refused = region.run(conditional);
    expect(refused).toMatchObject({ reason: 'conditionFailed' });
    region.run(write([put('k', 'other')]));
    region = lose(region);
    expect(region.run(conditional)).toEqual(refused);
    expect(region.value('k')).toBe('other');
  });

  it('forgets answered results, and refuses what is below the floor', () => {
    let region = new RegionDriver();
    const sessionId = region.openSession();
    for (let sequence = 1; sequence <= 5; sequence++) {
      region.run(request(sessionId, sequence, String(sequence), Math.max(1, sequence - 1)));
    }
    region = lose(region);
    expect(region.run(request(sessionId, 3, '3'))).toMatchObject({ reason: 'sessionUnknown' });
    expect(region.run(request(sessionId, 4, '4')).type).toBe('written');
    expect(region.value('k')).toBe('5');
  });

  it('refuses an unknown session, and never begins it anew', () => {
    let region = new RegionDriver();
    region = lose(region);
    for (const sequence of [1, 2]) {
      expect(region.run(request(123, sequence, 'v'))).toMatchObject({ reason: 'sessionUnknown' });
    }
    expect(region.get('k')).toBeUndefined();
  });

  it('takes sequences in any order, each once', () => {
    let region = new RegionDriver();
    const sessionId = region.openSession();
    const outcomes = new Map(
      [9, 2, 7, 1].map((s) => [s, region.run(request(sessionId, s, `${s}`))]),
    );
    region = lose(region);
    for (const [sequence, outcome] of outcomes) {
      expect(region.run(request(sessionId, sequence, 'again'))).toEqual(outcome);
    }
    expect(region.run(request(sessionId, 3, 'three')).type).toBe('written');
  });
});

describe('sessions', () => {
  it('opened by one entry have ids of their own', () => {
    const region = new RegionDriver();
    const open: Command = { type: 'openSession' };
    const ids = region.apply(open, open, open).map((outcome) => {
      if (outcome.type !== 'sessionOpened') throw new Error(outcome.type);
      return outcome.sessionId;
    });
    expect(new Set(ids).size).toBe(3);
    for (const sessionId of ids) {
      expect(region.run(request(sessionId, 1, 'v')).type).toBe('written');
    }
  });

  it('recognise a repetition within one entry', () => {
    const region = new RegionDriver();
    const sessionId = region.openSession();
    const append = write([put('k', 'v', { condition: { type: 'ifAbsent' } })], {
      sessionId,
      sequence: 1,
      answeredBelow: 1,
    });
    const [first, again] = region.apply(append, append);
    expect(first!.type).toBe('written');
    expect(again).toEqual(first);
  });

  it('let a request that the epoch or the range refused be sent again under its sequence', () => {
    const region = new RegionDriver({ ...wholeRegion, endKey: utf8('p') });
    const sessionId = region.openSession();
    const session = { sessionId, sequence: 1, answeredBelow: 1 };
    const operations = [put('k', 'v')];
    const stale: Command = { type: 'write', session, epochVersion: 9, operations };
    expect(region.run(stale)).toMatchObject({ reason: 'epochMismatch' });
    const outside = write([put('z', 'v')], session);
    expect(region.run(outside)).toMatchObject({ reason: 'keyOutsideRegion' });
    expect(region.run(write(operations, session)).type).toBe('written');
  });

  it('answer a repetition even when the epoch has changed since', () => {
    const region = new RegionDriver();
    const sessionId = region.openSession();
    const session = { sessionId, sequence: 1, answeredBelow: 1 };
    const first = region.run(write([put('k', 'v')], session));
    const operations = [put('k', 'v')];
    expect(region.run({ type: 'write', session, epochVersion: 2, operations })).toEqual(first);
  });

  it('are not asked for requests without a session', () => {
    const region = new RegionDriver();
    expect(region.run(write([put('k', '1')])).type).toBe('written');
    expect(region.run(write([del('k')])).type).toBe('written');
  });

  it('refuse more unanswered results than they may hold, and go on once some are answered', () => {
    const region = new RegionDriver();
    const sessionId = region.openSession();
    const max = limits.resultsPerSessionMax;
    for (let from = 1; from <= max; from += 1024) {
      const commands = Array.from({ length: 1024 }, (_, i) => request(sessionId, from + i, 'v'));
      region.apply(...commands);
    }
    expect(region.run(request(sessionId, max + 1, 'v'))).toMatchObject({ reason: 'limitReached' });
    expect(region.run(request(sessionId, max + 1, 'v', 2)).type).toBe('written');
    expect(region.run(request(sessionId, max + 2, 'v', 2))).toMatchObject({
      reason: 'limitReached',
    });
  });

  it('leave one record in the engine once everything is answered', () => {
    const region = new RegionDriver();
    const sessionId = region.openSession();
    for (let sequence = 1; sequence <= 300; sequence++) {
      region.run(request(sessionId, sequence, 'v', Math.max(1, sequence - 20)));
    }
    expect(sessionRecords(region)).toBeLessThanOrEqual(22);
    region.run(request(sessionId, 301, 'v', 301));
    expect(sessionRecords(region)).toBe(1);
  });

  it('raise the floor over any distance at once', () => {
    const region = new RegionDriver();
    const sessionId = region.openSession();
    region.run(request(sessionId, 1, 'v'));
    const far = Number.MAX_SAFE_INTEGER - 1;
    expect(region.run(request(sessionId, far, 'v', far)).type).toBe('written');
    expect(region.run(request(sessionId, 1, 'v'))).toMatchObject({ reason: 'sessionUnknown' });
  });
});

describe('a snapshot over a replica that lagged', () => {
  it('replaces what it had cached of a session, and its count of sessions', () => {
    const [ahead, behind] = [new RegionDriver(wholeRegion, 2), new RegionDriver(wholeRegion, 2)];
    const sessionId = ahead.openSession();
    behind.openSession();
    ahead.run(request(sessionId, 1, 'one'));
    behind.run(request(sessionId, 1, 'one'));
    const second = ahead.run(request(sessionId, 2, 'two'));
    ahead.openSession();
    copySnapshot(ahead.machine, behind.machine);
    expect(behind.run(request(sessionId, 2, 'again'))).toEqual(second);
    expect(behind.value('k')).toBe('two');
    ahead.run(request(sessionId, 2, 'again'));
    const dropped = [ahead.openSession(), behind.openSession()];
    expect(dropped[1]).toBe(dropped[0]);
    expect(behind.digest()).toBe(ahead.digest());
  });
});

describe('too many sessions', () => {
  it('drop the least recently used, which stay unknown', () => {
    const region = new RegionDriver(wholeRegion, 3);
    const [a, b, c] = [region.openSession(), region.openSession(), region.openSession()];
    region.run(request(a!, 1, 'v'));
    const d = region.openSession();
    expect(region.run(request(b!, 1, 'v'))).toMatchObject({ reason: 'sessionUnknown' });
    for (const sessionId of [a, c, d]) {
      expect(region.run(request(sessionId!, 2, 'v', 2)).type).toBe('written');
    }
    expect(sessionRecords(region)).toBe(3);
  });

  it('drop within one entry, where a dropped session is unknown at once', () => {
    const region = new RegionDriver(wholeRegion, 2);
    const [a, b] = [region.openSession(), region.openSession()];
    const open: Command = { type: 'openSession' };
    const outcomes = region.apply(
      open,
      request(a!, 1, 'x'),
      request(b!, 1, 'y'),
      open,
      request(b!, 2, 'z'),
    );
    expect(outcomes[1]).toMatchObject({ reason: 'sessionUnknown' });
    expect(outcomes[2]!.type).toBe('written');
    const opened = outcomes.filter((outcome) => outcome.type === 'sessionOpened');
    expect(opened).toHaveLength(2);
    expect(sessionRecords(region)).toBe(2);
  });

  it('are dropped alike whatever a replica has cached', () => {
    const seed = 411;
    const prng = createPrng(seed);
    const [warm, cold] = [new RegionDriver(wholeRegion, 20), new RegionDriver(wholeRegion, 20)];
    const ids: number[] = [];
    for (let step = 0; step < 400; step++) {
      const commands: Command[] = [];
      for (let i = 0; i <= prng.below(3); i++) {
        const id = ids[ids.length - 1 - prng.below(Math.max(1, Math.min(25, ids.length)))];
        commands.push(
          id === undefined || prng.below(4) === 0
            ? { type: 'openSession' }
            : request(id, 1 + prng.below(50), `${step}`, 1),
        );
      }
      cold.reopen();
      const [one, two] = [warm.apply(...commands), cold.apply(...commands)];
      expect(two, `seed ${seed} step ${step}`).toEqual(one);
      for (const outcome of one) if (outcome.type === 'sessionOpened') ids.push(outcome.sessionId);
    }
    expect(cold.digest(), `seed ${seed}`).toBe(warm.digest());
  });
});

function sessionRecords(region: RegionDriver): number {
  const picture = region.engine.picture(region.region.regionId);
  let count = 0;
  for (let page = picture.next(1e5); page.length > 0; page = picture.next(1e5)) {
    for (const { key } of page) if (key[0] === 0 && key[1] === 0x73) count += 1;
  }
  return count;
}

describe('the results of a session', () => {
  const regionId = wholeRegion.regionId;
  const ref = (sessionId: number, sequence: number, answeredBelow = 1) => ({
    sessionId,
    sequence,
    answeredBelow,
  });

  /** Sessions over an engine of their own, which they alone write. */
  class Table {
    readonly engine = createMemoryEngine();
    sessions: Sessions;
    private index = 0;

    constructor() {
      this.engine.createReplica(regionId, replicaOne);
      this.sessions = new Sessions(this.engine, regionId, 100);
    }

    write(): void {
      const puts: VersionedValue[] = [];
      const removes: { key: Uint8Array; timestamp: Timestamp }[] = [];
      this.index += 1;
      this.sessions.drain(this.index, puts, removes);
      this.engine.write({ regionId, appliedIndex: this.index, appliedTerm: 1, puts, removes });
    }

    reopen(): void {
      const { size } = this.sessions;
      this.sessions = new Sessions(this.engine, regionId, 100);
      this.sessions.reset(size);
    }

    /** Admits and remembers a result of `bytes` bytes. */
    use(sequence: number, bytes: number, answeredBelow = 1): string {
      const admission = this.sessions.admit(ref(1, sequence, answeredBelow));
      if (admission.kind === 'apply') {
        this.sessions.remember(admission.session, sequence, new Uint8Array(bytes));
      }
      return admission.kind;
    }
  }

  it.each([false, true])('are bounded in bytes, until answered (reopened: %s)', (isReopened) => {
    const table = new Table();
    table.sessions.open(1 as Timestamp);
    const bytes = limits.resultBytesPerSessionMax / 4;
    for (let sequence = 1; sequence <= 4; sequence++) {
      expect(table.use(sequence, bytes)).toBe('apply');
      table.write();
    }
    if (isReopened) table.reopen();
    expect(table.use(5, bytes)).toBe('full');
    table.write();
    if (isReopened) table.reopen();
    expect(table.use(5, bytes, 2)).toBe('apply');
    expect(table.use(6, bytes, 2)).toBe('full');
    expect(table.use(6, bytes, 6)).toBe('apply');
  });

  it.each([false, true])('count no longer once answered (reopened: %s)', (isReopened) => {
    const table = new Table();
    table.sessions.open(1 as Timestamp);
    const bytes = limits.resultBytesPerSessionMax / 4;
    table.use(1, bytes);
    table.use(5, bytes);
    table.write();
    table.use(6, bytes, 2);
    table.write();
    if (isReopened) table.reopen();
    expect([7, 8, 9].map((sequence) => table.use(sequence, bytes))).toEqual([
      'apply',
      'apply',
      'full',
    ]);
  });

  it('that were answered out of order leave no records behind one that was not', () => {
    const table = new Table();
    table.sessions.open(1 as Timestamp);
    table.use(1_000, 10);
    table.write();
    for (let sequence = 1; sequence <= 500; sequence++) {
      expect(table.use(sequence, 10, sequence)).toBe('apply');
      table.write();
    }
    const records = table.engine.picture(regionId).next(1e6);
    expect(records.length).toBeLessThan(6);
  });
});

describe('a session cache', () => {
  it('serves more sessions than it keeps', () => {
    const region = new RegionDriver();
    const ids = Array.from({ length: 300 }, () => region.openSession());
    const first = ids.map((sessionId) => region.run(request(sessionId, 1, 'v')));
    const bytes = ids.map((sessionId) => encodeCommand(request(sessionId, 1, 'v')));
    expect(region.applyBytes(bytes)).toEqual(first);
  });
});
