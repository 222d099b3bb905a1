// @hot
/**
 * Majorities: the greatest value that a majority holds, and the outcome of a vote, in plain and joint
 * configurations (thesis §4.3: in a joint one, separate majorities of both sets).
 *
 * Invariant Q1: an empty voter set agrees to everything; a configuration without voters is never asked.
 */
import type { ReplicaId } from '@moku/base';
import type { ConfState } from './types.js';

const scratch: number[] = [];

/**
 * The greatest value that a majority of the `count` values reaches: the value at place
 * floor(count / 2) when they are sorted in descending order.
 */
function majorityOf(count: number): number {
  for (let i = 1; i < count; i++) {
    const value = scratch[i]!;
    let at = i - 1;
    while (at >= 0 && scratch[at]! < value) {
      scratch[at + 1] = scratch[at]!;
      at--;
    }
    scratch[at + 1] = value;
  }
  return scratch[count >> 1]!;
}

/** What a leader knows of one voter, as far as majorities are concerned. */
export interface Voter {
  readonly matchIndex: number;
  /** The newest ReadIndex round that it confirmed. */
  readonly readRound: number;
}

/** The greatest index that is stored by a majority of `voters`; Infinity for no voters (Q1). */
export function matchedByMajority(voters: readonly Voter[]): number {
  const count = voters.length;
  if (count === 0) return Number.POSITIVE_INFINITY;
  for (let i = 0; i < count; i++) scratch[i] = voters[i]!.matchIndex;
  return majorityOf(count);
}

/** The newest ReadIndex round that is confirmed by a majority of `voters`; Infinity for no voters (Q1). */
export function roundOfMajority(voters: readonly Voter[]): number {
  const count = voters.length;
  if (count === 0) return Number.POSITIVE_INFINITY;
  for (let i = 0; i < count; i++) scratch[i] = voters[i]!.readRound;
  return majorityOf(count);
}

export type VoteOutcome = 'won' | 'lost' | 'pending';

function outcomeAmong(
  voters: readonly ReplicaId[],
  granted: readonly ReplicaId[],
  refused: readonly ReplicaId[],
): VoteOutcome {
  const needed = (voters.length >> 1) + 1;
  let yes = 0;
  let no = 0;
  for (let i = 0; i < voters.length; i++) {
    if (granted.includes(voters[i]!)) yes++;
    else if (refused.includes(voters[i]!)) no++;
  }
  if (yes >= needed) return 'won';
  return voters.length - no < needed ? 'lost' : 'pending';
}

/** The outcome of a vote in `confState`: won and lost are final. */
export function voteOutcome(
  confState: ConfState,
  granted: readonly ReplicaId[],
  refused: readonly ReplicaId[],
): VoteOutcome {
  const incoming = outcomeAmong(confState.voters, granted, refused);
  if (confState.votersOutgoing.length === 0) return incoming;
  const outgoing = outcomeAmong(confState.votersOutgoing, granted, refused);
  if (incoming === 'lost' || outgoing === 'lost') return 'lost';
  return incoming === 'won' && outgoing === 'won' ? 'won' : 'pending';
}
