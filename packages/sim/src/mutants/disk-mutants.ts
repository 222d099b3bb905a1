/** Nodes that take a damaged, lost or new disk for a sound one. */
import type { Mutant } from './mutant.js';

export const diskMutants: readonly Mutant[] = [
  {
    name: 'lostDataIgnored',
    breaks: 'A node starts on a log that says of itself that it lost synced data.',
    file: 'node/lost-data.js',
    edits: [{ fragment: 'if (log.isAmnesiac) {', replacement: 'if (false) {' }],
    profile: 'disk',
  },
  {
    name: 'newLogBesideOldData',
    breaks: 'A node starts with a new log beside the data of an old one.',
    file: 'node/lost-data.js',
    edits: [
      {
        fragment: 'const isNewLog = log.incarnation === 1;',
        replacement: 'const isNewLog = false;',
      },
    ],
    profile: 'disk',
  },
  {
    name: 'replacedNodeAccepted',
    breaks: 'A node that came back with an empty directory is taken for the old one.',
    file: 'transport/links/handshake.js',
    edits: [
      {
        fragment: 'if (known.storeId !== undefined && known.storeId !== claimed.storeId) {',
        replacement: 'if (false) {',
      },
    ],
    profile: 'disk',
  },
  {
    name: 'damagedStateSpreads',
    breaks: 'A replica whose state cannot be read ends its node.',
    file: 'region/manager.js',
    edits: [
      {
        fragment: 'this.openFailed(descriptor, replicaId, error);',
        replacement: 'throw error;',
      },
    ],
    profile: 'beyond',
  },
];
