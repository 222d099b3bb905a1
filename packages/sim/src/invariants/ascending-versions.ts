/**
 * Timestamps of a region ascend in the order of its log, whatever its proposers' clocks did: no version
 * comes twice, none is older than one before it (design §8).
 */
import type { RegionId } from '@moku/base';
import type { EngineWrite } from '@moku/kv';
import type { SimNode } from '../world/sim-node.js';
import type { Invariant, Report } from './invariant.js';

interface Applied {
  index: number;
  timestamp: number;
}

/** Records of the machine itself lie below the users' keys and bear one timestamp. */
const userSpace = 1;

export class AscendingVersions implements Invariant {
  private readonly report: Report;
  /** By region: the newest entry that anybody applied, and the greatest version so far. */
  private readonly applied = new Map<RegionId, Applied>();

  constructor(report: Report) {
    this.report = report;
  }

  onApply(node: SimNode, { regionId, appliedIndex, puts }: EngineWrite): void {
    let last = this.applied.get(regionId);
    if (last === undefined) {
      last = { index: 0, timestamp: 0 };
      this.applied.set(regionId, last);
    }
    if (appliedIndex !== last.index + 1) return; // applied elsewhere before
    last.index = appliedIndex;
    const before = last.timestamp;
    for (const { key, timestamp } of puts) {
      if (key[0] !== userSpace) continue;
      if (timestamp <= before) {
        const what = `node ${node.nodeId}, region ${regionId}: entry ${appliedIndex} writes version ${timestamp}, after ${before}`;
        this.report('versions ascend', what);
      }
      if (timestamp > last.timestamp) last.timestamp = timestamp;
    }
  }
}
