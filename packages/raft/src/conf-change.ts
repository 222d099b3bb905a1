/**
 * Configurations and their changes: what a change makes of a configuration, and the binary form in
 * which a change stands in the log. Pure. Source: thesis §4.1–4.3; learners as in §4.2.1.
 *
 * Invariants:
 *  C1 A configuration has at least one voter, and so has its outgoing half while it is joint.
 *  C2 Lists ascend without repetition. voters, learners and learnersNext share no id; learners shares
 *     none with votersOutgoing; learnersNext is part of votersOutgoing.
 *  C3 Two plain configurations that follow each other differ by at most one voter, so that any majority
 *     of one meets any majority of the other; everything else passes through a joint one.
 */
import { ByteReader, ByteWriter, MokuError, type ReplicaId } from '@moku/base';
import { malformed, readReplicaId } from './codec/checks.js';
import type { ConfChange, ConfChangeStep, ConfState, ConfTransition, Entry } from './types.js';

/** Voters, outgoing voters or learners of one group. */
export const replicasPerGroupMax = 64;
/** The host's own bytes in a change. */
export const confContextBytesMax: number = 16 * 1024;

const noReplicas: readonly ReplicaId[] = Object.freeze([]);

/** The configuration of a replica that has not been told one yet: nobody votes. */
export const emptyConfState: ConfState = Object.freeze({
  voters: noReplicas,
  votersOutgoing: noReplicas,
  learners: noReplicas,
  learnersNext: noReplicas,
  autoLeave: false,
});

/** A plain configuration. Ids in any order. */
export function confStateOf(
  voters: readonly ReplicaId[],
  learners: readonly ReplicaId[] = [],
): ConfState {
  return {
    voters: ascending(voters),
    votersOutgoing: noReplicas,
    learners: ascending(learners),
    learnersNext: noReplicas,
    autoLeave: false,
  };
}

export function isJoint(confState: ConfState): boolean {
  return confState.votersOutgoing.length > 0;
}

/** Whether `replicaId` counts in elections and commits: a voter of either half. */
export function isVoter(confState: ConfState, replicaId: ReplicaId): boolean {
  return confState.voters.includes(replicaId) || confState.votersOutgoing.includes(replicaId);
}

/** Everyone that is sent the log, ascending. */
export function membersOf(confState: ConfState): readonly ReplicaId[] {
  const members = new Set<ReplicaId>(confState.voters);
  for (const id of confState.votersOutgoing) members.add(id);
  for (const id of confState.learners) members.add(id);
  return ascending([...members]);
}

/**
 * What `change` makes of `confState`. Throws INVALID_ARGUMENT naming what is wrong: a change while
 * joint, leaving a plain configuration, no voter left, one replica named twice, too many replicas.
 */
export function changedConfState(confState: ConfState, change: ConfChange): ConfState {
  if (change.steps.length === 0) return leftJoint(confState);
  if (isJoint(confState)) throw refused('steps', 'the configuration is joint');
  const changed = withSteps(confState, change.steps);
  const transition = change.transition ?? 'auto';
  if (transition === 'auto' && votersThatDiffer(confState.voters, changed.voters) <= 1) {
    return toPlain(changed);
  }
  return toJoint(confState, changed, transition !== 'jointExplicit');
}

/**
 * What the changes among `entries`, committed and following `confState` without a gap, make of it. For a
 * host whose state machine came back further applied than the configuration that the log remembers.
 */
export function confStateAfter(confState: ConfState, entries: readonly Entry[]): ConfState {
  let after = confState;
  for (const entry of entries) {
    if (entry.kind === 'confChange') after = changedConfState(after, decodeConfChange(entry.data));
  }
  return after;
}

interface Sets {
  voters: ReplicaId[];
  learners: ReplicaId[];
}

function withSteps(confState: ConfState, steps: readonly ConfChangeStep[]): Sets {
  const sets: Sets = { voters: [...confState.voters], learners: [...confState.learners] };
  const named = new Set<ReplicaId>();
  for (const step of steps) {
    if (named.has(step.replicaId)) throw refused('steps', 'a replica is named twice');
    named.add(step.replicaId);
    sets.voters = sets.voters.filter((id) => id !== step.replicaId);
    sets.learners = sets.learners.filter((id) => id !== step.replicaId);
    if (step.type === 'addVoter') sets.voters.push(step.replicaId);
    else if (step.type === 'addLearner') sets.learners.push(step.replicaId);
  }
  if (sets.voters.length === 0) throw refused('voters', 'no voter is left');
  if (sets.voters.length + sets.learners.length > replicasPerGroupMax) {
    throw new MokuError('INVALID_ARGUMENT', { field: 'steps', max: replicasPerGroupMax });
  }
  return sets;
}

function toPlain(sets: Sets): ConfState {
  return confStateOf(sets.voters, sets.learners);
}

function toJoint(from: ConfState, sets: Sets, autoLeave: boolean): ConfState {
  const outgoing = from.voters;
  return {
    voters: ascending(sets.voters),
    votersOutgoing: outgoing,
    learners: ascending(sets.learners.filter((id) => !outgoing.includes(id))),
    learnersNext: ascending(sets.learners.filter((id) => outgoing.includes(id))),
    autoLeave,
  };
}

function leftJoint(confState: ConfState): ConfState {
  if (!isJoint(confState)) throw refused('steps', 'the configuration is not joint');
  return confStateOf(confState.voters, [...confState.learners, ...confState.learnersNext]);
}

function votersThatDiffer(before: readonly ReplicaId[], after: readonly ReplicaId[]): number {
  let differing = 0;
  for (const id of before) if (!after.includes(id)) differing++;
  for (const id of after) if (!before.includes(id)) differing++;
  return differing;
}

function ascending(ids: readonly ReplicaId[]): readonly ReplicaId[] {
  return [...ids].sort((a, b) => a - b);
}

function refused(field: string, reason: string): MokuError {
  return new MokuError('INVALID_ARGUMENT', { field, reason });
}

const transitions: readonly ConfTransition[] = ['auto', 'jointAutoLeave', 'jointExplicit'];
const stepTypes: readonly ConfChangeStep['type'][] = ['addVoter', 'addLearner', 'remove'];

/** The data of a `confChange` entry. */
export function encodeConfChange(change: ConfChange): Uint8Array {
  const writer = new ByteWriter(16 + change.steps.length * 6 + change.context.length);
  writer.u8(transitions.indexOf(change.transition ?? 'auto'));
  writer.uvarint(change.steps.length);
  for (const step of change.steps) {
    writer.u8(stepTypes.indexOf(step.type));
    writer.uvarint(step.replicaId);
  }
  writer.bytes(change.context);
  return writer.take();
}

/** Reads what encodeConfChange wrote. Throws FRAME_MALFORMED naming the field. `context` aliases `data`. */
export function decodeConfChange(data: Uint8Array): ConfChange {
  const reader = new ByteReader(data);
  const transition = transitions[reader.u8()];
  if (transition === undefined) throw malformed('transition');
  const count = reader.uvarint();
  if (count > replicasPerGroupMax * 2 || count * 2 > reader.remaining) throw malformed('steps');
  const steps: ConfChangeStep[] = [];
  for (let i = 0; i < count; i++) {
    const type = stepTypes[reader.u8()];
    if (type === undefined) throw malformed('step');
    steps.push({ type, replicaId: readReplicaId(reader, 'replicaId') });
  }
  const context = reader.bytes();
  if (context.length > confContextBytesMax) throw malformed('context');
  reader.finish();
  return { steps, context, transition };
}
