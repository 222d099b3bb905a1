/**
 * A replica in trouble fails alone (design §6, "a claim comes from the replica"): it leaves its claims,
 * answers who waits and is not driven any more, while its node and every other region live on. Bugs are
 * not failures: a broken invariant goes on to the process. So does a log that lost synced data (LOG_AMNESIA).
 */
import { InvariantError, isMokuError, type NodeId, type RegionId } from '@moku/base';
import type { HostCallbacks } from './contracts/host.js';
import type { Leadership } from './leadership.js';
import type { Replica } from './replica.js';
import type { Schedule } from './schedule.js';

/** True for what no replica may be blamed for alone: bugs, and a log that forgot, which is all replicas' log. */
function isOfNode(error: unknown): boolean {
  return (
    isMokuError(error, 'LOG_AMNESIA') ||
    error instanceof InvariantError ||
    error instanceof TypeError ||
    error instanceof ReferenceError ||
    error instanceof SyntaxError
  );
}

export class Failures {
  private readonly leadership: Leadership;
  private readonly schedule: Schedule;
  private readonly callbacks: HostCallbacks;
  count = 0;

  constructor(leadership: Leadership, schedule: Schedule, callbacks: HostCallbacks) {
    this.leadership = leadership;
    this.schedule = schedule;
    this.callbacks = callbacks;
  }

  /** Marks `replica` failed with `error`. Throws it when it concerns the node. */
  fail(replica: Replica, error: unknown): void {
    if (isOfNode(error)) throw error;
    if (replica.state !== 'running') return;
    const failure = asError(error);
    replica.failure = failure;
    this.count++;
    this.end(replica, 'failed', replica.leaderNodeId());
    this.callbacks.onReplicaFailed?.(replica.regionId, failure);
  }

  /** A replica could not even be opened. Gives what it failed with; throws it when it concerns the node. */
  openFailed(regionId: RegionId, error: unknown): Error {
    if (isOfNode(error)) throw error;
    this.count++;
    const failure = asError(error);
    this.callbacks.onReplicaFailed?.(regionId, failure);
    return failure;
  }

  /** Takes `replica` out of service: nothing of it is acknowledged from here on (H3). */
  end(replica: Replica, state: 'failed' | 'removed', leaderNodeId: NodeId): void {
    const wasRunning = replica.state === 'running';
    replica.state = state;
    if (!wasRunning) return;
    this.leadership.leave(replica);
    this.schedule.rest(replica);
    replica.proposals?.end(leaderNodeId);
    replica.proposals = undefined;
    replica.reads?.end(leaderNodeId);
    replica.reads = undefined;
    replica.toApply = undefined;
    replica.install = undefined;
  }
}

function asError(error: unknown): Error {
  return error instanceof Error ? error : new Error(String(error));
}
