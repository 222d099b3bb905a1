/**
 * What bounds an exploration, and the rules that can be dropped from outside the claims module, to show
 * that the checks notice their absence.
 */

export const rules = [
  'an answer stays behind queued detaches',
  'a follower that leaves says so',
  'a leader that leaves says so',
  'a refused claim is answered by a detach',
  'a listed pair of other content is refused',
  'only pairs known to be equal are listed',
  'a claim ends with its session',
  'frames of a former session are dropped',
  'a detach names one claim',
  'a claim of another term is refused',
  'a claim on another replica is refused',
  'an attach tells what is committed',
  'what was under way when a session ended counts as lost',
  'an empty list is sent too',
  'silence closes the session',
  'nothing is dropped inside a session',
  'a claim renewed in between confirms no read',
] as const;

export type DroppedRule = (typeof rules)[number] | 'none';

/** An event that would pass a bound is not taken; everything else is. */
export interface ExploreBounds {
  /** The exploration starts at rest in term 1. */
  readonly termMax: number;
  /** No leader proposes at this index; the no-op of term t may still be at index t and beyond. */
  readonly proposeIndexMax: number;
  /** Resets, judgements of silence, crashes, replacements, failures, step-downs and left pairs together. */
  readonly faultsMax: number;
  /** Of those, of one kind. */
  readonly crashesMax: number;
  readonly replacementsMax: number;
  readonly failuresMax: number;
  /** Of all nodes together. */
  readonly heartbeatsMax: number;
  /** Per direction of one session. */
  readonly claimsMax: number;
  /** Items under way in one direction; one more closes the session, as a full queue does. */
  readonly queueMax: number;
  /** Whether nodes that lead nothing send heartbeats too. */
  readonly doAllBeat: boolean;
  /** Acknowledgements leave by an event of their own, perhaps in a later session. */
  readonly isDiskSlow: boolean;
}
