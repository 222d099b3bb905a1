/**
 * Single-key operations on real processes are linearizable (P2): clients of their own connections read
 * and write few keys while the leader's process is killed and restarted, and while the next leader is
 * stopped until another one leads, and wakes. What they were told is judged afterwards.
 */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createPrng, type Prng } from '@moku/base';
import {
  checkFloors,
  checkLinearizable,
  countHistory,
  formatHistory,
  type HistoryEvent,
  HistoryRecorder,
  type Json,
  type OpenOperation,
} from '@moku/sim';
import { connect, type Database, isMokuError, type Keyspace } from 'moku';
import { DevCluster, type DevNode } from 'moku/dev';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

type NodeId = DevNode['nodeId'];

const seed = 4;
const clientCount = 6;
const keys = ['a', 'b', 'c', 'd', 'e'];
/** Short, so that calls end uncertain while a node is stopped. */
const callTimeoutMs = 1_200;
const stoppedMsMin = 500;
const stoppedMsMax = 3_000;
const searchMsMax = 8_000;

/** One client: one call after the other, each written down. */
class Client {
  private readonly process: number;
  private readonly space: Keyspace<number>;
  private readonly recorder: HistoryRecorder;
  private readonly prng: Prng;
  private readonly options = { timeoutMs: callTimeoutMs };

  constructor(process: number, space: Keyspace<number>, recorder: HistoryRecorder, prng: Prng) {
    this.process = process;
    this.space = space;
    this.recorder = recorder;
    this.prng = prng;
  }

  async run(isStopped: () => boolean, nextValue: () => number): Promise<void> {
    while (!isStopped()) await this.step(keys[this.prng.below(keys.length)] ?? 'a', nextValue);
  }

  private async step(key: string, nextValue: () => number): Promise<void> {
    const { space, options } = this;
    const draw = this.prng.below(10);
    if (draw < 4) {
      await this.call('read', key, null, async () => (await space.get(key, options)) ?? null);
    } else if (draw < 6) {
      const value = nextValue();
      await this.call('write', key, value, async () => {
        const result = await space.put(key, value, options);
        return result.applied && result.existed;
      });
    } else if (draw < 7) {
      await this.call('delete', key, null, async () => {
        const result = await space.delete(key, options);
        return result.applied && result.existed;
      });
    } else if (draw < 8) {
      const value = nextValue();
      await this.call('putIfAbsent', key, value, async () => {
        return (await space.put(key, value, { ...options, ifAbsent: true })).applied;
      });
    } else await this.readAndSwap(key, nextValue());
  }

  /** By version; as each write has a value of its own, that is by value. */
  private async readAndSwap(key: string, value: number): Promise<void> {
    const { space, options } = this;
    let version = 0;
    const found = await this.call('read', key, null, async () => {
      const record = await space.getRecord(key, options);
      version = record?.version ?? 0;
      return record?.value ?? null;
    });
    if (found === undefined) return;
    await this.call('cas', key, [found, value], async () => {
      return (await space.put(key, value, { ...options, ifVersion: version })).applied;
    });
  }

  /** The answer, or undefined when there was none. */
  private async call(
    f: HistoryEvent['f'],
    key: string,
    argument: Json,
    act: () => Promise<Json>,
  ): Promise<Json | undefined> {
    const operation: OpenOperation = this.recorder.invoke(this.process, f, key, argument);
    try {
      const answer = await act();
      operation.ok(answer);
      return answer;
    } catch (error) {
      if (!isMokuError(error)) throw error;
      if (error.outcome === 'definite') operation.fail();
      else operation.info();
      return undefined;
    }
  }
}

interface Leader {
  readonly nodeId: NodeId;
  readonly term: number;
}

describe('three node processes, one killed and one stopped', () => {
  const dir = mkdtempSync(join(tmpdir(), 'moku-linearizable-'));
  const databases: Database[] = [];
  let cluster: DevCluster;
  let watcher: Database;
  let regionId: number;

  beforeAll(async () => {
    cluster = await DevCluster.start({ nodes: 3, dir });
    for (let i = 0; i <= clientCount; i++) {
      const addresses = cluster.clientAddresses;
      // Each begins with another node.
      const nodes = [...addresses.slice(i % 3), ...addresses.slice(0, i % 3)];
      databases.push(connect({ nodes }));
    }
    [watcher] = databases as [Database];
    // One region, so that each fault meets the leader of all keys.
    await watcher.keyspace<number>('registers', { mode: 'hash', regions: 1 });
    regionId = await watcher.admin.locate('registers', 'a');
  });

  afterAll(async () => {
    await Promise.all(databases.map((db) => db.close({ graceMs: 500 })));
    await cluster.stop();
    rmSync(dir, { recursive: true, force: true });
  });

  /** Who says that it leads in a term above `termMin`; polled, as nobody may for a moment. */
  async function leaderAbove(termMin: number, except?: NodeId): Promise<Leader> {
    const asked = cluster.nodes.filter(({ nodeId }) => nodeId !== except);
    let leader: Leader | undefined;
    const look = async (): Promise<boolean> => {
      const reports = await Promise.all(asked.map(({ nodeId }) => replicaOn(nodeId)));
      const leaders = reports.filter(({ isLeader, term }) => isLeader && term > termMin);
      leader = leaders.sort((a, b) => b.term - a.term)[0];
      return leader !== undefined;
    };
    await expect.poll(look, { timeout: 15_000, interval: 50 }).toBe(true);
    if (leader === undefined) throw new Error('polled until there is one');
    return leader;
  }

  async function replicaOn(nodeId: NodeId): Promise<Leader & { readonly isLeader: boolean }> {
    const reports = await watcher.admin.regions(nodeId, { timeoutMs: 1_000 });
    const own = reports.find((report) => report.regionId === regionId);
    return { nodeId, term: own?.term ?? 0, isLeader: own?.role === 'leader' };
  }

  it('give answers that one order of all operations explains', async () => {
    const prng = createPrng(seed);
    const recorder = new HistoryRecorder(() => performance.now());
    const spaces = await Promise.all(
      databases.slice(1).map((db) => db.keyspace<number>('registers')),
    );
    let value = 0;
    let isStopped = false;
    const nextValue = (): number => ++value;
    const running = spaces.map((space, process) =>
      new Client(process, space, recorder, prng.split()).run(() => isStopped, nextValue),
    );
    let observed: Observed;
    try {
      observed = await disturb(recorder.events);
    } finally {
      isStopped = true;
      await Promise.all(running);
    }
    judge(recorder.events, observed);
  });

  /** Kills a leader and starts it again, then stops the next one; between them clients go on. */
  async function disturb(events: readonly HistoryEvent[]): Promise<Observed> {
    const answered = async (count: number): Promise<void> => {
      const target = events.length + count;
      const wait = { timeout: 20_000, interval: 20 };
      await expect.poll(() => events.length, wait).toBeGreaterThan(target);
    };
    const observed = { killed: 0, stopped: 0, leaderChanges: 0 };
    await answered(400);
    const first = await leaderAbove(0);
    await cluster.kill(first.nodeId, 'SIGKILL');
    observed.killed += 1;
    await leaderAbove(first.term, first.nodeId);
    observed.leaderChanges += 1;
    await answered(400);
    cluster.spawn(first.nodeId);
    await cluster.ready(first.nodeId);
    await answered(400);

    const second = await leaderAbove(first.term);
    await cluster.kill(second.nodeId, 'SIGSTOP');
    observed.stopped += 1;
    const startMs = performance.now();
    const change = leaderAbove(second.term, second.nodeId).then(() => {
      observed.leaderChanges += 1;
    });
    const isEnough = (): boolean => {
      const stoppedMs = performance.now() - startMs;
      return stoppedMs > (observed.leaderChanges === 2 ? stoppedMsMin : stoppedMsMax);
    };
    await expect.poll(isEnough, { timeout: 2 * stoppedMsMax, interval: 20 }).toBe(true);
    await cluster.kill(second.nodeId, 'SIGCONT');
    // The former leader wakes among those who ask it.
    await Promise.all([answered(600), change]);
    return observed;
  }
});

interface Observed {
  readonly killed: number;
  readonly stopped: number;
  readonly leaderChanges: number;
}

function judge(events: readonly HistoryEvent[], observed: Observed): void {
  const time = { nowMs: () => performance.now(), msMax: searchMsMax };
  const { verdict, keys: keyCount } = checkLinearizable(events, { time });
  if (verdict.verdict !== 'pass') {
    const file = join(mkdtempSync(join(tmpdir(), 'moku-history-')), 'history.jsonl');
    writeFileSync(file, formatHistory(events));
    expect.fail(`${verdict.verdict} (seed ${seed}, history in ${file})\n${verdict.explanation}`);
  }
  expect(keyCount).toBe(keys.length);
  const floors = {
    reads: 300,
    acknowledged: 300,
    killed: 1,
    stopped: 1,
    leaderChanges: 2,
  };
  const counted = checkFloors({ ...countHistory(events), ...observed }, floors);
  expect(counted).toEqual({ verdict: 'pass' });
  expect(checkLinearizable(withStaleRead(events), { time }).verdict.verdict).toBe('fail');
}

/** The last read finds what the first one found that found something. */
function withStaleRead(events: readonly HistoryEvent[]): HistoryEvent[] {
  const isRead = ({ f, type }: HistoryEvent): boolean => f === 'read' && type === 'ok';
  const last = events.findLast(isRead);
  const first = events.find(
    (event) => isRead(event) && event.key === last?.key && event.value !== null,
  );
  return events.map((event) =>
    event === last ? { ...event, value: first?.value ?? null } : event,
  );
}
