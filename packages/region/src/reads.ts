// @hot
/**
 * Reads of one region that wait for a linearizable read point (ReadIndex, thesis §6.4). All reads that
 * wait at the start of a turn share one context. Exists only while a read waits.
 *
 * Invariants:
 *  D1 A read joins a context that is asked after the read arrived, and is answered `ready` only with an
 *     appliedIndex at or above the index that this context was given.
 *  D2 A context is never reused; answers to one that was given up are ignored.
 *  D3 Every read is answered exactly once.
 */
import type { NodeId } from '@moku/base';
import type { Raft } from '@moku/raft';
import type { Answers, ReadSink } from './answers.js';

/** Contexts asked and not confirmed of one region; further reads gather for the next. */
const roundsInFlightMax = 4;

/**
 * Numbers the contexts of one node (D2). An answer to a former process may still be on its way, so each
 * process begins elsewhere: at a start that is counted in the log's meta, and drawn besides, since a
 * crash may take the count with it.
 */
export class ReadContexts {
  private last: number;

  /** `start` in 0 … 2^12 - 1 (wraps), `drawn` in 0 … 2^20 - 1; a process has 2^20 contexts of its own. */
  constructor(start: number, drawn: number) {
    this.last = ((start % 2 ** 12) * 2 ** 20 + drawn) * 2 ** 20;
  }

  next(): number {
    this.last++;
    return this.last;
  }
}

interface ReadRound {
  context: number;
  askedTick: number;
  attempts: number;
  readonly sinks: readonly ReadSink[];
}

interface ConfirmedReads {
  readonly index: number;
  readonly askedTick: number;
  readonly sinks: readonly ReadSink[];
}

/** What the queue needs of its owner when it asks or gives up. */
export interface ReadAsk {
  readonly raft: Raft;
  readonly contexts: ReadContexts;
  readonly tick: number;
  readonly leaderNodeId: NodeId;
}

export class ReadQueue {
  private readonly answers: Answers;
  private waiting: ReadSink[] = [];
  private readonly rounds: ReadRound[] = [];
  private readonly confirmed: ConfirmedReads[] = [];
  /** Reads not answered yet. */
  count = 0;

  constructor(answers: Answers) {
    this.answers = answers;
  }

  isEmpty(): boolean {
    return this.count === 0;
  }

  add(sink: ReadSink): void {
    this.waiting.push(sink);
    this.count++;
  }

  /** Asks for what waits; refuses it when no leader is known. */
  ask(ask: ReadAsk): void {
    if (this.waiting.length === 0 || this.rounds.length >= roundsInFlightMax) return;
    const context = ask.contexts.next();
    const result = ask.raft.readIndex(context);
    if (result === 'busy') return;
    const sinks = this.waiting;
    this.waiting = [];
    if (result === 'noLeader') {
      this.refuse(sinks, ask.leaderNodeId);
      return;
    }
    this.rounds.push({ context, askedTick: ask.tick, attempts: 1, sinks });
  }

  /** The core confirmed `context`: its reads may be served once `index` is applied. */
  confirm(context: number, index: number, appliedIndex: number): void {
    const round = this.takeRound(context);
    if (round === undefined) return;
    if (appliedIndex >= index) this.serve(round.sinks, appliedIndex);
    else this.confirmed.push({ index, askedTick: round.askedTick, sinks: round.sinks });
  }

  /** The core cannot confirm `context` here; asked again if the bound allows and a leader is known. */
  refused(context: number, ask: ReadAsk, attemptsMax: number): void {
    const round = this.takeRound(context);
    if (round !== undefined) this.askAgain(round, ask, attemptsMax);
  }

  /** A tick passed: rounds older than `retryTicks` are asked again, or given up. */
  tick(ask: ReadAsk, retryTicks: number, attemptsMax: number): void {
    for (let i = 0; i < this.rounds.length; ) {
      const round = this.rounds[i]!;
      if (ask.tick - round.askedTick < retryTicks) {
        i++;
        continue;
      }
      this.rounds.splice(i, 1);
      // What is asked again stands at the end, with a new date.
      this.askAgain(round, ask, attemptsMax);
    }
    // Confirmed, but what it waits for does not get here.
    for (let i = 0; i < this.confirmed.length; ) {
      const reads = this.confirmed[i]!;
      if (ask.tick - reads.askedTick < retryTicks * attemptsMax) {
        i++;
        continue;
      }
      this.confirmed.splice(i, 1);
      this.refuse(reads.sinks, ask.leaderNodeId);
    }
  }

  private askAgain(round: ReadRound, ask: ReadAsk, attemptsMax: number): void {
    if (round.attempts >= attemptsMax) {
      this.refuse(round.sinks, ask.leaderNodeId);
      return;
    }
    const context = ask.contexts.next();
    if (ask.raft.readIndex(context) !== 'accepted') {
      this.refuse(round.sinks, ask.leaderNodeId);
      return;
    }
    round.context = context;
    round.askedTick = ask.tick;
    round.attempts++;
    this.rounds.push(round);
  }

  /** Serves what waited for `appliedIndex`. */
  applied(appliedIndex: number): void {
    for (let i = 0; i < this.confirmed.length; ) {
      const reads = this.confirmed[i]!;
      if (reads.index > appliedIndex) {
        i++;
        continue;
      }
      this.confirmed.splice(i, 1);
      this.serve(reads.sinks, appliedIndex);
    }
  }

  /** The replica ends: everything is answered. */
  end(leaderNodeId: NodeId): void {
    this.refuse(this.waiting, leaderNodeId);
    this.waiting = [];
    for (let i = 0; i < this.rounds.length; i++) this.refuse(this.rounds[i]!.sinks, leaderNodeId);
    this.rounds.length = 0;
    for (let i = 0; i < this.confirmed.length; i++) {
      this.refuse(this.confirmed[i]!.sinks, leaderNodeId);
    }
    this.confirmed.length = 0;
  }

  private takeRound(context: number): ReadRound | undefined {
    for (let i = 0; i < this.rounds.length; i++) {
      const round = this.rounds[i]!;
      if (round.context !== context) continue;
      this.rounds.splice(i, 1);
      return round;
    }
    return undefined;
  }

  private serve(sinks: readonly ReadSink[], appliedIndex: number): void {
    this.count -= sinks.length;
    for (let i = 0; i < sinks.length; i++) {
      this.answers.read(sinks[i]!, { kind: 'ready', appliedIndex });
    }
  }

  private refuse(sinks: readonly ReadSink[], leaderNodeId: NodeId): void {
    this.count -= sinks.length;
    for (let i = 0; i < sinks.length; i++) {
      this.answers.read(sinks[i]!, { kind: 'notLeader', leaderNodeId });
    }
  }
}
