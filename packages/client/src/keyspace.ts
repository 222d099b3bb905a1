/**
 * A keyspace as its users see it: keys and values in their own forms, routed to regions.
 * Scans are in `scan.ts`, requests over many regions in `bulk.ts`.
 */
import {
  type KeyspaceDescriptor,
  limits,
  MokuError,
  type RegionDescriptor,
  type Timestamp,
} from '@moku/base';
import { type Condition, contains, type Operation, type RecordFound, storedKey } from '@moku/kv';
import { checkArray, checkIterable, checkOptions } from './arguments.js';
import { getMany, putMany } from './bulk.js';
import type { ClientCore } from './core.js';
import type {
  BatchOperation,
  BatchResult,
  CallOptions,
  Conditions,
  DeleteOptions,
  Found,
  Key,
  Keyspace,
  PutOptions,
  ScanOptions,
  ScanPage,
  WriteResult,
} from './database.js';
import type { Deadline } from './deadline.js';
import { scanPage } from './scan.js';
import { keyBytes, keyFrom, type ValueCodec, valueBytes } from './values.js';
import { type Refused, refusalError, type Written } from './writes.js';

export interface KeyspaceForms {
  readonly values: ValueCodec;
  readonly keys: 'utf8' | 'bytes';
}

export class RemoteKeyspace<T> implements Keyspace<T> {
  readonly name: string;
  readonly descriptor: KeyspaceDescriptor;
  readonly core: ClientCore;
  readonly forms: KeyspaceForms;

  constructor(core: ClientCore, descriptor: KeyspaceDescriptor, forms: KeyspaceForms) {
    this.core = core;
    this.descriptor = descriptor;
    this.name = descriptor.name;
    this.forms = forms;
  }

  get mode(): 'hash' | 'range' {
    return this.descriptor.mode;
  }

  async get(key: Key, options?: CallOptions): Promise<T | undefined> {
    const record = await this.read(key, true, options);
    return record === undefined ? undefined : this.value(record);
  }

  async getRecord(key: Key, options?: CallOptions): Promise<Found<T> | undefined> {
    const record = await this.read(key, true, options);
    if (record === undefined) return undefined;
    const { version, expiresAtMs } = record;
    const form = keyFrom(keyBytes(key), this.forms.keys);
    return { key: form, value: this.value(record), version, expiresAtMs };
  }

  async has(key: Key, options?: CallOptions): Promise<boolean> {
    return (await this.read(key, false, options)) !== undefined;
  }

  async put(key: Key, value: T, options?: PutOptions): Promise<WriteResult> {
    return this.one({ type: 'put', key, value, ...options }, options);
  }

  async delete(key: Key, options?: DeleteOptions): Promise<WriteResult> {
    return this.one({ type: 'delete', key, ...options }, options);
  }

  async batch(
    operations: readonly BatchOperation<T>[],
    options?: CallOptions,
  ): Promise<BatchResult> {
    checkArray(operations, 'operations');
    if (operations.length === 0 || operations.length > limits.batchOpsMax) {
      const count = operations.length;
      throw new MokuError('BATCH_TOO_LARGE', {
        field: 'operations',
        count,
        min: 1,
        max: limits.batchOpsMax,
      });
    }
    const encoded: Operation[] = [];
    let bytes = 0;
    for (const operation of operations) {
      const form = this.operation(operation);
      bytes += form.key.length + (form.type === 'put' ? form.value.length : 0);
      encoded.push(form);
    }
    if (bytes > limits.commandBytesMax) {
      throw new MokuError('BATCH_TOO_LARGE', {
        field: 'bytes',
        bytes,
        max: limits.commandBytesMax,
      });
    }
    const outcome = await this.core.calls.run(options, (deadline) => this.write(encoded, deadline));
    if (outcome.type === 'refused') return this.refused(outcome);
    if (outcome.type !== 'written')
      throw new MokuError('MALFORMED_REQUEST', { answer: outcome.type });
    return { applied: true, version: outcome.version, existed: outcome.existed };
  }

  getMany(keys: readonly Key[], options?: CallOptions): Promise<(T | undefined)[]> {
    return this.core.calls.run(options, async (deadline) => {
      checkArray(keys, 'keys');
      return getMany(this, keys, deadline);
    });
  }

  putMany(
    records: Iterable<readonly [Key, T]>,
    options?: CallOptions,
  ): Promise<{ readonly written: number }> {
    return this.core.calls.run(options, async (deadline) => {
      checkIterable(records, 'records');
      return putMany(this, records, deadline);
    });
  }

  scanPage(
    options: ScanOptions & { readonly cursor?: string | undefined } = {},
  ): Promise<ScanPage<T>> {
    return this.core.calls.run(options, (deadline) => scanPage(this, options, deadline));
  }

  async *scan(options: ScanOptions = {}): AsyncGenerator<Found<T>, void, undefined> {
    checkOptions(options);
    let cursor: string | undefined;
    let left = options.limit ?? Number.POSITIVE_INFINITY;
    do {
      // Pages come one after the other: memory is bounded by one page.
      const page: ScanPage<T> = await this.scanPage({ ...options, limit: left, cursor });
      yield* page.records;
      left -= page.records.length;
      cursor = page.cursor;
    } while (cursor !== undefined && left > 0);
  }

  /** The stored form of a user's key; throws for keys that are empty or too large. */
  stored(key: Key): Uint8Array {
    return storedKey(this.mode, keyBytes(key));
  }

  value(record: RecordFound): T {
    return this.forms.values.decode(record.value) as T;
  }

  operation(operation: BatchOperation<T>): Operation {
    checkOptions(operation, 'operation');
    const key = this.stored(operation.key);
    const condition = conditionOf(operation);
    if (operation.type === 'delete') return { type: 'delete', key, condition };
    const { ttlMs } = operation;
    if (
      ttlMs !== undefined &&
      !(Number.isSafeInteger(ttlMs) && ttlMs >= 1 && ttlMs <= limits.ttlMsMax)
    ) {
      throw new MokuError('INVALID_ARGUMENT', {
        field: 'ttlMs',
        value: ttlMs,
        min: 1,
        max: limits.ttlMsMax,
      });
    }
    return {
      type: 'put',
      key,
      value: valueBytes(this.forms.values, operation.value),
      condition,
      ttlMs,
    };
  }

  /** Writes operations of one region; BATCH_SPANS_REGIONS when their keys lie in several. */
  write(operations: readonly Operation[], deadline: Deadline): Promise<Written | Refused> {
    const { core, name } = this;
    const first = operations[0];
    if (first === undefined)
      throw new MokuError('BATCH_TOO_LARGE', { field: 'operations', count: 0, min: 1 });
    return core.writes.run(
      {
        region: (d) => this.regionOf(first.key, d),
        refresh: async (d) => void (await core.router.refresh(name, d)),
        command: (region, session) => {
          assertWithin(region, operations);
          return { type: 'write', session, epochVersion: region.epoch.version, operations };
        },
      },
      deadline,
    );
  }

  async regionOf(stored: Uint8Array, deadline: Deadline): Promise<RegionDescriptor> {
    const { router } = this.core;
    return router.cachedRegion(this.name, stored) ?? router.region(this.name, stored, deadline);
  }

  private async one(
    operation: BatchOperation<T>,
    options: CallOptions | undefined,
  ): Promise<WriteResult> {
    const encoded = [this.operation(operation)];
    const outcome = await this.core.calls.run(options, (deadline) => this.write(encoded, deadline));
    if (outcome.type === 'refused')
      return { applied: false, version: this.refused(outcome).version };
    if (outcome.type !== 'written')
      throw new MokuError('MALFORMED_REQUEST', { answer: outcome.type });
    return { applied: true, version: outcome.version, existed: outcome.existed[0] === true };
  }

  private refused(outcome: Refused): Extract<BatchResult, { applied: false }> {
    if (outcome.reason !== 'conditionFailed')
      throw refusalError(outcome.reason, { keyspace: this.name });
    return { applied: false, operation: outcome.operation, version: outcome.version };
  }

  private async read(key: Key, withValues: boolean, options: CallOptions | undefined) {
    const stored = this.stored(key);
    return this.core.calls.run(options, async (deadline) => {
      const { outcome } = await this.core.reads.routed(
        () => this.regionOf(stored, deadline),
        (region) => ({
          type: 'get',
          epochVersion: region.epoch.version,
          keys: [stored],
          withValues,
        }),
        () => this.core.router.refresh(this.name, deadline),
        deadline,
      );
      if (outcome.type !== 'found')
        throw new MokuError('MALFORMED_REQUEST', { answer: outcome.type });
      return outcome.records[0];
    });
  }
}

function conditionOf(conditions: Conditions): Condition | undefined {
  const { ifAbsent, ifPresent, ifVersion } = conditions;
  const count =
    Number(ifAbsent === true) + Number(ifPresent === true) + Number(ifVersion !== undefined);
  if (count > 1) {
    throw new MokuError('INVALID_ARGUMENT', {
      field: 'ifAbsent|ifPresent|ifVersion',
      count,
      max: 1,
    });
  }
  if (ifAbsent === true) return { type: 'ifAbsent' };
  if (ifPresent === true) return { type: 'ifPresent' };
  if (ifVersion === undefined) return undefined;
  if (!Number.isSafeInteger(ifVersion) || ifVersion < 0) {
    throw new MokuError('INVALID_ARGUMENT', { field: 'ifVersion', value: ifVersion, min: 0 });
  }
  return { type: 'ifVersion', version: ifVersion as Timestamp };
}

function assertWithin(region: RegionDescriptor, operations: readonly Operation[]): void {
  for (const { key } of operations) {
    if (!contains(region, key)) {
      throw new MokuError('BATCH_SPANS_REGIONS', {
        field: 'operations',
        regionId: region.regionId,
      });
    }
  }
}
