/**
 * Requests over many regions: keys are gathered by region, a request carries many of them, regions are
 * asked at the same time, one request under way per region.
 *
 * Invariant K1: writes of one key keep their order (a region's requests follow each other).
 */
import { MokuError, type RegionId } from '@moku/base';
import type { Operation, RecordFound } from '@moku/kv';
import { checkPair } from './arguments.js';
import type { Key } from './database.js';
import type { Deadline } from './deadline.js';
import type { RemoteKeyspace } from './keyspace.js';
import { refusalError } from './writes.js';

/** Operations and bytes of one request: large enough to spread its cost, small enough to share frames. */
const groupOperationsMax = 512;
const groupBytesMax = 64 * 1024;
/** Groups under way or waiting before the source of records is asked for more. */
const groupsInFlightMax = 64;

interface Group {
  operations: Operation[];
  bytes: number;
}

export async function putMany<T>(
  keyspace: RemoteKeyspace<T>,
  records: Iterable<readonly [Key, T]>,
  deadline: Deadline,
): Promise<{ readonly written: number }> {
  const lanes = new WriteLanes(keyspace, deadline);
  try {
    for (const record of records) {
      checkPair(record, 'records');
      const [key, value] = record;
      const operation = keyspace.operation({ type: 'put', key, value });
      const region = await keyspace.regionOf(operation.key, deadline);
      lanes.add(region.regionId, operation);
      if (lanes.isFull) await lanes.room();
      if (lanes.failure !== undefined) break;
    }
  } catch (error) {
    // A bad record, or a source that broke: what was sent before counts, and is waited for (P5).
    lanes.fail(error);
  }
  return lanes.finish();
}

/** One ordered lane of groups per region. */
class WriteLanes<T> {
  private readonly keyspace: RemoteKeyspace<T>;
  private readonly deadline: Deadline;
  private readonly gathering = new Map<RegionId, Group>();
  private readonly lanes = new Map<RegionId, Promise<void>>();
  private groupsInFlight = 0;
  private onRoom: (() => void) | undefined;
  /** Operations answered as written. */
  private written = 0;
  /** Some request that failed may have been applied, whichever failed first (P5). */
  private isMaybe = false;
  failure: MokuError | undefined;

  constructor(keyspace: RemoteKeyspace<T>, deadline: Deadline) {
    this.keyspace = keyspace;
    this.deadline = deadline;
  }

  get isFull(): boolean {
    return this.groupsInFlight >= groupsInFlightMax;
  }

  add(regionId: RegionId, operation: Operation): void {
    let group = this.gathering.get(regionId);
    const bytes = operation.key.length + (operation.type === 'put' ? operation.value.length : 0);
    if (group !== undefined && group.bytes + bytes > groupBytesMax) {
      this.dispatch(regionId, group);
      group = undefined;
    }
    if (group === undefined) {
      group = { operations: [], bytes: 0 };
      this.gathering.set(regionId, group);
    }
    group.operations.push(operation);
    group.bytes += bytes;
    if (group.operations.length >= groupOperationsMax) this.dispatch(regionId, group);
  }

  /** Nothing more is sent; `finish` will throw this, unless something failed before. */
  fail(error: unknown): void {
    const coded =
      error instanceof MokuError ? error : new MokuError('INTERNAL', {}, { cause: error });
    this.isMaybe ||= coded.outcome === 'maybe';
    this.failure ??= coded;
  }

  /** Resolves when another group may be added. */
  room(): Promise<void> {
    if (!this.isFull) return Promise.resolve();
    return new Promise((resolve) => {
      this.onRoom = resolve;
    });
  }

  async finish(): Promise<{ readonly written: number }> {
    for (const [regionId, group] of this.gathering) this.dispatch(regionId, group);
    await Promise.all(this.lanes.values());
    const { failure, isMaybe, written } = this;
    if (failure === undefined) return { written };
    const error = new MokuError(failure.code, { ...failure.details, written }, { cause: failure });
    throw error.withOutcome(isMaybe || written > 0 ? 'maybe' : 'definite');
  }

  private dispatch(regionId: RegionId, group: Group): void {
    this.gathering.delete(regionId);
    this.groupsInFlight += 1;
    const before = this.lanes.get(regionId) ?? Promise.resolve();
    this.lanes.set(
      regionId,
      before.then(() => this.write(group)),
    );
  }

  /** Never rejects: the first failure stops the rest and is reported by `finish`. */
  private async write(group: Group): Promise<void> {
    try {
      if (this.failure === undefined) await this.writeAll(group.operations);
    } catch (error) {
      this.fail(error);
    } finally {
      this.groupsInFlight -= 1;
      this.onRoom?.();
      this.onRoom = undefined;
    }
  }

  private async writeAll(operations: readonly Operation[]): Promise<void> {
    try {
      const outcome = await this.keyspace.write(operations, this.deadline);
      if (outcome.type === 'refused')
        throw refusalError(outcome.reason, { keyspace: this.keyspace.name });
      this.written += operations.length;
    } catch (error) {
      // The region was split between gathering and sending: certainly nothing was written.
      if (
        !(error instanceof MokuError && error.code === 'BATCH_SPANS_REGIONS') ||
        operations.length === 1
      )
        throw error;
      const middle = operations.length >>> 1;
      await this.writeAll(operations.slice(0, middle));
      await this.writeAll(operations.slice(middle));
    }
  }
}

interface Wanted {
  readonly stored: Uint8Array;
  readonly position: number;
}

/** Values in the order of `keys`. */
export async function getMany<T>(
  keyspace: RemoteKeyspace<T>,
  keys: readonly Key[],
  deadline: Deadline,
): Promise<(T | undefined)[]> {
  const found = new Array<T | undefined>(keys.length).fill(undefined);
  let wanted: Wanted[] = keys.map((key, position) => ({ stored: keyspace.stored(key), position }));
  for (let round = 0; wanted.length > 0; round++) {
    if (deadline.isOver) throw deadline.error(false, undefined);
    if (round > 0) await keyspace.core.router.refresh(keyspace.name, deadline);
    const groups = await gather(keyspace, wanted, deadline);
    const stale = await Promise.all(
      groups.map((group) => readGroup(keyspace, group, found, deadline)),
    );
    wanted = stale.flat();
  }
  return found;
}

async function gather<T>(
  keyspace: RemoteKeyspace<T>,
  wanted: readonly Wanted[],
  deadline: Deadline,
) {
  const byRegion = new Map<RegionId, Wanted[][]>();
  for (const want of wanted) {
    const { regionId } = await keyspace.regionOf(want.stored, deadline);
    const groups = byRegion.get(regionId) ?? [[]];
    byRegion.set(regionId, groups);
    const last = groups[groups.length - 1];
    if (last === undefined || last.length >= groupOperationsMax) groups.push([want]);
    else last.push(want);
  }
  return [...byRegion.values()].flat();
}

/** Fills `found`; gives back what has to be asked again: of a stale region, or past an answer's size. */
async function readGroup<T>(
  keyspace: RemoteKeyspace<T>,
  group: readonly Wanted[],
  found: (T | undefined)[],
  deadline: Deadline,
): Promise<readonly Wanted[]> {
  const first = group[0];
  if (first === undefined) return [];
  const region = await keyspace.regionOf(first.stored, deadline);
  const keys = group.map((want) => want.stored);
  const query = {
    type: 'get',
    epochVersion: region.epoch.version,
    keys,
    withValues: true,
  } as const;
  const result = await keyspace.core.reads.run(region, query, deadline);
  if (result.kind === 'stale') return group;
  if (result.outcome.type !== 'found')
    throw new MokuError('MALFORMED_REQUEST', { answer: result.outcome.type });
  const records: readonly (RecordFound | undefined)[] = result.outcome.records;
  group.forEach((want, i) => {
    const record = records[i];
    if (record !== undefined) found[want.position] = keyspace.value(record);
  });
  return group.slice(records.length);
}
