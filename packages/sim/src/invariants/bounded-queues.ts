/**
 * Every queue is within its limit (P8); of the engine's overlay that is: nobody begins to apply while it is full.
 */
import { limits } from '@moku/base';
import type { EngineWrite } from '@moku/kv';
import type { HostStatus } from '@moku/region';
import type { SimNode } from '../world/sim-node.js';
import type { Invariant, Report } from './invariant.js';

/**
 * At the limit leaders' proposals wait. What others sent is still written: of each region the appends that
 * its leader may have under way, and a hard state per election.
 */
const batchesPerRegionMax = limits.inflightMessagesMax;
const bytesPerRegionMax = limits.inflightBytesMax;

export class BoundedQueues implements Invariant {
  private readonly report: Report;
  private readonly nowMs: () => number;
  /** When each node applied last: what one event applies may go beyond the limit. */
  private readonly appliedMs = new Map<SimNode, number>();

  constructor(report: Report, nowMs: () => number) {
    this.report = report;
    this.nowMs = nowMs;
  }

  onApply(node: SimNode, { regionId, appliedIndex }: EngineWrite): void {
    const nowMs = this.nowMs();
    const isFirst = this.appliedMs.get(node) !== nowMs;
    this.appliedMs.set(node, nowMs);
    if (!isFirst || !node.disk.isEngineFull()) return;
    const what = `node ${node.nodeId}, region ${regionId}: ${appliedIndex} is applied to a full engine`;
    this.report('queues are bounded', what);
  }

  onNode(node: SimNode, status: HostStatus): void {
    this.hold(node, 'proposalBytes', status.proposalBytes, limits.proposalBytesPerNodeMax);
    const { batchesInFlight, bytesInFlight } = node.disk.health();
    const { regions } = status;
    const batchesMax = limits.logBatchesInFlightMax + regions * batchesPerRegionMax;
    this.hold(node, 'logBatches', batchesInFlight, batchesMax);
    const bytesMax = limits.logBytesInFlightMax + regions * bytesPerRegionMax;
    this.hold(node, 'logBytes', bytesInFlight, Math.min(bytesMax, 2 * limits.logBytesInFlightMax));
  }

  private hold(node: SimNode, queue: string, value: number, bound: number): void {
    if (value <= bound) return;
    this.report('queues are bounded', `node ${node.nodeId}: ${queue} is ${value}, bound ${bound}`);
  }
}
