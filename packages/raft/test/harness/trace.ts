/**
 * What happens in a group, as lines of text. `t3` is a term, `3/7` the entry at index 7 of term 3.
 */
import type { ConfState, Message, Ready } from '../../src/index.js';
import type { GroupTrace } from './group.js';
import { entryText, type TestNode } from './test-node.js';

export class TextTrace implements GroupTrace {
  lines: string[] = [];
  isQuiet = false;
  private readonly states = new Map<string, string>();

  say(line: string): void {
    if (!this.isQuiet) this.lines.push(line);
  }

  sent(message: Message): void {
    this.say(messageText(message));
  }

  dropped(message: Message, reason: string): void {
    this.say(`lost, ${reason}: ${messageText(message)}`);
  }

  readied(node: TestNode, ready: Ready): void {
    const parts: string[] = [];
    const { hardState, entries, committedEntries } = ready;
    if (hardState !== undefined) {
      const { term, votedFor, commitIndex } = hardState;
      parts.push(`t${term} vote ${votedFor} commit ${commitIndex}`);
    }
    if (entries.length > 0) parts.push(entries.map(entryText).join(' '));
    if (parts.length > 0) this.say(`${node.id}: writes ${parts.join(', ')}`);
    if (ready.snapshot !== undefined) {
      const { term, index } = ready.snapshot;
      this.say(`${node.id}: wants the snapshot of ${term}/${index}`);
    }
    if (ready.messagesAfterPersist.length > 0) {
      this.say(`${node.id}: holds ${ready.messagesAfterPersist.map(shortText).join(', ')}`);
    }
    if (committedEntries.length > 0) {
      this.say(`${node.id}: applies ${committedEntries.map(entryText).join(' ')}`);
    }
    for (const { context, index } of ready.readStates) {
      this.say(`${node.id}: read ${context} may be served at ${index}`);
    }
    for (const context of ready.readsRefused) this.say(`${node.id}: read ${context} is refused`);
  }

  touched(node: TestNode): void {
    if (node.isDown) return;
    this.note(`${node.id}: `, stateText(node));
    this.note(`${node.id}: configuration `, confText(node.raft.confState));
  }

  /** Says it when it is news. */
  private note(what: string, now: string): void {
    if (this.states.get(what) === now) return;
    this.states.set(what, now);
    this.say(what + now);
  }
}

export function stateText(node: TestNode): string {
  const { raft } = node;
  const parts = [`${raft.role} t${raft.term}`];
  if (raft.votedFor !== 0) parts.push(`vote ${raft.votedFor}`);
  if (raft.leaderId !== 0) parts.push(`leader ${raft.leaderId}`);
  parts.push(`commit ${raft.commitIndex}`);
  if (raft.isAttached) parts.push('attached');
  if (raft.isTransferring) parts.push('transferring');
  return parts.join(' ');
}

export function confText(confState: ConfState): string {
  const { voters, votersOutgoing, learners, learnersNext, autoLeave } = confState;
  let text = `(${voters.join(' ')})`;
  if (votersOutgoing.length > 0) text += `&&(${votersOutgoing.join(' ')})`;
  if (learners.length > 0) text += ` learners (${learners.join(' ')})`;
  if (learnersNext.length > 0) text += ` next (${learnersNext.join(' ')})`;
  return autoLeave ? `${text} auto` : text;
}

export function progressText(node: TestNode): string[] {
  const lines: string[] = [];
  for (const id of node.raft.peers()) {
    const progress = node.raft.progress(id);
    if (progress === undefined) continue;
    const { state, matchIndex, nextIndex, isLearner } = progress;
    const learner = isLearner ? ' learner' : '';
    lines.push(
      `${node.id}: ${id} is in ${state}, match ${matchIndex}, next ${nextIndex}${learner}`,
    );
  }
  return lines;
}

function messageText(message: Message): string {
  const head = `${message.from}>${message.to} ${message.type} t${message.term}`;
  const tail = detailText(message);
  return tail === '' ? head : `${head} ${tail}`;
}

function detailText(message: Message): string {
  switch (message.type) {
    case 'append': {
      const { prevLogTerm, prevLogIndex, entries, commitIndex } = message;
      const block = entries.map(entryText).join(' ');
      return `behind ${prevLogTerm}/${prevLogIndex} [${block}] commit ${commitIndex}`;
    }
    case 'appendResponse': {
      const { index, isRejected, hintTerm, hintIndex } = message;
      return isRejected ? `refuses ${index}, try ${hintTerm}/${hintIndex}` : `has ${index}`;
    }
    case 'vote':
    case 'preVote':
      return `last ${message.lastLogTerm}/${message.lastLogIndex}`;
    case 'voteResponse':
    case 'preVoteResponse':
      return message.isGranted ? 'granted' : 'refused';
    case 'heartbeat': {
      const round = message.readRound === 0 ? '' : ` round ${message.readRound}`;
      return `commit ${message.commitIndex}${round}`;
    }
    case 'heartbeatResponse':
      return message.readRound === 0 ? '' : `round ${message.readRound}`;
    case 'snapshot': {
      const { term, index, confState } = message.snapshot;
      return `of ${term}/${index} ${confText(confState)}`;
    }
    case 'timeoutNow':
      return '';
    case 'readIndex':
      return `context ${message.context}`;
    case 'readIndexResponse':
      return `context ${message.context} ${message.index < 0 ? 'refused' : `at ${message.index}`}`;
  }
}

function shortText(message: Message): string {
  return `${message.type} to ${message.to}`;
}
