/**
 * Queries at a linearizable point of a region, retried until answered or out of time. A read has no
 * effect, so its errors are always `definite`.
 */
import { MokuError, type RegionDescriptor } from '@moku/base';
import { decodeQueryOutcome, encodeQuery, type Query, type QueryOutcome } from '@moku/kv';
import type { Attempts } from './attempts.js';
import type { Deadline } from './deadline.js';

export type Answered = Extract<QueryOutcome, { type: 'found' | 'page' | 'digest' }>;

/** 'stale': the region has changed; ask again with a fresh descriptor. */
export type ReadResult =
  | { readonly kind: 'answer'; readonly outcome: Answered }
  | { readonly kind: 'stale' };

export class Reads {
  private readonly attempts: Attempts;

  constructor(attempts: Attempts) {
    this.attempts = attempts;
  }

  async run(region: RegionDescriptor, query: Query, deadline: Deadline): Promise<ReadResult> {
    const request = {
      kind: 'query',
      regionId: region.regionId,
      query: encodeQuery(query),
    } as const;
    let last: unknown;
    for (let attempt = 0; !deadline.isOver; attempt++) {
      const result = await this.attempts.attempt(region, request, deadline);
      if (result.kind === 'final') throw result.error.withOutcome('definite');
      if (result.kind === 'bytes') {
        const outcome = decodeQueryOutcome(result.bytes);
        if (outcome.type !== 'refused' && outcome.type !== 'expired')
          return { kind: 'answer', outcome };
        if (outcome.type === 'refused' && outcome.reason === 'invalid') {
          throw new MokuError('INVALID_ARGUMENT', { field: 'query', type: query.type });
        }
        if (outcome.type === 'refused') return { kind: 'stale' };
        last = new MokuError('BUSY', { queue: 'expiry' });
      } else {
        last = deadline.worthTelling(last, result.error);
        if (result.error.code === 'REGION_UNKNOWN') return { kind: 'stale' };
        if (result.isPrompt) continue;
      }
      await deadline.pause(attempt + 1);
    }
    throw deadline.error(false, last);
  }

  /** Runs `query` for what `region` gives, refreshing the descriptor whenever it proves stale. */
  async routed(
    region: () => Promise<RegionDescriptor>,
    query: (region: RegionDescriptor) => Query,
    refresh: () => Promise<unknown>,
    deadline: Deadline,
  ): Promise<{ readonly region: RegionDescriptor; readonly outcome: Answered }> {
    for (let round = 0; !deadline.isOver; round++) {
      if (round > 0) {
        await deadline.pause(round);
        await refresh();
      }
      const target = await region();
      const result = await this.run(target, query(target), deadline);
      if (result.kind === 'answer') return { region: target, outcome: result.outcome };
    }
    throw deadline.error(false, new MokuError('EPOCH_MISMATCH'));
  }
}
