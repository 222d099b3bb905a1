/**
 * One attempt at a region: whom to ask, and what the answer says about the next attempt.
 *
 * Invariants:
 *  A1 An attempt that may have had an effect is reported as `isMaybe`; nothing else is (P5).
 *  A2 A leader is forgotten only by what was heard, or not heard, from itself.
 */
import { type Clock, isMokuError, MokuError, type NodeId, type RegionDescriptor } from '@moku/base';
import type { ClientRequest, RequestChannel } from '@moku/transport';
import { raised } from './answers.js';
import { ByteGates } from './byte-gates.js';
import type { Channels } from './channels.js';
import type { Deadline } from './deadline.js';
import type { Router } from './router.js';

export type AttemptResult =
  | { readonly kind: 'bytes'; readonly bytes: Uint8Array }
  /** isPrompt: the next target is known; no pause is needed. */
  | {
      readonly kind: 'again';
      readonly error: MokuError;
      readonly isMaybe: boolean;
      readonly isPrompt: boolean;
    }
  | { readonly kind: 'final'; readonly error: MokuError };

/** An attempt that got no answer for this long is repeated elsewhere: safe, because writes are deduplicated. */
const attemptMsMax = 5_000;
/** For so long others are asked first; for ever would leave a client with none when the others are gone. */
const silentMs = 5_000;
/**
 * Bytes of commands under way to one node. What a node cannot take within `attemptMsMax` is sent again and
 * written again: beyond its pace, more under way means less done.
 */
const writeBytesPerNodeMax = 4 * 1024 * 1024;
/** What a command costs a node beside its bytes, so that small ones are bounded too: 4,096 at most. */
const writeOverheadBytes = 1024;

export class Attempts {
  private readonly channels: Channels;
  private readonly router: Router;
  private readonly clock: Clock;
  private readonly gates = new ByteGates(writeBytesPerNodeMax);
  /** They let an attempt wait in vain: until this time, unless they answer, others are asked in turn. */
  private readonly silentUntilMs = new Map<NodeId, number>();
  private turn = 0;

  constructor(channels: Channels, router: Router, clock: Clock) {
    this.channels = channels;
    this.router = router;
    this.clock = clock;
  }

  /** Sends `request` to the region's leader as far as known, else to its replicas in turn. */
  async attempt(
    region: RegionDescriptor,
    request: ClientRequest,
    deadline: Deadline,
  ): Promise<AttemptResult> {
    const leader = this.router.leaderOf(region.regionId);
    const nodeId = this.target(region);
    const bytes = request.kind === 'execute' ? request.command.length + writeOverheadBytes : 0;
    const turn = this.gates.enter(nodeId, bytes, deadline.signal);
    if (turn !== undefined && !(await turn)) {
      return again(new MokuError('BUSY', { queue: 'writeBytes' }), false, true);
    }
    try {
      const isStale = turn !== undefined && this.router.leaderOf(region.regionId) !== leader;
      if (isStale) return again(new MokuError('BUSY', { queue: 'writeBytes' }), false, true);
      return await this.ask(nodeId, region, request, deadline);
    } finally {
      this.gates.leave(nodeId, bytes);
    }
  }

  private async ask(
    nodeId: NodeId,
    region: RegionDescriptor,
    request: ClientRequest,
    deadline: Deadline,
  ): Promise<AttemptResult> {
    let channel: RequestChannel | undefined;
    try {
      channel = this.channels.opened(nodeId) ?? (await deadline.within(this.channels.to(nodeId)));
    } catch (error) {
      if (deadline.isOver) return again(new MokuError('UNAVAILABLE', { nodeId }), false, false);
      this.router.forgetLeader(region.regionId, nodeId);
      if (isMokuError(error, 'CLOSED')) return { kind: 'final', error };
      return again(asMoku(error), false, false);
    }
    try {
      const answer = await this.bounded(nodeId, channel, request, deadline);
      if (answer.kind === 'bytes') {
        // Only the leader answers a command.
        if (request.kind === 'execute') this.router.setLeader(region.regionId, nodeId);
        return answer;
      }
      return this.judge(nodeId, region, raised(answer));
    } catch (error) {
      this.router.forgetLeader(region.regionId, nodeId);
      const coded = asMoku(error);
      return again(coded, coded.outcome === 'maybe', false);
    }
  }

  private target(region: RegionDescriptor): NodeId {
    const leader = this.router.leaderOf(region.regionId);
    if (leader !== undefined) return leader;
    const replicas = region.replicas;
    const nowMs = this.clock.monotonicMs();
    for (let asked = 1; asked < replicas.length; asked++) {
      const { nodeId } = replicas[this.turn++ % replicas.length]!;
      if ((this.silentUntilMs.get(nodeId) ?? 0) <= nowMs) return nodeId;
    }
    const replica = replicas[this.turn++ % replicas.length];
    if (replica === undefined) throw new MokuError('REGION_UNKNOWN', { regionId: region.regionId });
    return replica.nodeId;
  }

  private async bounded(
    nodeId: NodeId,
    channel: RequestChannel,
    request: ClientRequest,
    deadline: Deadline,
  ) {
    const controller = new AbortController();
    // With a reason given, none is made, which would take the stack down with it.
    const abort = (): void => controller.abort('over');
    const timer = this.clock.after(attemptMsMax, () => {
      this.silentUntilMs.set(nodeId, this.clock.monotonicMs() + silentMs);
      abort();
    });
    deadline.signal.addEventListener('abort', abort, { once: true });
    try {
      const answer = await channel.request(request, controller.signal);
      this.silentUntilMs.delete(nodeId);
      return answer;
    } finally {
      timer.cancel();
      deadline.signal.removeEventListener('abort', abort);
    }
  }

  /** A2: what `nodeId` says of itself tells nothing about another node that is known to lead. */
  private judge(nodeId: NodeId, region: RegionDescriptor, error: MokuError): AttemptResult {
    const isMaybe = error.outcome === 'maybe';
    switch (error.code) {
      case 'NOT_LEADER': {
        const leader = Number(error.details['leaderNodeId'] ?? 0);
        const isNews = leader !== 0 && leader !== this.router.leaderOf(region.regionId);
        if (leader === 0) this.router.forgetLeader(region.regionId, nodeId);
        else this.router.setLeader(region.regionId, leader as NodeId);
        return again(error, isMaybe, isNews);
      }
      case 'PROPOSAL_LOST':
      case 'REGION_UNKNOWN':
      case 'UNAVAILABLE':
      case 'CLOSED':
        this.router.forgetLeader(region.regionId, nodeId);
        return again(error, isMaybe, false);
      default:
        return error.retryable ? again(error, isMaybe, false) : { kind: 'final', error };
    }
  }
}

function again(error: MokuError, isMaybe: boolean, isPrompt: boolean): AttemptResult {
  return { kind: 'again', error, isMaybe, isPrompt };
}

function asMoku(error: unknown): MokuError {
  return error instanceof MokuError ? error : new MokuError('INTERNAL', {}, { cause: error });
}
