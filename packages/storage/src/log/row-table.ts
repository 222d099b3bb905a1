// @hot
/**
 * What each row of the log holds and how much of it still lives: decides which rows are dropped and
 * which are worth rewriting. Does no IO.
 *
 * Invariants:
 *  S1 live <= total of every row; a sealed row with live = 0 is dead and handed out once by `takeDead`.
 *  S2 totalBytes and liveBytes are the sums over all rows.
 */
import { assert, present } from '@moku/base';

interface Row {
  totalBytes: number;
  liveBytes: number;
}

export class RowTable {
  totalBytes = 0;
  liveBytes = 0;
  private readonly rows = new Map<number, Row>();
  private readonly sparse = new Set<number>();
  private dead: number[] = [];
  /** Rows from this seq on are still being filled: they are judged when they are sealed. */
  private openFrom = Number.MAX_SAFE_INTEGER;

  get count(): number {
    return this.rows.size;
  }

  has(seq: number): boolean {
    return this.rows.has(seq);
  }

  /** Bytes of a row; 0 for a row that is gone. */
  bytesOf(seq: number): number {
    return this.rows.get(seq)?.totalBytes ?? 0;
  }

  /** Rows added from now on, `seq` and above, are judged by `seal`. */
  open(seq: number): void {
    this.openFrom = seq;
  }

  add(seq: number, totalBytes: number): void {
    assert(!this.rows.has(seq), 'S2: a row is added once');
    this.rows.set(seq, { totalBytes, liveBytes: 0 });
    this.totalBytes += totalBytes;
  }

  /** A row's size changed: it is being filled, or was rewritten. */
  resize(seq: number, totalBytes: number): void {
    const row = present(this.rows.get(seq), 'S2: a resized row exists');
    this.totalBytes += totalBytes - row.totalBytes;
    row.totalBytes = totalBytes;
  }

  retain(seq: number, bytes: number): void {
    const row = present(this.rows.get(seq), 'S2: a retained row exists');
    row.liveBytes += bytes;
    this.liveBytes += bytes;
  }

  release(seq: number, bytes: number): void {
    const row = present(this.rows.get(seq), 'S2: a released row exists');
    row.liveBytes -= bytes;
    this.liveBytes -= bytes;
    assert(row.liveBytes >= 0, 'S1: live bytes are not negative');
    if (seq < this.openFrom) this.judge(seq, row);
  }

  /** Ends the filling of rows `from` … `to` - 1. */
  seal(from: number, to: number): void {
    this.openFrom = Number.MAX_SAFE_INTEGER;
    for (let seq = from; seq < to; seq++) {
      const row = this.rows.get(seq);
      if (row !== undefined) this.judge(seq, row);
    }
  }

  /** Rows that died since the last call. */
  takeDead(): number[] {
    const dead = this.dead;
    if (dead.length > 0) this.dead = [];
    return dead;
  }

  /** Rows of which at most half lives, oldest first: at most `rowsMax` rows and, but for one, `bytesMax`. */
  sparsest(rowsMax: number, bytesMax: number): number[] {
    const candidates: number[] = [];
    for (const seq of this.sparse) {
      if (candidates.push(seq) >= rowsMax * 16) break;
    }
    candidates.sort((a, b) => a - b);
    const chosen: number[] = [];
    let bytes = 0;
    for (const seq of candidates) {
      const rowBytes = this.bytesOf(seq);
      if (chosen.length > 0 && (chosen.length >= rowsMax || bytes + rowBytes > bytesMax)) break;
      chosen.push(seq);
      bytes += rowBytes;
    }
    return chosen;
  }

  /** The row cannot be rewritten (it is damaged), or was just rewritten. */
  notSparse(seq: number): void {
    this.sparse.delete(seq);
  }

  private judge(seq: number, row: Row): void {
    if (row.liveBytes === 0) {
      this.rows.delete(seq);
      this.sparse.delete(seq);
      this.totalBytes -= row.totalBytes;
      this.dead.push(seq);
    } else if (row.liveBytes * 2 <= row.totalBytes) {
      this.sparse.add(seq);
    }
  }
}
