/**
 * Random histories of an engine against a plain sorted array: writes, removals, reads, scans with
 * limits in both directions, pictures, installs, replaced replicas, flushes that end at any later
 * moment, and restarts. A failure prints the seed and the shortest history; replay it with MOKU_SEED.
 */
import { compareBytes, type RegionId, type ReplicaId, type Timestamp, utf8 } from '@moku/base';
import type { StoreInstall, StorePicture, VersionedValue } from '@moku/kv';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type EngineHost, engineAdapters, shown, shownAll } from './engine.adapters.js';
import { sectorEngine } from './sector.adapters.js';

const seed = Number(process.env['MOKU_SEED'] ?? 20_260_101);
const historiesPerAdapter = Number(process.env['MOKU_HISTORIES'] ?? 25);
/** Ends the search for a shorter history in time to print the one found. */
const timeLimitMs = 45_000;
const regions = [1, 2] as RegionId[];

type Step =
  | {
      type: 'write';
      region: RegionId;
      puts: VersionedValue[];
      removes: VersionedValue[];
      /** Removes the newest version of these keys, so that removals often meet something. */
      removeNewestOf: Uint8Array[];
    }
  | { type: 'get'; region: RegionId; key: Uint8Array; at: number }
  | {
      type: 'scan';
      region: RegionId;
      start: Uint8Array;
      end: Uint8Array | undefined;
      isReverse: boolean;
      at: number;
      recordsMax: number;
      bytesMax: number;
    }
  | { type: 'beginFlush' }
  | { type: 'progress' }
  | { type: 'settle' }
  | { type: 'reopen' }
  | { type: 'takePicture'; region: RegionId }
  | { type: 'readPicture'; bytesMax: number }
  | { type: 'beginInstall'; region: RegionId }
  | { type: 'putInstall'; puts: VersionedValue[] }
  | { type: 'commitInstall' }
  | { type: 'abortInstall' }
  | { type: 'replace'; region: RegionId }
  | { type: 'drop'; region: RegionId };

/** One store: versions in (key, timestamp descending) order, in an array. */
class ModelStore {
  versions: VersionedValue[] = [];

  put(version: VersionedValue): void {
    this.remove(version);
    this.versions.push(version);
    this.versions.sort((a, b) => compareBytes(a.key, b.key) || b.timestamp - a.timestamp);
  }

  remove({ key, timestamp }: VersionedValue): void {
    this.versions = this.versions.filter(
      (one) => compareBytes(one.key, key) !== 0 || one.timestamp !== timestamp,
    );
  }

  newest(key: Uint8Array, at: number): VersionedValue | undefined {
    return this.versions.find((one) => compareBytes(one.key, key) === 0 && one.timestamp <= at);
  }

  /** The page that the contract asks for, and the keys it may have looked at. */
  page(scan: Extract<Step, { type: 'scan' }>): {
    records: string[];
    isCut: boolean;
  } {
    const keys = new Map<string, Uint8Array>();
    for (const { key, timestamp } of this.versions) {
      const isInside =
        compareBytes(key, scan.start) >= 0 &&
        (scan.end === undefined || compareBytes(key, scan.end) < 0);
      if (isInside && timestamp <= scan.at) keys.set(Buffer.from(key).toString('hex'), key);
    }
    const ordered = [...keys.values()];
    if (scan.isReverse) ordered.reverse();
    const records: string[] = [];
    let bytes = 0;
    let looked = 0;
    for (const key of ordered) {
      const version = this.newest(key, scan.at);
      if (records.length === scan.recordsMax) return { records, isCut: true };
      if (version?.value !== undefined) {
        bytes += key.length + version.value.length;
        if (looked > 0 && bytes > scan.bytesMax) return { records, isCut: true };
        records.push(shown(version) ?? '');
      }
      looked += 1;
    }
    return { records, isCut: false };
  }
}

const key = fc
  .array(fc.constantFrom(0x00, 0x61, 0x62, 0xff), { minLength: 1, maxLength: 3 })
  .map((bytes) => Uint8Array.from(bytes));
const region = fc.constantFrom(...regions);
const timestamp = fc.nat({ max: 8 });
const version: fc.Arbitrary<VersionedValue> = fc.record({
  key,
  timestamp: timestamp.map((value) => value as Timestamp),
  value: fc.option(fc.string({ maxLength: 4 }).map(utf8), { nil: undefined, freq: 4 }),
});
const puts = fc.array(version, { maxLength: 6 });

function step<T extends Step['type']>(
  type: T,
  fields: {
    [K in Exclude<keyof Extract<Step, { type: T }>, 'type'>]: fc.Arbitrary<
      Extract<Step, { type: T }>[K]
    >;
  },
): fc.Arbitrary<Step> {
  return fc.record({ type: fc.constant(type), ...fields }) as fc.Arbitrary<Step>;
}

const anyStep: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 8,
    arbitrary: step('write', {
      region,
      puts,
      removes: fc.array(version, { maxLength: 2 }),
      removeNewestOf: fc.array(key, { maxLength: 2 }),
    }),
  },
  { weight: 6, arbitrary: step('get', { region, key, at: timestamp }) },
  {
    weight: 8,
    arbitrary: step('scan', {
      region,
      start: fc.oneof(key, fc.constant(new Uint8Array(0))),
      end: fc.option(key, { nil: undefined }),
      isReverse: fc.boolean(),
      at: timestamp,
      recordsMax: fc.integer({ min: 1, max: 6 }),
      bytesMax: fc.constantFrom(0, 5, 12, 1_000),
    }),
  },
  { weight: 3, arbitrary: step('beginFlush', {}) },
  { weight: 4, arbitrary: step('progress', {}) },
  { weight: 1, arbitrary: step('settle', {}) },
  { weight: 1, arbitrary: step('reopen', {}) },
  { weight: 2, arbitrary: step('takePicture', { region }) },
  { weight: 6, arbitrary: step('readPicture', { bytesMax: fc.constantFrom(0, 6, 40) }) },
  { weight: 1, arbitrary: step('beginInstall', { region }) },
  { weight: 2, arbitrary: step('putInstall', { puts }) },
  { weight: 1, arbitrary: step('commitInstall', {}) },
  { weight: 1, arbitrary: step('abortInstall', {}) },
  { weight: 1, arbitrary: step('replace', { region }) },
  { weight: 1, arbitrary: step('drop', { region }) },
);

/** An engine and its model, stepped together. */
class Pair {
  private readonly host: EngineHost;
  private readonly stores = new Map<RegionId, ModelStore>();
  private readonly applied = new Map<RegionId, number>();
  private index = 0;
  private replicaId = 1;
  private picture: { read: StorePicture; expected: string[] } | undefined;
  private install: { region: RegionId; write: StoreInstall; store: ModelStore } | undefined;

  constructor(host: EngineHost) {
    this.host = host;
    for (const regionId of regions) this.replace(regionId);
  }

  async run(one: Step): Promise<void> {
    const { engine } = this.host;
    switch (one.type) {
      case 'write':
        return this.write(one);
      case 'get': {
        const store = this.stores.get(one.region);
        if (store === undefined) return;
        const found = engine.get(one.region, one.key, one.at as Timestamp);
        expect(shown(found)).toBe(shown(store.newest(one.key, one.at)));
        return;
      }
      case 'scan':
        return this.scan(one);
      case 'beginFlush':
        return this.host.beginFlush();
      case 'progress':
        return this.host.progress();
      case 'settle':
        await this.host.settle();
        return this.checkDurable();
      case 'reopen':
        this.picture = undefined;
        this.install = undefined;
        await this.host.reopen();
        this.checkDurable();
        return this.checkAll();
      case 'takePicture':
      case 'readPicture':
        return this.runPicture(one);
      case 'beginInstall':
      case 'putInstall':
      case 'commitInstall':
      case 'abortInstall':
        return this.runInstall(one);
      case 'replace':
        this.replace(one.region);
        return;
      case 'drop':
        this.leave(one.region);
        engine.dropReplica(one.region);
        this.stores.delete(one.region);
        this.applied.delete(one.region);
        return;
    }
  }

  /** Everything that can be read is as the model has it. */
  checkAll(): void {
    const { engine } = this.host;
    expect(
      engine
        .replicas()
        .map(({ regionId }) => regionId)
        .sort(),
    ).toEqual([...this.stores.keys()].sort());
    for (const [regionId, store] of this.stores) {
      expect(engine.replica(regionId)?.appliedIndex).toBe(this.applied.get(regionId));
      const picture = engine.picture(regionId);
      expect(shownAll(picture.next(1_000_000))).toEqual(shownAll(store.versions));
      picture.close();
    }
  }

  private runPicture(one: Extract<Step, { type: 'takePicture' | 'readPicture' }>): void {
    const { engine } = this.host;
    switch (one.type) {
      case 'takePicture': {
        const store = this.stores.get(one.region);
        this.picture?.read.close();
        this.picture = undefined;
        if (store === undefined) return;
        this.picture = { read: engine.picture(one.region), expected: shownAll(store.versions) };
        return;
      }
      case 'readPicture': {
        if (this.picture === undefined) return;
        const batch = shownAll(this.picture.read.next(one.bytesMax));
        expect(batch).toEqual(this.picture.expected.splice(0, batch.length));
        if (batch.length === 0) expect(this.picture.expected).toEqual([]);
        return;
      }
    }
  }

  private runInstall(
    one: Extract<Step, { type: 'beginInstall' | 'putInstall' | 'commitInstall' | 'abortInstall' }>,
  ): void {
    const { engine } = this.host;
    switch (one.type) {
      case 'beginInstall':
        if (this.install !== undefined || !this.stores.has(one.region)) return;
        this.install = {
          region: one.region,
          write: engine.install(one.region),
          store: new ModelStore(),
        };
        return;
      case 'putInstall':
        this.install?.write.put(one.puts);
        for (const put of one.puts) this.install?.store.put(put);
        return;
      case 'commitInstall':
        if (this.install === undefined) return;
        this.index += 1;
        this.install.write.commit({ appliedIndex: this.index, appliedTerm: 2 });
        this.applied.set(this.install.region, this.index);
        this.stores.set(this.install.region, this.install.store);
        this.install = undefined;
        return;
      case 'abortInstall':
        this.install?.write.abort();
        this.install = undefined;
        return;
    }
  }

  private write(one: Extract<Step, { type: 'write' }>): void {
    const store = this.stores.get(one.region) ?? this.replace(one.region);
    const newest = one.removeNewestOf.flatMap((key) => store.newest(key, Infinity) ?? []);
    const removes = [...one.removes, ...newest];
    this.index += 1;
    const applied = { appliedIndex: this.index, appliedTerm: 1 };
    this.host.engine.write({ regionId: one.region, ...applied, puts: one.puts, removes });
    for (const remove of removes) store.remove(remove);
    for (const put of one.puts) store.put(put);
    this.applied.set(one.region, this.index);
  }

  private scan(one: Extract<Step, { type: 'scan' }>): void {
    const store = this.stores.get(one.region);
    if (store === undefined) return;
    const at = one.at as Timestamp;
    const found = this.host.engine.scan(one.region, { ...one, at });
    const { records, isCut } = store.page(one);
    expect(shownAll(found.records)).toEqual(records);
    if (isCut) {
      expect(found.hasMore).toBe(true);
      // Going on behind the last key gives what is left.
      const rest = this.host.engine.scan(one.region, {
        start: one.isReverse ? one.start : Uint8Array.from([...(found.lastKey ?? []), 0]),
        end: one.isReverse ? found.lastKey : one.end,
        isReverse: one.isReverse,
        at,
        recordsMax: 1_000,
        bytesMax: 1_000_000,
      });
      const all = store.page({ ...one, recordsMax: 1_000, bytesMax: 1_000_000 });
      expect([...records, ...shownAll(rest.records)]).toEqual(all.records);
    } else {
      expect(found.hasMore).toBe(false);
    }
  }

  private replace(regionId: RegionId): ModelStore {
    this.leave(regionId);
    this.host.engine.createReplica(regionId, this.replicaId as ReplicaId);
    this.replicaId += 1;
    const store = new ModelStore();
    this.stores.set(regionId, store);
    this.applied.set(regionId, 0);
    return store;
  }

  /** An install of a replica that goes is given up first. */
  private leave(regionId: RegionId): void {
    if (this.install?.region !== regionId) return;
    this.install.write.abort();
    this.install = undefined;
  }

  private checkDurable(): void {
    for (const [regionId, applied] of this.applied) {
      expect(this.host.engine.durableIndex(regionId)).toBe(applied);
    }
  }
}

describe.each([...engineAdapters, sectorEngine])('engine on $name', (adapter) => {
  it('equals a sorted array under random histories', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(anyStep, { maxLength: 300, size: 'max' }), async (steps) => {
        const host = await adapter.open();
        try {
          const pair = new Pair(host);
          for (const one of steps) await pair.run(one);
          pair.checkAll();
        } finally {
          await host.dispose();
        }
      }),
      { seed, numRuns: historiesPerAdapter, interruptAfterTimeLimit: timeLimitMs },
    );
  });
});
