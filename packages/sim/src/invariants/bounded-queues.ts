/** Every queue is within its limit (P8). */
import { limits } from '@moku/base';
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

  constructor(report: Report) {
    this.report = report;
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
