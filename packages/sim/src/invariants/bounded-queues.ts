/** Every queue is within its limit (P8). */
import { limits } from '@moku/base';
import type { HostStatus } from '@moku/region';
import type { SimNode } from '../sim-node.js';
import type { Invariant, Report } from './invariant.js';

/** Votes and the like are written beyond the limit at which proposals begin to wait. */
const logBatchesMarginMax = 10_000;

export class BoundedQueues implements Invariant {
  private readonly report: Report;

  constructor(report: Report) {
    this.report = report;
  }

  onNode(node: SimNode, status: HostStatus): void {
    this.hold(node, 'proposalBytes', status.proposalBytes, limits.proposalBytesPerNodeMax);
    const { batchesInFlight, bytesInFlight } = node.disk.health();
    this.hold(
      node,
      'logBatches',
      batchesInFlight,
      limits.logBatchesInFlightMax + logBatchesMarginMax,
    );
    this.hold(node, 'logBytes', bytesInFlight, 2 * limits.logBytesInFlightMax);
  }

  private hold(node: SimNode, queue: string, value: number, bound: number): void {
    if (value <= bound) return;
    this.report('queues are bounded', `node ${node.nodeId}: ${queue} is ${value}, bound ${bound}`);
  }
}
