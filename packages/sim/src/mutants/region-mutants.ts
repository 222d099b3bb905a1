/** Bugs of a node's loop: proposals, reads, applies, snapshots, truncation, claims. */
import type { Mutant } from './mutant.js';

const loop: readonly Mutant[] = [
  {
    name: 'acknowledgedByIndexAlone',
    breaks: 'A proposal is acknowledged by whatever entry comes to be committed at its index.',
    file: 'region/proposals.js',
    edits: [
      {
        fragment: 'if (first.index !== index || first.term !== term) {',
        replacement: 'if (first.index !== index) {',
      },
      { fragment: 'if (entry.index <= commitIndex)', replacement: 'if (true)' },
      {
        fragment: "assert(first.sinks.length === results.length, 'one result per command');",
        replacement: 'if (results.length === 0) results = [];',
      },
      { fragment: 'result: results[i],', replacement: 'result: results[i] ?? results[0],' },
    ],
  },
  {
    name: 'readBeforeApply',
    breaks: 'A read is answered before the replica has applied up to its read point.',
    file: 'region/reads.js',
    edits: [{ fragment: 'if (appliedIndex >= index)', replacement: 'if (true)' }],
  },
  {
    name: 'promiseWithoutWaiting',
    breaks: 'What waits for the disk leaves as soon as anything was synced.',
    file: 'region/log-writer.js',
    edits: [
      {
        fragment: 'this.unsynced[this.head].batch <= this.durableBatch;',
        replacement: 'this.unsynced[this.head].batch <= this.durableBatch + 1;',
      },
    ],
  },
  {
    name: 'truncatedBeforeDurable',
    breaks: 'The log is truncated up to what is applied, though the engine may still lose it.',
    file: 'region/truncation.js',
    edits: [
      {
        fragment: 'let to = Math.min(machine.durableIndex(), raft.appliedIndex);',
        replacement: 'let to = raft.appliedIndex;',
      },
    ],
  },
];

const snapshots: readonly Mutant[] = [
  {
    name: 'restartBeforeDurable',
    breaks: 'The log restarts behind a snapshot that the engine does not hold durably yet.',
    file: 'region/snapshots-in.js',
    edits: [
      {
        fragment: 'if (replica.machine.durableIndex() < meta.index) {',
        replacement: 'if (false) {',
      },
    ],
  },
  {
    name: 'voteLostInSnapshot',
    breaks: 'The restart of a log behind a snapshot forgets the vote of the term.',
    file: 'region/snapshots-in.js',
    edits: [
      {
        fragment: 'const hardState = { term: raft.term, votedFor: raft.votedFor,',
        replacement: 'const hardState = { term: raft.term, votedFor: 0,',
      },
    ],
  },
];

const claims: readonly Mutant[] = [
  {
    name: 'refusalForgotten',
    breaks: 'A follower refuses a claim without telling its leader.',
    file: 'region/claims/receive.js',
    edits: [{ fragment: 'pushDetach(receiver.state, session, {', replacement: 'void ({' }],
  },
  {
    name: 'leadershipEndUntold',
    breaks: 'A leader that steps down leaves its followers attached.',
    file: 'region/leadership.js',
    edits: [
      {
        fragment:
          'this.claims.leadershipEnded(replica.regionId, replica.seenTerm, this.otherReplicas(replica));',
        replacement: '',
      },
    ],
  },
  {
    name: 'silenceIgnored',
    breaks: 'A peer that is silent is waited for, for ever.',
    file: 'region/claims/claims.js',
    edits: [
      {
        fragment: 'if (silentMs >= this.options.electionTimeoutMs) {',
        replacement: 'if (silentMs === Number.POSITIVE_INFINITY) {',
      },
    ],
  },
  {
    name: 'answerOvertakesDetach',
    breaks: 'The answer to a heartbeat leaves before the detaches that were queued first.',
    file: 'region/claims/receive.js',
    edits: [
      {
        fragment: "session.queue.push({\n        type: 'heartbeatAnswer',",
        replacement: "session.queue.unshift({\n        type: 'heartbeatAnswer',",
      },
    ],
  },
  {
    name: 'claimOutlivesSession',
    breaks: 'A follower stays attached when the session of its claim is over.',
    file: 'region/claims/state.js',
    edits: [
      {
        fragment: 'if (session.followedDigest.count === 0)\n        return;',
        replacement: 'return;',
      },
    ],
  },
];

export const regionMutants: readonly Mutant[] = [...loop, ...snapshots, ...claims];
