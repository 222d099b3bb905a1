/**
 * What is explored: the ranges of the two forms, each to its last state, and for each rule the start
 * and the bounds in which its absence shows soon.
 */
import type { DroppedRule, ExploreBounds } from './rules.js';

export type ExploreForm = 'gate' | 'long';

export interface ExploreRange {
  readonly name: string;
  readonly bounds: ExploreBounds;
}

export interface ExploreVariant {
  readonly rule: Exclude<DroppedRule, 'none'>;
  readonly bounds: ExploreBounds;
  /** Events from rest that lead to the start; empty: rest itself. */
  readonly situation: readonly string[];
}

/** One fault, one term, no heartbeats: what each range widens. */
const narrow: ExploreBounds = {
  termMax: 1,
  proposeIndexMax: 1,
  faultsMax: 1,
  crashesMax: 1,
  replacementsMax: 1,
  failuresMax: 1,
  heartbeatsMax: 0,
  claimsMax: 2,
  queueMax: 6,
  doAllBeat: false,
  isDiskSlow: false,
};

const gateRanges: readonly ExploreRange[] = [
  { name: 'two faults', bounds: { ...narrow, faultsMax: 2, queueMax: 4 } },
  { name: 'a term change', bounds: { ...narrow, termMax: 2, faultsMax: 0, heartbeatsMax: 1 } },
  { name: 'a term change and a fault', bounds: { ...narrow, termMax: 2 } },
  { name: 'two term changes', bounds: { ...narrow, termMax: 3, faultsMax: 0 } },
  {
    name: 'entries and heartbeats around a fault',
    bounds: { ...narrow, proposeIndexMax: 2, heartbeatsMax: 1, doAllBeat: true },
  },
  {
    name: 'a slow disk',
    bounds: { ...narrow, proposeIndexMax: 2, heartbeatsMax: 1, isDiskSlow: true },
  },
];

const longRanges: readonly ExploreRange[] = [
  { name: 'three faults', bounds: { ...narrow, faultsMax: 3, crashesMax: 2, queueMax: 4 } },
  {
    name: 'a term change, an entry, a heartbeat',
    bounds: {
      ...narrow,
      termMax: 2,
      faultsMax: 0,
      proposeIndexMax: 2,
      heartbeatsMax: 1,
      queueMax: 4,
    },
  },
  {
    name: 'a term change, a fault, a heartbeat',
    bounds: { ...narrow, termMax: 2, heartbeatsMax: 1, queueMax: 4 },
  },
];

export const rangesOf: Readonly<Record<ExploreForm, readonly ExploreRange[]>> = {
  gate: gateRanges,
  long: [...gateRanges, ...longRanges],
};

const wide: ExploreBounds = {
  ...narrow,
  termMax: 2,
  faultsMax: 2,
  proposeIndexMax: 2,
  heartbeatsMax: 1,
};

const fromRest: readonly ExploreVariant['rule'][] = [
  'an answer stays behind queued detaches',
  'a follower that leaves says so',
  'a leader that leaves says so',
  'a refused claim is answered by a detach',
  'a claim ends with its session',
  'frames of a former session are dropped',
  'a claim of another term is refused',
  'a claim on another replica is refused',
  'an empty list is sent too',
  'silence closes the session',
];

export const variants: readonly ExploreVariant[] = [
  ...fromRest.map((rule) => ({ rule, bounds: wide, situation: [] })),
  {
    rule: 'a listed pair of other content is refused',
    bounds: { ...wide, faultsMax: 1, heartbeatsMax: 0 },
    situation: [],
  },
  {
    rule: 'only pairs known to be equal are listed',
    bounds: { ...narrow, faultsMax: 2, proposeIndexMax: 2 },
    situation: [],
  },
  {
    rule: 'a detach names one claim',
    bounds: { ...narrow, faultsMax: 2, proposeIndexMax: 2 },
    situation: [],
  },
  {
    rule: 'nothing is dropped inside a session',
    bounds: { ...narrow, faultsMax: 1, proposeIndexMax: 3, queueMax: 1 },
    situation: [],
  },
  {
    rule: 'an attach tells what is committed',
    bounds: { ...wide, termMax: 1, isDiskSlow: true },
    // A session ended before what was committed could be told.
    situation: [
      ...['propose 3', 'deliver 3 1', 'deliver 3 2', 'sync 2', 'reset 1 3', 'deliver 2 3'],
      ...['connect 1 3', 'notice 3 1', 'notice 3 1', 'notice 1 3', 'notice 1 3'],
      ...['deliver 3 1', 'deliver 1 3', 'sync 1'],
    ],
  },
  {
    rule: 'what was under way when a session ended counts as lost',
    bounds: { ...wide, termMax: 1, isDiskSlow: true },
    // A session ended with an append under way.
    situation: [
      ...['propose 3', 'deliver 3 1', 'propose 3', 'reset 1 3'],
      ...['deliver 3 2', 'deliver 3 2', 'sync 2', 'deliver 2 3'],
      ...['connect 1 3', 'notice 3 1', 'notice 3 1', 'notice 1 3', 'notice 1 3'],
      ...['deliver 3 1', 'deliver 1 3', 'sync 1'],
    ],
  },
  {
    rule: 'a claim renewed in between confirms no read',
    bounds: { ...wide, faultsMax: 1 },
    // An acknowledgement is under way from a follower with which a later term's leader has committed.
    situation: [
      ...['propose 3', 'deliver 3 1', 'deliver 3 2', 'elect 2 1', 'deliver 2 1', 'deliver 1 2'],
    ],
  },
];
