/**
 * Who must come before whom among committed transactions, in any serial order that explains a history.
 *
 * Edges: `ww` appended the version before, `wr` appended the version that the other one read, `rw` read
 * the version that the other one replaced, `realTime` was acknowledged before the other one was invoked.
 * Of real time only edges that others do not imply are kept.
 */

import type { Transaction } from './transactions.js';
import type { KeyVersions, Versions } from './version-order.js';

export const edgeKinds = { ww: 1, wr: 2, rw: 4, realTime: 8, all: 15 } as const;

interface Reason {
  readonly kind: number;
  readonly text: string;
}

export class DependencyGraph {
  /** Kinds of edges by transaction number. */
  readonly adjacency: Map<number, number>[];
  private readonly reasons = new Map<string, Reason[]>();
  private readonly isCommitted: readonly boolean[];

  constructor(transactions: readonly Transaction[], { keys, isCommitted }: Versions) {
    this.adjacency = transactions.map(() => new Map());
    this.isCommitted = isCommitted;
    for (const versions of keys) {
      this.addWrites(versions);
      this.addReads(versions);
    }
    this.addRealTime(transactions);
  }

  /** Why `from` is before `to`, by one of `kinds`; the simplest first. */
  reason(from: number, to: number, kinds: number): string {
    const reasons = this.reasons.get(`${from},${to}`) ?? [];
    const fitting = reasons.filter((reason) => (reason.kind & kinds) !== 0);
    fitting.sort((a, b) => a.kind - b.kind);
    return fitting[0]?.text ?? 'real time';
  }

  private addWrites({ key, elements, writers, unseenWriters }: KeyVersions): void {
    let last: number | undefined;
    let lastElement = '';
    elements.forEach((element, i) => {
      const writer = writers[i];
      if (writer === undefined || this.isCommitted[writer] !== true) return;
      if (last !== undefined) {
        this.add(last, writer, edgeKinds.ww, () => `ww ${key}: ${lastElement}, then ${element}`);
      }
      last = writer;
      lastElement = element;
    });
    if (last === undefined) return;
    for (const writer of unseenWriters) {
      const text = (): string => `ww ${key}: ${lastElement}, then what no read shows`;
      this.add(last, writer, edgeKinds.ww, text);
    }
  }

  private addReads({ key, elements, writers, reads, unseenWriters }: KeyVersions): void {
    for (const { reader, version } of reads) {
      const writer = writers[version - 1];
      if (writer !== undefined) {
        this.add(writer, reader, edgeKinds.wr, () => `wr ${key}: ${elements[version - 1]}`);
      }
      const replaced = version === 0 ? '[]' : elements[version - 1];
      let next = version;
      // Of its own writer's later appends the reader missed some: that is G1b already.
      while (next < elements.length && !this.isNode(writers[next], writer)) next += 1;
      const overwriter = writers[next];
      if (overwriter !== undefined) {
        const text = (): string => `rw ${key}: up to ${replaced}, without ${elements[next]}`;
        this.add(reader, overwriter, edgeKinds.rw, text);
        continue;
      }
      for (const unseen of unseenWriters) {
        if (unseen === writer) continue;
        const text = (): string => `rw ${key}: up to ${replaced}, without what no read shows`;
        this.add(reader, unseen, edgeKinds.rw, text);
      }
    }
  }

  private addRealTime(transactions: readonly Transaction[]): void {
    const moments: { line: number; index: number; isReturn: boolean }[] = [];
    transactions.forEach(({ operation }, index) => {
      if (!this.isNode(index)) return;
      moments.push({ line: operation.invokeLine, index, isReturn: false });
      if (!Number.isFinite(operation.returnLine)) return;
      moments.push({ line: operation.returnLine, index, isReturn: true });
    });
    moments.sort((a, b) => a.line - b.line);
    // Returned, and not before anything that has returned since.
    const border = new Set<number>();
    const before = new Map<number, readonly number[]>();
    for (const { index, isReturn } of moments) {
      if (!isReturn) {
        before.set(index, [...border]);
        for (const earlier of border) this.add(earlier, index, edgeKinds.realTime, () => '');
        continue;
      }
      for (const earlier of before.get(index) ?? []) border.delete(earlier);
      border.add(index);
    }
  }

  private isNode(index: number | undefined, except?: number): boolean {
    return index !== undefined && index !== except && this.isCommitted[index] === true;
  }

  private add(from: number, to: number, kind: number, text: () => string): void {
    const targets = this.adjacency[from];
    if (from === to || targets === undefined || !this.isNode(from) || !this.isNode(to)) return;
    const kinds = targets.get(to) ?? 0;
    if ((kinds & kind) !== 0) return;
    targets.set(to, kinds | kind);
    if (kind === edgeKinds.realTime) return;
    const name = `${from},${to}`;
    this.reasons.set(name, [...(this.reasons.get(name) ?? []), { kind, text: text() }]);
  }
}
