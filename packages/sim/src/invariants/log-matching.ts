/**
 * Log matching: if two logs contain an entry with the same index and term, they are identical up to
 * there (Raft, figure 3): same content, same term before it. Leader append-only: a leader never
 * overwrites what it has.
 */
import { hash32, type RegionId } from '@moku/base';
import type { RegionWrite } from '@moku/raft';
import type { SimNode } from '../world/sim-node.js';
import type { Invariant, Report } from './invariant.js';

/** An entry that was seen, and the one of another term at its index that was seen before it. */
interface Known {
  readonly term: number;
  readonly content: number;
  readonly other: Known | undefined;
  readonly prevLogTerm: number | undefined;
}

export class LogMatching implements Invariant {
  private readonly report: Report;
  /** Per region and index. */
  private readonly known = new Map<RegionId, Map<number, Known>>();

  constructor(report: Report) {
    this.report = report;
  }

  onLogWrite(node: SimNode, { regionId, entries, restart, create }: RegionWrite): void {
    const first = entries?.[0];
    if (first === undefined) return;
    const log = node.disk.visible(regionId);
    const isFresh = restart !== undefined || create !== undefined;
    let prevLogTerm = isFresh ? undefined : log?.term(first.index - 1);
    const known = this.knownOf(regionId);
    for (const { index, term, data } of entries ?? []) {
      const content = hash32(data);
      const newest = known.get(index);
      const before = ofTerm(newest, term);
      if (before === undefined) known.set(index, { term, content, other: newest, prevLogTerm });
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

  private knownOf(regionId: RegionId): Map<number, Known> {
    let known = this.known.get(regionId);
    if (known === undefined) {
      known = new Map();
      this.known.set(regionId, known);
    }
    return known;
  }
}

function ofTerm(newest: Known | undefined, term: number): Known | undefined {
  let known = newest;
  while (known !== undefined && known.term !== term) known = known.other;
  return known;
}

function differs(a: number | undefined, b: number | undefined): boolean {
  return a !== undefined && b !== undefined && a !== b;
}
