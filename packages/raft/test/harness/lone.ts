/**
 * One replica alone with the test, which plays its peers: it steps messages in and looks at what leaves.
 */
import { emptyBytes, type ReplicaId, utf8 } from '@moku/base';
import { confStateOf, type Entry, type Message } from '../../src/index.js';
import { type NodeOptions, TestNode } from './test-node.js';

export function id(value: number): ReplicaId {
  return value as ReplicaId;
}

/** Entries `term/index` with their own text as data; data-less for a no-op: `2/5-`. */
export function entries(...texts: string[]): Entry[] {
  return texts.map((text) => {
    const [term, index] = text.replace('-', '').split('/').map(Number);
    const data = text.endsWith('-') ? emptyBytes : utf8(text);
    return { term: term!, index: index!, kind: 'normal', data };
  });
}

export class Lone {
  readonly node: TestNode;
  /** Everything that left since it was last looked at. */
  private said: Message[] = [];

  constructor(options: Partial<NodeOptions> & { readonly voters?: number[] } = {}) {
    const { voters = [1, 2, 3], ...rest } = options;
    this.node = new TestNode(id(1), confStateOf(voters.map(id)), {
      electionTicks: 10,
      heartbeatTicks: 1,
      seed: 1,
      limits: {},
      ...rest,
    });
  }

  get raft(): TestNode['raft'] {
    return this.node.raft;
  }

  /** Takes Readies until nothing is due, without syncing. */
  turn(): this {
    while (this.node.turn((message) => this.said.push(message)) !== undefined) {
      // Until nothing is due.
    }
    return this;
  }

  sync(batches?: number): this {
    this.node.sync((message) => this.said.push(message), batches);
    return this;
  }

  /** Takes Readies and syncs until all is quiet. */
  settle(): this {
    for (;;) {
      this.turn();
      if (this.node.unsynced === 0 && !this.node.holdsMessages && !this.raft.hasReady())
        return this;
      this.sync();
    }
  }

  step(message: Message): this {
    this.raft.step(message);
    return this;
  }

  /** What left since the last call, of the given type. */
  hear<T extends Message['type']>(type: T): Extract<Message, { type: T }>[] {
    const heard: Extract<Message, { type: T }>[] = [];
    for (const message of this.said) {
      if (message.type === type) heard.push(message as Extract<Message, { type: T }>);
    }
    this.said = this.said.filter((message) => message.type !== type);
    return heard;
  }

  hearAll(): Message[] {
    const heard = this.said;
    this.said = [];
    return heard;
  }

  /** An append of `from`, which leads `term`, behind `prev` (`term/index`). */
  append(from: number, term: number, prev: string, block: Entry[], commitIndex = 0): this {
    const [prevLogTerm, prevLogIndex] = prev.split('/').map(Number);
    return this.step({
      type: 'append',
      from: id(from),
      to: id(1),
      term,
      prevLogIndex: prevLogIndex!,
      prevLogTerm: prevLogTerm!,
      entries: block,
      commitIndex,
    });
  }

  acknowledge(from: number, index: number): this {
    const { term } = this.raft;
    return this.step({
      type: 'appendResponse',
      from: id(from),
      to: id(1),
      term,
      index,
      isRejected: false,
      hintIndex: 0,
      hintTerm: 0,
    });
  }

  requestVote(type: 'vote' | 'preVote', from: number, term: number, last: string): this {
    const [lastLogTerm, lastLogIndex] = last.split('/').map(Number);
    return this.step({
      type,
      from: id(from),
      to: id(1),
      term,
      lastLogIndex: lastLogIndex!,
      lastLogTerm: lastLogTerm!,
    });
  }

  answerVote(
    type: 'voteResponse' | 'preVoteResponse',
    from: number,
    term: number,
    isGranted = true,
  ): this {
    return this.step({ type, from: id(from), to: id(1), term, isGranted });
  }

  /** Makes it leader of its next term with the votes of `voters`, its own log synced. */
  lead(voters: number[] = [2]): this {
    this.raft.campaign();
    this.turn();
    const term = this.raft.term + 1;
    for (const from of voters) this.answerVote('preVoteResponse', from, term);
    this.settle();
    for (const from of voters) this.answerVote('voteResponse', from, term);
    this.settle();
    this.hearAll();
    return this;
  }

  logText(): string {
    return this.turn().node.logText();
  }
}
