/**
 * What applying costs: `npx tsx packages/kv/bench/kv.bench.ts`. Entries are made before the clock runs;
 * a command is one put of a 38-byte key and a 100-byte value. `machine only` stores and finds nothing,
 * so that what is left is decoding, judging, deduplication and encoding.
 */
import {
  emptyBytes,
  type NodeDescriptor,
  type NodeId,
  type RegionDescriptor,
  type RegionId,
  type ReplicaId,
  utf8,
} from '@moku/base';
import { decodeCommand, encodeCommand } from '../src/command-codec.js';
import { decodeCommandOutcome } from '../src/command-outcome-codec.js';
import type { Command } from '../src/commands.js';
import type { Engine } from '../src/contracts/engine.js';
import type { KvMachine } from '../src/contracts/machine.js';
import { encodeEntry } from '../src/entry.js';
import { storedKey } from '../src/keys.js';
import { createKvMachine } from '../src/kv-machine.js';
import { createMemoryEngine } from '../src/memory-engine.js';
import { createMetaMachine } from '../src/meta/meta-machine.js';

const commandsTotal = 200_000;
const wallMs = Date.UTC(2025, 5, 1);
const replicaId = 1 as ReplicaId;
const value = utf8('v'.repeat(100));
const noSession = { sessionId: 0, sequence: 0, answeredBelow: 0 };

const region: RegionDescriptor = {
  regionId: 1 as RegionId,
  keyspaceId: 1,
  startKey: emptyBytes,
  endKey: undefined,
  epoch: { version: 1, config: 1 },
  replicas: [{ replicaId, nodeId: 1 as NodeId, isLearner: false }],
};

/** CPU time, its own threads' included: the figure stands on a busy machine too. */
function report(name: string, count: number, unit: string, run: () => void): void {
  const began = process.cpuUsage();
  run();
  const { user, system } = process.cpuUsage(began);
  const elapsedUs = user + system;
  const perSecond = Math.round((count / elapsedUs) * 1e6).toLocaleString('en');
  const each = (elapsedUs / count).toFixed(2);
  process.stdout.write(
    `${name.padEnd(46)} ${perSecond.padStart(12)} ${unit}/CPU s ${each.padStart(10)} µs\n`,
  );
}

function emptyEngine(): Engine {
  const engine = createMemoryEngine();
  engine.write = () => {};
  engine.get = () => undefined;
  return engine;
}

class Applier {
  private readonly machine: KvMachine;
  private index = 0;

  constructor(engine: Engine) {
    this.machine = createKvMachine({ descriptor: region, replicaId, engine });
  }

  apply(data: Uint8Array): readonly Uint8Array[] {
    this.index += 1;
    return this.machine.apply({ term: 1, index: this.index, kind: 'normal', data });
  }

  openSession(): number {
    const bytes = this.apply(encodeEntry([encodeCommand({ type: 'openSession' })], wallMs))[0]!;
    const outcome = decodeCommandOutcome(bytes);
    return outcome.type === 'sessionOpened' ? outcome.sessionId : 0;
  }
}

interface Load {
  readonly distinctKeys: number;
  readonly perEntry: number;
  readonly sessionId: number;
}

function put(i: number, load: Load): Uint8Array {
  const key = storedKey(
    'hash',
    utf8(`US/CA/place-${String(i % load.distinctKeys).padStart(16, '0')}`),
  );
  const answeredBelow = Math.max(1, i - 500);
  const session =
    load.sessionId === 0 ? noSession : { sessionId: load.sessionId, sequence: i, answeredBelow };
  return encodeCommand({
    type: 'write',
    session,
    epochVersion: 1,
    operations: [{ type: 'put', key, value, condition: undefined, ttlMs: undefined }],
  });
}

function entriesOf(load: Load): Uint8Array[] {
  const entries: Uint8Array[] = [];
  for (let i = 1; i <= commandsTotal; ) {
    const commands: Uint8Array[] = [];
    while (commands.length < load.perEntry && i <= commandsTotal) commands.push(put(i++, load));
    entries.push(encodeEntry(commands, wallMs));
  }
  return entries;
}

function benchApply(
  name: string,
  engine: Engine,
  plan: { perEntry: number; distinctKeys: number; isDeduplicated: boolean },
): void {
  const applier = new Applier(engine);
  const sessionId = plan.isDeduplicated ? applier.openSession() : 0;
  const entries = entriesOf({ ...plan, sessionId });
  report(name, commandsTotal, 'commands', () => {
    for (const entry of entries) applier.apply(entry);
  });
}

function benchCodec(): void {
  const load = { distinctKeys: 20_000, perEntry: 1, sessionId: 12_345_678_901 };
  const commands = Array.from({ length: commandsTotal }, (_, i) => put(i + 1, load));
  report('decode a command of one put', commandsTotal, 'commands', () => {
    for (const command of commands) decodeCommand(command);
  });
}

function benchMeta(): void {
  const machine = createMetaMachine({ engine: createMemoryEngine(), replicaId });
  const node: NodeDescriptor = { nodeId: 1 as NodeId, peerAddress: 'a:1', clientAddress: 'a:2' };
  const create: Command = {
    type: 'createKeyspace',
    session: noSession,
    name: 'huge',
    mode: 'hash',
    regions: 100_000,
    bounds: [],
    replication: 0,
  };
  const commands = [encodeCommand({ type: 'registerNode', node }), encodeCommand(create)];
  const data = encodeEntry(commands, wallMs);
  report('createKeyspace of 100,000 regions', 1, 'keyspaces', () => {
    machine.apply({ term: 1, index: 1, kind: 'normal', data });
  });
}

function main(): void {
  const many = { distinctKeys: commandsTotal, isDeduplicated: true };
  const few = { distinctKeys: 5_000, isDeduplicated: true };
  benchCodec();
  for (const perEntry of [1, 100]) {
    const entries = `${perEntry} per entry`;
    benchApply(`machine only, ${entries}`, emptyEngine(), { ...many, perEntry });
    benchApply(`machine only, not deduplicated, ${entries}`, emptyEngine(), {
      ...many,
      perEntry,
      isDeduplicated: false,
    });
    benchApply(`memory engine, new keys, ${entries}`, createMemoryEngine(), { ...many, perEntry });
    benchApply(`memory engine, replaced keys, ${entries}`, createMemoryEngine(), {
      ...few,
      perEntry,
    });
  }
  benchMeta();
}

main();
