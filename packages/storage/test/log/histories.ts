/** Who owns the logs of the tests, and what is written to them; used by the tests and their processes. */
import type { RegionId, ReplicaId } from '@moku/base';
import type { ConfState, Entry, RegionWrite } from '@moku/raft';

export const owner = { clusterId: 'test', nodeId: 1 };
export const replica1 = 1 as ReplicaId;

const confState: ConfState = {
  voters: [replica1],
  votersOutgoing: [],
  learners: [],
  learnersNext: [],
  autoLeave: false,
};

export function region(id: number): RegionId {
  return id as RegionId;
}

export function create(id: number): RegionWrite {
  const truncated = { truncatedIndex: 0, truncatedTerm: 0 };
  return { regionId: region(id), create: { replicaId: replica1, confState, ...truncated } };
}

export function entriesOf(id: number, from: number, to: number, term = 1, bytes = 40): Entry[] {
  const entries: Entry[] = [];
  for (let index = from; index <= to; index++) {
    const head = `<region ${id} index ${index} term ${term}>`;
    const data = new Uint8Array(Buffer.from(head.padEnd(bytes, '.')));
    entries.push({ term, index, kind: 'normal', data });
  }
  return entries;
}

export function append(id: number, from: number, to: number, term = 1, bytes = 40): RegionWrite {
  return { regionId: region(id), entries: entriesOf(id, from, to, term, bytes) };
}

const streamRegions = 6;
const streamKeeps = 40;

/**
 * Batch `index` of an endless history: one entry for each region, and a truncation now and
 * then.
 */
export function streamBatch(index: number): RegionWrite[] {
  const writes: RegionWrite[] = [];
  for (let id = 1; id <= streamRegions; id++) {
    if (index === 1) writes.push(create(id));
    writes.push(append(id, index, index, 1, streamBytes(id, index)));
    const truncateTo = index - streamKeeps;
    if (truncateTo > 0 && index % (10 + id) === 0) {
      writes.push({ regionId: region(id), truncate: { index: truncateTo, term: 1 } });
    }
  }
  return writes;
}

/** Entries `from` … `to` that the history gave the region. */
export function streamEntries(id: number, from: number, to: number): Entry[] {
  const entries: Entry[] = [];
  for (let index = from; index <= to; index++) {
    entries.push(...entriesOf(id, index, index, 1, streamBytes(id, index)));
  }
  return entries;
}

function streamBytes(id: number, index: number): number {
  return index % 17 === id ? 30_000 : 60;
}

export const streamRegionIds: readonly number[] = Array.from(
  { length: streamRegions },
  (_, i) => i + 1,
);
