// @hot
/**
 * Reads that wait: on a leader for a round that confirms its leadership, on a follower for the leader's
 * answer. Source: thesis §6.4 (ReadIndex). One round stands for all reads that arrived before it began.
 *
 * Invariants:
 *  D1 A round's number is greater than every earlier one of this leadership; never reused.
 *  D2 A round begins only when an entry of the leader's own term is committed, after its reads arrived;
 *     its readIndex is the commitIndex then.
 *  D3 Confirming round n confirms every round up to n.
 */
import type { ReplicaId } from '@moku/base';

/** A read of `from` (the leader itself, or a follower that forwarded it). */
export interface WaitingRead {
  readonly from: ReplicaId;
  readonly context: number;
}

export interface ReadRound {
  readonly round: number;
  readonly readIndex: number;
  readonly reads: readonly WaitingRead[];
}

const noReads: WaitingRead[] = [];

export class ReadRounds {
  /** Reads that joined no round yet. */
  private joining: WaitingRead[] = noReads;
  private readonly rounds: ReadRound[] = [];
  private lastRound = 0;
  /** Reads that are neither answered nor refused. */
  count = 0;

  add(from: ReplicaId, context: number): void {
    if (this.joining === noReads) this.joining = [];
    this.joining.push({ from, context });
    this.count++;
  }

  hasJoining(): boolean {
    return this.joining.length > 0;
  }

  /** The newest round that is not confirmed; 0: none. */
  newestRound(): number {
    return this.rounds.length === 0 ? 0 : this.lastRound;
  }

  /** D2: the waiting reads become one round. Returns its number. */
  begin(readIndex: number): number {
    this.lastRound++;
    this.rounds.push({ round: this.lastRound, readIndex, reads: this.joining });
    this.joining = noReads;
    return this.lastRound;
  }

  /** D3: the oldest round up to `round`, removed; undefined when none is left. */
  takeConfirmed(round: number): ReadRound | undefined {
    const oldest = this.rounds[0];
    if (oldest === undefined || oldest.round > round) return undefined;
    this.rounds.shift();
    this.count -= oldest.reads.length;
    return oldest;
  }

  /** Every read that waits, in the order of arrival; the queue is over. */
  takeAll(): readonly WaitingRead[] {
    const all: WaitingRead[] = [];
    for (let i = 0; i < this.rounds.length; i++) {
      const reads = this.rounds[i]!.reads;
      for (let j = 0; j < reads.length; j++) all.push(reads[j]!);
    }
    for (let i = 0; i < this.joining.length; i++) all.push(this.joining[i]!);
    this.rounds.length = 0;
    this.joining = noReads;
    this.count = 0;
    return all;
  }
}

/**
 * Contexts that a follower forwarded, in two generations: what is still unanswered when its generation
 * has grown old is refused, because the message or its answer was lost.
 */
export class ForwardedReads {
  private young: number[] = [];
  private old: number[] = [];
  private age = 0;

  get count(): number {
    return this.young.length + this.old.length;
  }

  add(context: number): void {
    this.young.push(context);
  }

  /** Returns whether `context` was waiting; it no longer is. */
  take(context: number): boolean {
    return removeFrom(this.old, context) || removeFrom(this.young, context);
  }

  /** A tick passed. Returns what has waited for at least `ticksMax` ticks; it no longer waits. */
  tick(ticksMax: number): readonly number[] {
    this.age++;
    if (this.age < ticksMax) return noContexts;
    this.age = 0;
    const expired = this.old;
    this.old = this.young;
    this.young = [];
    return expired;
  }

  takeAll(): readonly number[] {
    const all: number[] = [];
    for (let i = 0; i < this.old.length; i++) all.push(this.old[i]!);
    for (let i = 0; i < this.young.length; i++) all.push(this.young[i]!);
    this.old = [];
    this.young = [];
    return all;
  }
}

const noContexts: readonly number[] = [];

function removeFrom(contexts: number[], context: number): boolean {
  const at = contexts.indexOf(context);
  if (at < 0) return false;
  contexts.splice(at, 1);
  return true;
}
