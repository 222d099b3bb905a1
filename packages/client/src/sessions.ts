/**
 * The client's half of deduplication (P4): one session per region, opened through the region's log at
 * the first write, with ascending sequence numbers.
 *
 * Invariants:
 *  S1 A sequence stands for one request for ever: a retry has the same sequence, another request another.
 *  S2 `answeredBelow` never exceeds a sequence that may still be retried.
 */
import type { RegionId } from '@moku/base';
import type { SessionRef } from '@moku/kv';

/** One open session: hands out sequences and knows which are still in use. */
export class Session {
  readonly sessionId: number;
  private lastSequence = 0;
  // Sequences enter in ascending order, so the first of the set is the least.
  private readonly inUse = new Set<number>();

  constructor(sessionId: number) {
    this.sessionId = sessionId;
  }

  get requestsInUse(): number {
    return this.inUse.size;
  }

  begin(): number {
    const sequence = ++this.lastSequence;
    this.inUse.add(sequence);
    return sequence;
  }

  /** The request was answered or given up: it will never be sent again. */
  end(sequence: number): void {
    this.inUse.delete(sequence);
  }

  ref(sequence: number): SessionRef {
    let answeredBelow = this.lastSequence + 1;
    for (const least of this.inUse) {
      answeredBelow = least;
      break;
    }
    return { sessionId: this.sessionId, sequence, answeredBelow };
  }
}

/** Sessions by region; opening is shared by all who wait for it. */
export class Sessions {
  private readonly byRegion = new Map<RegionId, Session>();
  private readonly opening = new Map<RegionId, Promise<Session>>();

  current(regionId: RegionId): Session | undefined {
    return this.byRegion.get(regionId);
  }

  /** The region's session; `open` makes its id when there is none. */
  get(regionId: RegionId, open: () => Promise<number>): Promise<Session> {
    const session = this.byRegion.get(regionId);
    if (session !== undefined) return Promise.resolve(session);
    let opening = this.opening.get(regionId);
    if (opening === undefined) {
      opening = this.open(regionId, open);
      this.opening.set(regionId, opening);
    }
    return opening;
  }

  private async open(regionId: RegionId, open: () => Promise<number>): Promise<Session> {
    try {
      const session = new Session(await open());
      this.byRegion.set(regionId, session);
      return session;
    } finally {
      this.opening.delete(regionId);
    }
  }

  /** The region does not know `session` any more. */
  forget(regionId: RegionId, session: Session): void {
    if (this.byRegion.get(regionId) === session) this.byRegion.delete(regionId);
  }
}
