/**
 * A group of test nodes and the network between them: a list of messages under way, delivered, dropped,
 * repeated and reordered as the test says. Everything is done by explicit steps; after each one the
 * invariants are checked.
 */
import { assert, type ReplicaId } from '@moku/base';
import { confStateOf, type Message, type RaftLimits, type Ready } from '../../src/index.js';
import { Invariants } from './invariants.js';
import { noConf, type Picture, TestNode } from './test-node.js';

export interface GroupOptions {
  readonly electionTicks?: number;
  readonly heartbeatTicks?: number;
  readonly seed?: number;
  readonly limits?: Partial<RaftLimits>;
}

/** Who watches what happens, e.g. to write it down. */
export interface GroupTrace {
  sent(message: Message): void;
  dropped(message: Message, reason: string): void;
  /** A Ready was taken; its messages and committed entries come next. */
  readied(node: TestNode, ready: Ready): void;
  /** Something happened to the node: its state may have changed. */
  touched(node: TestNode): void;
}

const silent: GroupTrace = {
  sent: () => {},
  dropped: () => {},
  readied: () => {},
  touched: () => {},
};
/** Messages under way; beyond, the oldest are lost, as on a real network. */
const networkMax = 2_000;

export class Group {
  readonly nodes: TestNode[] = [];
  readonly invariants: Invariants = new Invariants();
  network: Message[] = [];
  trace: GroupTrace = silent;
  private readonly options: GroupOptions;
  /** `from>to` pairs that lose every message. */
  private readonly cuts = new Set<string>();
  private readonly pictures = new Map<string, Picture>();

  constructor(
    voters: readonly number[],
    learners: readonly number[] = [],
    options: GroupOptions = {},
  ) {
    this.options = options;
    const confState = confStateOf(voters as ReplicaId[], learners as ReplicaId[]);
    for (const id of [...voters, ...learners]) this.addNode(id, confState);
  }

  /** A replica without log or configuration, to be told by a leader. */
  add(id: number): TestNode {
    return this.addNode(id, noConf);
  }

  private addNode(id: number, confState: typeof noConf): TestNode {
    const node = new TestNode(id as ReplicaId, confState, {
      electionTicks: this.options.electionTicks ?? 10,
      heartbeatTicks: this.heartbeatTicks,
      seed: this.options.seed ?? 1,
      limits: this.options.limits ?? {},
    });
    this.nodes.push(node);
    return node;
  }

  get heartbeatTicks(): number {
    return this.options.heartbeatTicks ?? 1;
  }

  node(id: number): TestNode {
    const found = this.nodes.find((node) => node.id === id);
    assert(found !== undefined, `there is a node ${id}`);
    return found;
  }

  get leader(): TestNode | undefined {
    let best: TestNode | undefined;
    for (const node of this.nodes) {
      if (node.isDown || node.raft.role !== 'leader') continue;
      if (best === undefined || node.raft.term > best.raft.term) best = node;
    }
    return best;
  }

  /** After anything was done to `node` directly. */
  touched(node: TestNode): void {
    this.trace.touched(node);
    this.invariants.check(this.nodes);
  }

  // ---- Steps of a node.

  tick(node: TestNode, ticks = 1): void {
    for (let i = 0; i < ticks && !node.isDown; i++) node.raft.tick();
    this.touched(node);
  }

  turn(node: TestNode): boolean {
    if (node.isDown) return false;
    const ready = node.turn(
      (message) => this.post(node, message),
      (taken) => this.trace.readied(node, taken),
    );
    if (ready === undefined) return false;
    this.takeReads(node);
    this.invariants.turned(node, this.nodes);
    this.touched(node);
    return true;
  }

  sync(node: TestNode, batches?: number): boolean {
    if (node.isDown || (node.unsynced === 0 && !node.holdsMessages)) return false;
    node.sync((message) => this.post(node, message), batches);
    this.touched(node);
    return true;
  }

  read(node: TestNode, context: number): string {
    this.invariants.readAsked(node, context);
    const result = node.raft.readIndex(context);
    if (result !== 'accepted') this.invariants.readRefused(node, context);
    return result;
  }

  private takeReads(node: TestNode): void {
    for (const { context, index } of node.answered) {
      this.invariants.readAnswered(node, context, index);
    }
    for (const context of node.refused) this.invariants.readRefused(node, context);
    node.answered = [];
    node.refused = [];
  }

  crash(node: TestNode, batchesKept = 0): void {
    node.crash(batchesKept);
    this.invariants.crashed(node);
    this.invariants.check(this.nodes);
  }

  restart(node: TestNode): void {
    node.restart();
    this.touched(node);
  }

  /** The content of the snapshot that `node` wants arrives. */
  install(node: TestNode): boolean {
    const { wanted } = node;
    if (node.isDown || wanted === undefined) return false;
    const picture = this.pictures.get(`${wanted.term}/${wanted.index}`);
    assert(picture !== undefined, 'an offered snapshot was taken');
    const isInstalled = node.install(picture);
    if (isInstalled) this.invariants.installed(node);
    this.touched(node);
    return isInstalled;
  }

  // ---- The network.

  private post(node: TestNode, message: Message): void {
    this.invariants.sent(node, message);
    if (message.type === 'snapshot') {
      const picture = node.picture();
      assert(
        picture.meta.index === message.snapshot.index,
        'a snapshot stands for what is applied',
      );
      this.pictures.set(`${message.snapshot.term}/${message.snapshot.index}`, picture);
    }
    this.trace.sent(message);
    if (this.cuts.has(`${message.from}>${message.to}`)) {
      this.trace.dropped(message, 'cut');
      return;
    }
    this.network.push(message);
    if (this.network.length > networkMax) this.network.shift();
  }

  /** Delivers the message at `place` of those under way; `isKept` leaves a copy of it there. */
  deliverAt(place: number, isKept = false): void {
    const message = this.network[place];
    if (message === undefined) return;
    if (!isKept) this.network.splice(place, 1);
    this.deliver(message);
  }

  deliver(message: Message): void {
    const node = this.nodes.find((each) => each.id === message.to);
    if (node === undefined || node.isDown) {
      this.trace.dropped(message, 'nobody there');
      return;
    }
    node.raft.step(message);
    this.touched(node);
  }

  cut(from: number, to: number): void {
    this.cuts.add(`${from}>${to}`);
    this.network = this.network.filter((each) => each.from !== from || each.to !== to);
  }

  isolate(id: number): void {
    for (const node of this.nodes) {
      if (node.id === id) continue;
      this.cut(id, node.id);
      this.cut(node.id, id);
    }
  }

  heal(): void {
    this.cuts.clear();
  }

  isCut(from: number, to: number): boolean {
    return this.cuts.has(`${from}>${to}`);
  }

  /**
   * Turns, syncs and delivers until nothing is left to do. Throws after `roundsMax` rounds. Nodes not in
   * `among` (all by default) do nothing; messages to them stay.
   */
  stabilize(among: readonly TestNode[] = this.nodes, roundsMax = 500): void {
    for (let round = 0; round < roundsMax; round++) {
      let isQuiet = true;
      for (const node of among) {
        if (this.turn(node)) isQuiet = false;
        if (this.sync(node)) isQuiet = false;
        if (this.install(node)) isQuiet = false;
      }
      const due: Message[] = [];
      const rest: Message[] = [];
      for (const message of this.network) {
        const isAmong = among.some((node) => node.id === message.to);
        (isAmong ? due : rest).push(message);
      }
      this.network = rest;
      for (const message of due) this.deliver(message);
      if (due.length > 0) isQuiet = false;
      if (isQuiet) return;
    }
    assert(false, `the group is quiet after ${roundsMax} rounds`);
  }

  /** Ticks every node and stabilizes, until `isDone`. Throws after `ticksMax` ticks. */
  run(isDone: () => boolean, ticksMax = 200): void {
    for (let i = 0; i < ticksMax; i++) {
      if (isDone()) return;
      for (const node of this.nodes) if (!node.isDown) this.tick(node);
      this.stabilize();
    }
    assert(isDone(), `what was awaited came within ${ticksMax} ticks`);
  }
}
