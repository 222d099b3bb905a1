/** Bugs of the state machine: deduplication, conditions, epochs, applies, the clock. */
import type { Mutant } from './mutant.js';

export const kvMutants: readonly Mutant[] = [
  {
    name: 'deduplicationLost',
    breaks: 'A retried request is applied again: its session is not asked.',
    file: 'kv/kv-machine.js',
    edits: [{ fragment: 'if (ref.sessionId === 0)', replacement: 'if (true)' }],
  },
  {
    name: 'deduplicationLostInSnapshot',
    breaks: 'A snapshot does not carry the sessions.',
    file: 'kv/snapshot.js',
    edits: [
      {
        fragment: 'for (const version of versions)\n                this.writeRecord(version);',
        replacement:
          'for (const version of versions)\n                if (version.key[0] !== 0 || version.key[1] !== 0x73) this.writeRecord(version);',
      },
    ],
  },
  {
    name: 'deduplicationLostAtRestart',
    breaks: 'A restarted replica does not read its sessions back.',
    file: 'kv/sessions.js',
    edits: [
      {
        fragment: 'return this.dropped.has(sessionId) ? undefined : this.load(sessionId);',
        replacement: 'return undefined;',
      },
    ],
  },
  {
    name: 'applySkipped',
    breaks: 'The effects of every hundredth entry are dropped.',
    file: 'kv/applied-state.js',
    edits: [
      {
        fragment: 'puts: this.puts,\n            removes: this.removes,',
        replacement:
          'puts: entry.index % 100 === 99 ? [] : this.puts,\n            removes: entry.index % 100 === 99 ? [] : this.removes,',
      },
    ],
  },
  {
    name: 'appliedTwiceAfterRestart',
    breaks: 'The engine keeps an applied index that is one too low.',
    file: 'kv/applied-state.js',
    edits: [
      { fragment: 'appliedIndex: entry.index,', replacement: 'appliedIndex: entry.index - 1,' },
    ],
  },
  {
    name: 'staleEpochAccepted',
    breaks: 'A command for a former epoch of the region is applied.',
    file: 'kv/kv-machine.js',
    edits: [
      {
        fragment: 'if (command.epochVersion !== this.region.epoch.version)',
        replacement: 'if (false)',
      },
    ],
  },
  {
    name: 'conditionIgnored',
    breaks: 'A write under a condition happens although the condition does not hold.',
    file: 'kv/kv-machine.js',
    edits: [
      {
        fragment: "case 'ifAbsent':\n            return version === 0;",
        replacement: "case 'ifAbsent':\n            return true;",
      },
    ],
  },
  {
    name: 'timestampsGoBack',
    breaks: 'A write takes its proposer’s clock although the region’s timestamps are ahead of it.',
    file: 'kv/applied-state.js',
    edits: [
      {
        fragment: 'const base = timestamp > least ? timestamp : least;',
        replacement: 'const base = timestamp;',
      },
    ],
  },
];
