/** What an opening that fails leaves behind: nothing. */
import { expect, it } from 'vitest';
import { openLogStoreOver } from '../../src/log/open.js';
import type { FromThread } from '../../src/log/protocol.js';
import { rejection, tempDir } from './fixtures.js';

it('a log that cannot be rebuilt is let go: its thread, and with it its lock, has ended', async () => {
  const states: FromThread = {
    type: 'states',
    states: new Uint8Array(),
    metas: [],
    incarnation: 1,
    storeId: 'a',
    amnesia: '',
  };
  // A row twice, which a thread never says.
  const rows: FromThread = {
    type: 'rows',
    seqs: [2, 2],
    rowBytes: [1, 1],
    recordCounts: [0, 0],
    isComplete: [true, true],
    items: new Float64Array(),
  };
  const ends: string[] = [];
  const opening = openLogStoreOver(
    { dir: tempDir(), clusterId: 'c', nodeId: 1 },
    (_options, listener) => {
      for (const message of [states, rows, { type: 'opened' } as const]) {
        listener.onMessage(message);
      }
      return {
        ended: new Promise<void>(() => {}),
        listen: () => {},
        post: () => {},
        terminate: async () => {
          ends.push('terminated');
        },
      };
    },
  );
  expect(await rejection(opening)).toBeInstanceOf(Error);
  expect(ends).toEqual(['terminated']);
});
