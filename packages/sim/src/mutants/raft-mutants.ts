/** Bugs of the Raft core: votes, terms, appends, commits, reads. */
import type { Mutant } from './mutant.js';

/** One edit of one file. */
function edited(
  [name, file]: readonly [name: string, file: string],
  breaks: string,
  [fragment, replacement]: readonly [fragment: string, replacement: string],
): Mutant {
  return { name, breaks, file: `raft/${file}.js`, edits: [{ fragment, replacement }] };
}

const elections: readonly Mutant[] = [
  edited(['voteBeforeSync', 'election'], 'A vote leaves before it is synced.', [
    'if (isGranted && !isPre)',
    'if (false)',
  ]),
  edited(['votedTwice', 'election'], 'A second candidate of a term gets a vote, too.', [
    'const isFree = core.votedFor === from || (core.votedFor === noReplica && core.leaderId === noReplica);',
    'const isFree = true;',
  ]),
  edited(
    ['voteForgottenAtRestart', 'raft'],
    'A restarted replica no longer knows for whom it voted.',
    ['core.votedFor = hardState.votedFor;', ''],
  ),
  edited(['voteForStaleLog', 'log-tail'], 'A candidate whose log lacks entries gets votes.', [
    'if (lastLogTerm !== this.lastTerm)\n            return lastLogTerm > this.lastTerm;\n        return lastLogIndex >= this.lastIndex;',
    'return true;',
  ]),
  edited(['voteQuorumOffByOne', 'quorum'], 'A candidate wins with one vote too few.', [
    'const needed = (voters.length >> 1) + 1;',
    'const needed = voters.length >> 1;',
  ]),
  edited(['termNotAdopted', 'step'], 'A greater term that a message carries is passed over.', [
    'if (message.term > core.term)\n        core.adoptTerm(message.term);',
    '',
  ]),
  edited(
    ['termForgottenAtRestart', 'raft'],
    'A restarted replica begins again in the term before its last.',
    ['core.term = hardState.term;', 'core.term = Math.max(tail.lastTerm, hardState.term - 1);'],
  ),
  edited(
    ['preVoteIgnored', 'election'],
    'A campaign begins a new term without asking whether it can be won.',
    ["requestVotes(core, 'preVote', core.term + 1);", 'startElection(core);'],
  ),
];

const replication: readonly Mutant[] = [
  edited(
    ['acknowledgedBeforeSync', 'replication'],
    'An acknowledgement leaves before its entries are synced.',
    ['core.sendAfterPersist({', 'core.send({'],
  ),
  edited(
    ['prevLogTermUnchecked', 'replication'],
    'A follower takes entries behind one that differs from its leader’s.',
    ['tail.term(prevLogIndex) !== prevLogTerm) {', 'tail.term(prevLogIndex) === undefined) {'],
  ),
  edited(
    ['conflictNotTruncated', 'replication'],
    'A follower keeps what it has where its leader’s entries differ.',
    ['tail.term(entry.index) !== entry.term)', 'tail.term(entry.index) === undefined)'],
  ),
  edited(
    ['indexReissued', 'election'],
    'A new leader gives the indexes behind its commitIndex to new entries.',
    [
      'const leader = new LeaderState(tail.lastIndex + 1, core.confState, core.id);\n    core.leader = leader;\n    tail.push({ term: core.term, index: tail.lastIndex + 1,',
      'const leader = new LeaderState(core.commitIndex + 1, core.confState, core.id);\n    core.leader = leader;\n    const replace = (entry) => tail.replaceFrom([entry]);\n    replace({ term: core.term, index: core.commitIndex + 1,',
    ],
  ),
  edited(
    ['oldTermCommittedByCounting', 'replication'],
    'A leader commits entries of former terms by counting (Raft, figure 8).',
    ['|| index < leader.firstIndexOfTerm)', ')'],
  ),
  edited(['commitQuorumOffByOne', 'quorum'], 'An entry is committed with one copy too few.', [
    'return scratch[count >> 1];',
    'return scratch[Math.max(0, (count >> 1) - 1)];',
  ]),
  edited(
    ['leaderCountsUnsynced', 'replication'],
    'A leader counts itself for entries that its disk has not synced.',
    ['own.matched(core.tail.stableIndex)', 'own.matched(core.tail.lastIndex)'],
  ),
  edited(
    ['commitBeyondMatch', 'replication'],
    'A leader takes what it sent for what was acknowledged.',
    ['progress.matched(index);', 'progress.matched(progress.nextIndex - 1);'],
  ),
  edited(
    ['appliedBeforeCommit', 'ready'],
    'Entries are applied once they are synced here, committed or not.',
    [
      'return core.tail.stableIndex < commitIndex ? core.tail.stableIndex : commitIndex;',
      'return Math.max(core.tail.stableIndex, Math.min(commitIndex, 0));',
    ],
  ),
];

const reads: readonly Mutant[] = [
  edited(
    ['readWithoutRound', 'reads'],
    'A leader answers reads without asking whether it still leads.',
    [
      'let confirmed = roundOfMajority(leader.voters);',
      'let confirmed = Number.POSITIVE_INFINITY;',
    ],
  ),
  edited(
    ['readBeforeOwnTerm', 'reads'],
    'A leader answers reads before an entry of its own term is committed.',
    ['if (core.commitIndex < leader.firstIndexOfTerm)\n        return;', ''],
  ),
];

export const raftMutants: readonly Mutant[] = [...elections, ...replication, ...reads];
