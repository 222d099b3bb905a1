// @hot
/**
 * The state machine of a region of keys: conditional writes in atomic batches, time to live,
 * deduplication. Deterministic; one pass and one engine write per entry.
 *
 * Invariants:
 *  M1 Apply never throws for what a command says: malformed, stale or refused is a typed no-op.
 *  M2 A command is judged in this order: form, session (P4), epoch, range, conditions. Only what
 *     conditions decided (`written`, `conditionFailed`) is remembered by the session, so that a
 *     request refused earlier may be sent again under its sequence.
 *  M3 Operations of a batch are judged in order, each seeing those before it; if one fails, none
 *     happened.
 *  M4 A key is present until an entry settles its expiry: an `expire` that names its version, or any
 *     write command that touches it whose entry's own timestamp has reached the expiry (W2). Reads ask
 *     for the former before they answer, so both kinds of settling are points of the one log order.
 */
import { limits, type RegionDescriptor, type Timestamp, unreachable } from '@moku/base';
import type { CommandResult, Entry, SnapshotSink, SnapshotSource } from '@moku/raft';
import { AppliedState } from './applied-state.js';
import { decodeCommandOrUndefined } from './command-codec.js';
import { encodeCommandOutcome, encodeRefused, encodeWritten } from './command-outcome-codec.js';
import type { Command, Condition, Operation, Query, QueryOutcome } from './commands.js';
import type { KvMachine, KvMachineOptions } from './contracts/machine.js';
import { digestStore } from './digest.js';
import { encodeEntry } from './entry.js';
import { contains } from './keys.js';
import { answerGet, answerScan } from './kv-reads.js';
import { expiryOf } from './records.js';
import { type Session, Sessions } from './sessions.js';
import { WriteSet } from './write-set.js';

type WriteCommand = Extract<Command, { type: 'write' }>;
type ExpireCommand = Extract<Command, { type: 'expire' }>;

const done: CommandResult = encodeCommandOutcome({ type: 'done' });
const invalid: CommandResult = encodeRefused('invalid');
const sessionUnknown: CommandResult = encodeRefused('sessionUnknown');
const limitReached: CommandResult = encodeRefused('limitReached');
const epochMismatch: CommandResult = encodeRefused('epochMismatch');
/** Whether the keys of the batch being applied were there before. */
const existed: Uint8Array = new Uint8Array(limits.batchOpsMax);
const noResults: readonly CommandResult[] = [];

/** Opens the region's state in the engine; see `KvMachineOptions`. */
export function createKvMachine(options: KvMachineOptions): KvMachine {
  return new RegionMachine(options);
}

class RegionMachine implements KvMachine {
  private readonly descriptor: () => RegionDescriptor;
  private readonly state: AppliedState;
  private readonly sessions: Sessions;
  private readonly writes: WriteSet;
  /** Of the entry and the command being applied. */
  private region: RegionDescriptor;
  private wallMs = 0;

  constructor(options: KvMachineOptions) {
    const { descriptor, engine, replicaId } = options;
    this.descriptor = typeof descriptor === 'function' ? descriptor : () => descriptor;
    this.region = this.descriptor();
    const { regionId } = this.region;
    this.state = new AppliedState(engine, regionId, replicaId);
    const sessionsMax = options.sessionsMax ?? limits.sessionsPerRegionMax;
    this.sessions = new Sessions(engine, regionId, sessionsMax);
    this.sessions.reset(this.state.recordedSessions);
    this.writes = new WriteSet(engine, regionId);
  }

  get appliedIndex(): number {
    return this.state.appliedIndex;
  }

  get appliedTerm(): number {
    return this.state.appliedTerm;
  }

  durableIndex(): number {
    return this.state.durableIndex();
  }

  encodeEntry(commands: readonly Uint8Array[], wallMs: number): Uint8Array {
    return encodeEntry(commands, wallMs);
  }

  apply(entry: Entry): readonly CommandResult[] {
    const { index, commands, base, wallMs } = this.state.start(entry);
    if (commands.length === 0) {
      this.state.commit(entry, false, this.sessions.size);
      return noResults;
    }
    this.region = this.descriptor();
    this.wallMs = wallMs;
    this.writes.startEntry(wallMs);
    const results: CommandResult[] = [];
    for (let i = 0; i < commands.length; i++) {
      results.push(this.applyCommand(commands[i]!, (base + i) as Timestamp));
    }
    const puts = this.state.pendingPuts;
    const removes = this.state.pendingRemoves;
    this.writes.drain(puts, removes);
    this.sessions.drain(index, puts, removes);
    this.state.commit(entry, true, this.sessions.size);
    return results;
  }

  private applyCommand(bytes: Uint8Array, timestamp: Timestamp): CommandResult {
    const command = decodeCommandOrUndefined(bytes);
    if (command === undefined) return invalid;
    switch (command.type) {
      case 'openSession':
        this.sessions.open(timestamp);
        return encodeCommandOutcome({ type: 'sessionOpened', sessionId: timestamp });
      case 'write':
        return this.applyWrite(command, timestamp);
      case 'expire':
        return this.applyExpire(command);
      case 'createKeyspace':
      case 'registerNode':
        return invalid;
      default:
        return unreachable(command);
    }
  }

  private applyWrite(command: WriteCommand, timestamp: Timestamp): CommandResult {
    const ref = command.session;
    if (ref.sessionId === 0) return this.judgeWrite(command, timestamp, undefined);
    const admission = this.sessions.admit(ref);
    switch (admission.kind) {
      case 'apply':
        return this.judgeWrite(command, timestamp, admission.session);
      case 'repeat':
        return admission.result;
      case 'unknown':
        return sessionUnknown;
      case 'full':
        return limitReached;
      default:
        return unreachable(admission);
    }
  }

  private judgeWrite(
    command: WriteCommand,
    timestamp: Timestamp,
    session: Session | undefined,
  ): CommandResult {
    if (command.epochVersion !== this.region.epoch.version) return epochMismatch;
    const operations = command.operations;
    for (let i = 0; i < operations.length; i++) {
      if (!contains(this.region, operations[i]!.key)) return encodeRefused('keyOutsideRegion', i);
    }
    const result = this.writeOperations(operations, timestamp);
    if (session !== undefined) {
      this.sessions.remember(session, command.session.sequence, result); // M2
    }
    return result;
  }

  /** All operations, or none (M3). */
  private writeOperations(operations: readonly Operation[], timestamp: Timestamp): CommandResult {
    this.writes.begin();
    for (let i = 0; i < operations.length; i++) {
      const operation = operations[i]!;
      const slot = this.writes.slot(operation.key);
      const version = slot.version;
      if (operation.condition !== undefined && !holds(operation.condition, version)) {
        this.writes.rollback();
        return encodeRefused('conditionFailed', i, version);
      }
      existed[i] = version === 0 ? 0 : 1;
      if (operation.type === 'delete') this.writes.remove(slot);
      else {
        const { ttlMs } = operation;
        const expiresAtMs = ttlMs === undefined ? undefined : this.wallMs + ttlMs;
        this.writes.put(slot, timestamp, operation.value, expiresAtMs);
      }
    }
    return encodeWritten(timestamp, existed, operations.length);
  }

  private applyExpire(command: ExpireCommand): CommandResult {
    this.writes.begin();
    for (let i = 0; i < command.keys.length; i++) {
      const { key, version } = command.keys[i]!;
      if (!contains(this.region, key)) continue;
      const slot = this.writes.slot(key);
      if (slot.version !== version || slot.record === undefined) continue;
      if (expiryOf(slot.record) !== undefined) this.writes.remove(slot); // M4
    }
    return done;
  }

  query(query: Query, wallMs: number): QueryOutcome {
    const region = this.descriptor();
    switch (query.type) {
      case 'get':
        return answerGet(this.state.engine, region, query, wallMs);
      case 'scan':
        return answerScan(this.state.engine, region, query, wallMs);
      case 'digest': {
        const { records, digest } = digestStore(this.state.engine, region.regionId);
        return { type: 'digest', appliedIndex: this.state.appliedIndex, records, digest };
      }
      default:
        return unreachable(query);
    }
  }

  snapshot(): SnapshotSource {
    return this.state.snapshot();
  }

  install(index: number, term: number): SnapshotSink {
    return this.state.install(index, term, () => this.sessions.reset(this.state.recordedSessions));
  }
}

/** Whether `condition` holds of a key whose newest version is `version` (0: absent). */
function holds(condition: Condition, version: Timestamp): boolean {
  switch (condition.type) {
    case 'ifAbsent':
      return version === 0;
    case 'ifPresent':
      return version !== 0;
    case 'ifVersion':
      return version === condition.version;
    default:
      return unreachable(condition);
  }
}
