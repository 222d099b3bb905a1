/**
 * Log matching: if two logs contain an entry with the same index and term, they are identical up to
 * there (Raft, figure 3): same content, same term before it. Leader append-only: a leader never
 * overwrites what it has.
 */
import { hash32 } from '@moku/base';
import type { RegionWrite } from '@moku/raft';
import type { SimNode } from '../sim-node.js';
import type { Invariant, Report } from './invariant.js';

interface Known {
  readonly content: number;
  readonly prevLogTerm: number | undefined;
}

export class LogMatching implements Invariant {
  private readonly report: Report;
  private readonly known = new Map<string, Known>();

  constructor(report: Report) {
    this.report = report;
  }

  onLogWrite(node: SimNode, { regionId, entries, restart, create }: RegionWrite): void {
    const first = entries?.[0];
    if (first === undefined) return;
    const log = node.disk.visible(regionId);
    const isFresh = restart !== undefined || create !== undefined;
    let prevLogTerm = isFresh ? undefined : log?.term(first.index - 1);
    for (const { index, term, data } of entries ?? []) {
      const content = hash32(data);
      const key = `${regionId}/${index}/${term}`;
      const before = this.known.get(key);
      if (before === undefined) this.known.set(key, { content, prevLogTerm });
      else if (before.content !== content || differs(before.prevLogTerm, prevLogTerm)) {
        this.report(
          'log matching',
          `node ${node.nodeId}, region ${regionId}: entry ${index} of term ${term} differs from another log's`,
        );
      }
      prevLogTerm = term;
    }
    const status = node.running?.host.regionStatus(regionId);
    if (status?.role !== 'leader' || log === undefined || isFresh) return;
    if (first.term === status.term && first.index <= log.lastIndex()) {
      this.report(
        'leader append-only',
        `node ${node.nodeId}, region ${regionId}: overwrites entry ${first.index} as leader of term ${status.term}`,
      );
    }
  }
}

function differs(a: number | undefined, b: number | undefined): boolean {
  return a !== undefined && b !== undefined && a !== b;
}
