/**
 * What bounds a world, and the rules that can be dropped from it, from outside the module, to show that
 * the checks notice their absence.
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
] as const;

export type DroppedRule = (typeof rules)[number] | 'none';

export interface WorldBounds {
  readonly termMax: number;
  readonly indexMax: number;
  readonly sessionsMax: number;
  readonly heartbeatsMax: number;
  readonly restartsMax: number;
  readonly replacementsMax: number;
  readonly failuresMax: number;
  /** Acknowledgements leave by an event of their own, perhaps in a later session. */
  readonly isDiskSlow: boolean;
}
