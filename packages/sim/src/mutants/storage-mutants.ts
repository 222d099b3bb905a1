/** Adapters that lie to the node: the simulated disk and network, and the stores in memory under them. */
import type { Mutant } from './mutant.js';

export const storageMutants: readonly Mutant[] = [
  {
    name: 'syncReportedEarly',
    breaks: 'The log calls batches durable that it took while it was syncing others.',
    file: 'raft/memory-log-store.js',
    edits: [
      {
        fragment: 'this.events?.onDurable(this.syncedBatch);',
        replacement: 'this.events?.onDurable(this.lastBatch);',
      },
    ],
  },
  {
    name: 'durableIndexAhead',
    breaks: 'The engine claims to hold durably what a crash takes away.',
    file: 'kv/memory-engine.js',
    edits: [
      {
        fragment: 'return replica.replicaId === durable.replicaId ? durable.appliedIndex : 0;',
        replacement: 'return replica.appliedIndex;',
      },
    ],
  },
  {
    name: 'hardStateNotStored',
    breaks: 'A vote is synced into a log that forgets it.',
    file: 'raft/memory-log-picture.js',
    edits: [
      {
        fragment: 'region.hardState = write.hardState;',
        replacement:
          'region.hardState = { ...write.hardState, votedFor: region.hardState.votedFor };',
      },
    ],
  },
  {
    name: 'oldFrameAccepted',
    breaks: 'A frame of a former session is taken for one of the present.',
    file: 'sim/world/network.js',
    edits: [
      {
        fragment: 'this.tell(end.node, (events) => events.onSessionOpen(session));',
        replacement: `this.tell(end.node, (events) => {
            events.onSessionOpen(session);
            const old = this.oldFrames?.get(end.peer + '>' + end.node);
            if (old !== undefined) events.onFrame(session, 'control', old.slice());
        });`,
      },
      {
        fragment: 'events.onFrame(half.session, lane, bytes);',
        replacement: `if (lane === 'control') (this.oldFrames ??= new Map()).set(end.node + '>' + end.peer, bytes.slice());
            events.onFrame(half.session, lane, bytes);`,
      },
    ],
  },
];
