/**
 * An entry is applied only once the replica's own disk holds it synced: what it answers from is then never
 * newer than what it remembers after a crash.
 */
import type { EngineWrite } from '@moku/kv';
import type { SimNode } from '../world/sim-node.js';
import type { Invariant, Report } from './invariant.js';

export class ApplySynced implements Invariant {
  private readonly report: Report;

  constructor(report: Report) {
    this.report = report;
  }

  onApply(node: SimNode, { regionId, appliedIndex, appliedTerm }: EngineWrite): void {
    const log = node.disk.synced(regionId);
    if (log !== undefined && appliedIndex < log.firstIndex()) return;
    const term = log?.term(appliedIndex);
    if (term === appliedTerm) return;
    const what = `node ${node.nodeId}, region ${regionId}: entry ${appliedIndex} of term ${appliedTerm} is applied, and synced is ${term}`;
    this.report('applied is synced here', what);
  }
}
