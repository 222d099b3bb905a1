/**
 * What the memory engine adds to the contract: honest crashes, and flushes by a given scheduler. The
 * contract itself is held in test/conformance/engine.*.
 */
import { type RegionId, type ReplicaId, type Timestamp, utf8 } from '@moku/base';
import { expect, it } from 'vitest';
import { createMemoryEngine, type MemoryEngine } from '../src/memory-engine.js';

const regionId = 1 as RegionId;
const replicaId = 1 as ReplicaId;
const latest = Number.MAX_SAFE_INTEGER as Timestamp;
const key = utf8('k');

function write(engine: MemoryEngine, index: number, of: Uint8Array = key): void {
  const puts = [{ key: of, timestamp: index as Timestamp, value: Uint8Array.of(index) }];
  engine.write({ regionId, appliedIndex: index, appliedTerm: 1, puts, removes: [] });
}

it('loses by a crash exactly what was not flushed', () => {
  const engine = createMemoryEngine();
  engine.createReplica(regionId, replicaId);
  write(engine, 1);
  engine.flush();
  write(engine, 2);
  expect(engine.durableIndex(regionId)).toBe(1);
  engine.createReplica(2 as RegionId, replicaId);
  engine.crash();
  expect(engine.replicas()).toMatchObject([{ regionId, appliedIndex: 1 }]);
  expect(engine.get(regionId, key, latest)?.value).toEqual(Uint8Array.of(1));
  // The durable image is not touched by what comes after.
  write(engine, 3);
  engine.crash();
  expect(engine.get(regionId, key, latest)?.value).toEqual(Uint8Array.of(1));
});

it('brings a replica that was dropped or replaced back when the change was not flushed', () => {
  const engine = createMemoryEngine();
  engine.createReplica(regionId, replicaId);
  write(engine, 1);
  engine.flush();
  engine.dropReplica(regionId);
  engine.crash();
  expect(engine.replica(regionId)?.appliedIndex).toBe(1);
  engine.createReplica(regionId, 2 as ReplicaId);
  engine.crash();
  expect(engine.replica(regionId)).toMatchObject({ replicaId, appliedIndex: 1 });
});

it('keeps the old state when a crash comes before the flush of an install', () => {
  const engine = createMemoryEngine();
  engine.createReplica(regionId, replicaId);
  write(engine, 1);
  engine.flush();
  const install = engine.install(regionId);
  install.put([{ key, timestamp: 9 as Timestamp, value: Uint8Array.of(9) }]);
  engine.flush();
  install.commit({ appliedIndex: 9, appliedTerm: 2 });
  engine.crash();
  expect(engine.get(regionId, key, latest)?.value).toEqual(Uint8Array.of(1));
  expect(() => install.put([])).toThrow('G3');
});

it('flushes by itself when it has a scheduler, once per request, never after a crash', () => {
  const tasks: (() => void)[] = [];
  const engine = createMemoryEngine({ schedule: (task) => tasks.push(task), overlayBytesMax: 100 });
  engine.createReplica(regionId, replicaId);
  write(engine, 1);
  engine.requestFlush();
  engine.requestFlush();
  expect(engine.durableIndex(regionId)).toBe(0);
  expect(tasks.length).toBe(1);
  tasks.pop()?.();
  expect(engine.durableIndex(regionId)).toBe(1);
  for (let index = 2; !engine.isFull(); index++) write(engine, index);
  expect(tasks.length).toBe(1);
  engine.crash();
  tasks.pop()?.();
  expect(engine.replica(regionId)?.appliedIndex).toBe(1);
});

it('tells its subscribers of a failure', () => {
  const engine = createMemoryEngine();
  const failures: Error[] = [];
  engine.subscribe({ onFlushed: () => {}, onFailure: (error) => failures.push(error) });
  engine.fail(new Error('disk'));
  expect(failures.map(({ message }) => message)).toEqual(['disk']);
});

it('refuses to give a damaged version, wherever it is touched, and only that one', () => {
  const engine = createMemoryEngine();
  engine.createReplica(regionId, replicaId);
  write(engine, 1);
  expect(engine.isDirty).toBe(true);
  engine.flush();
  engine.crash();
  expect(engine.isDirty).toBe(false);
  expect(engine.durableVersions).toBe(1);
  const range = { start: new Uint8Array(), end: undefined, isReverse: false };
  const page = { ...range, at: latest, recordsMax: 9, bytesMax: 999 };
  engine.corruptDurable(0);
  write(engine, 2, Uint8Array.of(200));
  expect(() => engine.get(regionId, key, latest)).toThrow('ENGINE_CORRUPT');
  expect(() => engine.scan(regionId, page)).toThrow('ENGINE_CORRUPT');
  expect(() => engine.picture(regionId).next(999)).toThrow('ENGINE_CORRUPT');
  expect(engine.get(regionId, Uint8Array.of(200), latest)?.value).toEqual(Uint8Array.of(2));
});
