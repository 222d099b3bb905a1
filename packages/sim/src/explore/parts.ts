/**
 * The parts of which explored states consist, each kept once and known by a number: node states, items
 * under way, links. So a state is seven integers, and a step of a node, which depends on the node and
 * its input alone, runs the claims module once and is looked up from then on.
 *
 * Invariant T1: parts are never changed; equal parts have equal numbers.
 */
import { assert, InvariantError, present } from '@moku/base';
import { NodeRun } from './node-run.js';
import * as raft from './raft.js';
import type { DroppedRule } from './rules.js';
import {
  copyNode,
  encodeNode,
  type NodeState,
  nodeNumbers,
  regionId,
  type StreamItem,
  sessionOf,
} from './state.js';

/** What one end takes its session for: none, the present one of the link, or one that is over. */
export type View = 0 | 1 | 2;

export interface Link {
  /** The transport has a session. */
  isUp: boolean;
  /** Of the lower and of the higher node. */
  readonly views: [View, View];
  /** Numbers of items, [0]: to the higher node; [1]: to the lower one. */
  readonly queues: [number[], number[]];
}

export const inputs = [
  'deliver',
  'opened',
  'closed',
  'silence',
  'beat',
  'sync',
  'propose',
  'probe',
  'stepDown',
  'adopt',
  'lead',
  'part',
  'learn',
  'restart',
  'replace',
  'fail',
  'recover',
] as const;

/** What a step did. */
export interface Step {
  readonly node: number;
  readonly sent: readonly { readonly to: number; readonly item: number }[];
  readonly closed: readonly number[];
  readonly committedTerm: number;
  readonly violation: string | undefined;
}

/** What is asked of a node state again and again. Arrays by node. */
export interface NodeFacts {
  /** Number of the claim held on the follower there; 0: none. */
  readonly led: readonly number[];
  readonly followedPeer: number;
  readonly followedNumber: number;
  readonly hasSession: readonly boolean[];
  /** Of all sessions. */
  readonly lastNumberMax: number;
  readonly violation: string | undefined;
}

/** All renumberings of the nodes. [0] changes nothing. */
export const renumberings: readonly (readonly number[])[] = [
  [0, 1, 2, 3],
  [0, 1, 3, 2],
  [0, 2, 1, 3],
  [0, 2, 3, 1],
  [0, 3, 1, 2],
  [0, 3, 2, 1],
];

export class Parts {
  readonly nodes: NodeState[] = [];
  readonly facts: NodeFacts[] = [];
  readonly items: StreamItem[] = [];
  readonly links: Link[] = [];
  readonly drop: DroppedRule;
  readonly isDiskSlow: boolean;
  private readonly nodeNumbers = new Map<string, number>();
  private readonly itemNumbers = new Map<string, number>();
  private readonly linkNumbers = new Map<string, number>();
  private readonly steps = new Map<number, Step>();
  private readonly renumberedNodes: Int32Array[] = [];
  private readonly turnedLinks: number[] = [];

  constructor(drop: DroppedRule, isDiskSlow: boolean) {
    this.drop = drop;
    this.isDiskSlow = isDiskSlow;
  }

  /** Steps that the module took; all others were looked up. */
  get stepCount(): number {
    return this.steps.size;
  }

  nodeNumber(node: NodeState): number {
    const text = `${node.id}${encodeNode(node)}`;
    const known = this.nodeNumbers.get(text);
    if (known !== undefined) return known;
    this.nodeNumbers.set(text, this.nodes.length);
    this.facts.push(factsOf(node));
    this.renumberedNodes.push(new Int32Array(renumberings.length).fill(-1));
    return this.nodes.push(node) - 1;
  }

  linkNumber(link: Link): number {
    const [toHigher, toLower] = link.queues;
    const text = `${link.isUp}${link.views.join()}|${toHigher.join()}|${toLower.join()}`;
    const known = this.linkNumbers.get(text);
    if (known !== undefined) return known;
    this.linkNumbers.set(text, this.links.length);
    this.turnedLinks.push(-1);
    return this.links.push(link) - 1;
  }

  /** The node state under the numbers of renumbering `which`. */
  renumberedNode(node: number, which: number): number {
    const row = this.renumberedNodes[node]!;
    if (row[which]! < 0) {
      row[which] = this.nodeNumber(copyNode(this.nodes[node]!, renumberings[which]!));
    }
    return row[which]!;
  }

  /** The link with its ends exchanged. */
  turnedLink(link: number): number {
    if (this.turnedLinks[link]! < 0) {
      const { isUp, views, queues } = this.links[link]!;
      const turned: Link = { isUp, views: [views[1], views[0]], queues: [queues[1], queues[0]] };
      this.turnedLinks[link] = this.linkNumber(turned);
    }
    return this.turnedLinks[link]!;
  }

  /** What node state `node` does with input `kind` about `peer`; both and `arg` below 4, 32 and 2^20. */
  step(node: number, kind: (typeof inputs)[number], peer: number, arg: number): Step {
    const key = ((node * 2 ** 20 + arg) * 4 + peer) * 32 + inputs.indexOf(kind);
    const known = this.steps.get(key);
    if (known !== undefined) return known;
    assert(arg < 2 ** 20 && Number.isSafeInteger(key), 'T1: one key for one step');
    const run = new NodeRun(
      copyNode(this.nodes[node]!, renumberings[0]!),
      this.drop,
      this.isDiskSlow,
    );
    try {
      this.take(run, kind, peer, arg);
    } catch (error) {
      if (!(error instanceof InvariantError)) throw error;
      run.broken(error.message);
    }
    const step: Step = {
      node: this.nodeNumber(run.node),
      sent: run.sent.map(({ to, item }) => ({ to, item: this.itemNumber(item) })),
      closed: run.closed,
      committedTerm: run.committedTerm,
      violation: run.violations[0],
    };
    this.steps.set(key, step);
    return step;
  }

  private take(run: NodeRun, kind: (typeof inputs)[number], peer: number, arg: number): void {
    switch (kind) {
      case 'deliver': {
        const item = present(this.items[arg], 'the item that is delivered was sent');
        if (item.kind === 'raft') raft.stepRaft(run, peer, item.message);
        else run.receive(peer, item.item, item.ghost);
        break;
      }
      case 'opened':
        run.sessionOpened(peer, arg);
        break;
      case 'closed':
        run.sessionClosed(peer);
        break;
      case 'silence':
        run.silence(peer);
        break;
      case 'beat':
        run.beat(peer, arg);
        break;
      case 'adopt':
        raft.adopt(run, arg, 0);
        break;
      case 'lead':
        raft.lead(run, arg >> 6, [0, (arg >> 4) & 3, (arg >> 2) & 3, arg & 3]);
        break;
      case 'learn':
        raft.learn(run, peer, arg);
        break;
      case 'part':
        raft.part(run, peer);
        break;
      case 'probe':
        raft.sendAppend(run, peer);
        break;
      case 'recover':
        run.node.replica.canAttach = true;
        break;
      default:
        takeAlone[kind]!(run);
        break;
    }
  }

  private itemNumber(item: StreamItem): number {
    const text = JSON.stringify(item);
    const known = this.itemNumbers.get(text);
    if (known !== undefined) return known;
    this.itemNumbers.set(text, this.items.length);
    return this.items.push(item) - 1;
  }
}

const takeAlone: Readonly<Record<string, (run: NodeRun) => void>> = {
  sync: raft.sync,
  propose: raft.propose,
  stepDown: raft.stepDown,
  restart: raft.restart,
  replace: raft.replace,
  fail: raft.fail,
};

/** Also judges what needs this node alone: every claim that it holds, or that holds it, is true of it. */
function factsOf(node: NodeState): NodeFacts {
  const { replica, claims } = node;
  const claim = claims.followed.get(regionId);
  let violation: string | undefined;
  const isTrue =
    claim === undefined ||
    (claim.term === replica.term &&
      claim.replicaId === replica.replicaId &&
      claim.peer === replica.leader &&
      replica.canAttach);
  if (!isTrue) violation = `V4: node ${node.id} is attached by a claim that is not true of it`;
  const led = [0];
  const hasSession = [false];
  let lastNumberMax = 0;
  for (const peer of nodeNumbers) {
    const session = sessionOf(node, peer);
    const held = session?.led.get(regionId);
    led.push(held?.claimNumber ?? 0);
    hasSession.push(session !== undefined);
    lastNumberMax = Math.max(lastNumberMax, session?.lastNumber ?? 0);
    if (held === undefined) continue;
    if (held.term !== replica.term || held.replicaId !== replica.leadership?.replicaId[peer]) {
      violation = `node ${node.id} holds a claim that is not true of its leadership`;
    }
  }
  return {
    led,
    followedPeer: claim?.peer ?? 0,
    followedNumber: claim?.claimNumber ?? 0,
    hasSession,
    lastNumberMax,
    violation,
  };
}
