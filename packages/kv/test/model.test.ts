/**
 * Random commands against a plain model of the rules, and on two replicas of which one crashes,
 * reopens and takes snapshots.
 */
import { type Timestamp, text } from '@moku/base';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { encodeCommand } from '../src/command-codec.js';
import type { Command, CommandOutcome, Condition, Operation } from '../src/commands.js';
import { encodeEntry } from '../src/entry.js';
import {
  copySnapshot,
  del,
  put,
  RegionDriver,
  version,
  wallMs,
  wholeRegion,
  write,
} from './support.js';

const seed = 7006;
const keys = ['a', 'b', 'c', 'd'];

/** Conditions on versions name the key's newest version, or one of long ago. */
type ConditionPlan = 'none' | 'ifAbsent' | 'ifPresent' | 'ifNewest' | 'ifStale' | 'ifNothing';

interface OperationPlan {
  readonly key: string;
  readonly isPut: boolean;
  readonly value: string;
  readonly condition: ConditionPlan;
  readonly ttlMs: number | undefined;
}

const operationPlan: fc.Arbitrary<OperationPlan> = fc.record({
  key: fc.constantFrom(...keys),
  isPut: fc.boolean(),
  value: fc.string({ maxLength: 4 }),
  condition: fc.constantFrom(
    'none',
    'none',
    'ifAbsent',
    'ifPresent',
    'ifNewest',
    'ifStale',
    'ifNothing',
  ),
  ttlMs: fc.option(fc.integer({ min: 1, max: 50 }), { nil: undefined }),
});

const batchPlan = fc.array(operationPlan, { minLength: 1, maxLength: 4 });
const entryPlan = fc.record({
  batches: fc.array(batchPlan, { minLength: 1, maxLength: 4 }),
  clockStepMs: fc.integer({ min: -30, max: 60 }),
});

interface Held {
  readonly value: string;
  readonly version: number;
  readonly expiresAtMs: number | undefined;
}

/** What a region holds, said as plainly as possible. */
class Model {
  readonly held = new Map<string, Held>();

  apply(batch: readonly Operation[], timestamp: number, entryMs: number): CommandOutcome {
    const after = new Map(this.held);
    const existed: boolean[] = [];
    for (const [i, operation] of batch.entries()) {
      const key = text(operation.key);
      for (const map of [after, this.held]) {
        const record = map.get(key);
        const isOver = record?.expiresAtMs !== undefined && record.expiresAtMs <= entryMs;
        if (isOver) map.delete(key);
      }
      const newest = after.get(key)?.version ?? 0;
      if (!this.holds(operation.condition, newest)) {
        const reason = 'conditionFailed';
        return { type: 'refused', reason, operation: i, version: newest as Timestamp };
      }
      existed.push(newest !== 0);
      if (operation.type === 'delete') after.delete(key);
      else {
        const { ttlMs } = operation;
        const expiresAtMs = ttlMs === undefined ? undefined : entryMs + ttlMs;
        const value = text(operation.value);
        after.set(key, { value, version: timestamp, expiresAtMs });
      }
    }
    this.held.clear();
    for (const [key, record] of after) this.held.set(key, record);
    return { type: 'written', version: timestamp as Timestamp, existed };
  }

  private holds(condition: Condition | undefined, newest: number): boolean {
    if (condition === undefined) return true;
    if (condition.type === 'ifAbsent') return newest === 0;
    if (condition.type === 'ifPresent') return newest !== 0;
    return newest === condition.version;
  }
}

function operationOf(plan: OperationPlan, model: Model): Operation {
  const condition = conditionOf(plan, model);
  if (!plan.isPut) return del(plan.key, condition);
  const options = condition === undefined ? {} : { condition };
  return put(
    plan.key,
    plan.value,
    plan.ttlMs === undefined ? options : { ...options, ttlMs: plan.ttlMs },
  );
}

function conditionOf(plan: OperationPlan, model: Model): Condition | undefined {
  const newest = (model.held.get(plan.key)?.version ?? 0) as Timestamp;
  switch (plan.condition) {
    case 'none':
      return undefined;
    case 'ifAbsent':
    case 'ifPresent':
      return { type: plan.condition };
    case 'ifNewest':
      return { type: 'ifVersion', version: newest };
    case 'ifStale':
      return { type: 'ifVersion', version: 1 as Timestamp };
    case 'ifNothing':
      return { type: 'ifVersion', version: 0 as Timestamp };
    default:
      throw new Error('unknown condition');
  }
}

describe('a region', () => {
  it('does what the model of its rules does, batch by batch, whatever the clock does', () => {
    fc.assert(
      fc.property(fc.array(entryPlan, { maxLength: 25 }), (entries) => {
        const region = new RegionDriver();
        const model = new Model();
        let last = 0;
        for (const { batches, clockStepMs } of entries) {
          region.wallMs += clockStepMs;
          const entryMs = region.wallMs;
          const operations = batches.map((batch) => batch.map((plan) => operationOf(plan, model)));
          // The first command of the entry tells the versions of the others.
          const probe = write([put('probe', '')]);
          const all = region.apply(probe, ...operations.map((batch) => write(batch)));
          const base = version(all[0]!) + 1;
          const outcomes = all.slice(1);
          expect(base).toBeGreaterThan(last);
          last = base + batches.length - 1;
          operations.forEach((batch, i) => {
            expect(outcomes[i]).toEqual(model.apply(batch, base + i, entryMs));
          });
          region.wallMs = wallMs - 1e6; // Nothing is past its time for the reads of the check.
          for (const key of keys) {
            const record = region.get(key);
            const held = record && {
              value: text(record.value),
              version: record.version,
              expiresAtMs: record.expiresAtMs,
            };
            expect(held).toEqual(model.held.get(key));
          }
          region.wallMs = entryMs;
        }
      }),
      { seed, numRuns: 200 },
    );
  });
});

type Event =
  | {
      readonly kind: 'entry';
      readonly commands: readonly CommandPlan[];
      readonly clockStepMs: number;
    }
  | { readonly kind: 'flush' | 'crash' | 'reopen' | 'snapshot' | 'noop' };

type CommandPlan =
  | { readonly kind: 'open' }
  | { readonly kind: 'garbage'; readonly bytes: Uint8Array }
  | {
      readonly kind: 'write';
      readonly batch: readonly OperationPlan[];
      readonly session: number;
      readonly sequence: number;
      readonly answered: number;
    }
  | { readonly kind: 'expire'; readonly key: string };

const commandPlan: fc.Arbitrary<CommandPlan> = fc.oneof(
  { weight: 1, arbitrary: fc.constant({ kind: 'open' } as const) },
  {
    weight: 1,
    arbitrary: fc.record({
      kind: fc.constant('garbage' as const),
      bytes: fc.uint8Array({ maxLength: 12 }),
    }),
  },
  {
    weight: 8,
    arbitrary: fc.record({
      kind: fc.constant('write' as const),
      batch: batchPlan,
      session: fc.nat({ max: 6 }),
      sequence: fc.integer({ min: 1, max: 12 }),
      answered: fc.integer({ min: 1, max: 6 }),
    }),
  },
  {
    weight: 1,
    arbitrary: fc.record({ kind: fc.constant('expire' as const), key: fc.constantFrom(...keys) }),
  },
);

const event: fc.Arbitrary<Event> = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.record({
      kind: fc.constant('entry' as const),
      commands: fc.array(commandPlan, { minLength: 1, maxLength: 6 }),
      clockStepMs: fc.integer({ min: -30, max: 60 }),
    }),
  },
  {
    weight: 4,
    arbitrary: fc.record({
      kind: fc.constantFrom('flush', 'crash', 'reopen', 'snapshot', 'noop'),
    }),
  },
);

/** A log, a replica that lives undisturbed, and one that goes through everything. */
class Pair {
  readonly calm = new RegionDriver(wholeRegion, 4);
  readonly troubled = new RegionDriver(wholeRegion, 4);
  private readonly log: Uint8Array[] = [];
  private readonly outcomes: CommandOutcome[][] = [];
  private readonly sessions: number[] = [];

  constructor() {
    this.troubled.engine.flush();
  }

  run(event: Event): void {
    switch (event.kind) {
      case 'entry':
        this.calm.wallMs += event.clockStepMs;
        this.append(
          encodeEntry(
            event.commands.map((plan) => this.bytesOf(plan)),
            this.calm.wallMs,
          ),
        );
        return;
      case 'noop':
        this.append(new Uint8Array(0));
        return;
      case 'flush':
        this.troubled.engine.flush();
        return;
      case 'crash':
        this.troubled.engine.crash();
        this.troubled.reopen();
        this.catchUp();
        return;
      case 'reopen':
        this.troubled.reopen();
        return;
      case 'snapshot':
        copySnapshot(this.calm.machine, this.troubled.machine);
        return;
      default:
        throw new Error('unknown event');
    }
  }

  private append(data: Uint8Array): void {
    this.log.push(data);
    const outcomes = this.calm.applyData(data);
    this.outcomes.push(outcomes);
    for (const each of outcomes)
      if (each.type === 'sessionOpened') this.sessions.push(each.sessionId);
    this.catchUp();
  }

  /** Applies what the troubled replica lacks; each entry must answer as it did elsewhere. */
  private catchUp(): void {
    for (let at = this.troubled.machine.appliedIndex; at < this.log.length; at++) {
      expect(this.troubled.applyData(this.log[at]!)).toEqual(this.outcomes[at]);
    }
  }

  private bytesOf(plan: CommandPlan): Uint8Array {
    return plan.kind === 'garbage' ? plan.bytes : encodeCommand(this.commandOf(plan));
  }

  private commandOf(plan: Exclude<CommandPlan, { kind: 'garbage' }>): Command {
    switch (plan.kind) {
      case 'open':
        return { type: 'openSession' };
      case 'expire': {
        this.calm.wallMs -= 1e6;
        const record = this.calm.get(plan.key);
        this.calm.wallMs += 1e6;
        const version = record?.version ?? (1 as Timestamp);
        return { type: 'expire', keys: [{ key: new TextEncoder().encode(plan.key), version }] };
      }
      case 'write': {
        const operations = plan.batch.map((each) => operationOf(each, new Model()));
        const sessionId = this.sessions.at(-1 - plan.session) ?? 0;
        const { sequence } = plan;
        const answeredBelow = Math.min(plan.answered, sequence);
        return write(operations, { sessionId, sequence, answeredBelow });
      }
      default:
        throw new Error('unknown plan');
    }
  }
}

describe('two replicas', () => {
  it('agree on every outcome and digest through crashes, restarts and snapshots', () => {
    let refusals = 0;
    let written = 0;
    fc.assert(
      fc.property(fc.array(event, { maxLength: 40 }), (events) => {
        const pair = new Pair();
        for (const each of events) {
          pair.run(each);
          expect(pair.troubled.machine.appliedIndex).toBe(pair.calm.machine.appliedIndex);
          expect(pair.troubled.digest()).toBe(pair.calm.digest());
        }
        const { calm } = pair;
        calm.wallMs = wallMs - 1e6;
        written += keys.filter((key) => calm.get(key) !== undefined).length;
        refusals +=
          calm.run(write([put('a', '')], { sessionId: 1, sequence: 1, answeredBelow: 1 })).type ===
          'refused'
            ? 1
            : 0;
      }),
      { seed, numRuns: 200 },
    );
    // A run that observed too little proves nothing.
    expect(written).toBeGreaterThan(100);
    expect(refusals).toBe(200);
  });
});
