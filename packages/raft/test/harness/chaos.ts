/**
 * Random life of a group: each move is three numbers, so that fast-check can draw and shrink them. Moves
 * that are impossible at the moment do nothing. What is allowed is what the fault model allows: messages
 * lost, repeated, reordered; crashes that keep any prefix of the unsynced batches; logs compacted and
 * evicted; conflicting campaigns; changes of the configuration.
 */
import { emptyBytes, type ReplicaId, utf8 } from '@moku/base';
import { type ConfChangeStep, isJoint } from '../../src/index.js';
import type { Group } from './group.js';
import { regionId, type TestNode } from './test-node.js';

export type Move = readonly [kind: number, a: number, b: number];

export interface ChaosOptions {
  /** Configuration changes among all nodes of the group. */
  readonly withConfChanges: boolean;
}

type Act = (chaos: Chaos, a: number, b: number) => void;

export class Chaos {
  readonly group: Group;
  readonly options: ChaosOptions;
  /** How often each kind of move did something. */
  readonly counts: Record<string, number> = {};
  private context = 0;
  private proposals = 0;

  constructor(group: Group, options: ChaosOptions) {
    this.group = group;
    this.options = options;
  }

  move([kind, a, b]: Move): void {
    const name = table[kind % table.length]!;
    acts[name]!(this, a, b);
  }

  count(name: string): void {
    this.counts[name] = (this.counts[name] ?? 0) + 1;
  }

  nodeAt(a: number): TestNode {
    return this.group.nodes[a % this.group.nodes.length]!;
  }

  runningAt(a: number): TestNode | undefined {
    const node = this.nodeAt(a);
    return node.isDown ? undefined : node;
  }

  propose(node: TestNode): void {
    this.proposals++;
    const result = node.raft.propose(utf8(`p${this.proposals}`));
    if (result.kind === 'accepted') this.count('proposed');
  }

  read(node: TestNode): void {
    this.context++;
    if (this.group.read(node, this.context) === 'accepted') this.count('read');
  }

  changeConf(node: TestNode, a: number, b: number): void {
    const { raft } = node;
    if (raft.role !== 'leader') return;
    if (isJoint(raft.confState) && !raft.confState.autoLeave) {
      const left = raft.proposeConfChange({ steps: [], context: emptyBytes });
      if (left.kind === 'accepted') this.count('leftJoint');
      return;
    }
    if (isJoint(raft.confState)) return;
    const steps = this.stepsFor(node, a, b);
    if (steps.length === 0) return;
    const transition = b % 3 === 0 ? 'jointExplicit' : 'auto';
    const result = raft.proposeConfChange({ steps, context: emptyBytes, transition });
    if (result.kind === 'accepted') this.count('confChanged');
  }

  /** One or two steps that leave at least two voters. */
  private stepsFor(node: TestNode, a: number, b: number): ConfChangeStep[] {
    const { voters } = node.raft.confState;
    const ids = this.group.nodes.map((each) => each.id);
    const first = ids[a % ids.length]!;
    const steps = [this.stepFor(first, b)];
    if (b % 2 === 1) {
      const second = ids[(a + 1 + (b % (ids.length - 1))) % ids.length]!;
      if (second !== first) steps.push(this.stepFor(second, b >> 2));
    }
    let left = voters.length;
    for (const step of steps) {
      if (step.type === 'addVoter') left += voters.includes(step.replicaId) ? 0 : 1;
      else left -= voters.includes(step.replicaId) ? 1 : 0;
    }
    return left >= 2 ? steps : [];
  }

  private stepFor(replicaId: ReplicaId, b: number): ConfChangeStep {
    const kinds = ['addVoter', 'addVoter', 'addLearner', 'remove'] as const;
    return { type: kinds[b % 4]!, replicaId };
  }
}

const acts: Record<string, Act> = {
  nothing: () => {},
  deliver: ({ group }, a) => {
    if (group.network.length > 0) group.deliverAt(a % group.network.length);
  },
  deliverFirst: ({ group }, a) => {
    for (let i = 0; i <= a % 8; i++) group.deliverAt(0);
  },
  duplicate: ({ group }, a) => {
    if (group.network.length > 0) group.deliverAt(a % group.network.length, true);
  },
  drop: ({ group }, a) => {
    if (group.network.length > 0) group.network.splice(a % group.network.length, 1);
  },
  turn: (chaos, a) => {
    chaos.group.turn(chaos.nodeAt(a));
  },
  sync: (chaos, a, b) => {
    const node = chaos.nodeAt(a);
    chaos.group.sync(node, b % 4 === 0 ? undefined : 1 + (b % 2));
  },
  work: (chaos, a) => {
    const node = chaos.nodeAt(a);
    chaos.group.turn(node);
    chaos.group.sync(node);
    chaos.group.turn(node);
  },
  tick: (chaos, a, b) => {
    const node = chaos.runningAt(a);
    if (node !== undefined) chaos.group.tick(node, 1 + (b % 6));
  },
  campaign: (chaos, a) => {
    chaos.runningAt(a)?.raft.campaign();
  },
  propose: (chaos, a) => {
    // A leader of a former term may still believe in itself.
    const leaders = chaos.group.nodes.filter((node) => !node.isDown && node.raft.role === 'leader');
    const node = leaders[a % Math.max(1, leaders.length)];
    if (node !== undefined) chaos.propose(node);
  },
  read: (chaos, a) => {
    const node = chaos.runningAt(a);
    if (node !== undefined) chaos.read(node);
  },
  crash: (chaos, a, b) => {
    const node = chaos.runningAt(a);
    if (node === undefined) return;
    chaos.count('crashed');
    chaos.group.crash(node, b % (node.unsynced + 1));
  },
  restart: ({ group }) => {
    const node = group.nodes.find((each) => each.isDown);
    if (node !== undefined) group.restart(node);
  },
  restartAll: ({ group }) => {
    for (const node of group.nodes) if (node.isDown) group.restart(node);
  },
  cut: (chaos, a, b) => {
    const [from, to] = [chaos.nodeAt(a), chaos.nodeAt(b)];
    if (from !== to) chaos.group.cut(from.id, to.id);
  },
  isolate: (chaos, a) => chaos.group.isolate(chaos.nodeAt(a).id),
  heal: ({ group }) => group.heal(),
  transfer: (chaos, a, b) => {
    const node = chaos.group.leader ?? chaos.runningAt(b);
    if (node?.raft.transferLeader(chaos.nodeAt(a).id)) chaos.count('transferred');
  },
  checkpoint: (chaos, a) => chaos.runningAt(a)?.checkpoint(),
  compact: (chaos, a, b) => {
    const node = chaos.runningAt(a);
    if (node === undefined) return;
    node.checkpoint();
    if (node.compact(node.appliedIndex - (b % 3))) chaos.count('compacted');
  },
  install: (chaos, a) => {
    if (chaos.group.install(chaos.nodeAt(a))) chaos.count('installed');
  },
  snapshotFailed: (chaos, a, b) => {
    chaos.group.leader?.raft.reportSnapshot(chaos.nodeAt(a).id, b % 2 === 0);
  },
  evict: (chaos, a) => {
    const node = chaos.runningAt(a);
    if (node?.unsynced === 0) node.store.evict(regionId);
  },
  fetch: (chaos, a) => chaos.runningAt(a)?.store.fetch(),
  confChange: (chaos, a, b) => {
    if (!chaos.options.withConfChanges) return;
    const node = chaos.group.leader;
    if (node !== undefined) chaos.changeConf(node, a, b);
  },
  attach: (chaos, a, b) => {
    const node = chaos.runningAt(a);
    node?.raft.setAttached(b % 2 === 0);
    if (node?.raft.isAttached) chaos.count('attached');
  },
  reset: (chaos, a, b) => {
    const node = chaos.group.leader ?? chaos.runningAt(b);
    const peer = chaos.nodeAt(a).id;
    if (node === undefined || node.id === peer) return;
    node.raft.peerReset(peer);
    if (b % 2 === 0) node.raft.probe(peer);
  },
  probe: (chaos, a) => {
    for (const node of chaos.group.nodes) {
      if (node.isDown || node.raft.role !== 'leader') continue;
      node.raft.probe(chaos.nodeAt(a).id);
    }
  },
  silent: (chaos, a, b) => chaos.group.leader?.raft.setPeerSilent(chaos.nodeAt(a).id, b % 3 === 0),
  stepDown: (chaos, a) => chaos.runningAt(a)?.raft.stepDown(),
  settle: (chaos, a, b) => {
    const { group } = chaos;
    // A quiet moment, so that the next fault meets a working group.
    const running = group.nodes.filter((node) => !node.isDown);
    for (let round = 0; round <= a % 4; round++) {
      for (const node of running) {
        group.turn(node);
        // A slow disk now and then.
        if ((b >> (node.id % 8)) % 2 === 0) group.sync(node);
        group.turn(node);
        if (b % 4 === 0 && group.install(node)) chaos.count('installed');
      }
      const due = group.network;
      group.network = [];
      for (const message of due) group.deliver(message);
    }
  },
};

/** `nothing` is first, so that shrinking a move to zeros takes it out. */
const weights: Record<string, number> = {
  nothing: 1,
  deliver: 12,
  deliverFirst: 14,
  duplicate: 2,
  drop: 2,
  turn: 8,
  sync: 8,
  work: 16,
  tick: 16,
  campaign: 6,
  propose: 16,
  read: 4,
  crash: 2,
  restart: 8,
  restartAll: 1,
  cut: 1,
  isolate: 1,
  heal: 4,
  transfer: 1,
  checkpoint: 1,
  compact: 4,
  install: 3,
  snapshotFailed: 1,
  evict: 1,
  fetch: 4,
  confChange: 4,
  attach: 2,
  reset: 2,
  probe: 3,
  silent: 1,
  stepDown: 1,
  settle: 22,
};

const table: string[] = [];
for (const [name, weight] of Object.entries(weights)) {
  for (let i = 0; i < weight; i++) table.push(name);
}

/** Kinds of a Move are in [0, moveKinds). */
export const moveKinds: number = table.length;

/** Heals everything and lets the group live on until it has a leader that commits, everywhere. */
export function converge(group: Group): void {
  group.heal();
  for (const node of group.nodes) if (node.isDown) group.restart(node);
  for (const node of group.nodes) {
    node.store.fetch();
    // Nobody's leader is known to live until it is heard again.
    node.raft.setAttached(false);
  }
  let target = 0;
  group.run(() => {
    for (const node of group.nodes) node.store.fetch();
    const { leader } = group;
    if (leader === undefined) return false;
    retrySnapshots(group, leader);
    hostProbes(group, leader);
    if (target === 0 || target > leader.raft.lastIndex) {
      const result = leader.raft.propose(utf8('final'));
      if (result.kind === 'accepted') target = result.index;
      return false;
    }
    const { voters, learners } = leader.raft.confState;
    const members = group.nodes.filter((n) => voters.includes(n.id) || learners.includes(n.id));
    if (isJoint(leader.raft.confState) && leader.raft.confState.autoLeave) return false;
    return members.every((node) => node.appliedIndex >= target) && group.invariants.readsOpen === 0;
  }, 400);
}

/** What the host does for pairs that are not attached (design §6), where the core sends no heartbeats. */
function hostProbes(group: Group, leader: TestNode): void {
  if (group.heartbeatTicks > 0) return;
  for (const id of leader.raft.peers()) {
    leader.raft.setPeerSilent(id, false);
    const { matchIndex, state } = leader.raft.progress(id)!;
    const isBehind = matchIndex < leader.raft.lastIndex && state !== 'snapshot';
    if (isBehind) leader.raft.peerReset(id);
    leader.raft.probe(id);
    const peer = group.nodes.find((each) => each.id === id);
    if (peer?.raft.leaderId === leader.id && !isBehind) peer.raft.setAttached(true);
    // Reads that a lost message left waiting.
    if (peer !== undefined && !peer.isDown) peer.raft.peerReset(leader.id);
  }
}

/** A snapshot lost on the way is noticed by the host. */
function retrySnapshots(group: Group, leader: TestNode): void {
  for (const node of group.nodes) {
    const isWaiting = leader.raft.progress(node.id)?.state === 'snapshot';
    if (isWaiting && node.wanted === undefined) leader.raft.reportSnapshot(node.id, false);
  }
}
