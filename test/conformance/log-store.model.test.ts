/**
 * Random histories of a few regions, held against a model of a few lines: batches, conflicts, truncations,
 * snapshots, removed regions, rewriting, restarts and crashes. After a crash the store must be in the state
 * after some batch that is not older than the last durable one.
 */
import type { RegionId, ReplicaId } from '@moku/base';
import type { Entry, RegionWrite } from '@moku/raft';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  brief,
  confState,
  create,
  entriesOf,
  type LogHost,
  logAdapters,
  readAll,
} from './log-store.adapters.js';
import { sectorLog } from './sector.adapters.js';

const seed = 20_260_518;
const runs = 10;
const regionCount = 4;

interface ModelRegion {
  readonly replicaId: number;
  readonly floor: number;
  readonly floorTerm: number;
  readonly term: number;
  readonly votedFor: number;
  readonly entries: readonly Entry[];
}

type Model = ReadonlyMap<number, ModelRegion>;

/** What happens to one region in a batch; numbers are taken modulo what is possible. */
type Change =
  | { readonly type: 'append'; readonly count: number; readonly bytes: number }
  | {
      readonly type: 'conflict';
      readonly back: number;
      readonly count: number;
      readonly isOld: boolean;
    }
  | { readonly type: 'truncate'; readonly part: number }
  | { readonly type: 'restart'; readonly ahead: number }
  | { readonly type: 'vote' }
  | { readonly type: 'replace' };

type Step =
  | { readonly type: 'batch'; readonly changes: readonly { region: number; change: Change }[] }
  | { readonly type: 'settle' }
  | { readonly type: 'compact' }
  | { readonly type: 'reopen' }
  | { readonly type: 'crash' };

const change: fc.Arbitrary<Change> = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.record({
      type: fc.constant('append' as const),
      count: fc.integer({ min: 1, max: 8 }),
      bytes: fc.constantFrom(60, 60, 300, 40_000),
    }),
  },
  {
    weight: 4,
    arbitrary: fc.record({
      type: fc.constant('conflict' as const),
      back: fc.integer({ min: 1, max: 12 }),
      count: fc.integer({ min: 1, max: 4 }),
      isOld: fc.boolean(),
    }),
  },
  {
    weight: 4,
    arbitrary: fc.record({
      type: fc.constant('truncate' as const),
      part: fc.integer({ min: 1, max: 4 }),
    }),
  },
  {
    weight: 1,
    arbitrary: fc.record({
      type: fc.constant('restart' as const),
      ahead: fc.integer({ min: 0, max: 9 }),
    }),
  },
  { weight: 1, arbitrary: fc.constant({ type: 'vote' as const }) },
  { weight: 1, arbitrary: fc.constant({ type: 'replace' as const }) },
);

const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 20,
    arbitrary: fc.record({
      type: fc.constant('batch' as const),
      changes: fc.array(fc.record({ region: fc.integer({ min: 1, max: regionCount }), change }), {
        minLength: 1,
        maxLength: 5,
      }),
    }),
  },
  { weight: 3, arbitrary: fc.constant({ type: 'settle' as const }) },
  { weight: 3, arbitrary: fc.constant({ type: 'compact' as const }) },
  { weight: 2, arbitrary: fc.constant({ type: 'reopen' as const }) },
  { weight: 2, arbitrary: fc.constant({ type: 'crash' as const }) },
);

const histories = fc.array(step, { minLength: 20, maxLength: 60 });

/** One change as a write, and what it makes of the region. */
function applyChange(
  id: number,
  region: ModelRegion | undefined,
  what: Change,
): { writes: RegionWrite[]; after: ModelRegion } {
  const regionId = id as RegionId;
  if (region === undefined) return { writes: [create(regionId)], after: emptyRegion(1) };
  const last = region.floor + region.entries.length;
  const lastTerm = region.entries.at(-1)?.term ?? region.floorTerm;
  const { hardState } = stateOf(region);
  switch (what.type) {
    case 'append': {
      const term = Math.max(1, lastTerm);
      const entries = entriesOf(regionId, last + 1, last + what.count, { term, bytes: what.bytes });
      return {
        writes: [{ regionId, entries }],
        after: { ...region, entries: [...region.entries, ...entries] },
      };
    }
    case 'conflict': {
      const first = Math.max(region.floor + 1, last + 1 - what.back);
      // A newer leader may bring entries of an older term than those that it replaces.
      const before = region.entries[first - region.floor - 2]?.term ?? region.floorTerm;
      const term = Math.max(1, what.isOld ? before : lastTerm + 1);
      const entries = entriesOf(regionId, first, first + what.count - 1, { term });
      const kept = region.entries.slice(0, first - region.floor - 1);
      return {
        writes: [{ regionId, entries }],
        after: { ...region, entries: [...kept, ...entries] },
      };
    }
    case 'truncate': {
      const count = Math.ceil((region.entries.length * what.part) / 4);
      if (count === 0) return { writes: [], after: region };
      const { index, term } = region.entries[count - 1]!;
      const after = {
        ...region,
        floor: index,
        floorTerm: term,
        entries: region.entries.slice(count),
      };
      return { writes: [{ regionId, truncate: { index, term } }], after };
    }
    case 'restart': {
      const index = last + what.ahead;
      const term = lastTerm + 1;
      const after = { ...region, floor: index, floorTerm: term, entries: [] };
      return { writes: [{ regionId, restart: { index, term, confState } }], after };
    }
    case 'vote': {
      const after = { ...region, term: region.term + 1, votedFor: region.replicaId };
      return {
        writes: [{ regionId, hardState: { ...hardState, ...stateOf(after).hardState } }],
        after,
      };
    }
    case 'replace': {
      const replicaId = (region.replicaId + 1) as ReplicaId;
      const gone = { replicaId: region.replicaId as ReplicaId };
      return {
        writes: [{ regionId, destroy: gone }, create(regionId, { replicaId })],
        after: emptyRegion(replicaId),
      };
    }
  }
}

function emptyRegion(replicaId: number): ModelRegion {
  return { replicaId, floor: 0, floorTerm: 0, term: 0, votedFor: 0, entries: [] };
}

function stateOf(region: ModelRegion): { hardState: NonNullable<RegionWrite['hardState']> } {
  const votedFor = region.votedFor as ReplicaId;
  return { hardState: { term: region.term, votedFor, commitIndex: 0 } };
}

/** A model in the form of `observe`. */
function expected(model: Model): string[] {
  const lines: string[] = [];
  for (const [id, region] of [...model].sort(([a], [b]) => a - b)) {
    lines.push(
      `region ${id} replica ${region.replicaId} floor ${region.floor}/${region.floorTerm}`,
    );
    lines.push(`term ${region.term} vote ${region.votedFor}`, ...brief(region.entries));
  }
  return lines;
}

/** Everything that the store says of its regions, entries included. */
async function observe(host: LogHost, states: Model): Promise<string[]> {
  const lines: string[] = [];
  for (let id = 1; id <= regionCount; id++) {
    const regionId = id as RegionId;
    const log = host.store.region(regionId);
    if (log === undefined) continue;
    const found = host.store.recovered().regions.find((region) => region.regionId === regionId);
    const replicaId = found?.replicaId ?? states.get(id)?.replicaId;
    const floor = log.firstIndex() - 1;
    lines.push(`region ${id} replica ${replicaId} floor ${floor}/${log.term(floor)}`);
    lines.push(`term ${found?.hardState.term} vote ${found?.hardState.votedFor}`);
    const last = log.lastIndex();
    if (last > floor) lines.push(...brief(await readAll(host, regionId, floor + 1, last)));
  }
  return lines;
}

class Run {
  private readonly host: LogHost;
  /** The model after each batch of this opening; [0] is what the opening found. */
  private history: Model[] = [new Map()];

  constructor(host: LogHost) {
    this.host = host;
  }

  async take(what: Step): Promise<void> {
    switch (what.type) {
      case 'batch':
        this.batch(what.changes);
        return;
      case 'settle':
        await this.host.settle();
        return;
      case 'compact':
        await this.host.settle();
        await this.host.compact?.();
        this.history = [this.history.at(-1)!];
        return;
      case 'reopen': {
        await this.host.reopen();
        const model = this.history.at(-1)!;
        expect(await observe(this.host, model)).toEqual(expected(model));
        this.history = [model];
        return;
      }
      case 'crash':
        await this.crash();
        return;
    }
  }

  private batch(changes: readonly { region: number; change: Change }[]): void {
    const model = new Map(this.history.at(-1)!);
    const writes: RegionWrite[] = [];
    for (const { region, change: what } of changes) {
      const applied = applyChange(region, model.get(region), what);
      writes.push(...applied.writes);
      model.set(region, applied.after);
    }
    this.host.store.write(writes);
    this.history.push(model);
    for (const [id, { floor, entries }] of model) {
      const log = this.host.store.region(id as RegionId)!;
      expect([log.firstIndex(), log.lastIndex()]).toEqual([floor + 1, floor + entries.length]);
      for (const entry of entries) expect(log.term(entry.index)).toBe(entry.term);
    }
  }

  private async crash(): Promise<void> {
    const inFlight = this.host.store.health().batchesInFlight;
    await this.host.crash();
    const candidates = this.history.slice(-(inFlight + 1));
    const seen = await observe(this.host, this.history.at(-1)!);
    const survivor = candidates.find((model) => expected(model).join('\n') === seen.join('\n'));
    if (survivor === undefined) {
      // Shows the difference to the newest state that may have survived.
      expect(seen).toEqual(expected(candidates.at(-1)!));
    }
    this.history = [survivor!];
  }
}

describe.each([...logAdapters, sectorLog])('random histories on $name', (adapter) => {
  it('end in what the model says', async () => {
    await fc.assert(
      fc.asyncProperty(fc.boolean(), histories, async (rewritesRows, steps) => {
        const host = await adapter.open({ rewritesRows });
        try {
          const run = new Run(host);
          for (const what of steps) await run.take(what);
          await run.take({ type: 'reopen' });
        } finally {
          await host.dispose();
        }
      }),
      // Time enough to shrink what fails, and to report it before the test's own bound.
      { seed, numRuns: runs, interruptAfterTimeLimit: 40_000, markInterruptAsFailure: true },
    );
  });
});
