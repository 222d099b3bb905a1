import {
  compareBytes,
  limits,
  metaRegionId,
  type NodeDescriptor,
  type NodeId,
  type RegionDescriptor,
  utf8,
} from '@moku/base';
import { describe, expect, it } from 'vitest';
import type { Command } from '../../src/commands.js';
import type { MetaChange, MetaMachine } from '../../src/contracts/machine.js';
import { contains, findRegionIndex, storedKey } from '../../src/keys.js';
import { createMemoryEngine, type MemoryEngine } from '../../src/memory-engine.js';
import { bootstrapMetaDescriptor, metaDescriptorOf } from '../../src/meta/bootstrap.js';
import { createMetaMachine } from '../../src/meta/meta-machine.js';
import { copySnapshot, Driver, noSession, put, replicaOne, write } from '../support.js';

type CreateKeyspace = Extract<Command, { type: 'createKeyspace' }>;

function node(nodeId: number, host = `host-${nodeId}`): NodeDescriptor {
  return {
    nodeId: nodeId as NodeId,
    peerAddress: `${host}:7000`,
    clientAddress: `${host}:7001`,
  };
}

function keyspace(name: string, regions: number, changed: Partial<CreateKeyspace> = {}): Command {
  return {
    type: 'createKeyspace',
    session: noSession,
    name,
    mode: 'hash',
    regions,
    bounds: [],
    replication: 0,
    ...changed,
  };
}

class MetaDriver extends Driver<MetaMachine> {
  readonly engine: MemoryEngine;
  readonly changes: MetaChange[];

  constructor(nodes: readonly number[] = []) {
    const engine = createMemoryEngine();
    const changes: MetaChange[] = [];
    super(open(engine, changes));
    this.engine = engine;
    this.changes = changes;
    for (const nodeId of nodes) this.run({ type: 'registerNode', node: node(nodeId) });
  }

  reopen(): void {
    this.machine = open(this.engine, this.changes);
  }

  digest(): string {
    const outcome = this.machine.query({ type: 'digest' }, this.wallMs);
    if (outcome.type !== 'digest') throw new Error(outcome.type);
    return outcome.digest;
  }
}

function open(engine: MemoryEngine, changes: MetaChange[]): MetaMachine {
  const onChange = (change: MetaChange) => changes.push(change);
  return createMetaMachine({ engine, replicaId: replicaOne, clusterId: 'test', onChange });
}

function countBy(regions: readonly RegionDescriptor[], of: (region: RegionDescriptor) => number[]) {
  const counts = new Map<number, number>();
  for (const region of regions) {
    for (const nodeId of of(region)) counts.set(nodeId, (counts.get(nodeId) ?? 0) + 1);
  }
  return [...counts].sort((a, b) => a[0] - b[0]);
}

describe('keyspaces', () => {
  it('are created with their regions on the registered nodes', () => {
    const meta = new MetaDriver([1, 2, 3]);
    expect(meta.run(keyspace('places', 4))).toEqual({ type: 'keyspaceCreated', keyspaceId: 1 });
    const view = meta.machine.view('places');
    expect(view).toMatchObject({
      clusterId: 'test',
      revision: 4,
      keyspaces: [{ keyspaceId: 1, name: 'places', mode: 'hash' }],
      leaders: [],
    });
    expect(view.nodes).toEqual([node(1), node(2), node(3)]);
    expect(view.regions.map((region) => region.regionId)).toEqual([1, 2, 3, 4]);
    for (const { epoch, replicas, keyspaceId } of view.regions) {
      expect(keyspaceId).toBe(1);
      expect(epoch).toEqual({ version: 1, config: 1 });
      expect(replicas.map((replica) => replica.replicaId)).toEqual([1, 2, 3]);
      expect(new Set(replicas.map((replica) => replica.nodeId)).size).toBe(3);
      expect(replicas.every((replica) => !replica.isLearner)).toBe(true);
    }
  });

  it('of the range mode have regions at the bounds given', () => {
    const meta = new MetaDriver([1]);
    meta.run(keyspace('names', 3, { mode: 'range', bounds: [utf8('h'), utf8('q')] }));
    const regions = meta.machine.view('names').regions;
    expect(regions.map((region) => region.startKey)).toEqual([utf8(''), utf8('h'), utf8('q')]);
    expect(regions.map((region) => region.endKey)).toEqual([utf8('h'), utf8('q'), undefined]);
    expect(findRegionIndex(regions, utf8('hello'))).toBe(1);
  });

  it('are placed so that replicas and first-listed replicas spread evenly', () => {
    const meta = new MetaDriver([1, 2, 3, 4, 5]);
    meta.run(keyspace('a', 7));
    meta.run(keyspace('b', 13));
    const regions = meta.machine.descriptors();
    expect(countBy(regions, (region) => [region.replicas[0]!.nodeId])).toEqual(
      [1, 2, 3, 4, 5].map((nodeId) => [nodeId, 4]),
    );
    expect(countBy(regions, (region) => region.replicas.map((replica) => replica.nodeId))).toEqual(
      [1, 2, 3, 4, 5].map((nodeId) => [nodeId, 12]),
    );
  });

  it('have as many replicas as asked for, or three, or as many as there are nodes', () => {
    const replicas = (nodes: readonly number[], replication: number) => {
      const meta = new MetaDriver(nodes);
      const outcome = meta.run(keyspace('k', 1, { replication }));
      return outcome.type === 'refused'
        ? outcome.reason
        : meta.machine.descriptors()[0]!.replicas.length;
    };
    expect(replicas([1, 2, 3, 4, 5], 0)).toBe(3);
    expect(replicas([1, 2], 0)).toBe(2);
    expect(replicas([1, 2, 3, 4, 5], 5)).toBe(5);
    expect(replicas([1, 2, 3], 1)).toBe(1);
    expect(replicas([1, 2, 3], 4)).toBe('invalid');
    expect(replicas([], 0)).toBe('invalid');
  });

  it('created again with the same settings are the same keyspace', () => {
    const meta = new MetaDriver([1, 2, 3]);
    meta.run(keyspace('k', 4));
    const digest = meta.digest();
    const count = meta.changes.length;
    meta.run({ type: 'registerNode', node: node(3) });
    expect(meta.run(keyspace('k', 4))).toEqual({ type: 'keyspaceCreated', keyspaceId: 1 });
    expect(meta.run(keyspace('k', 4, { replication: 3 }))).toMatchObject({ keyspaceId: 1 });
    expect(meta.machine.descriptors()).toHaveLength(4);
    expect(meta.changes).toHaveLength(count);
    expect(meta.machine.view(undefined).revision).toBe(4);
    expect(meta.digest()).not.toBe(digest); // The clock went on, nothing else.
  });

  it('created again with other settings are a conflict', () => {
    const meta = new MetaDriver([1, 2, 3]);
    const bounds = [utf8('m')];
    meta.run(keyspace('k', 2, { mode: 'range', bounds }));
    const others = [
      keyspace('k', 2),
      keyspace('k', 3, { mode: 'range', bounds: [utf8('m'), utf8('n')] }),
      keyspace('k', 2, { mode: 'range', bounds: [utf8('n')] }),
      keyspace('k', 2, { mode: 'range', bounds, replication: 2 }),
    ];
    for (const other of others) {
      expect(meta.run(other)).toMatchObject({ type: 'refused', reason: 'keyspaceConflict' });
    }
    expect(meta.machine.descriptors()).toHaveLength(2);
  });

  it('and regions have ids that are never given twice, also after a restart', () => {
    const meta = new MetaDriver([1]);
    meta.apply(keyspace('a', 2), keyspace('b', 2));
    meta.reopen();
    meta.run(keyspace('c', 2));
    const regions = meta.machine.descriptors();
    expect(regions.map((region) => region.regionId)).toEqual([1, 2, 3, 4, 5, 6]);
    expect(regions.map((region) => region.keyspaceId)).toEqual([1, 1, 2, 2, 3, 3]);
  });

  it('unknown to meta give an empty view', () => {
    const meta = new MetaDriver([1]);
    meta.run(keyspace('a', 1));
    expect(meta.machine.view('b')).toMatchObject({ keyspaces: [], regions: [] });
    expect(meta.machine.view(undefined).keyspaces).toHaveLength(1);
  });

  it('of a hundred thousand regions are one small entry, made and read back within two seconds of CPU time', () => {
    const meta = new MetaDriver([1, 2, 3]);
    const count = limits.regionsPerKeyspaceMax;
    const began = process.cpuUsage();
    meta.run(keyspace('huge', count));
    meta.reopen();
    const { user, system } = process.cpuUsage(began);
    const regions = meta.machine.view('huge').regions;
    expect(regions).toHaveLength(count);
    expect((user + system) / 1_000).toBeLessThan(2_000);
    for (let i = 1; i < count; i++) {
      if (compareBytes(regions[i - 1]!.startKey, regions[i]!.startKey) >= 0) {
        expect.unreachable(`bound ${i} does not ascend`);
      }
    }
    const key = storedKey('hash', utf8('FR/IDF/Paris'));
    expect(contains(regions[findRegionIndex(regions, key)]!, key)).toBe(true);
    const bytes = meta.engine.picture(metaRegionId).next(1e9);
    expect(bytes.reduce((sum, { value }) => sum + value!.length, 0)).toBeLessThan(1_000);
  });

  it('past the bound of regions or keyspaces are refused', () => {
    const meta = new MetaDriver([1]);
    meta.run(keyspace('one', 100_000));
    meta.run(keyspace('two', 99_999));
    expect(meta.run(keyspace('three', 2))).toMatchObject({ reason: 'limitReached' });
    expect(meta.run(keyspace('three', 1)).type).toBe('keyspaceCreated');
    const many = new MetaDriver([1]);
    for (let i = 0; i < limits.keyspacesMax; i++) many.run(keyspace(`k${i}`, 1));
    expect(many.run(keyspace('more', 1))).toMatchObject({ reason: 'limitReached' });
  });
});

describe('the roster', () => {
  it('takes nodes, and their new addresses', () => {
    const meta = new MetaDriver([2, 1]);
    meta.run({ type: 'registerNode', node: node(2, 'moved') });
    expect(meta.machine.nodes()).toEqual([node(1), node(2, 'moved')]);
    meta.reopen();
    expect(meta.machine.nodes()).toEqual([node(1), node(2, 'moved')]);
  });

  it('does not change what was placed before', () => {
    const meta = new MetaDriver([1, 2, 3]);
    meta.run(keyspace('k', 3));
    const before = meta.machine.descriptors();
    meta.run({ type: 'registerNode', node: node(4) });
    meta.reopen();
    expect(meta.machine.descriptors()).toEqual(before);
  });

  it('is bounded', () => {
    const meta = new MetaDriver();
    for (let i = 1; i <= limits.nodesMax; i++) meta.run({ type: 'registerNode', node: node(i) });
    const more = node(limits.nodesMax + 1);
    expect(meta.run({ type: 'registerNode', node: more })).toMatchObject({
      reason: 'limitReached',
    });
    expect(meta.run({ type: 'registerNode', node: node(1, 'moved') })).toEqual({ type: 'done' });
  });
});

describe('what meta tells the node', () => {
  it('comes once per entry that changed something, after it was applied', () => {
    const meta = new MetaDriver();
    meta.apply(
      { type: 'registerNode', node: node(1) },
      keyspace('a', 2),
      keyspace('b', 1),
      keyspace('a', 2),
    );
    expect(meta.changes).toHaveLength(1);
    const [change] = meta.changes;
    expect(change!.nodes).toEqual([node(1)]);
    expect(change!.descriptors).toEqual(meta.machine.descriptors());
    meta.run(keyspace('a', 2));
    expect(meta.changes).toHaveLength(1);
  });

  it('comes with everything after a snapshot, and not at opening', () => {
    const [from, to] = [new MetaDriver([1, 2, 3]), new MetaDriver()];
    from.run(keyspace('k', 5));
    copySnapshot(from.machine, to.machine);
    expect(to.changes).toHaveLength(1);
    expect(to.changes[0]!.descriptors).toEqual(from.machine.descriptors());
    expect(to.changes[0]!.nodes).toEqual(from.machine.nodes());
    expect(to.machine.view('k')).toEqual(from.machine.view('k'));
    expect(to.digest()).toBe(from.digest());
    to.reopen();
    expect(to.changes).toHaveLength(1);
    expect(to.machine.view('k')).toEqual(from.machine.view('k'));
    expect(to.run(keyspace('next', 1))).toEqual({ type: 'keyspaceCreated', keyspaceId: 2 });
  });

  it('survives a crash as far as it was flushed, and is applied again', () => {
    const meta = new MetaDriver([1]);
    meta.engine.flush();
    expect(meta.machine.durableIndex()).toBe(1);
    const outcome = meta.run(keyspace('k', 2));
    const digest = meta.digest();
    meta.engine.crash();
    meta.reopen();
    expect(meta.machine.descriptors()).toEqual([]);
    expect(meta.run(keyspace('k', 2))).toEqual(outcome);
    expect(meta.digest()).toBe(digest);
  });
});

describe('commands that are not for meta', () => {
  it('are answered as invalid', () => {
    const meta = new MetaDriver([1]);
    const outcomes = meta.apply(write([put('k', 'v')]), {
      type: 'expire',
      keys: [{ key: utf8('k'), version: 1 as never }],
    });
    expect(outcomes).toMatchObject([{ reason: 'invalid' }, { reason: 'invalid' }]);
    expect(meta.applyBytes([utf8('garbage')])).toMatchObject([{ reason: 'invalid' }]);
    const get = { type: 'get', epochVersion: 1, keys: [utf8('k')], withValues: true } as const;
    expect(meta.machine.query(get, 0)).toEqual({ type: 'refused', reason: 'invalid' });
    expect(meta.openSession()).toBeGreaterThan(0);
  });
});

describe('region 0', () => {
  const shape = (count: number) =>
    bootstrapMetaDescriptor(Array.from({ length: count }, (_, i) => node(i + 1)));

  it.each([
    [1, 1],
    [2, 1],
    [3, 3],
    [4, 3],
    [5, 5],
    [6, 5],
    [9, 5],
  ])('of %i nodes has %i voters, the others learn', (count, voters) => {
    const { replicas, regionId, startKey, endKey } = shape(count);
    expect(regionId).toBe(metaRegionId);
    expect([startKey, endKey]).toEqual([utf8(''), undefined]);
    expect(replicas).toHaveLength(count);
    expect(replicas.filter((replica) => !replica.isLearner)).toHaveLength(voters);
    expect(replicas.map((replica) => replica.replicaId)).toEqual(replicas.map((_, i) => i + 1));
  });

  it('does not depend on the order of the roster', () => {
    const roster = [node(3), node(1), node(2)];
    expect(bootstrapMetaDescriptor(roster)).toEqual(shape(3));
  });

  it('refuses a roster with one node twice', () => {
    expect(() => bootstrapMetaDescriptor([node(1), node(1, 'x')])).toThrow('INVALID_ARGUMENT');
  });

  it('is addressed by clients on the nodes of their view', () => {
    const meta = new MetaDriver([1, 2, 3]);
    expect(metaDescriptorOf(meta.machine.view(undefined))).toEqual(shape(3));
  });
});
