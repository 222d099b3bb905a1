/**
 * The vocabulary of stories: what they do to a cluster, wait for and expect. Time passes only in what is
 * awaited. What is not as expected ends the story.
 *
 * Invariant V1: whatever a story does, the cluster is held to all invariants at the same time.
 */
import type { NodeId, Prng, RegionId } from '@moku/base';
import type { RegionHost } from '@moku/region';
import type { SimCluster } from '../run/cluster.js';
import type { Harm } from '../run/damage.js';
import type { DiskPart } from '../world/disk-port.js';
import type { SimNode } from '../world/sim-node.js';
import { type Answer, type Call, Calls } from './calls.js';
import { Links } from './links.js';
import { type Sent, Sight } from './sight.js';

/** The longest time without a leader until a replica campaigns, in virtual milliseconds. */
export const electionTimeoutMs = 1_000;
const answerMs = 60_000;
const momentMs = 20_000;
const restMs = 60_000;

/** Ends a story that was not as expected; why is the cluster's failure. */
export class StoryEnded extends Error {}

export interface Expected {
  /** Region 1, the first of the clients' keyspace, when absent. */
  readonly region?: number;
  /** One of these. */
  readonly among?: readonly number[];
  /** Default 6: two rounds that end without a winner are allowed. */
  readonly withinElectionTimeouts?: number;
}

type ReadKind = 'open' | Parameters<Parameters<RegionHost['read']>[1]>[0]['kind'];

export class Stage {
  readonly cluster: SimCluster;
  readonly links: Links;
  readonly calls: Calls;
  readonly see: Sight;
  readonly sent: Sent;
  private readonly chance: Prng;
  private readonly dead = new Set<SimNode>();

  constructor(cluster: SimCluster, sent: Sent, chance: Prng) {
    this.cluster = cluster;
    this.chance = chance;
    this.links = new Links(cluster);
    this.calls = new Calls(cluster.clients);
    this.see = new Sight(cluster.nodes);
    this.sent = sent;
  }

  get nowMs(): number {
    return this.cluster.scheduler.nowMs;
  }

  /** All nodes but these. */
  others(...nodes: readonly number[]): NodeId[] {
    return this.see.nodes.map(({ nodeId }) => nodeId).filter((id) => !nodes.includes(id));
  }

  /** Two other nodes. */
  twoOthers(...nodes: readonly number[]): readonly [NodeId, NodeId] {
    const [a, b] = this.others(...nodes);
    if (a === undefined || b === undefined) throw new RangeError('the cluster is too small');
    return [a, b];
  }

  // ---- Processes.

  crash(...nodes: readonly number[]): void {
    for (const node of nodes) this.see.node(node).crash();
  }

  start(...nodes: readonly number[]): void {
    for (const node of nodes) {
      if (!this.see.node(node).isRunning) this.see.node(node).start();
    }
  }

  restart(...nodes: readonly number[]): void {
    this.crash(...nodes);
    this.start(...nodes);
  }

  /** It never comes back, also not for the story's end. */
  bury(node: number): void {
    this.crash(node);
    this.see.node(node).isRetired = true;
    this.dead.add(this.see.node(node));
  }

  pause(node: number, ms: number): void {
    this.see.node(node).pause(ms);
  }

  /** Its wall clock is this much ahead from now on; negative: behind. */
  jumpClock(node: number, ms: number): void {
    this.see.node(node).wallOffsetMs = ms;
  }

  clockRate(node: number, rate: number): void {
    this.see.node(node).setRate(rate);
  }

  /** Asks the leader to hand over to `to`. False when it cannot now. */
  transfer(to: number, region = 1): boolean {
    const leader =
      this.see.leader(region) ??
      this.see.nodes.find(({ nodeId }) => this.see.isLeader(nodeId, region))?.nodeId;
    const host = leader === undefined ? undefined : this.see.node(leader).running?.host;
    return host?.transferLeadership(region as RegionId, to as NodeId) === true;
  }

  // ---- Disks.

  /** Its next sync does not come back until `freeSyncs`. One that is under way still does. */
  hangSyncs(node: number): void {
    this.cluster.disturbance.hangingSyncs.add(node as NodeId);
  }

  freeSyncs(node: number): void {
    this.cluster.disturbance.hangingSyncs.delete(node as NodeId);
    this.see.node(node).disk.mend();
  }

  /** Its next sync reports an error. */
  failSync(node: number): void {
    this.see.node(node).isDiskBroken = true;
    this.see.node(node).disk.failSync();
  }

  /** Bits of what is synced become others, while no process runs; it starts again by `start`. */
  flipBits(node: number, bits: number): void {
    const { disk } = this.harmed(node, 'corrupt');
    for (let bit = 0; bit < bits; bit++) disk.flipBit(this.chance);
  }

  /** What its log synced last is gone. */
  loseSyncedSuffix(node: number): void {
    const { disk } = this.harmed(node, 'amnesiac');
    this.expect(disk.loseSyncedSuffix(this.chance), () => 'there was nothing to lose');
  }

  wipe(node: number, part: DiskPart = 'all'): void {
    this.harmed(node, part === 'engine' ? 'corrupt' : 'replaced').disk.wipe(part);
  }

  /** Two nodes that are down get each other's disks, or their own again. */
  exchangeDisks(a: number, b: number): void {
    const [one, other] = [this.see.node(a), this.see.node(b)];
    this.crash(a, b);
    one.disk.exchange(other.disk);
    for (const node of [one, other]) node.hasForeignDisk = !node.hasForeignDisk;
  }

  /** No space is left on it, until `free`. */
  fill(node: number): void {
    this.see.node(node).isDiskFull = true;
    this.see.node(node).disk.fill();
  }

  free(node: number): void {
    this.see.node(node).isDiskFull = false;
    this.see.node(node).disk.free();
  }

  private harmed(nodeId: number, harm: Harm): SimNode {
    const node = this.see.node(nodeId);
    node.crash();
    node.harm = harm;
    return node;
  }

  // ---- Time.

  async advance(ms: number): Promise<void> {
    const untilMs = this.nowMs + ms;
    await this.cluster.advance(() => this.cluster.scheduler.nextAtMs() > untilMs);
    this.goOn();
  }

  /** The first moment, event by event, at which `isTrue`. */
  async moment(what: string, isTrue: () => boolean, withinMs: number = momentMs): Promise<void> {
    const dueMs = this.nowMs + withinMs;
    let isMet = isTrue();
    if (!isMet) {
      await this.cluster.advance(() => {
        isMet = isTrue();
        return isMet || this.nowMs > dueMs;
      });
    }
    this.goOn();
    this.expect(isMet, () => `not within ${withinMs} ms: ${what}`);
  }

  // ---- Clients.

  /** Waits for the answer, whatever it is. */
  async answer<T>(call: Call<T>, withinMs: number = answerMs): Promise<Answer<T>> {
    const dueMs = this.nowMs + withinMs;
    await this.cluster.advance(() => call.isOver || this.nowMs > dueMs);
    this.goOn();
    const { answer } = call;
    if (answer === undefined) return this.unmet(`${call.what}: no answer in ${withinMs} ms`);
    return answer;
  }

  /** Waits for the answer, which must not be an error. */
  async ok<T>(call: Call<T>, withinMs: number = answerMs): Promise<T> {
    const answer = await this.answer(call, withinMs);
    if (answer.kind === 'ok') return answer.value;
    return this.unmet(`${call.what}: ${answer.code}, ${answer.outcome}`);
  }

  async put(key: string, withinMs: number = answerMs): Promise<void> {
    await this.ok(this.calls.put(key, withinMs), withinMs);
  }

  async get(key: string, withinMs: number = answerMs): Promise<string | undefined> {
    return this.ok(this.calls.get(key, withinMs), withinMs);
  }

  /** Values of `bytes` bytes under new keys, one after the other, unknown to the history. */
  async load(values: number, bytes: number): Promise<void> {
    const value = 'x'.repeat(bytes);
    await this.ok(
      this.calls.plain('load', async (keyspace) => {
        // One after the other: each is an entry of its own.
        for (let i = 0; i < values; i++) await keyspace.put(`load/${this.nowMs}/${i}`, value);
      }),
    );
  }

  /** Asks the replica itself for a read point; what it says so far is in the result. */
  readAt(node: number, region = 1): { kind: ReadKind } {
    const result: { kind: ReadKind } = { kind: 'open' };
    this.see.node(node).run(() => {
      this.see.node(node).running?.host.read(region as RegionId, ({ kind }) => {
        result.kind = kind;
      });
    });
    return result;
  }

  // ---- Expectations.

  /** Waits until somebody leads the region in its newest term. */
  async elected({ region = 1, among, ...bound }: Expected = {}): Promise<NodeId> {
    const { withinElectionTimeouts = 6 } = bound;
    const isElected = (): boolean => {
      const leader = this.see.leader(region);
      return leader !== undefined && (among?.includes(leader) ?? true);
    };
    const what = `a leader of region ${region} among ${among?.join() ?? 'all'}`;
    await this.moment(what, isElected, withinElectionTimeouts * electionTimeoutMs);
    return this.see.leader(region)!;
  }

  /** For so long nobody is elected in the region, and who led leads on. */
  async sameLeader(ms: number, region = 1): Promise<void> {
    const leader = this.see.leader(region);
    await this.nobodyElected(ms, region);
    const now = this.see.leader(region);
    this.expect(now === leader, () => `${leader} led, ${now} leads`);
  }

  /** For so long nobody is elected in the region. */
  async nobodyElected(ms: number, region = 1): Promise<void> {
    const before = this.sent.elections(region);
    await this.advance(ms);
    const elections = this.sent.elections(region) - before;
    this.expect(elections === 0, () => `${elections} elections in ${ms} ms`);
  }

  /** Nothing under way, nobody awake. */
  async rest(withinMs: number = restMs): Promise<void> {
    await this.cluster.until(
      () => this.see.whyAwake() === undefined,
      this.nowMs + withinMs,
      () => this.see.whyAwake() ?? 'awake',
    );
    this.goOn();
  }

  /** Waits until the replica on `node` has applied what the leader has. */
  async caughtUp(node: number, withinMs: number, region = 1): Promise<void> {
    const isEqual = (): boolean => {
      const leader = this.see.leader(region);
      if (leader === undefined) return false;
      const last = this.see.lastIndex(leader, region);
      return this.see.appliedIndex(node, region) === last && !this.see.isInstalling(node, region);
    };
    await this.moment(`node ${node} caught up`, isEqual, withinMs);
  }

  expect(isTrue: boolean, what: () => string): void {
    if (!isTrue) this.unmet(what());
  }

  expectEqual<T>(what: string, value: T, expected: T): void {
    this.expect(value === expected, () => `${what} is ${String(value)}, not ${String(expected)}`);
  }

  unmet(what: string): never {
    this.cluster.report('the story is as told', what);
    throw new StoryEnded(what);
  }

  /** Whether the node was buried. */
  isBuried(node: SimNode): boolean {
    return this.dead.has(node);
  }

  private goOn(): void {
    const { failure } = this.cluster;
    if (failure !== undefined) throw new StoryEnded(failure.what);
  }
}
