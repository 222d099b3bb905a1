/**
 * Both ends of a link agree on their claims without repair, no session brings what its reader cannot
 * take, and no replica fails: only where a disk is damaged may one say so (design §6).
 */
import type { HostStatus, RegionStatus } from '@moku/region';
import type { SimNode } from '../world/sim-node.js';
import type { Invariant, Report } from './invariant.js';

/** Counters of the host that stay 0. */
const zeroCounters = ['digestMismatches', 'repairs', 'framesMalformed'] as const;

export class SoundClaims implements Invariant {
  private readonly report: Report;

  constructor(report: Report) {
    this.report = report;
  }

  onNode(node: SimNode, { counters }: HostStatus): void {
    for (const name of zeroCounters) {
      const value = counters[name] ?? 0;
      if (value > 0)
        this.report('claims need no repair', `node ${node.nodeId}: ${name} is ${value}`);
    }
  }

  onStatus(node: SimNode, { regionId, why }: RegionStatus): void {
    if (node.harm !== 'none' || !why.includes('failed')) return;
    this.report('no replica fails', `node ${node.nodeId}, region ${regionId} is out of service`);
  }
}
