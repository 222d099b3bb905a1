/**
 * A region of one replica, driven directly: commands in, outcomes out, indexes counted here.
 */
import {
  emptyBytes,
  type NodeId,
  type RegionDescriptor,
  type RegionId,
  type ReplicaId,
  type Timestamp,
  text,
  utf8,
} from '@moku/base';
import type { StateMachine } from '@moku/raft';
import { encodeCommand } from '../src/command-codec.js';
import { decodeCommandOutcome } from '../src/command-outcome-codec.js';
import type {
  Command,
  CommandOutcome,
  Condition,
  Operation,
  Query,
  QueryOutcome,
  RecordFound,
  SessionRef,
} from '../src/commands.js';
import type { KvMachine } from '../src/contracts/machine.js';
import { createKvMachine } from '../src/kv-machine.js';
import { createMemoryEngine, type MemoryEngine } from '../src/memory-engine.js';

export const replicaOne = 1 as ReplicaId;
/** A plain moment: 2025-06-01. */
export const wallMs = Date.UTC(2025, 5, 1);

export const wholeRegion: RegionDescriptor = {
  regionId: 7 as RegionId,
  keyspaceId: 1,
  startKey: emptyBytes,
  endKey: undefined,
  epoch: { version: 1, config: 1 },
  replicas: [{ replicaId: replicaOne, nodeId: 1 as NodeId, isLearner: false }],
};

export const noSession: SessionRef = { sessionId: 0, sequence: 0, answeredBelow: 0 };

export interface PutOptions {
  readonly condition?: Condition;
  readonly ttlMs?: number;
}

export function put(key: string, value: string, options: PutOptions = {}): Operation {
  const { condition, ttlMs } = options;
  return { type: 'put', key: utf8(key), value: utf8(value), condition, ttlMs };
}

export function del(key: string, condition?: Condition): Operation {
  return { type: 'delete', key: utf8(key), condition };
}

export function write(operations: readonly Operation[], session = noSession): Command {
  return { type: 'write', session, epochVersion: 1, operations };
}

/** Applies entries one after the other and decodes what they answer. */
export class Driver<M extends StateMachine> {
  machine: M;
  wallMs: number = wallMs;
  term = 1;

  constructor(machine: M) {
    this.machine = machine;
  }

  /** One entry of encoded commands. */
  applyBytes(commands: readonly Uint8Array[]): CommandOutcome[] {
    const data = this.machine.encodeEntry(commands, this.wallMs);
    return this.applyData(data);
  }

  applyData(data: Uint8Array): CommandOutcome[] {
    const index = this.machine.appliedIndex + 1;
    const results = this.machine.apply({ term: this.term, index, kind: 'normal', data });
    return results.map((result) => decodeCommandOutcome(result));
  }

  /** One entry of commands. */
  apply(...commands: readonly Command[]): CommandOutcome[] {
    return this.applyBytes(commands.map((command) => encodeCommand(command)));
  }

  /** One entry of one command. */
  run(command: Command): CommandOutcome {
    return this.apply(command)[0]!;
  }

  openSession(): number {
    const outcome = this.run({ type: 'openSession' });
    if (outcome.type !== 'sessionOpened') throw new Error(`no session: ${outcome.type}`);
    return outcome.sessionId;
  }
}

export class RegionDriver extends Driver<KvMachine> {
  readonly engine: MemoryEngine;
  readonly region: RegionDescriptor;
  private readonly sessionsMax: number | undefined;

  constructor(region: RegionDescriptor = wholeRegion, sessionsMax?: number) {
    const engine = createMemoryEngine();
    super(openMachine(engine, region, sessionsMax));
    this.engine = engine;
    this.region = region;
    this.sessionsMax = sessionsMax;
  }

  /** Forgets everything in memory: what counts must be in the engine. */
  reopen(): void {
    this.machine = openMachine(this.engine, this.region, this.sessionsMax);
  }

  query(query: Query): QueryOutcome {
    return this.machine.query(query, this.wallMs);
  }

  get(key: string): RecordFound | undefined {
    const keys = [utf8(key)];
    const outcome = this.query({ type: 'get', epochVersion: 1, keys, withValues: true });
    if (outcome.type !== 'found') throw new Error(`not found but ${outcome.type}`);
    return outcome.records[0];
  }

  value(key: string): string | undefined {
    const record = this.get(key);
    return record === undefined ? undefined : text(record.value);
  }

  digest(): string {
    const outcome = this.query({ type: 'digest' });
    if (outcome.type !== 'digest') throw new Error(outcome.type);
    return outcome.digest;
  }
}

function openMachine(
  engine: MemoryEngine,
  descriptor: RegionDescriptor,
  sessionsMax: number | undefined,
): KvMachine {
  const options = { descriptor, engine, replicaId: replicaOne };
  return createKvMachine(sessionsMax === undefined ? options : { ...options, sessionsMax });
}

/** Copies the state of one machine to another by snapshot. */
export function copySnapshot(from: StateMachine, to: StateMachine): void {
  const source = from.snapshot();
  const sink = to.install(source.index, source.term);
  for (let chunk = source.next(); chunk !== undefined; chunk = source.next()) sink.write(chunk);
  source.close();
  sink.finish();
}

export function version(outcome: CommandOutcome): Timestamp {
  if (outcome.type !== 'written') throw new Error(`not written: ${JSON.stringify(outcome)}`);
  return outcome.version;
}
