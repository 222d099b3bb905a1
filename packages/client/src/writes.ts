/**
 * Commands through a region's log, retried until answered or out of time, applied at most once (P4).
 *
 * Invariants:
 *  W1 Every attempt of a request carries the same session and sequence, unless the former ones
 *     certainly had no effect.
 *  W2 The error is `definite` only when no attempt may have been applied (P5).
 */
import { MokuError, type RegionDescriptor } from '@moku/base';
import {
  type Command,
  type CommandOutcome,
  decodeCommandOutcome,
  encodeCommand,
  type SessionRef,
  type WriteRefusal,
} from '@moku/kv';
import type { Attempts } from './attempts.js';
import type { Deadline } from './deadline.js';
import type { Session, Sessions } from './sessions.js';

/** How a write finds its region, asked again after each stale answer. */
export interface WriteTarget {
  region(deadline: Deadline): Promise<RegionDescriptor>;
  /** The cached descriptor proved stale. */
  refresh(deadline: Deadline): Promise<void>;
  /** The command for that region. */
  command(region: RegionDescriptor, session: SessionRef): Command;
}

export type Written = Exclude<CommandOutcome, { type: 'refused' }>;
export type Refused = Extract<CommandOutcome, { type: 'refused' }>;

type Step =
  | { readonly kind: 'done'; readonly outcome: Written | Refused }
  | { readonly kind: 'reroute'; readonly error: MokuError }
  | { readonly kind: 'newSession'; readonly error: MokuError };

export class Writes {
  private readonly attempts: Attempts;
  private readonly sessions: Sessions;

  constructor(attempts: Attempts, sessions: Sessions) {
    this.attempts = attempts;
    this.sessions = sessions;
  }

  /** Runs a write to its end. `refused` with conditionFailed and the like are outcomes, not errors. */
  async run(target: WriteTarget, deadline: Deadline): Promise<Written | Refused> {
    let last: unknown;
    for (let round = 0; !deadline.isOver; round++) {
      if (round > 0) await deadline.pause(round);
      const region = await target.region(deadline);
      const session = await this.session(region, deadline);
      const step = await this.runInSession(target, region, session, deadline);
      if (step.kind === 'done') return step.outcome;
      last = step.error;
      // Both had certainly no effect: a new sequence may be used (W1).
      if (step.kind === 'reroute') await target.refresh(deadline);
      else this.sessions.forget(region.regionId, session);
    }
    throw deadline.error(false, last);
  }

  private async session(region: RegionDescriptor, deadline: Deadline): Promise<Session> {
    const current = this.sessions.current(region.regionId);
    if (current !== undefined) return current;
    while (true) {
      try {
        return await this.sessions.get(region.regionId, () => this.openSession(region, deadline));
      } catch (error) {
        // Whoever opened it for all may have had less time than this call.
        if (deadline.isOver) throw deadline.error(false, error);
        const ended =
          error instanceof MokuError && (error.code === 'TIMEOUT' || error.code === 'ABORTED');
        if (!ended) throw error;
      }
    }
  }

  /** A session opened twice leaves one unused, which the region evicts in time: no harm in retrying. */
  private async openSession(region: RegionDescriptor, deadline: Deadline): Promise<number> {
    const command = encodeCommand({ type: 'openSession' });
    let last: unknown;
    for (let attempt = 0; !deadline.isOver; attempt++) {
      const request = { kind: 'execute', regionId: region.regionId, command } as const;
      const result = await this.attempts.attempt(region, request, deadline);
      if (result.kind === 'final') throw result.error.withOutcome('definite');
      if (result.kind === 'bytes') {
        const outcome = decodeCommandOutcome(result.bytes);
        if (outcome.type === 'sessionOpened') return outcome.sessionId;
        throw new MokuError('MALFORMED_REQUEST', { field: 'openSession', answer: outcome.type });
      }
      last = deadline.worthTelling(last, result.error);
      if (!result.isPrompt) await deadline.pause(attempt + 1);
    }
    throw deadline.error(false, last);
  }

  private async runInSession(
    target: WriteTarget,
    region: RegionDescriptor,
    session: Session,
    deadline: Deadline,
  ): Promise<Step> {
    const sequence = session.begin();
    let isMaybe = false;
    let last: unknown;
    try {
      for (let attempt = 0; !deadline.isOver; attempt++) {
        const command = target.command(region, session.ref(sequence));
        const { regionId } = region;
        const request = { kind: 'execute', regionId, command: encodeCommand(command) } as const;
        const result = await this.attempts.attempt(region, request, deadline);
        if (result.kind === 'final')
          throw isMaybe ? result.error.withOutcome('maybe') : result.error;
        if (result.kind === 'bytes') {
          const outcome = decodeCommandOutcome(result.bytes);
          if (!isSessionFull(outcome, command.type)) return settle(outcome, isMaybe);
          last = new MokuError('BUSY', { queue: 'sessionResults' });
          await deadline.pause(attempt + 1);
          continue;
        }
        isMaybe ||= result.isMaybe;
        last = deadline.worthTelling(last, result.error);
        if (!isMaybe && result.error.code === 'REGION_UNKNOWN')
          return { kind: 'reroute', error: result.error };
        if (!result.isPrompt) await deadline.pause(attempt + 1);
      }
      throw deadline.error(isMaybe, last);
    } finally {
      session.end(sequence);
    }
  }
}

/**
 * The session remembers as many results as it may, until its oldest request is answered: the same
 * sequence is sent again. An earlier attempt may still arrive when there is room, so this is no certain end.
 */
function isSessionFull(outcome: CommandOutcome, type: Command['type']): boolean {
  return type === 'write' && outcome.type === 'refused' && outcome.reason === 'limitReached';
}

/** What a region's answer means for the request. A refusal is certain for this and every earlier attempt. */
function settle(outcome: CommandOutcome, isMaybe: boolean): Step {
  if (outcome.type !== 'refused') return { kind: 'done', outcome };
  switch (outcome.reason) {
    case 'epochMismatch':
    case 'keyOutsideRegion':
      return {
        kind: 'reroute',
        error: new MokuError('EPOCH_MISMATCH', { reason: outcome.reason }),
      };
    case 'sessionUnknown':
      // The session is gone, and with it the memory of what an earlier attempt did.
      if (isMaybe) throw new MokuError('SESSION_UNKNOWN');
      return {
        kind: 'newSession',
        error: new MokuError('SESSION_UNKNOWN').withOutcome('definite'),
      };
    default:
      return { kind: 'done', outcome };
  }
}

/** The error of a refusal that is no outcome for the caller. */
export function refusalError(
  reason: WriteRefusal,
  details: Readonly<Record<string, unknown>>,
): MokuError {
  switch (reason) {
    case 'keyspaceConflict':
      return new MokuError('KEYSPACE_EXISTS', details);
    default:
      return new MokuError('INVALID_ARGUMENT', { reason, ...details });
  }
}
