/**
 * The state machine of region 0: keyspaces, the roster of nodes, and the regions that follow from them.
 *
 * Invariants:
 *  R1 Apply never throws for what a command says: malformed, foreign or refused is a typed no-op.
 *  R2 Keyspace ids and region ids are never reused.
 *  R3 Commands are idempotent by content: repeated, they answer the same and change nothing. So no
 *     result has to be remembered for P4, and sessions, though issued, are not consulted.
 *  R4 What is in memory equals what the engine holds after every entry and every installed snapshot.
 */
import {
  equalBytes,
  limits,
  metaRegionId,
  type NodeDescriptor,
  type NodeId,
  present,
  type RegionDescriptor,
  type Timestamp,
  unreachable,
} from '@moku/base';
import type { CommandResult, Entry, SnapshotSink, SnapshotSource } from '@moku/raft';
import { AppliedState } from '../applied-state.js';
import { decodeCommandOrUndefined } from '../command-codec.js';
import { encodeCommandOutcome, encodeRefused } from '../command-outcome-codec.js';
import type { ClusterView, Command, Query, QueryOutcome } from '../commands.js';
import type { Engine } from '../contracts/engine.js';
import type {
  KeyspaceView,
  MetaChange,
  MetaMachine,
  MetaMachineOptions,
} from '../contracts/machine.js';
import { digestStore } from '../digest.js';
import { encodeEntry } from '../entry.js';
import { successor } from '../keys.js';
import { machineTimestamp, newest } from '../records.js';
import {
  decodeKeyspace,
  decodeMetaCounters,
  decodeNode,
  encodeKeyspace,
  encodeMetaCounters,
  encodeNode,
  type KeyspaceRecord,
  keyspaceKey,
  keyspaceSpaceEnd,
  keyspaceSpaceStart,
  metaCountersKey,
  nodeKey,
  nodeSpaceEnd,
  nodeSpaceStart,
  regionsOf,
} from './meta-records.js';

type CreateKeyspace = Extract<Command, { type: 'createKeyspace' }>;

const replicationDefault = 3;
const noResults: readonly CommandResult[] = [];
const invalid: CommandResult = encodeRefused('invalid');
const conflict: CommandResult = encodeRefused('keyspaceConflict');
const limitReached: CommandResult = encodeRefused('limitReached');
const done: CommandResult = encodeCommandOutcome({ type: 'done' });

interface Keyspace {
  readonly record: KeyspaceRecord;
  readonly view: KeyspaceView;
  readonly regions: readonly RegionDescriptor[];
}

/** Opens region 0's state in the engine; see `MetaMachineOptions`. */
export function createMetaMachine(options: MetaMachineOptions): MetaMachine {
  return new RegionZeroMachine(options);
}

class RegionZeroMachine implements MetaMachine {
  private readonly state: AppliedState;
  private readonly clusterId: string;
  private readonly onChange: ((change: MetaChange) => void) | undefined;
  /** In order of creation. */
  private readonly keyspaces = new Map<string, Keyspace>();
  private readonly roster = new Map<NodeId, NodeDescriptor>();
  private nextKeyspaceId = 1;
  private nextRegionId = 1;
  private revision = 0;
  /** Of the entry being applied. */
  private changedRegions: (readonly RegionDescriptor[])[] = [];
  private changedNodes: NodeDescriptor[] = [];
  /** Built when asked for, dropped by a change. */
  private allRegions: readonly RegionDescriptor[] | undefined;

  constructor(options: MetaMachineOptions) {
    this.state = new AppliedState(options.engine, metaRegionId, options.replicaId);
    this.clusterId = options.clusterId ?? '';
    this.onChange = options.onChange;
    this.load();
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
    const { commands, base } = this.state.start(entry);
    if (commands.length === 0) {
      this.state.commit(entry, false, 0);
      return noResults;
    }
    this.changedRegions = [];
    this.changedNodes = [];
    const results: CommandResult[] = [];
    for (let i = 0; i < commands.length; i++) {
      results.push(this.applyCommand(commands[i]!, (base + i) as Timestamp));
    }
    const isChanged = this.changedRegions.length > 0 || this.changedNodes.length > 0;
    if (isChanged) {
      this.revision = entry.index;
      this.allRegions = undefined;
      const { nextKeyspaceId, nextRegionId, revision } = this;
      const counters = encodeMetaCounters({ nextKeyspaceId, nextRegionId, revision });
      this.put(metaCountersKey, counters);
    }
    this.state.commit(entry, true, 0);
    if (isChanged) {
      this.onChange?.({ descriptors: this.changedRegions.flat(), nodes: this.changedNodes });
    }
    return results;
  }

  private applyCommand(bytes: Uint8Array, timestamp: Timestamp): CommandResult {
    const command = decodeCommandOrUndefined(bytes);
    if (command === undefined) return invalid; // R1
    switch (command.type) {
      case 'createKeyspace':
        return this.createKeyspace(command);
      case 'registerNode':
        return this.registerNode(command.node);
      case 'openSession':
        return encodeCommandOutcome({ type: 'sessionOpened', sessionId: timestamp }); // R3
      case 'write':
      case 'expire':
        return invalid;
      default:
        return unreachable(command);
    }
  }

  private createKeyspace(command: CreateKeyspace): CommandResult {
    const former = this.keyspaces.get(command.name);
    if (former !== undefined) {
      if (!isSame(former.record, command)) return conflict;
      return encodeCommandOutcome({
        type: 'keyspaceCreated',
        keyspaceId: former.record.keyspaceId,
      });
    }
    const placement = [...this.roster.keys()].sort((a, b) => a - b);
    const replication = command.replication || Math.min(replicationDefault, placement.length);
    if (replication < 1 || replication > placement.length) return invalid;
    if (
      this.keyspaces.size >= limits.keyspacesMax ||
      this.nextRegionId - 1 + command.regions > limits.regionsMax
    ) {
      return limitReached;
    }
    const keyspaceId = this.nextKeyspaceId++; // R2
    const record = encodeKeyspace({
      keyspaceId,
      name: command.name,
      mode: command.mode,
      regions: command.regions,
      replicationAsked: command.replication,
      replication,
      firstRegionId: this.nextRegionId,
      placement,
      bounds: command.bounds,
    });
    this.nextRegionId += command.regions;
    this.put(keyspaceKey(keyspaceId), record);
    this.changedRegions.push(this.addKeyspace(record).regions);
    return encodeCommandOutcome({ type: 'keyspaceCreated', keyspaceId });
  }

  private registerNode(node: NodeDescriptor): CommandResult {
    const former = this.roster.get(node.nodeId);
    if (
      former !== undefined &&
      former.peerAddress === node.peerAddress &&
      former.clientAddress === node.clientAddress
    ) {
      return done;
    }
    if (former === undefined && this.roster.size >= limits.nodesMax) return limitReached;
    this.roster.set(node.nodeId, node);
    this.put(nodeKey(node.nodeId), encodeNode(node));
    this.changedNodes.push(node);
    return done;
  }

  private put(key: Uint8Array, value: Uint8Array): void {
    this.state.pendingPuts.push({ key, timestamp: machineTimestamp, value });
  }

  private addKeyspace(bytes: Uint8Array): Keyspace {
    const record = decodeKeyspace(bytes);
    const { keyspaceId, name, mode } = record;
    const keyspace = { record, view: { keyspaceId, name, mode }, regions: regionsOf(record) };
    this.keyspaces.set(name, keyspace);
    return keyspace;
  }

  /** Reads everything back from the engine (R4). */
  private load(): void {
    const engine = this.state.engine;
    this.keyspaces.clear();
    this.roster.clear();
    this.allRegions = undefined;
    const record = engine.get(metaRegionId, metaCountersKey, newest)?.value;
    const counters = record === undefined ? undefined : decodeMetaCounters(record);
    this.nextKeyspaceId = counters?.nextKeyspaceId ?? 1;
    this.nextRegionId = counters?.nextRegionId ?? 1;
    this.revision = counters?.revision ?? 0;
    for (const bytes of recordsIn(engine, keyspaceSpaceStart, keyspaceSpaceEnd)) {
      this.addKeyspace(bytes);
    }
    for (const bytes of recordsIn(engine, nodeSpaceStart, nodeSpaceEnd)) {
      const node = decodeNode(bytes);
      this.roster.set(node.nodeId, node);
    }
  }

  view(keyspace: string | undefined): ClusterView {
    const asked = keyspace === undefined ? undefined : this.keyspaces.get(keyspace);
    const isAll = keyspace === undefined;
    return {
      clusterId: this.clusterId,
      revision: this.revision,
      nodes: this.nodes(),
      keyspaces: isAll ? [...this.keyspaces.values()].map(viewOf) : asked ? [asked.view] : [],
      regions: isAll ? this.descriptors() : (asked?.regions ?? []),
      leaders: [],
    };
  }

  descriptors(): readonly RegionDescriptor[] {
    this.allRegions ??= [...this.keyspaces.values()].flatMap((keyspace) => keyspace.regions);
    return this.allRegions;
  }

  nodes(): readonly NodeDescriptor[] {
    return [...this.roster.values()].sort((a, b) => a.nodeId - b.nodeId);
  }

  query(query: Query, _wallMs: number): QueryOutcome {
    if (query.type !== 'digest') return { type: 'refused', reason: 'invalid' };
    const { records, digest } = digestStore(this.state.engine, metaRegionId);
    return { type: 'digest', appliedIndex: this.state.appliedIndex, records, digest };
  }

  snapshot(): SnapshotSource {
    return this.state.snapshot();
  }

  install(index: number, term: number): SnapshotSink {
    return this.state.install(index, term, () => {
      this.load();
      this.onChange?.({ descriptors: this.descriptors(), nodes: this.nodes() });
    });
  }
}

function viewOf(keyspace: Keyspace): KeyspaceView {
  return keyspace.view;
}

/** Whether a command asks for what stands. Replication: as asked then, or as it came out. */
function isSame(record: KeyspaceRecord, command: CreateKeyspace): boolean {
  return (
    record.mode === command.mode &&
    record.regions === command.regions &&
    (record.replicationAsked === command.replication ||
      record.replication === command.replication) &&
    record.bounds.every((bound, i) => equalBytes(bound, present(command.bounds[i], 'R1')))
  );
}

/** Values of the machine records in [start, end), in key order. */
function* recordsIn(engine: Engine, start: Uint8Array, end: Uint8Array): Generator<Uint8Array> {
  let from = start;
  for (;;) {
    const page = engine.scan(metaRegionId, {
      start: from,
      end,
      isReverse: false,
      at: newest,
      recordsMax: 1_000,
      bytesMax: 4 * 1024 * 1024,
    });
    for (const { value } of page.records) yield present(value, 'machine records are no deletions');
    if (!page.hasMore) return;
    from = successor(present(page.lastKey, 'a page that has more has looked at a key'));
  }
}
